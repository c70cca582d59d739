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
