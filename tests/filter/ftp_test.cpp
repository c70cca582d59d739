// Connections that others announce: which, when and how often they are expected. That it is Linux's is for
// tests/programs/filter_kernel_test.py.
#include <cerrno>

#include "filter/ftp_world.hpp"

namespace skerry::filter {
namespace {

TEST_F(FtpTest, WhatAServerAnnouncesIsRelated) {
  begin();
  EXPECT_EQ(from_client(1234), CtState::fresh);
  ASSERT_TRUE(server("227 Entering Passive Mode (10,0,0,1,4,211)\r\n"));
  const Ends data{kPeer, kHost, 50000, 1235};
  ASSERT_TRUE(comes(segment(data, kSyn)));
  EXPECT_EQ(packet_.tracked.state, CtState::related);
  ASSERT_TRUE(comes(segment(data, kSyn)));
  EXPECT_EQ(packet_.tracked.state, CtState::related) << "sent again it is what it was";
  ASSERT_TRUE(leaves(segment(data.answer(), kSyn | kAck, 7, 101)));
  EXPECT_EQ(packet_.tracked.state, CtState::established);
  ASSERT_TRUE(comes(segment(data, kAck, 101, 8)));
  EXPECT_EQ(packet_.tracked.state, CtState::established);
  EXPECT_EQ(from_client(1235), CtState::fresh) << "once";
}

TEST_F(FtpTest, WhatAClientAnnouncesIsRelated) {
  begin();
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n"));
  EXPECT_EQ(from_server(1234, kOther), CtState::fresh);
  EXPECT_EQ(from_client(1234), CtState::fresh);
  EXPECT_EQ(from_server(1234), CtState::related);
  ASSERT_TRUE(client("EPRT |1|10.99.0.1|1235|\r\n"));
  EXPECT_EQ(from_server(1235), CtState::related);
  ASSERT_TRUE(server("229 Extended (|||1236|)\r\n"));
  EXPECT_EQ(from_client(1236, kOther), CtState::fresh);
  EXPECT_EQ(from_client(1236), CtState::related);
}

TEST_F(FtpTest, NobodyAnnouncesForOthers) {
  begin();
  EXPECT_TRUE(client("PORT 10,99,0,2,4,210\r\n"));
  EXPECT_TRUE(server("227 (10,0,0,2,4,210)\r\n"));
  EXPECT_EQ(from_server(1234), CtState::fresh);
  EXPECT_EQ(from_server(1234, kOther), CtState::fresh);
  EXPECT_EQ(from_client(1234), CtState::fresh);
  EXPECT_TRUE(client("227 (10,99,0,1,4,210)\r\n")) << "what a server says";
  EXPECT_TRUE(server("PORT 10,0,0,1,4,210\r\n"));
  EXPECT_EQ(from_server(1234), CtState::fresh);
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

TEST_F(FtpTest, OnlyTheLastAnnouncementOfAConnectionCounts) {
  begin();
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n"));
  ASSERT_TRUE(server("227 (10,0,0,1,4,211)\r\n"));
  EXPECT_EQ(from_server(1234), CtState::fresh);
  EXPECT_EQ(from_client(1235), CtState::related);
}

TEST_F(FtpTest, LinesAreReadFromTheirBeginning) {
  begin();
  ASSERT_TRUE(client("LIST "));
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n")) << "in the middle of one";
  EXPECT_EQ(from_server(1234), CtState::fresh);
  ASSERT_TRUE(client("NOOP\r\nPORT 10,99,0,1,4,210\r\n")) << "behind another in one segment";
  EXPECT_EQ(from_server(1234), CtState::fresh);
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n"));
  EXPECT_EQ(from_server(1234), CtState::related);
}

TEST_F(FtpTest, TheFirstLineOfASideIsNotRead) {
  client_ = {1000, kControl};
  server_ = {5000, kControl.answer()};
  ASSERT_TRUE(comes(segment(kControl, kSyn, 999)));
  ASSERT_TRUE(leaves(segment(kControl.answer(), kSyn | kAck, 4999, 1000)));
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n")) << "nobody knows that it is one";
  EXPECT_EQ(from_server(1234), CtState::fresh);
}

TEST_F(FtpTest, WhatIsCutDoesNotPass) {
  begin();
  EXPECT_FALSE(client("PORT 10,99,0,1"));
  EXPECT_EQ(judgement_.chain, kAnnouncement);
  EXPECT_FALSE(server("227 Entering Pass"));
  EXPECT_TRUE(client("PORT 10,99,0,1,4,210\r\n")) << "whole it does";
  EXPECT_EQ(from_server(1234), CtState::related);
}

TEST_F(FtpTest, WhatIsSentAgainSaysTheSame) {
  begin();
  const uint32_t seq = client_.seq;
  ASSERT_TRUE(client("PORT 10,99,0,1,4,210\r\n"));
  ASSERT_TRUE(client("LIST\r\n"));
  EXPECT_EQ(from_server(1234), CtState::related);
  ASSERT_TRUE(comes(said(kControl, seq, server_.seq, "PORT 10,99,0,1,4,210\r\n")));
  EXPECT_EQ(from_server(1234), CtState::fresh) << "it is too old, and lines begin elsewhere now";
  const uint32_t last = client_.seq;
  ASSERT_TRUE(client("PORT 10,99,0,1,4,211\r\n"));
  EXPECT_EQ(from_server(1235), CtState::related);
  ASSERT_TRUE(comes(said(kControl, last, server_.seq, "PORT 10,99,0,1,4,211\r\n")));
  EXPECT_EQ(from_server(1235), CtState::related);
}

TEST_F(FtpTest, NobodyWaitsForEver) {
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  settle();
  now_ += 300 * kSecond - 1;
  EXPECT_EQ(from_client(1234), CtState::related);
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  settle();
  now_ += 300 * kSecond;
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

TEST_F(FtpTest, WhatAConnectionAnnouncedEndsWithIt) {
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  ASSERT_TRUE(comes(segment(kControl, kRst, client_.seq)));
  now_ += 11 * kSecond;
  ASSERT_TRUE(comes(segment(kControl, kSyn, 9000)));
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

TEST_F(FtpTest, TwoCannotExpectTheSame) {
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  begin({kPeer, kHost, 40001, 21});
  EXPECT_FALSE(server("227 (10,0,0,1,4,210)\r\n"));
  EXPECT_EQ(judgement_.chain, kAnnouncement);
  now_ += 300 * kSecond;
  begin({kPeer, kHost, 40002, 21});
  EXPECT_TRUE(server("227 (10,0,0,1,4,210)\r\n")) << "the other one waits no longer";
  EXPECT_EQ(from_client(1234), CtState::related);
}

TEST_F(FtpTest, NothingIsReadWhereNoRuleSaysSo) {
  begin({kPeer, kHost, 40000, 2121});
  EXPECT_TRUE(client("PORT 10,99,0,1"));
  EXPECT_TRUE(client("PORT 10,99,0,1,4,210\r\n"));
  EXPECT_EQ(from_server(1234), CtState::fresh);
}

TEST_F(FtpTest, AHelperComesToNewConnectionsAlone) {
  use(batch(table(), chain("pre", hook(0)), rule("pre", join(ct(kStateKey), counter()))));
  begin();
  use(usual_rules());
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

TEST_F(FtpTest, AHelperOutlivesItsRules) {
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  use(batch(table(), chain("pre", hook(0)), rule("pre", join(state_is(kRelated), counter()))));
  EXPECT_EQ(from_client(1234), CtState::related);
  EXPECT_EQ(engine_->tally(0).packets, 1U);
  ASSERT_TRUE(server("227 (10,0,0,1,4,211)\r\n"));
  EXPECT_EQ(from_client(1235), CtState::related);
}

TEST_F(FtpTest, TheMarkIsInheritedAndTheHelperCanBeAskedFor) {
  use(usual_rules(join(rule("pre", join(port_is(21), set_ct_mark(7))),
                       rule("pre", join(helper_is("ftp"), counter())),
                       rule("pre", join(helper_is("sip"), counter())))));
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  EXPECT_EQ(engine_->tally(1).packets, 0U) << "that of the connection that announces";
  EXPECT_EQ(from_client(1234), CtState::related);
  EXPECT_EQ(packet_.tracked.flow->mark, 7U);
  EXPECT_NE(packet_.tracked.flow->status & Flow::kExpected, 0U);
  EXPECT_EQ(engine_->tally(1).packets, 1U);
  EXPECT_EQ(engine_->tally(2).packets, 0U);
}

// Rules that are asked once for each kind of packet must not keep a line from being read.
TEST_F(FtpTest, NoPacketOfAHelpedConnectionIsRemembered) {
  for (const auto& [port, remembered] : {std::pair<uint16_t, bool>{21, false}, {2121, true}}) {
    begin({kPeer, kHost, 40000, port});
    Octets noop = said(client_.ends, client_.seq, server_.seq, "NOOP\r\n");
    Packet packet;
    ASSERT_TRUE(packet.read(noop));
    engine_->track(Hook::prerouting, packet, now_);
    EXPECT_EQ(engine_->look(packet.bytes, false, false, packet.tracked).has_value(), remembered);
  }
}

TEST_F(FtpTest, OfAPacketThatIsNotAllThereNothingIsRead) {
  begin();
  Octets whole = said(server_.ends, server_.seq, client_.seq, "227 (10,0,0,1,4,210)\r\n");
  Packet packet;
  ASSERT_TRUE(packet.read(Bytes(whole).first(50), whole.size()));
  EXPECT_TRUE(engine_->judge(Hook::output, packet, now_).accepted);
  EXPECT_TRUE(engine_->judge(Hook::postrouting, packet, now_).accepted);
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

TEST_F(FtpTest, EveryFlowCanBeHelped) {
  for (uint16_t i = 0; i < 4096; ++i) {
    begin({kPeer, kHost, static_cast<uint16_t>(20000 + i), 21});
    const auto port = static_cast<uint16_t>(1024 + i);
    ASSERT_TRUE(server("229 (|||" + std::to_string(port) + "|)\r\n"));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(conntrack_.flows(), 4096U);
}

int refused(const Octets& bytes, Place place = Place::stack) {
  Ruleset ruleset;
  const auto refusal = load(bytes, ruleset, {.place = place});
  return refusal ? refusal->error : 0;
}

TEST(FtpRules, TheOneHelperIsFtp) {
  const auto object = [](const Octets& data) { return refused(batch(table(), helper_object(data))); };
  EXPECT_EQ(object(helper_words()), 0);
  EXPECT_EQ(object(helper_words("ftp", kProtocolTcp, nft::kIpv4)), 0);
  EXPECT_EQ(object(helper_words("tftp")), EOPNOTSUPP);
  EXPECT_EQ(object(helper_words("ftp", kProtocolUdp)), EOPNOTSUPP);
  EXPECT_EQ(object(helper_words("ftp", kProtocolTcp, nft::kArp)), EAFNOSUPPORT);
  EXPECT_EQ(
      object(join(attribute(nft::kHelperName, text("ftp")), attribute(nft::kHelperFamily, {1, nft::kInet}),
                  attribute(nft::kHelperProtocol, {kProtocolTcp}))),
      EAFNOSUPPORT)
      << "257";
  EXPECT_EQ(object(attribute(nft::kHelperName, text("ftp"))), EINVAL);
  EXPECT_EQ(object(attribute(nft::kHelperProtocol, {kProtocolTcp})), EINVAL);
  EXPECT_EQ(object(join(attribute(nft::kHelperName, text("ftp")), attribute(nft::kHelperProtocol, {6}))), 0)
      << "of the table's family";
  EXPECT_EQ(object(join(attribute(nft::kHelperName, text("ftp")), attribute(nft::kHelperProtocol, {6, 0}))),
            EINVAL);
}

TEST(FtpRules, AHelperIsOfItsTablesFamily) {
  const auto in = [](uint8_t table_family, uint8_t helper_family, Place place = Place::stack) {
    return refused(batch(nft_message(nft::kNewTable, attribute(nft::kTableName, text("t")), table_family),
                         helper_object(helper_words("ftp", kProtocolTcp, helper_family), "h", table_family)),
                   place);
  };
  EXPECT_EQ(in(nft::kIpv4, nft::kIpv4), 0);
  EXPECT_EQ(in(nft::kIpv4, nft::kIpv6), EINVAL);
  EXPECT_EQ(in(nft::kIpv6, nft::kIpv4), EINVAL);
  EXPECT_EQ(in(nft::kIpv6, nft::kInet), 0);
  EXPECT_EQ(in(nft::kArp, nft::kIpv4), EOPNOTSUPP);
  EXPECT_EQ(in(nft::kNetdev, nft::kIpv4), EOPNOTSUPP);
  EXPECT_EQ(in(nft::kBridge, nft::kInet, Place::vswitch), EOPNOTSUPP);
}

TEST(FtpRules, AHelperThatIsNotThereRefuses) {
  EXPECT_EQ(refused(batch(table(), chain("pre", hook(0)), rule("pre", help()))), ENOENT);
  EXPECT_EQ(
      refused(batch(table(), chain("pre", hook(0)), helper_object(helper_words()), rule("pre", help()))), 0);
}

TEST_F(FtpTest, AHelperOfAnotherFamilyIsNone) {
  use(batch(table(), helper_object(helper_words("ftp", kProtocolTcp, nft::kIpv6)), chain("pre", hook(0)),
            rule("pre", join(port_is(21), help()))));
  begin();
  ASSERT_TRUE(server("227 (10,0,0,1,4,210)\r\n"));
  EXPECT_EQ(from_client(1234), CtState::fresh);
}

}  // namespace
}  // namespace skerry::filter
