// Flows and their states, packet by packet. That they are Linux's is for
// tests/programs/filter_kernel_test.py.
#include "filter/conntrack.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {
namespace {

constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;
constexpr uint32_t kClient = 0x0a000002, kServer = 0x0a000001;

Octets v4(uint8_t protocol, uint32_t from, uint32_t to, const Octets& transport) {
  Octets packet(20);
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<uint16_t>(20 + transport.size()));
  packet[9] = protocol;
  store_be32(&packet[12], from);
  store_be32(&packet[16], to);
  packet.insert(packet.end(), transport.begin(), transport.end());
  return packet;
}

struct Says {
  uint8_t flags = kAck;
  uint32_t seq = 0, ack = 0;
  uint16_t window = 1000;
  size_t bytes = 0;
};
Octets segment(bool reply, const Says& says, uint16_t port = 40000) {
  Octets tcp(20 + says.bytes);
  store_be16(&tcp[0], reply ? 80 : port);
  store_be16(&tcp[2], reply ? port : 80);
  store_be32(&tcp[4], says.seq);
  store_be32(&tcp[8], says.ack);
  tcp[12] = 5 << 4;
  tcp[13] = says.flags;
  store_be16(&tcp[14], says.window);
  return v4(kProtocolTcp, reply ? kServer : kClient, reply ? kClient : kServer, tcp);
}

Octets datagram(bool reply, uint16_t port = 40000, uint32_t client = kClient) {
  Octets udp(8);
  store_be16(&udp[0], reply ? 53 : port);
  store_be16(&udp[2], reply ? port : 53);
  store_be16(&udp[4], 8);
  return v4(kProtocolUdp, reply ? kServer : client, reply ? client : kServer, udp);
}

class ConntrackTest : public testing::Test {
 protected:
  // Through all rules; `dropped`: not by the last.
  Tracked pass(Octets bytes, bool dropped = false) {
    Packet packet;
    EXPECT_TRUE(packet.read(bytes));
    table_.track(packet, now_);
    if (!dropped) {
      EXPECT_TRUE(table_.confirm(packet, now_));
    }
    return packet.tracked;
  }
  CtState state(const Octets& bytes) { return pass(bytes).state; }
  void establish(uint16_t port = 40000) {
    EXPECT_EQ(state(segment(false, {kSyn, 99}, port)), CtState::fresh);
    EXPECT_EQ(state(segment(true, {kSyn | kAck, 199, 100}, port)), CtState::established);
    EXPECT_EQ(state(segment(false, {kAck, 100, 200}, port)), CtState::established);
  }

  TimeNs now_ = 1000 * kSecond;
  Conntrack table_{SipKey{1, 2}, 8};
};

TEST_F(ConntrackTest, AFlowIsNewUntilItIsAnswered) {
  EXPECT_EQ(state(datagram(false)), CtState::fresh);
  EXPECT_EQ(state(datagram(false)), CtState::fresh);
  const Tracked answer = pass(datagram(true));
  EXPECT_EQ(answer.state, CtState::established);
  EXPECT_TRUE(answer.reply);
  EXPECT_EQ(state(datagram(false)), CtState::established);
  EXPECT_EQ(table_.flows(), 1U);
}

// Also what a rule sees of it: it is counted before it is judged.
TEST_F(ConntrackTest, CountsWhatIsValidInBothDirections) {
  EXPECT_EQ(pass(datagram(false)).flow->passed[0].packets, 1U);
  pass(datagram(false));
  const Flow& flow = *pass(datagram(true)).flow;
  EXPECT_EQ(flow.passed[0].packets, 2U);
  EXPECT_EQ(flow.passed[0].bytes, 56U);
  EXPECT_EQ(flow.passed[1].packets, 1U);
}
TEST_F(ConntrackTest, ASynThatIsSentAgainDoesNotCount) {
  for (int again = 0; again < 3; ++again)
    EXPECT_EQ(pass(segment(false, {kSyn, 99})).flow->passed[0].packets, 1U);
  EXPECT_EQ(pass(segment(true, {kSyn | kAck, 199, 100})).flow->passed[1].bytes, 40U);
}

TEST_F(ConntrackTest, WhatRulesDropBeginsNothing) {
  pass(datagram(false), true);
  const Tracked answer = pass(datagram(true), true);
  EXPECT_EQ(answer.state, CtState::fresh) << "the question never was";
  EXPECT_FALSE(answer.reply);
  pass(segment(false, {kSyn}), true);
  EXPECT_EQ(table_.flows(), 1U) << "the last one, until the next packet";
}

TEST_F(ConntrackTest, AFlowEndsWithItsTime) {
  pass(datagram(false));
  now_ += 29 * kSecond;
  EXPECT_EQ(state(datagram(true)), CtState::established);
  now_ += 31 * kSecond;
  EXPECT_EQ(state(datagram(true)), CtState::fresh);
}

TEST_F(ConntrackTest, ADialogueOfTwoSecondsLivesTwoMinutes) {
  pass(datagram(false));
  pass(datagram(true));
  now_ += 3 * kSecond;
  const Tracked tracked = pass(datagram(false));
  EXPECT_NE(tracked.flow->status & Flow::kAssured, 0U);
  now_ += 119 * kSecond;
  EXPECT_EQ(state(datagram(false)), CtState::established);
}

TEST_F(ConntrackTest, AConnectionIsOpenedAndClosed) {
  establish();
  EXPECT_EQ(pass(segment(false, {kAck, 100, 200})).flow->tcp.state(), TcpState::established);
  EXPECT_EQ(pass(segment(false, {kFin | kAck, 100, 200})).flow->tcp.state(), TcpState::fin_wait);
  EXPECT_EQ(pass(segment(true, {kAck, 200, 101})).flow->tcp.state(), TcpState::close_wait);
  EXPECT_EQ(pass(segment(true, {kFin | kAck, 200, 101})).flow->tcp.state(), TcpState::last_ack);
  EXPECT_EQ(pass(segment(false, {kAck, 101, 201})).flow->tcp.state(), TcpState::time_wait);
  EXPECT_EQ(state(segment(false, {kSyn, 9999})), CtState::fresh) << "another connection";
}

// A SYN older than what waits in TIME-WAIT is answered by an ACK, which its sender resets before it asks
// again.
TEST_F(ConntrackTest, AChallengeInTimeWaitIsLetThrough) {
  establish();
  pass(segment(false, {kFin | kAck, 100, 200}));
  pass(segment(true, {kFin | kAck, 200, 101}));
  EXPECT_EQ(pass(segment(false, {kAck, 101, 201})).flow->tcp.state(), TcpState::time_wait);
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(state(segment(false, {kSyn, 50})), CtState::fresh);
    EXPECT_EQ(state(segment(true, {kAck, 201, 101})), CtState::established) << "the challenge";
    EXPECT_EQ(state(segment(false, {kRst, 101})), CtState::established);
  }
  EXPECT_EQ(state(segment(false, {kSyn, 50})), CtState::fresh);
}

TEST_F(ConntrackTest, ASegmentOutsideTheWindowIsInvalid) {
  establish();
  EXPECT_EQ(state(segment(false, {kAck, 100 + 5000, 200, 1000, 10})), CtState::invalid) << "over the window";
  EXPECT_EQ(state(segment(false, {kAck, 100, 300})), CtState::invalid) << "acknowledges what was never sent";
  EXPECT_EQ(state(segment(false, {kAck, 100, 200, 1000, 10})), CtState::established);
}

// RFC 5961 section 3.2: only exactly where the receiver is, a reset ends a connection.
TEST_F(ConntrackTest, AResetMustBeWhereTheReceiverIs) {
  establish();
  EXPECT_EQ(state(segment(true, {kRst, 100})), CtState::invalid);
  EXPECT_EQ(pass(segment(true, {kRst, 250})).flow->tcp.state(), TcpState::established);
  EXPECT_EQ(pass(segment(true, {kRst, 200})).flow->tcp.state(), TcpState::closed);
}

// What passed meanwhile was not seen; nf_ct_tcp_fixup().
TEST_F(ConntrackTest, AConnectionIsTakenUpWhereItHasCome) {
  establish();
  table_.resume();
  EXPECT_EQ(state(segment(true, {kAck, 90'200, 70'100, 1000, 10})), CtState::established);
  EXPECT_EQ(state(segment(false, {kAck, 70'100, 90'210})), CtState::established);
  EXPECT_EQ(state(segment(false, {kAck, 170'100, 90'210, 1000, 10})), CtState::invalid) << "over the window";
  table_.resume();
  EXPECT_EQ(pass(segment(false, {kFin | kAck, 80'100, 90'210})).flow->tcp.state(), TcpState::fin_wait);
  EXPECT_EQ(state(segment(true, {kAck, 90'210, 80'101})), CtState::established);
  table_.resume();
  EXPECT_EQ(state(segment(true, {kAck, 190'210, 80'101, 1000, 10})), CtState::invalid) << "not when it ends";
}

TEST_F(ConntrackTest, AnErrorBelongsToTheFlowThatItQuotes) {
  const auto error = [](const Octets& about, uint32_t to) {
    Octets icmp{3, 3, 0, 0, 0, 0, 0, 0};
    icmp.insert(icmp.end(), about.begin(), about.end());
    return v4(kProtocolIcmp, 0x0a000009, to, icmp);
  };
  EXPECT_EQ(state(error(datagram(false), kClient)), CtState::invalid) << "of no flow";
  pass(datagram(false));
  const Tracked tracked = pass(error(datagram(false), kClient));
  EXPECT_EQ(tracked.state, CtState::related);
  EXPECT_TRUE(tracked.reply);
  EXPECT_EQ(state(error(datagram(false), kServer)), CtState::invalid) << "not to who sent it";
  Octets cut = error(datagram(false), kClient);
  cut.resize(50);
  store_be16(&cut[2], 50);
  EXPECT_EQ(state(cut), CtState::invalid);
}

TEST_F(ConntrackTest, AFullTableDropsWhatNobodyAnswered) {
  establish();
  for (uint16_t i = 0; i < 20; ++i) EXPECT_EQ(state(datagram(false, i)), CtState::fresh);
  EXPECT_EQ(table_.flows(), 8U);
  EXPECT_EQ(table_.early_drops(), 13U);
  EXPECT_EQ(state(segment(false, {kAck, 100, 200})), CtState::established) << "this one stays";
}

TEST_F(ConntrackTest, WhatFindsNoRoomIsInvalid) {
  for (uint16_t port = 1; port <= 8; ++port) establish(port);
  EXPECT_EQ(state(datagram(false)), CtState::invalid);
  EXPECT_EQ(table_.refused(), 1U);
  EXPECT_EQ(state(segment(false, {kAck, 100, 200}, 3)), CtState::established);
}

// --- rules ---

Octets ct(uint32_t key) {
  return expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(key))));
}
Octets ct_set(uint32_t key) {
  return expression("ct", join(attribute(nft::kCtFrom, be32(1)), attribute(nft::kCtKey, be32(key))));
}
Judgement through(Engine& engine, Octets bytes, TimeNs now) {
  Packet packet;
  EXPECT_TRUE(packet.read(bytes));
  Judgement judgement = engine.judge(Hook::prerouting, packet, now);
  return judgement.accepted ? engine.judge(Hook::input, packet, now) : judgement;
}

TEST(Connections, RulesSeeTheStateAndMarkFlows) {
  const Octets seven = expression(
      "immediate", join(attribute(nft::kImmediateTo, be32(1)), value(nft::kImmediateData, {7, 0, 0, 0})));
  Ruleset ruleset;
  ASSERT_FALSE(load(
      batch(table(), base_chain(), rule("in", join(ct(0), cmp(0, {8, 0, 0, 0}), seven, ct_set(3), counter())),
            rule("in", join(ct(0), cmp(0, {2, 0, 0, 0}), ct(3), cmp(0, {7, 0, 0, 0}), counter()))),
      ruleset));
  Engine engine(std::move(ruleset));
  ASSERT_TRUE(engine.tracks());
  Conntrack conntrack({});
  engine.track_with(&conntrack);
  through(engine, datagram(false), 1);
  through(engine, datagram(true), 2);
  EXPECT_EQ(engine.tally(0).packets, 1U);
  EXPECT_EQ(engine.tally(1).packets, 1U) << "the mark is the flow's";
}

TEST(Connections, WithoutARuleAboutThemNothingIsTracked) {
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), base_chain(), rule("in", counter())), ruleset));
  EXPECT_FALSE(Engine(std::move(ruleset)).tracks());
}

TEST(Connections, WhatHasNoSideIsRefusedWithOne) {
  const auto with = [](uint32_t key, std::optional<uint8_t> side) {
    Ruleset ruleset;
    const Octets direction = side ? attribute(nft::kCtDirection, {*side}) : Octets{};
    const auto refusal =
        load(batch(table(), base_chain(),
                   rule("in", expression("ct", join(attribute(nft::kCtTo, be32(1)),
                                                    attribute(nft::kCtKey, be32(key)), direction)))),
             ruleset);
    return refusal ? refusal->error : 0;
  };
  EXPECT_EQ(with(0, std::nullopt), 0);
  EXPECT_EQ(with(0, 0), EINVAL);
  EXPECT_EQ(with(19, std::nullopt), EINVAL);
  EXPECT_EQ(with(19, 1), 0);
  EXPECT_EQ(with(19, 2), EINVAL);
  EXPECT_EQ(with(6, std::nullopt), 0) << "helper";
  EXPECT_EQ(with(6, 0), EINVAL);
  EXPECT_EQ(with(4, std::nullopt), EOPNOTSUPP) << "secmark";
}

}  // namespace
}  // namespace skerry::filter
