// Sending: Nagle (RFC 896, Minshall), cork, segmentation, windows (RFC 9293 section 3.8.6), congestion window
// and restart after idle (RFC 5681, 6928).
#include <gtest/gtest.h>

#include "tcp/send.hpp"

namespace skerry::tcp {
namespace {

TEST_F(Send, SegmentsAreFullAndTheLastIsPushed) {
  start();
  write(4000);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].payload.size(), 1460u);
  EXPECT_EQ(sent[0].flags, kTcpAck);
  EXPECT_EQ(sent[1].seq, 1461u);
  EXPECT_EQ(sent[2].payload.size(), 1080u);
  EXPECT_EQ(sent[2].flags, kTcpAck | kTcpPsh);
  EXPECT_EQ(sent[0].payload.substr(0, 3), "abc");
  ack(4001);
  EXPECT_EQ(host_->tcp.tx_acked(id_), 4000u);
  EXPECT_EQ(host_->tcp.deadline() == kNever, false);
  peer_->run(now_, now_ + kSecond);
  EXPECT_EQ(host_->tcp.deadline(), kNever) << "nothing outstanding: no timer";
}

TEST_F(Send, SuperFramesAreCutByTheLink) {
  HostSettings settings;
  settings.super_frame = 65000;
  start({}, settings);
  write(14000);
  auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 14000u);
  EXPECT_EQ(sent[0].gso_size, 1460);
  ack(14001);
  write(1000);
  sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].gso_size, 0) << "one segment needs no cutting";
}

TEST_F(Send, TheCallerLimitsThePayload) {
  start();
  write(1000);
  const auto sent = peer_->drain(now_, 300);
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(sent[0].payload.size(), 300u);
  EXPECT_EQ(sent[3].payload.size(), 100u);
}

TEST_F(Send, PayloadWrapsInTheRing) {
  HostSettings settings;
  settings.stream_bytes = 2048;
  start({}, settings);
  write(1500);
  drain();
  ack(1400);  // not all: the base stays
  write(1000);
  std::string stream;
  for (const Sent& sent : drain()) stream += sent.payload;
  ack(1501);
  for (const Sent& sent : drain()) stream += sent.payload;
  ASSERT_EQ(stream.size(), 1000u);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(stream[i], static_cast<char>('a' + (1500 + i) % 26));
}

TEST_F(Send, NagleHoldsASecondSmallSegment) {  // RFC 896, RFC 9293 section 3.7.4
  start();
  write(10);
  EXPECT_EQ(drain().size(), 1u);
  write(10);
  write(10);
  EXPECT_TRUE(drain().empty());
  ack(11);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 20u);
}

TEST_F(Send, AFullSegmentDoesNotHoldASmallOne) {  // Minshall
  start();
  write(1460);
  write(10);
  EXPECT_EQ(drain().size(), 2u);
  write(10);
  EXPECT_TRUE(drain().empty());
  write(1460);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 1460u);
}

TEST_F(Send, NoDelay) {  // TCP_NODELAY
  start();
  option([](Options& options) { options.no_delay = true; });
  for (int i = 0; i < 3; ++i) {
    write(10);
    EXPECT_EQ(drain().size(), 1u);
  }
}

TEST_F(Send, NoDelayReleasesWhatNagleHeld) {
  start();
  write(10);
  drain();
  write(10);
  EXPECT_TRUE(drain().empty());
  option([](Options& options) { options.no_delay = true; });
  EXPECT_EQ(drain().size(), 1u);
}

TEST_F(Send, CorkHoldsPartialSegmentsForTwoHundredMilliseconds) {  // tcp(7)
  start();
  option([](Options& options) { options.cork = options.no_delay = true; });
  write(1500);
  auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 1460u);
  ack(1461);
  const TimeNs start_time = now_;
  const auto later_sent = peer_->run(now_, now_ + 300 * ms);
  ASSERT_EQ(later_sent.size(), 1u);
  EXPECT_EQ(later_sent[0].second.payload.size(), 40u);
  EXPECT_NEAR(static_cast<double>(later_sent[0].first - start_time), 200e6, 1e6);
  ack(1501);
  write(10);
  EXPECT_TRUE(drain().empty());
  option([](Options& options) { options.cork = false; });
  EXPECT_EQ(drain().size(), 1u);
}

TEST_F(Send, FinLetsEverythingGo) {
  start();
  write(10);
  drain();
  write(10);
  host_->tcp.shutdown_write(now_, id_);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 10u);
  EXPECT_EQ(sent[0].flags, kTcpAck | kTcpPsh | kTcpFin);
}

TEST_F(Send, TheInitialWindowIsTenSegments) {  // RFC 6928
  start();
  write(40000);
  EXPECT_EQ(drain().size(), 10u);
  ack(2921);  // slow start: one more for each that is acknowledged
  EXPECT_EQ(drain().size(), 4u);
  EXPECT_EQ(info().congestion_window, 12 * 1460u);
}

TEST_F(Send, AnUnusedWindowDoesNotGrow) {  // RFC 9438 section 5.8
  start();
  for (uint32_t i = 0; i < 50; ++i) {
    write(1460);
    drain();
    ack(1 + (i + 1) * 1460);
  }
  EXPECT_EQ(info().congestion_window, 14600u);
}

TEST_F(Send, RestartAfterIdle) {  // RFC 5681 section 4.1
  start();
  uint32_t acked = 1;
  for (int i = 0; i < 3; ++i) {
    write(40000);
    while (acked < written_ + 1) {
      for (const Sent& sent : drain())
        acked = std::max(acked, sent.seq + static_cast<uint32_t>(sent.payload.size()));
      ack(acked);
    }
  }
  const uint32_t grown = info().congestion_window;
  EXPECT_GT(grown, 30000u);
  now_ += 100 * ms;
  write(10);
  drain();
  EXPECT_EQ(info().congestion_window, grown) << "shorter than an RTO";
  ack(written_ + 1);
  now_ += kSecond;
  write(40000);
  EXPECT_EQ(drain().size(), 10u);
}

TEST_F(Send, ThePeersWindowIsKept) {
  PeerSettings settings;
  settings.window = 3000;
  start(settings);
  peer_->window = 3000;
  write(10000);
  auto sent = drain();
  ASSERT_EQ(sent.size(), 2u) << "two full segments; the rest of the window would be a silly one";
  ack(2921);
  EXPECT_EQ(drain().size(), 2u);
}

TEST_F(Send, WindowsAreScaled) {  // RFC 7323 section 2.3
  PeerSettings settings;
  settings.window_scale = 7;
  start(settings);
  peer_->window = 100;
  ack(1);
  EXPECT_EQ(info().peer_window, 12800u);
}

TEST_F(Send, OldSegmentsDoNotUpdateTheWindow) {  // RFC 9293 section 3.10.7.4, SND.WL1 and SND.WL2
  start();
  write(1000);
  drain();
  peer_->window = 9000;
  peer_->send(now_, kTcpAck, 1, 1001, "abc");
  peer_->window = 5;
  peer_->send(now_, kTcpAck, 1, 501);
  EXPECT_EQ(info().peer_window, 9000u);
}

TEST_F(Send, ASillyWindowIsNotUsedUnlessItIsAllThereIs) {  // section 3.8.6.2.1
  PeerSettings settings;
  settings.window = 500;  // its largest ever
  start(settings);
  peer_->window = 500;
  write(2000);
  auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 500u);
  peer_->window = 100;
  ack(501);
  EXPECT_TRUE(drain().empty()) << "less than half of the largest window";
  peer_->window = 300;
  ack(501);
  sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 300u);
}

TEST_F(Send, AFinNeedsRoomInTheWindow) {
  start();
  peer_->window = 100;
  ack(1);
  write(100);
  host_->tcp.shutdown_write(now_, id_);
  auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_FALSE(sent[0].flags & kTcpFin);
  ack(101);
  sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpAck | kTcpFin);
}

TEST_F(Send, SackBlocksTakeRoomFromFullSegments) {  // RFC 6691
  start();
  peer_->send(now_, kTcpAck, 100, 1, "out of order");
  write(3000);
  for (const Sent& sent : drain()) {
    EXPECT_GT(sent.options.sack_count, 0);
    EXPECT_LE(sent.payload.size() + sent.options.bytes(), 1460u);
  }
}

TEST_F(Send, ConnectionsTakeTurns) {
  start();
  PeerSettings other_settings;
  const ConnectionId other = host_->open();
  ASSERT_EQ(host_->tcp.connect(now_, other, {IpAddress::v4(kPeerAddress), 8080}), 0);
  Peer second(*host_, other_settings);
  second.drain(now_);
  second.our_port = host_->tcp.local(other).port;
  second.syn(now_, kTcpSyn | kTcpAck, 1);
  second.drain(now_);
  write(14600);
  host_->write(now_, other, std::string(14600, 'x'));
  SegmentOut out;
  uint16_t previous = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(host_->tcp.next_segment(now_, 65535, out));
    EXPECT_NE(out.header.source_port, previous);
    previous = out.header.source_port;
  }
  EXPECT_FALSE(host_->tcp.next_segment(now_, 65535, out));
  EXPECT_FALSE(host_->tcp.has_output());
}

}  // namespace
}  // namespace skerry::tcp
