// Receiving: acknowledgments (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2), SACK generation (RFC 2018,
// 2883), windows (RFC 9293 section 3.8.6.2), PAWS (RFC 7323 section 5).
#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Receive : public ::testing::Test {
 protected:
  void start(const PeerSettings& settings = {}, const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    id_ = peer_->connect(now_, host_->listen(80)).value();
    host_->take_events();
  }
  // The only segment that is sent now.
  Sent one() {
    const auto sent = peer_->drain(now_);
    EXPECT_EQ(sent.size(), 1u);
    return sent.empty() ? Sent{} : sent[0];
  }
  void data(uint32_t seq, const std::string& payload) { peer_->send(now_, kTcpAck, seq, 1, payload); }
  std::string read() { return host_->read_text(now_, id_); }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(Receive, AckIsDelayedByFortyMilliseconds) {
  start();
  data(1, "abc");
  const auto sent = peer_->run(now_, now_ + 100 * ms);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].second.is_bare_ack());
  EXPECT_EQ(sent[0].second.ack, 4u);
  EXPECT_NEAR(static_cast<double>(sent[0].first), 10.040e9, 0.5e6);
  EXPECT_EQ(read(), "abc");
  EXPECT_EQ(host_->tcp.deadline(), kNever) << "an idle connection runs no timer";
}

TEST_F(Receive, EverySecondFullSegmentIsAcknowledgedAtOnce) {
  start();
  const std::string full(1460, 'x');
  for (uint32_t i = 0; i < 5; ++i) {
    data(1 + i * 2920, full);
    EXPECT_TRUE(peer_->drain(now_).empty());
    data(1461 + i * 2920, full);
    EXPECT_EQ(one().ack, 2921 + i * 2920);
  }
}

TEST_F(Receive, OneAckForABatch) {
  start();
  for (uint32_t i = 0; i < 10; ++i) data(1 + i * 1460, std::string(1460, 'x'));
  EXPECT_EQ(one().ack, 14601u);
}

TEST_F(Receive, ASuperFrameIsAcknowledgedOnce) {
  start();
  data(1, std::string(60000, 'x'));
  const Sent ack = one();
  EXPECT_EQ(ack.ack, 60001u);
  EXPECT_EQ(read().size(), 60000u);
}

TEST_F(Receive, TheReplyCarriesTheAck) {
  start();
  data(1, "ping");
  read();
  host_->write(now_, id_, "pong");
  const Sent reply = one();
  EXPECT_EQ(reply.payload, "pong");
  EXPECT_EQ(reply.ack, 5u);
  peer_->send(now_, kTcpAck, 5, 5);
  EXPECT_TRUE(peer_->run(now_, now_ + kSecond).empty());
}

TEST_F(Receive, QuickAckDelaysNothing) {  // tcp(7)
  start();
  Options options;
  options.quick_ack = true;
  host_->tcp.set_options(now_, id_, options);
  data(1, "abc");
  EXPECT_EQ(one().ack, 4u);
}

TEST_F(Receive, OutOfOrderDataIsSackedMostRecentFirst) {  // RFC 2018 section 4
  start();
  data(101, std::string(100, 'b'));
  Sent ack = one();
  EXPECT_EQ(ack.ack, 1u);
  ASSERT_EQ(ack.options.sack_count, 1);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{101, 201}));
  data(301, std::string(100, 'd'));
  data(501, std::string(100, 'f'));
  ack = one();
  ASSERT_EQ(ack.options.sack_count, 3);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{501, 601}));
  EXPECT_EQ(ack.options.sack[1], (SackBlock{301, 401}));
  EXPECT_EQ(ack.options.sack[2], (SackBlock{101, 201}));
  data(201, std::string(100, 'c'));  // joins two blocks
  ack = one();
  ASSERT_EQ(ack.options.sack_count, 2);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{101, 401}));
  EXPECT_EQ(ack.options.sack[1], (SackBlock{501, 601}));
  EXPECT_EQ(host_->readable(id_), 0u);
  data(1, std::string(100, 'a'));
  ack = one();
  EXPECT_EQ(ack.ack, 401u) << "a filled hole is acknowledged at once (RFC 5681 section 4.2)";
  data(401, std::string(100, 'e'));
  ack = one();
  EXPECT_EQ(ack.ack, 601u);
  EXPECT_EQ(ack.options.sack_count, 0);
  const std::string text = read();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(text[i * 100 + 50], 'a' + i);
}

TEST_F(Receive, ThreeBlocksFitBesideTimestamps) {  // RFC 2018 section 3
  PeerSettings settings;
  settings.timestamps = true;
  start(settings);
  for (uint32_t i = 1; i <= 6; ++i) data(1 + i * 200, "xyz");
  EXPECT_EQ(one().options.sack_count, 3);
}

TEST_F(Receive, WithoutSackEachOutOfOrderSegmentHasItsAck) {  // RFC 5681 section 4.2
  PeerSettings settings;
  settings.sack = false;
  start(settings);
  for (uint32_t i = 1; i <= 3; ++i) data(1 + i * 100, std::string(100, 'x'));
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 3u);
  for (const Sent& ack : sent) {
    EXPECT_EQ(ack.ack, 1u);
    EXPECT_EQ(ack.options.sack_count, 0);
  }
}

TEST_F(Receive, WithoutSackDuplicateAcksEndWithTheHole) {
  PeerSettings settings;
  settings.sack = false;
  start(settings);
  for (uint32_t i = 1; i <= 3; ++i) data(1 + i * 100, std::string(100, 'x'));
  host_->write(now_, id_, "the answer carries their ACK");
  EXPECT_EQ(one().ack, 1u);
  data(1, std::string(100, 'x'));
  EXPECT_EQ(one().ack, 401u);
}

TEST_F(Receive, DuplicatesAreReported) {  // RFC 2883 section 4
  start();
  data(1, std::string(300, 'x'));
  peer_->run(now_, now_ + 100 * ms);
  data(101, std::string(100, 'x'));
  Sent ack = one();
  EXPECT_EQ(ack.ack, 301u);
  ASSERT_EQ(ack.options.sack_count, 1);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{101, 201}));
  data(501, std::string(100, 'y'));
  one();
  data(501, std::string(100, 'y'));  // a duplicate beyond the hole: first reported, then the block it lies in
  ack = one();
  ASSERT_EQ(ack.options.sack_count, 1);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{501, 601}));
  data(201, std::string(150, 'x'));  // partly new
  ack = one();
  EXPECT_EQ(ack.ack, 351u);
  EXPECT_EQ(ack.options.sack[0], (SackBlock{201, 301}));
  EXPECT_EQ(host_->tcp.counters().duplicates_in, 3u);
}

TEST_F(Receive, WhatDoesNotFitTheListIsDropped) {
  start();
  for (uint32_t i = 1; i <= 40; ++i) data(1 + i * 10, "12345");
  peer_->drain(now_);
  // Exactly 32 islands are held; the rest must come again.
  std::string stream(405, '.');
  for (uint32_t i = 0; i <= 40; ++i) {
    data(1 + i * 10, "12345");
    data(6 + i * 10, "67890");
  }
  EXPECT_EQ(read().size(), 410u);
}

TEST_F(Receive, TheWindowIsWhatIsLeftAndNeverMovesBack) {  // section 3.8.6
  start();
  EXPECT_EQ(host_->tcp.info(id_).receive_window, 65535u);
  data(1, std::string(20000, 'x'));
  EXPECT_EQ(one().window << 1, 65534u - 20000) << "rounded down by the scale";
  host_->read(now_, id_, 10000);
  EXPECT_TRUE(peer_->drain(now_).empty()) << "no update for less than twice the window";
  data(20001, std::string(10000, 'x'));
  EXPECT_EQ(one().window << 1, 65536u - 20000);
}

TEST_F(Receive, DataBeyondTheWindowIsCut) {  // section 3.10.7.4, first
  HostSettings small;
  small.stream_bytes = 1024;
  start({}, small);
  data(1, std::string(2000, 'x'));
  const Sent ack = one();
  EXPECT_EQ(ack.ack, 1025u);
  EXPECT_EQ(ack.window, 0u);
  EXPECT_EQ(read().size(), 1024u);
}

TEST_F(Receive, AClosedWindowOpensByAnUpdate) {
  HostSettings small;
  small.stream_bytes = 1024;
  start({}, small);
  data(1, std::string(1024, 'x'));
  EXPECT_EQ(one().window, 0u);
  host_->read(now_, id_, 100);
  EXPECT_TRUE(peer_->drain(now_).empty()) << "a silly window is not announced (section 3.8.6.2.2)";
  host_->read(now_, id_, 500);
  const Sent update = one();
  EXPECT_EQ(update.window, 600u) << "the update is not delayed";
}

TEST_F(Receive, AWindowThatDoublesDoesNotWaitForADelayedAck) {  // section 3.8.6.2.2
  start();
  data(1, std::string(60000, 'x'));
  EXPECT_GT(one().window, 0u);
  data(60001, std::string(100, 'x'));
  EXPECT_TRUE(peer_->drain(now_).empty()) << "its ACK is delayed";
  host_->read(now_, id_, 100);
  EXPECT_TRUE(peer_->drain(now_).empty()) << "so little more is not worth a segment";
  read();
  const Sent update = one();
  EXPECT_EQ(update.ack, 60101u);
  EXPECT_GE(update.window << 1, 65534u);
  EXPECT_TRUE(peer_->run(now_, now_ + kSecond).empty()) << "it was the delayed ACK too";
}

TEST_F(Receive, ProbesOfAClosedWindowAreAnswered) {  // section 3.8.6.1
  HostSettings small;
  small.stream_bytes = 1024;
  start({}, small);
  data(1, std::string(1024, 'x'));
  one();
  data(1025, "y");  // one byte beyond, as RFC 9293 has it
  Sent answer = one();
  EXPECT_EQ(answer.ack, 1025u);
  EXPECT_EQ(answer.window, 0u);
  peer_->send(now_, kTcpAck, 1024, 1);  // an old number, as Linux probes
  answer = one();
  EXPECT_EQ(answer.ack, 1025u);
}

TEST_F(Receive, TheAckOfAProbeCounts) {  // section 3.10.7.4: allowance for valid ACKs
  HostSettings small;
  small.stream_bytes = 1024;
  start({}, small);
  host_->write(now_, id_, "hello");
  one();
  data(1, std::string(1024, 'x'));
  peer_->drain(now_);
  peer_->send(now_, kTcpAck, 1025, 6, "y");
  EXPECT_EQ(host_->tcp.tx_acked(id_), 5u);
}

TEST_F(Receive, ABufferOptionLimitsTheWindow) {  // SO_RCVBUF
  start();
  Options options;
  options.receive_buffer = 8192;
  host_->tcp.set_options(now_, id_, options);
  data(1, std::string(60000, 'x'));  // what was promised before is taken
  const Sent ack = one();
  EXPECT_EQ(ack.ack, 60001u);
  read();
  data(60001, std::string(5000, 'x'));
  EXPECT_LE(one().window << 1, 8192u);
}

TEST_F(Receive, AnEmptyRingStartsAgainAtPlaceZero) {
  start();
  uint32_t seq = 1;
  for (int i = 0; i < 5; ++i) {
    data(seq, "0123456789");
    seq += 10;
    EXPECT_EQ(host_->tcp.rx_base(id_), host_->sockets[id_].rx_read);
    EXPECT_EQ(std::string(host_->rx_ring(id_), host_->rx_ring(id_) + 10), "0123456789");
    EXPECT_EQ(read(), "0123456789");
  }
  data(seq, "ab");
  const uint32_t base = host_->tcp.rx_base(id_);
  data(seq + 2, "cd");
  EXPECT_EQ(host_->tcp.rx_base(id_), base) << "what is unread stays where it is";
  EXPECT_EQ(read(), "abcd");
}

TEST_F(Receive, TheBaseStaysWhileSomethingIsHeldOutOfOrder) {
  start();
  data(1, "ab");
  read();
  data(6, "ef");
  const uint32_t base = host_->tcp.rx_base(id_);
  data(3, "xyz");
  EXPECT_EQ(host_->tcp.rx_base(id_), base);
  EXPECT_EQ(read(), "xyzef");
}

TEST_F(Receive, OldTimestampsAreDropped) {  // RFC 7323 section 5.3, R1
  PeerSettings settings;
  settings.timestamps = true;
  start(settings);
  peer_->send_at(now_, 20000, kTcpAck, 1, 1, "new");
  read();
  peer_->drain(now_);
  peer_->send_at(now_, 19999, kTcpAck, 4, 1, "old");
  EXPECT_EQ(host_->readable(id_), 0u);
  const Sent ack = one();
  EXPECT_TRUE(ack.is_bare_ack());
  EXPECT_EQ(ack.ack, 4u);
  EXPECT_EQ(ack.options.ts_echo, 20000u);
  peer_->send_at(now_, 20000, kTcpAck, 4, 1, "same");
  EXPECT_EQ(read(), "same");
}

TEST_F(Receive, TimestampsAreForgottenAfterTwentyFourDays) {  // RFC 7323 section 5.5
  PeerSettings settings;
  settings.timestamps = true;
  start(settings);
  peer_->send_at(now_, 20000, kTcpAck, 1, 1, "new");
  read();
  peer_->run(now_, now_ + 25 * 24 * 3600 * kSecond);
  peer_->send_at(now_, 20000u - 5, kTcpAck, 4, 1, "much later");
  EXPECT_EQ(read(), "much later");
}

TEST_F(Receive, AMissingTimestampIsDroppedButAResetIsNot) {  // RFC 7323 section 3.2
  PeerSettings settings;
  settings.timestamps = true;
  start(settings);
  peer_->settings.timestamps = false;
  data(1, "naked");
  EXPECT_EQ(host_->readable(id_), 0u);
  EXPECT_TRUE(peer_->drain(now_).empty());
  peer_->send(now_, kTcpRst, 1, 0);
  EXPECT_EQ(host_->tcp.state(id_), State::closed);
}

TEST_F(Receive, TheEchoIsOfTheSegmentThatWasWaitedFor) {  // RFC 7323 section 4.3
  PeerSettings settings;
  settings.timestamps = true;
  start(settings);
  peer_->send_at(now_, 20000, kTcpAck, 1, 1, "ab");
  peer_->send_at(now_, 20010, kTcpAck, 3, 1, "cd");  // delayed ACK: the earlier one counts
  EXPECT_EQ(peer_->run(now_, now_ + 50 * ms).at(0).second.options.ts_echo, 20000u);
  peer_->send_at(now_, 20020, kTcpAck, 7, 1, "gh");  // beyond a hole: not echoed
  EXPECT_EQ(one().options.ts_echo, 20000u);
  peer_->send_at(now_, 20030, kTcpAck, 5, 1, "ef");
  EXPECT_EQ(one().options.ts_echo, 20030u);
}

TEST_F(Receive, SequenceNumbersWrap) {  // section 3.4
  PeerSettings settings;
  settings.isn = 0xffffff00;
  start(settings);
  data(101, std::string(400, 'b'));
  EXPECT_EQ(one().options.sack[0], (SackBlock{101, 501}));
  data(1, std::string(100, 'a'));
  EXPECT_EQ(one().ack, 501u);
  EXPECT_EQ(read(), std::string(100, 'a') + std::string(400, 'b'));
}

}  // namespace
}  // namespace skerry::tcp
