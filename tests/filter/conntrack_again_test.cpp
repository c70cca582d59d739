// Packets of flows that are found by their ports alone against those that are looked up and judged one by
// one: over conversations drawn from seeds, with what does not belong into them, every verdict and all that
// is known of each flow is the same.
#include <gtest/gtest.h>

#include <array>

#include "base/check.hpp"
#include "filter/batch.hpp"
#include "filter/conntrack.hpp"
#include "filter/conversations.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {
namespace {

constexpr uint8_t kAck = 16;
constexpr int32_t kDrop = 0, kAccept = 1;
constexpr SipKey kSecret{1, 2};

Octets ct(uint32_t key) {
  return expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(key))));
}
// Which state the bit says (nf_conntrack_common.h).
Octets state_is(uint8_t bit) {
  return join(ct(0), cmp(0, {bit, 0, 0, 0}));
}
constexpr uint8_t kInvalid = 1, kEstablished = 2, kRelated = 4, kFresh = 8;

Octets rules(uint32_t which) {
  const auto at = [](Hook where) { return hook(static_cast<uint32_t>(where)); };
  const Octets to_client = join(payload(1, 19, 1), cmp(0, {2}));
  Octets more;
  if (which % 2 != 0) more = rule("in", join(to_client, counter()));
  if (which % 4 >= 2) more = join(more, rule("pre", join(payload(2, 13, 1), cmp(0, {kAck}), counter())));
  return batch(
      table(), chain("pre", at(Hook::prerouting)), chain("in", at(Hook::input)),
      chain("out", at(Hook::output)), chain("post", at(Hook::postrouting)), more,
      rule("in", join(state_is(kEstablished), counter(), verdict(kAccept))),
      rule("in", join(state_is(kInvalid), counter(), verdict(which % 3 == 0 ? kDrop : kAccept))),
      rule("in", join(state_is(kRelated), counter())),
      rule("in", join(state_is(kFresh), payload(2, 0, 2), cmp(0, {0, 9}), counter(), verdict(kDrop))),
      rule("out", join(state_is(kEstablished), counter(), verdict(kAccept))),
      rule("post", join(state_is(kInvalid), counter())));
}

struct World {
  explicit World(uint32_t which) : engine(made(which)) { engine.track_with(&table); }
  static Engine made(uint32_t which) {
    Ruleset ruleset;
    CHECK(!load(rules(which), ruleset));
    return Engine(std::move(ruleset));
  }

  Conntrack table{kSecret, 16};
  Engine engine;
};

struct Outcome {
  bool accepted = false;
  Tracked tracked;
};

Outcome judge(World& world, Octets bytes, bool leaves, TimeNs now) {
  Packet packet;
  CHECK(packet.read(bytes));
  const bool accepted = world.engine.judge(leaves ? Hook::output : Hook::prerouting, packet, now).accepted &&
                        world.engine.judge(leaves ? Hook::postrouting : Hook::input, packet, now).accepted;
  return {accepted, packet.tracked};
}

// As a stack does it.
Outcome recall_or_judge(World& world, Octets bytes, bool leaves, TimeNs now,
                        std::array<size_t, 2>& recalled) {
  Engine& engine = world.engine;
  const auto length = static_cast<uint32_t>(bytes.size());
  if (bytes.size() >= VerdictMemory::kSeenBytes) {
    const uint8_t* const transport = bytes.data() + VerdictMemory::kHeaderBytes;
    const auto seen = TransportSeen::read(transport);
    const auto alike = engine.find_alike(bytes.data(), seen, leaves, false, now);
    if (alike && engine.recall(*alike, transport, seen, length, now)) {
      ++recalled[bytes[9] == kProtocolUdp];
      return {true, alike->tracked};
    }
  }
  Packet packet;
  CHECK(packet.read(bytes));
  engine.track(leaves ? Hook::output : Hook::prerouting, packet, now);
  const auto look = engine.look(packet.bytes, leaves, false, packet.tracked);
  if (look && engine.recall(*look, length, now)) return {true, packet.tracked};
  engine.record();
  const bool accepted = engine.judge(leaves ? Hook::output : Hook::prerouting, packet, now).accepted &&
                        engine.judge(leaves ? Hook::postrouting : Hook::input, packet, now).accepted;
  if (accepted && look) engine.remember(*look);
  return {accepted, packet.tracked};
}

void expect_same(const Flow& one, const Flow& other) {
  EXPECT_EQ(one.number, other.number);
  EXPECT_EQ(one.status, other.status);
  EXPECT_EQ(one.expires, other.expires);
  EXPECT_EQ(one.epoch, other.epoch);
  EXPECT_TRUE(one.tuples == other.tuples);
  for (const bool reply : {false, true}) {
    EXPECT_EQ(one.passed[reply].packets, other.passed[reply].packets);
    EXPECT_EQ(one.passed[reply].bytes, other.passed[reply].bytes);
  }
  EXPECT_EQ(one.stream_at, other.stream_at);
  EXPECT_TRUE(one.tcp == other.tcp);
}

void expect_same(const Engine& one, const Engine& other) {
  for (uint32_t i = 0; i < one.ruleset().stateful.size(); ++i) {
    EXPECT_EQ(one.tally(i).packets, other.tally(i).packets);
    EXPECT_EQ(one.tally(i).bytes, other.tally(i).bytes);
  }
  for (uint32_t chain = 0; chain < one.ruleset().chains.size(); ++chain) {
    for (uint32_t rule = 0; rule <= one.ruleset().chains[chain].rules.size(); ++rule) {
      const uint32_t index = rule < one.ruleset().chains[chain].rules.size() ? rule : kNone;
      EXPECT_EQ(one.hits(chain, index).packets, other.hits(chain, index).packets);
      EXPECT_EQ(one.hits(chain, index).last, other.hits(chain, index).last);
    }
  }
}

TEST(ConntrackAgain, ChangesNoVerdictAndNoFlow) {
  std::array<size_t, 2> recalled{};  // by whether they are of UDP
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    Conversations conversations(seed, 0x0a000002, 0x0a000001);
    World again(seed), each(seed);
    TimeNs now = 1000 * kSecond;
    for (int i = 1; i <= 2000; ++i) {
      const auto [bytes, leaves] = conversations.packet();
      now += conversations.wait();
      if (conversations.one_in(500)) {
        again.table.resume();
        each.table.resume();
      }
      SCOPED_TRACE("seed " + std::to_string(seed) + ", packet " + std::to_string(i));
      const Outcome got = recall_or_judge(again, bytes, leaves, now, recalled);
      const Outcome expected = judge(each, bytes, leaves, now);
      ASSERT_EQ(got.accepted, expected.accepted);
      ASSERT_EQ(got.tracked.state, expected.tracked.state);
      ASSERT_EQ(got.tracked.reply, expected.tracked.reply);
      ASSERT_EQ(got.tracked.number, expected.tracked.number);
      ASSERT_EQ(again.table.flows(), each.table.flows());
      ASSERT_EQ(got.tracked.flow == nullptr, expected.tracked.flow == nullptr);
      if (got.tracked.flow != nullptr) expect_same(*got.tracked.flow, *expected.tracked.flow);
      if (HasFailure()) return;
    }
    expect_same(again.engine, each.engine);
  }
  for (const size_t each : recalled)
    EXPECT_GT(each, 5'000U) << "so that it cannot pass because none was found";
}

// Where anything of a flow is special, it is for track().
TEST(ConntrackAgain, FindsNoFlowThatNeedsMore) {
  Conntrack table(kSecret, 2);
  TimeNs now = 1000 * kSecond;
  const auto packet = [](bool reply, uint8_t protocol) {
    Octets bytes(48);
    bytes[0] = 0x45, bytes[3] = 48, bytes[9] = protocol;
    bytes[15] = reply ? 1 : 2, bytes[19] = reply ? 2 : 1;
    store_be16(&bytes[20], reply ? 53 : 1000);
    store_be16(&bytes[22], reply ? 1000 : 53);
    store_be16(&bytes[24], 28);
    if (protocol == kProtocolIcmp) store_be16(&bytes[20], 8 << 8);
    return bytes;
  };
  const auto track = [&](Octets bytes, uint16_t zone = 0) {
    Packet one;
    CHECK(one.read(bytes));
    one.tracked.zone = zone;
    table.track(one, now);
    CHECK(table.confirm(one, now));
    return one.tracked;
  };
  const auto find = [&](bool reply) {
    const Octets bytes = packet(reply, kProtocolUdp);
    return table.find_again(bytes.data(), TransportSeen::read(bytes.data() + 20), now);
  };
  EXPECT_EQ(find(false).flow, nullptr);
  track(packet(false, kProtocolUdp));
  track(packet(false, kProtocolUdp));
  EXPECT_EQ(find(false).flow, nullptr) << "not answered";
  const Tracked answer = find(true);
  ASSERT_NE(answer.flow, nullptr) << "its first answer";
  EXPECT_TRUE(answer.reply);
  Flow& flow = *track(packet(true, kProtocolUdp)).flow;
  EXPECT_EQ(find(false).flow, &flow);
  EXPECT_EQ(find(false).state, CtState::established);
  EXPECT_EQ(find(false).number, flow.number);
  for (const Flow::Status special :
       {Flow::kSourceNat, Flow::kDestinationNat, Flow::kShifted, Flow::kHelped, Flow::kDying}) {
    flow.status |= special;
    EXPECT_EQ(find(false).flow, nullptr) << special;
    flow.status &= ~uint32_t{special};
  }
  EXPECT_EQ(find(false).flow, &flow);

  track(packet(false, kProtocolUdp), 5);
  track(packet(true, kProtocolUdp), 5);
  EXPECT_EQ(find(false).flow, nullptr) << "the one in another zone was found last";
  track(packet(false, kProtocolUdp));
  EXPECT_EQ(find(false).flow, &flow);
  now = flow.expires;
  EXPECT_EQ(find(false).flow, nullptr) << "its time is over";
  // Both places go to others.
  EXPECT_NE(track(packet(false, kProtocolIcmp)).flow, nullptr);
  EXPECT_NE(track(packet(false, kProtocolUdp), 7).flow, nullptr);
  EXPECT_EQ(find(false).flow, nullptr);
}

}  // namespace
}  // namespace skerry::filter
