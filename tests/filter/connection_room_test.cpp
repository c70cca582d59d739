// The room for connections that rules count: whose of it is free again, and when.
#include <utility>

#include "filter/connections_world.hpp"

namespace skerry::filter {
namespace {

// All that may be counted is, by one address mostly; then there is room for others or not.
class FullOfConnections : public ConnectionCountsTest {
 protected:
  static constexpr int kFirst = 1, kSecond = 2, kMany = 30'000, kFew = 300;  // the others have one each

  FullOfConnections() : ConnectionCountsTest(ConnectionCounts::kMostCounted + 99) {}
  // Each address may have as many connections as there are; who sends an echo request is taken out. With
  // `last` the third address may have one.
  static Octets rules(bool last = false) {
    const Octets is_icmp = join(payload(1, 9, 1, 2), cmp(0, {kProtocolIcmp}, 2));
    const Octets remove = expression(
        "dynset", join(attribute(nft::kDynsetName, text("s")), attribute(nft::kDynsetOperation, be32(2)),
                       attribute(nft::kDynsetKey, be32(1))));
    Octets first = rule("in", join(is_icmp, payload(1, 12, 4), remove, verdict(1)));
    if (last)
      first =
          join(rule("in", join(payload(1, 12, 4), cmp(0, {10, 0, 0, 3}), ct_count(1), verdict(0))), first);
    return one_each(600, first, ConnectionCounts::kMostCounted);
  }
  bool comes(Engine& engine, int port, int from) {
    Octets bytes = datagram(port, from);
    Packet packet;
    CHECK(packet.read(bytes));
    return engine.judge(Hook::prerouting, packet, now_).accepted &&
           engine.judge(Hook::input, packet, now_).accepted;
  }
  void fill() {
    for (int port = 1; port <= kMany; ++port) ASSERT_TRUE(comes(engine_, port, kFirst));
    for (int from = kSecond + 1; from <= kSecond + kFew; ++from) ASSERT_TRUE(comes(engine_, 1, from));
    const int rest = static_cast<int>(ConnectionCounts::kMostCounted) - kMany - kFew;
    for (int port = 1; port <= rest; ++port) ASSERT_TRUE(comes(engine_, port, kSecond));
  }
  void take_first_out() {
    Octets echo = transport(kProtocolUdp, false, 0x800, kFirst);
    echo[9] = kProtocolIcmp;
    EXPECT_TRUE(passes(engine_, echo));
  }
  void people_take_first_out() {
    GivenElement first;
    first.key = {10, 0, 0, kFirst};
    EXPECT_EQ(engine_.change(0, Change::remove, {&first, 1}, now_), std::nullopt);
  }
  bool second_has_room() {
    bool has_room = false;
    for (int port = 40'000; port < 40'040; ++port)
      has_room = has_room || passes(engine_, datagram(port, kSecond));
    return has_room;
  }
  // A connection that is open already, in a list that it is not in: it passes if there is room.
  bool has_room(Engine& engine) {
    for (uint32_t i = 0; i < 2 * ConnectionCounts::kMostCounted / ConnectionCounts::kMostSwept; ++i)
      if (passes(engine, datagram(1, 3))) return true;
    return false;
  }

  Engine engine_ = engine_of(rules());
};

TEST_F(FullOfConnections, AnElementThatIsTakenOutMakesRoom) {
  fill();
  EXPECT_FALSE(second_has_room());
  take_first_out();
  EXPECT_TRUE(second_has_room());
}

TEST_F(FullOfConnections, AlsoOneThatPeopleTakeOut) {
  fill();
  EXPECT_FALSE(second_has_room());
  people_take_first_out();
  EXPECT_TRUE(second_has_room());
}

TEST_F(FullOfConnections, AlsoOneOfASetThatOnlyPeopleChange) {
  Octets all;
  for (int from = kFirst; from <= kSecond + kFew; ++from)
    all = join(all, element({10, 0, static_cast<uint8_t>(from >> 8), static_cast<uint8_t>(from)}));
  engine_ = engine_of(
      batch(table(), set({.more = own_count(nft::kSetExpression, ConnectionCounts::kMostCounted)}),
            elements(all), base_chain(), rule("in", join(payload(1, 12, 4), lookup(), verdict(0)))));
  fill();
  EXPECT_FALSE(second_has_room());
  people_take_first_out();
  EXPECT_TRUE(second_has_room());
}

// Others are still to be taken over then. Where another comes it has the place, and a list of its own.
TEST_F(FullOfConnections, AnElementThatIsTakenOutAfterItWasTakenOverMakesRoom) {
  for (const bool another_comes : {false, true}) {
    SCOPED_TRACE(another_comes);
    now_ += 100 * kSecond;  // all that was before is over
    engine_ = engine_of(rules());
    fill();
    Engine next = engine_of(rules(true));
    bool taken_out = false;
    const auto in_a_pause = [&] {
      size_t taken = 0;
      next.dynamic_set(0)->for_each(now_, [&](const uint8_t*, const Element&) { ++taken; });
      if (taken < kFew || std::exchange(taken_out, true)) return;
      take_first_out();
      if (another_comes) {
        EXPECT_FALSE(comes(engine_, 1, kSecond + kFew + 1));
      }
    };
    next.take_over(engine_, now_, Pause(in_a_pause, 1));
    ASSERT_TRUE(taken_out);
    if (!another_comes) {
      EXPECT_FALSE(has_room(next));
    }
    engine_.take_apart(Pause());
    EXPECT_TRUE(has_room(next));
    EXPECT_TRUE(comes(next, 1, kSecond)) << "and the others count as before";
  }
}

// Sets that change for another reason have nothing to do with it.
TEST_F(FullOfConnections, RoomIsSharedOnlyWithASetThatCounts) {
  const auto rules_of = [](uint32_t most) {
    const Octets add = expression(
        "dynset", join(attribute(nft::kDynsetName, text("s")), attribute(nft::kDynsetOperation, be32(0)),
                       attribute(nft::kDynsetKey, be32(1))));
    return batch(table(), set({.flags = nft::kSetEval}), base_chain(),
                 rule("in", join(ct_count(most), verdict(0))), rule("in", join(payload(1, 12, 4), add)));
  };
  engine_ = engine_of(rules_of(ConnectionCounts::kMostCounted));
  fill();
  EXPECT_FALSE(comes(engine_, 1, 999)) << "there is no room to count";
  Engine next = engine_of(rules_of(1));
  next.take_over(engine_, now_);
  EXPECT_TRUE(comes(next, 1, kFirst));
  EXPECT_FALSE(comes(next, 2, kFirst));
}

}  // namespace
}  // namespace skerry::filter
