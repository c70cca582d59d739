// Zones of connections: packets that are alike belong to flows of their own in each.
#include <gtest/gtest.h>

#include <cerrno>

#include "base/check.hpp"
#include "filter/engine.hpp"
#include "filter/link_batch.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kState = 0, kZone = 17;
constexpr uint8_t kEstablished = 2, kNew = 8;
constexpr uint8_t kOther = 9;  // the time to live of packets of the other zone

Octets ct(uint32_t key) {
  return expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(key))));
}
Octets zone(uint16_t number) {
  Octets bytes(2);
  std::memcpy(bytes.data(), &number, 2);
  return join(immediate(bytes),
              expression("ct", join(attribute(nft::kCtFrom, be32(1)), attribute(nft::kCtKey, be32(kZone)))));
}
Octets is_other() {
  return join(payload(1, 8, 1), cmp(0, {kOther}));
}
Octets zone_is(uint16_t number) {
  Octets bytes(2);
  std::memcpy(bytes.data(), &number, 2);
  return join(ct(kZone), cmp(0, bytes));
}
Octets state_is(uint8_t bit) {
  return join(ct(kState), cmp(0, {bit, 0, 0, 0}));
}

// A datagram between the two, forth or back.
Octets datagram(bool back, uint8_t ttl) {
  Octets bytes = {0x45, 0, 0, 32, 0,    1,    0, 0,  ttl, 17, 0, 0, 10, 0, 0, 1,
                  10,   0, 0, 2,  0x13, 0x88, 0, 53, 0,   12, 0, 0, 1,  2, 3, 4};
  if (back) {
    std::swap_ranges(bytes.begin() + 12, bytes.begin() + 16, bytes.begin() + 16);
    std::swap_ranges(bytes.begin() + 20, bytes.begin() + 22, bytes.begin() + 22);
  }
  return bytes;
}

class Zones : public testing::Test {
 protected:
  // `first` stands before packets are tracked.
  explicit Zones(const Octets& first = join(is_other(), zone(5))) {
    const auto base = [](const char* name, uint32_t number, int32_t priority) {
      return chain(name, hook(number, priority));
    };
    Ruleset ruleset;
    const auto refused = load(batch(table(), base("raw", 0, -300), base("pre", 0, 0), rule("raw", first),
                                    rule("pre", join(state_is(kNew), set_mark(1))),
                                    rule("pre", join(state_is(kEstablished), set_mark(2))),
                                    rule("pre", join(zone_is(5), counter()))),
                              ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    engine_.emplace(std::move(ruleset));
    engine_->track_with(&conntrack_);
  }
  // 1: it is new, 2: it is part of what is known.
  uint32_t mark_of(bool back, uint8_t ttl) {
    Octets bytes = datagram(back, ttl);
    Packet packet;
    CHECK(packet.read(bytes));
    EXPECT_TRUE(engine_->judge(Hook::prerouting, packet, 0).accepted);
    EXPECT_TRUE(engine_->judge(Hook::input, packet, 0).accepted);
    return packet.mark;
  }

  Conntrack conntrack_{SipKey{}};
  std::optional<Engine> engine_;
};

TEST_F(Zones, EachHasFlowsOfItsOwn) {
  EXPECT_EQ(mark_of(false, 64), 1U);
  EXPECT_EQ(mark_of(true, kOther), 1U) << "no answer in its zone";
  EXPECT_EQ(mark_of(true, 64), 2U);
  EXPECT_EQ(mark_of(false, kOther), 2U);
  EXPECT_EQ(conntrack_.flows(), 2U);
  EXPECT_EQ(engine_->tally(0).packets, 2U) << "those of the other";
}

class ZonesTwice : public Zones {
 protected:
  ZonesTwice() : Zones(join(zone(5), zone(6), expression("notrack", {}))) {}
};

TEST_F(ZonesTwice, TheFirstStays) {
  EXPECT_EQ(mark_of(false, 64), 1U);
  EXPECT_EQ(engine_->tally(0).packets, 1U);
}

TEST(Zone, IsSaidBeforePacketsAreTracked) {
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), chain("late", hook(0, -100)), rule("late", zone(5)),
                          rule("late", join(zone_is(5), counter()))),
                    ruleset));
  Engine engine(std::move(ruleset));
  Conntrack conntrack{SipKey{}};
  engine.track_with(&conntrack);
  Octets bytes = datagram(false, 64);
  Packet packet;
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_TRUE(engine.judge(Hook::prerouting, packet, 0).accepted);
  EXPECT_EQ(engine.tally(0).packets, 0U);
}

TEST(Zone, IsThatOfBothDirections) {
  const Octets one_way = join(immediate({5, 0}), expression("ct", join(attribute(nft::kCtFrom, be32(1)),
                                                                       attribute(nft::kCtKey, be32(kZone)),
                                                                       attribute(nft::kCtDirection, {0}))));
  Ruleset ruleset;
  const auto refused = load(batch(table(), base_chain(), rule("in", one_way)), ruleset);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error, EOPNOTSUPP);
}

}  // namespace
}  // namespace skerry::filter
