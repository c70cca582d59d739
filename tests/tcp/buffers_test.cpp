// Buffers that grow with what a connection can use (Linux tcp_rcv_space_adjust, tcp_sndbuf_expand), and those
// that a program set.
#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Buffers : public ::testing::Test {
 public:
  void start(const Options& options = {}) {
    HostSettings settings;
    settings.stream_bytes = 1 << 20;
    host_.emplace(kOurAddress, settings);
    PeerSettings offers;
    offers.window_scale = 7;
    peer_.emplace(*host_, offers);
    const ConnectionId listener = host_->listen(80);
    host_->tcp.set_options(now_, listener, options);
    id_ = peer_->connect(now_, listener).value();
    host_->take_events();
  }
  // The peer sends, the program reads at once; so many bytes, a segment in so much time.
  void receive(uint32_t bytes, DurationNs each) {
    for (uint32_t end = got_ + bytes; got_ < end; got_ += 1000, now_ += each) {
      peer_->send(now_, kTcpAck, 1 + got_, 1, std::string(1000, 'r'));
      EXPECT_EQ(host_->read(now_, id_).size(), 1000u);
      peer_->drain(now_);
    }
  }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  uint32_t got_ = 0;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(Buffers, TheWindowGrowsForAProgramThatReadsFast) {
  start();
  EXPECT_EQ(host_->tcp.receive_buffer(id_), 65536u);
  receive(2'000'000, 20 * kMicrosecond);
  EXPECT_EQ(host_->tcp.receive_buffer(id_), 1u << 20);
}

TEST_F(Buffers, TheWindowStaysForOneThatReadsSlowly) {
  start();
  receive(2'000'000, kMillisecond);
  EXPECT_EQ(host_->tcp.receive_buffer(id_), 65536u);
}

TEST_F(Buffers, WhatTheProgramSetStays) {
  Options options;
  options.receive_buffer = 100'000;
  options.send_buffer = 50'000;
  start(options);
  receive(2'000'000, 20 * kMicrosecond);
  EXPECT_EQ(host_->tcp.receive_buffer(id_), 100'000u);
  EXPECT_EQ(host_->tcp.send_buffer(id_), 50'000u);
}

// Path::holds: whoever sends to us over this way has so much on the way to all connections together.
TEST_F(Buffers, ConnectionsShareAWayThatHoldsLittle) {
  HostSettings settings;
  settings.stream_bytes = 1 << 20;
  Host host(kOurAddress, settings);
  host.path.holds = 40'000;
  struct One {
    One(Host& at, uint16_t port) : peer(at, {.port = port, .window_scale = 7}) {}
    Peer peer;
    ConnectionId id = kNoConnection;
    uint32_t got = 0;
  };
  const ConnectionId listener = host.listen(80);
  const auto open = [&](One& one) {
    one.peer.our_port = 80;
    one.peer.syn(now_, kTcpSyn);
    const std::vector<Sent> answer = one.peer.drain(now_);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0].window, 5840u) << "a few segments, whoever else there is";
    EXPECT_EQ(answer[0].options.window_scale, 5);
    one.peer.send(now_, kTcpAck, 1, 1);
    one.id = host.accept(listener).value();
  };
  // The most that the peer may have on the way once the window has gone where it goes.
  const auto window = [&](One& one) {
    uint32_t bytes = 0;
    for (int i = 0; i < 60; ++i, one.got += 1000) {
      one.peer.send(now_, kTcpAck, 1 + one.got, 1, std::string(1000, 'r'));
      EXPECT_EQ(host.read(now_, one.id).size(), 1000u);
      for (const Sent& ack : one.peer.drain(now_)) bytes = ack.window << 5;
    }
    return bytes;
  };
  One first(host, 8080), second(host, 8081);
  open(first);
  EXPECT_EQ(window(first), 40'000u);
  open(second);
  EXPECT_EQ(window(second), 20'000u);
  EXPECT_EQ(window(first), 20'000u);
  second.peer.send(now_, kTcpRst, 1 + second.got, 0);
  EXPECT_EQ(window(first), 40'000u);
  host.path.holds = 0;  // a neighbour's
  One third(host, 8082);
  third.peer.our_port = 80;
  third.peer.syn(now_, kTcpSyn);
  EXPECT_EQ(third.peer.drain(now_).at(0).window, 65535u);
  EXPECT_EQ(window(first), 40'000u);
}

TEST_F(Buffers, ManyThatShareAWayHaveAFewSegmentsEach) {
  HostSettings settings;
  settings.connections = 64;
  settings.half_open = 64;
  Host host(kOurAddress, settings);
  host.path.holds = 40'000;
  const ConnectionId listener = host.listen(80, 64);
  for (uint16_t port = 9000; port < 9050; ++port)
    ASSERT_TRUE(Peer(host, {.port = port}).connect(now_, listener));
  Peer last(host, {.port = 9050});
  const ConnectionId id = last.connect(now_, listener).value();
  uint32_t bytes = 0;
  for (uint32_t got = 0; got < 40'000; got += 1000) {
    last.send(now_, kTcpAck, 1 + got, 1, std::string(1000, 'r'));
    EXPECT_EQ(host.read(now_, id).size(), 1000u);
    for (const Sent& ack : last.drain(now_)) bytes = ack.window << 1;
  }
  EXPECT_EQ(bytes, 4 * 1460u);
}

// passt overlooks that a window shrank by less than a hundredth.
TEST_F(Buffers, WhatComesALittleBeyondTheWindowIsTakenWhereTheRingHasRoom) {
  start();
  const uint32_t window = 65536;
  uint32_t sent = 0;
  for (; sent + 1000 <= window; sent += 1000) peer_->send(now_, kTcpAck, 1 + sent, 1, std::string(1000, 'r'));
  peer_->send(now_, kTcpAck, 1 + sent, 1, std::string(1000, 'r'));
  EXPECT_EQ(host_->tcp.rx_written(id_), 66000u) << "it began in the window";
  EXPECT_EQ(peer_->drain(now_).back().ack, 66001u);
  peer_->send(now_, kTcpAck, 66001, 1, std::string(1000, 'r'));
  EXPECT_EQ(host_->tcp.rx_written(id_), 66000u) << "the window is closed";
  EXPECT_EQ(host_->read(now_, id_).size(), 66000u);
  peer_->drain(now_);
  // The first half of a window is lost, and what comes beyond its end is kept.
  peer_->send(now_, kTcpAck, 66001 + window - 1000, 1, std::string(1000, 'r'));
  peer_->send(now_, kTcpAck, 66001 + window, 1, std::string(1000, 'r'));
  peer_->send(now_, kTcpAck, 66001 + 2 * window, 1, std::string(1000, 'r'));
  const std::vector<Sent> answers = peer_->drain(now_);
  ASSERT_EQ(answers.back().options.sack_count, 1);
  EXPECT_EQ(answers.back().options.sack[0].left, 66001u + window - 1000);
  EXPECT_EQ(answers.back().options.sack[0].right, 66001u + window + 1000);
}

TEST_F(Buffers, NothingIsTakenBeyondTheRing) {
  HostSettings settings;  // of 64 KiB, all of which is the window
  host_.emplace(kOurAddress, settings);
  peer_.emplace(*host_, PeerSettings{});
  id_ = peer_->connect(now_, host_->listen(80)).value();
  for (uint32_t sent = 0; sent < 70'000; sent += 1000)
    peer_->send(now_, kTcpAck, 1 + sent, 1, std::string(1000, 'r'));
  EXPECT_EQ(host_->tcp.rx_written(id_), 65536u);
  EXPECT_EQ(host_->read(now_, id_), std::vector<uint8_t>(65536, 'r'));
}

TEST_F(Buffers, TheSendBufferHoldsTwiceTheCongestionWindow) {
  start();
  EXPECT_EQ(host_->tcp.send_buffer(id_), 87040u);  // what Linux shows after a handshake with this MSS
  uint32_t acked = 0;
  peer_->window = 60000;  // of 128 bytes
  const std::vector<uint8_t> block(100'000, 's');
  for (int turn = 0; turn < 8; ++turn, now_ += 10 * kMillisecond) {
    host_->write(now_, id_, block.data(), 100'000);
    for (const Sent& sent : peer_->drain(now_)) acked += static_cast<uint32_t>(sent.payload.size());
    peer_->send(now_, kTcpAck, 1, 1 + acked);
  }
  const Info info = host_->tcp.info(id_);
  EXPECT_GT(info.congestion_window, 40u * 1460);
  EXPECT_EQ(info.send_buffer, std::min(2 * info.congestion_window / 1460 * 4352, 1u << 20));
}

class LongPath : public ::testing::Test {
 public:
  LongPath() : host_(kOurAddress, settings()) {}
  static HostSettings settings() {
    HostSettings settings;
    settings.stream_bytes = 65536;
    settings.long_rings = 1;
    settings.long_bytes = 1 << 20;
    return settings;
  }
  ConnectionId connect(Peer& peer, DurationNs round_trip) {
    peer.settings.port = next_port_++;
    const ConnectionId id = peer.accept(now_, round_trip);
    now_ += round_trip;
    return id;
  }

  Host host_;
  uint16_t next_port_ = 8080;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(LongPath, AHandshakeThatTakesLongBringsLargerRings) {
  PeerSettings offers;
  offers.window_scale = 7;
  Peer near(host_, offers), far(host_, offers), third(host_, offers);
  const ConnectionId short_path = connect(near, kMillisecond);
  const ConnectionId long_path = connect(far, 20 * kMillisecond);
  EXPECT_EQ(host_.tcp.long_rings(short_path), 0u);
  EXPECT_EQ(host_.tcp.long_rings(long_path), 1u);
  EXPECT_EQ(host_.tcp.long_rings(connect(third, 20 * kMillisecond)), 0u) << "there are no more";
  EXPECT_EQ(host_.tcp.info(long_path).receive_scale, 5) << "1 MiB in 16 bits";
  uint32_t got = 0;
  for (; got < 3'000'000; got += 1000, now_ += 10 * kMicrosecond) {
    far.send(now_, kTcpAck, 1 + got, 1, std::string(1000, static_cast<char>('a' + got / 1000 % 26)));
    const std::vector<uint8_t> bytes = host_.read(now_, long_path);
    ASSERT_EQ(bytes.size(), 1000u);
    ASSERT_EQ(bytes[999], 'a' + got / 1000 % 26);
    far.drain(now_);
  }
  EXPECT_EQ(host_.tcp.receive_buffer(long_path), 1u << 20);
  EXPECT_EQ(host_.tcp.receive_buffer(short_path), 65536u);
}

TEST_F(LongPath, TheRingsGoToTheNextOnlyWhenTheProgramIsDoneWithThem) {
  Peer first(host_), second(host_), third(host_);
  const ConnectionId id = connect(first, 20 * kMillisecond);
  host_.take_events();
  first.send(now_, kTcpAck, 1, 1, "unread");
  first.send(now_, kTcpRst, 7, 1);
  ASSERT_EQ(host_.tcp.state(id), State::closed);
  EXPECT_EQ(host_.tcp.long_rings(connect(second, 20 * kMillisecond)), 0u);
  EXPECT_EQ(host_.read_text(now_, id), "unread");
  host_.tcp.close(now_, id, false);
  host_.take_events();
  EXPECT_EQ(host_.tcp.long_rings(connect(third, 20 * kMillisecond)), 1u);
}

TEST_F(Buffers, BothAreShown) {
  start();
  receive(3000, 0);
  const Info info = host_->tcp.info(id_);
  EXPECT_EQ(info.receive_buffer, 65536u);
  EXPECT_EQ(info.data_segments_in, 3u);
  EXPECT_EQ(info.bytes_received, 3000u);
  EXPECT_EQ(info.receive_mss, 1000u);
  EXPECT_EQ(info.path_mtu, 1500u);
  EXPECT_EQ(info.advertised_mss, 1460u);
}

TEST_F(Buffers, WhatIsOnItsWayIsShown) {
  start();
  host_->write(now_, id_, std::string(5000, 's'));
  EXPECT_EQ(peer_->drain(now_).size(), 4u);
  peer_->send(now_, kTcpAck, 1, 1, "", {{1461, 2921}});
  const Info info = host_->tcp.info(id_);
  EXPECT_EQ(info.outstanding, 5000u);
  EXPECT_EQ(info.sacked, 1460u);
  EXPECT_EQ(info.congestion, Info::Congestion::disorder);
  EXPECT_EQ(info.bytes_sent, 5000u);
  EXPECT_EQ(info.data_segments_out, 4u);
  EXPECT_EQ(info.unsent, 0u);
}

}  // namespace
}  // namespace skerry::tcp
