// Sending: Nagle (RFC 896, Minshall), cork, segmentation, windows and probes (RFC 9293 section 3.8.6),
// congestion window and restart after idle (RFC 5681, 6928), keepalive, giving up.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Send : public ::testing::Test {
 protected:
  void start(const PeerSettings& settings = {}, const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    id_ = peer_->accept(now_);
    host_->take_events();
  }
  void write(uint32_t bytes) {
    std::string text(bytes, ' ');
    for (uint32_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (written_ + i) % 26);
    ASSERT_EQ(host_->write(now_, id_, text), bytes);
    written_ += bytes;
  }
  void ack(uint32_t to) { peer_->send(now_, kTcpAck, 1, to); }
  std::vector<Sent> drain() { return peer_->drain(now_); }
  void option(void (*change)(Options&)) {
    Options options = host_->tcp.options(id_);
    change(options);
    host_->tcp.set_options(now_, id_, options);
  }
  Info info() { return host_->tcp.info(id_); }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  uint32_t written_ = 0;
  TimeNs now_ = 10 * kSecond;
};

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

TEST_F(Send, AClosedWindowIsProbedForEver) {  // section 3.8.6.1
  start();
  write(1000);
  drain();
  peer_->window = 0;
  ack(1001);
  write(1000);
  EXPECT_TRUE(drain().empty());
  TimeNs last = now_;
  std::vector<DurationNs> gaps;
  for (int i = 0; i < 40; ++i) {
    auto sent = peer_->run(now_, host_->tcp.deadline());
    while (sent.empty()) sent = peer_->run(now_, host_->tcp.deadline());
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].second.seq, 1000u) << "a number that was acknowledged";
    EXPECT_TRUE(sent[0].second.payload.empty());
    gaps.push_back(sent[0].first - last);
    last = sent[0].first;
    ack(1001);
    EXPECT_TRUE(drain().empty());
  }
  EXPECT_NEAR(static_cast<double>(gaps[0]), 200e6, 1e6);
  EXPECT_NEAR(static_cast<double>(gaps[3]), 1600e6, 1e6);
  EXPECT_NEAR(static_cast<double>(gaps.back()), 120e9, 1e6);
  EXPECT_EQ(host_->tcp.counters().window_probes, 40u);
  EXPECT_EQ(info().retransmissions, 0u);
  peer_->window = 60000;
  ack(1001);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 1000u);
  EXPECT_EQ(info().retransmission_timeout, 200 * ms) << "the back-off of the probes is over";
}

TEST_F(Send, ProbesWithoutAnswerGiveUp) {
  start();
  peer_->window = 0;
  ack(1);
  write(1000);
  EXPECT_EQ(peer_->run(now_, now_ + 3600 * kSecond).size(), 15u);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
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

TEST_F(Send, KeepaliveProbesAndGivesUp) {  // section 3.8.4
  start();
  option([](Options& options) {
    options.keep_alive = true;
    options.keep_idle = 100 * kSecond;
    options.keep_interval = 10 * kSecond;
    options.keep_count = 3;
  });
  const TimeNs begin = now_;
  const auto sent = peer_->run(now_, now_ + 1000 * kSecond);
  ASSERT_EQ(sent.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(static_cast<double>(sent[i].first - begin) / kSecond, 100.0 + 10 * i, 0.01);
    EXPECT_TRUE(sent[i].second.is_bare_ack());
    EXPECT_EQ(sent[i].second.seq, 0u);
  }
  EXPECT_EQ(sent[3].second.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
}

TEST_F(Send, KeepaliveIsContentWithAnyAnswer) {
  start();
  option([](Options& options) {
    options.keep_alive = true;
    options.keep_idle = 10 * kSecond;
    options.keep_interval = 20 * kSecond;
    options.keep_count = 2;
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(peer_->run(now_, now_ + 10 * kSecond + 10 * ms).size(), 1u) << i;
    ack(1);
    EXPECT_TRUE(peer_->run(now_, now_ + 10 * kSecond).empty());
    peer_->send(now_, kTcpAck, 1, 1);
  }
  EXPECT_EQ(host_->tcp.error(id_), 0);
}

TEST_F(Send, UnansweredDataGivesUp) {  // section 3.8.3; tcp(7) tcp_retries2
  start();
  write(100);
  const TimeNs begin = now_;
  const auto sent = peer_->run(now_, now_ + 3600 * kSecond);
  EXPECT_EQ(sent.size(), 17u) << "the first, a probe, and fifteen";
  EXPECT_NEAR(static_cast<double>(sent.back().first - begin) / kSecond, 804.6, 1);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
  EXPECT_EQ(host_->tcp.state(id_), State::closed);
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Send, UserTimeout) {  // RFC 5482, tcp(7) TCP_USER_TIMEOUT
  start();
  option([](Options& options) { options.user_timeout = 3 * kSecond; });
  write(100);
  const TimeNs begin = now_;
  peer_->run(now_, now_ + 2900 * ms);
  EXPECT_EQ(host_->tcp.error(id_), 0);
  peer_->run(now_, begin + 3100 * ms);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
}

TEST_F(Send, SoftErrorsAreToldWhenTheConnectionTimesOut) {  // RFC 1122 section 4.2.3.9
  start();
  write(100);
  drain();
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1,
                         EHOSTUNREACH, 0);
  EXPECT_EQ(host_->tcp.state(id_), State::established);
  EXPECT_EQ(host_->tcp.error(id_), 0);
  peer_->run(now_, now_ + 3600 * kSecond);
  EXPECT_EQ(host_->tcp.error(id_), EHOSTUNREACH);
}

TEST_F(Send, ASmallerPathIsUsedAtOnce) {  // RFC 1191 section 6.5
  start();
  write(5840);
  EXPECT_EQ(drain().size(), 4u);
  const Endpoint local = host_->tcp.local(id_);
  const Endpoint remote = host_->tcp.remote(id_);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 99999, 90, 1000);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 100);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 9000);
  EXPECT_EQ(info().mss, 1460u) << "not in flight; absurdly small; not smaller";
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 1000);
  EXPECT_EQ(info().mss, 960u);
  EXPECT_EQ(info().congestion_window, 14600u) << "congestion is not to blame";
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 7u);
  EXPECT_EQ(sent[0].seq, 1u);
  EXPECT_EQ(sent[0].payload.size(), 960u);
  ack(5841);
  EXPECT_EQ(info().congestion_window, 14600u);
  write(960);
  EXPECT_EQ(drain().size(), 1u);
}

// A stranger who says that the path takes next to nothing would cost us dear; our own stack knows.
TEST_F(Send, OfAPathThatTakesLittleOnlyOurOwnStackIsBelieved) {
  start();
  write(1000);
  drain();
  const auto takes = [&](uint16_t mtu, bool own) {
    host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1, 90, mtu,
                           own);
    return info().mss;
  };
  EXPECT_EQ(takes(551, false), 1460U);
  EXPECT_EQ(takes(552, false), 512U);
  EXPECT_EQ(takes(540, true), 500U);
  EXPECT_EQ(takes(40 + kLeastMss - 1, true), 500U) << "less than leaves room for payload";
}

TEST_F(Send, APathThatBecameWiderIsFoundOut) {  // RFC 1191 section 6.3
  start();
  write(2000);
  drain();
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1, 90, 1000);
  drain();
  ack(2001);
  peer_->run(now_, now_ + 590 * kSecond);
  write(2000);
  EXPECT_EQ(drain()[0].payload.size(), 960u);
  ack(4001);
  peer_->run(now_, now_ + 20 * kSecond);
  write(2000);
  EXPECT_EQ(drain()[0].payload.size(), 1460u);
  // It did not: that is said again, and believed for as long.
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 4001, 90,
                         1000);
  EXPECT_EQ(drain()[0].payload.size(), 960u);
  ack(6001);
  peer_->run(now_, now_ + 590 * kSecond);
  EXPECT_EQ(info().mss, 960u);
  peer_->run(now_, now_ + 20 * kSecond);
  EXPECT_EQ(info().mss, 1460u);
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Send, APathThatIsStillSmallIsAskedForAgain) {
  HostSettings settings;
  host_.emplace(kOurAddress, settings);
  host_->path.mss = 960;
  peer_.emplace(*host_);
  id_ = peer_->accept(now_);
  peer_->run(now_, now_ + 610 * kSecond);
  EXPECT_EQ(info().mss, 960u);
  host_->path.mss = 1460;
  peer_->run(now_, now_ + 600 * kSecond);
  EXPECT_EQ(info().mss, 1460u);
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
