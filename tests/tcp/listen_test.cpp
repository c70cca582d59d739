// Listeners: how much waits for accept(2), half open (RFC 4987) or whole, and what becomes of it.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/handshake.hpp"

namespace skerry::tcp {
namespace {

class Listen : public Handshake {};

TEST_F(Listen, FullBacklogDropsSyns) {  // listen(2)
  const ConnectionId listener = host_.listen(80, 1);
  std::vector<Peer> peers;
  for (uint16_t i = 0; i < 3; ++i) {
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(9000 + i);
    peers.emplace_back(host_, settings);
    peers[i].our_port = 80;
  }
  for (int i = 0; i < 2; ++i) {  // backlog + 1, as Linux counts
    peers[i].syn(now_, kTcpSyn);
    EXPECT_EQ(peers[i].drain(now_).size(), 1u);
    peers[i].send(now_, kTcpAck, 1, 1);
  }
  peers[2].syn(now_, kTcpSyn);
  EXPECT_TRUE(peers[2].drain(now_).empty());
  EXPECT_EQ(host_.tcp.counters().listen_overflows, 1u);
  ASSERT_TRUE(host_.accept(listener));
  peers[2].syn(now_, kTcpSyn);
  EXPECT_EQ(peers[2].drain(now_).size(), 1u);
}

TEST_F(Listen, FullBacklogHoldsTheFinalAckBack) {
  const ConnectionId listener = host_.listen(80, 0);
  PeerSettings settings;
  Peer first(host_, settings);
  settings.port = 9001;
  Peer second(host_, settings);
  first.our_port = second.our_port = 80;
  first.syn(now_, kTcpSyn);
  first.drain(now_);
  second.syn(now_, kTcpSyn);
  second.drain(now_);
  first.send(now_, kTcpAck, 1, 1);
  second.send(now_, kTcpAck, 1, 1);
  EXPECT_EQ(host_.tcp.counters().listen_overflows, 1u);
  ASSERT_TRUE(host_.accept(listener));
  EXPECT_FALSE(host_.accept(listener));
  // The SYN-ACK is sent again; the peer's answer now finds room.
  EXPECT_EQ(second.run(now_, now_ + 1500 * ms).size(), 1u);
  second.send(now_, kTcpAck, 1, 1);
  EXPECT_TRUE(host_.accept(listener));
}

// RFC 4987 section 3.3: who is silent for longer than a time-out gives way; a burst of honest peers only
// waits.
TEST_F(Listen, HalfOpenConnectionsAreLimited) {
  const ConnectionId listener = host_.listen(80, 100);
  const uint32_t limit = host_.limits.half_open;
  std::vector<Peer> peers;
  for (uint16_t i = 0; i < limit + 2; ++i) {
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(9000 + i);
    peers.emplace_back(host_, settings);
    peers[i].our_port = 80;
    peers[i].syn(now_, kTcpSyn);
    EXPECT_EQ(peers[i].drain(now_).size(), i < limit ? 1u : 0u);
  }
  EXPECT_EQ(host_.ids.allocated(), 1 + limit);
  EXPECT_EQ(host_.tcp.counters().listen_overflows, 2u);
  peers[1].send(now_, kTcpAck, 1, 1);
  EXPECT_TRUE(host_.accept(listener)) << "nobody was thrown out";

  now_ = host_.tcp.deadline();
  for (; host_.tcp.counters().segments_out < 2 * limit - 1; now_ = host_.tcp.deadline()) {
    host_.tcp.expire(now_);
    SegmentOut out;
    while (host_.tcp.next_segment(now_, 65535, out)) {
    }
  }
  peers[limit].syn(now_, kTcpSyn);
  EXPECT_EQ(peers[limit].drain(now_).size(), 1u) << "there was one free place";
  peers[limit + 1].syn(now_, kTcpSyn);
  EXPECT_EQ(peers[limit + 1].drain(now_).size(), 1u) << "the oldest has been silent for a second";
  EXPECT_EQ(host_.ids.allocated(), 2 + limit);
  peers[0].send(now_, kTcpAck, 1, 1);
  EXPECT_EQ(peers[0].drain(now_).at(0).flags, kTcpRst);
  peers[limit + 1].send(now_, kTcpAck, 1, 1);
  EXPECT_TRUE(host_.accept(listener));
}

// As on Linux, where only what connect() chose goes with it.
TEST_F(Listen, WhatWasAConnectionListensAtTheAddressThatItWasBoundTo) {
  const ConnectionId listener = host_.open();
  Endpoint local{host_.address, 80};
  ASSERT_EQ(host_.tcp.bind(listener, local, false, false), 0);
  ASSERT_EQ(host_.tcp.listen(listener, 8), 0);
  Peer peer(host_);
  const ConnectionId accepted = peer.connect(now_, listener).value();
  host_.tcp.disconnect(now_, accepted);
  peer.drain(now_);

  const ConnectionId refused = host_.open(), in_vain = host_.open();
  for (const ConnectionId id : {refused, in_vain}) {
    local = {host_.address, 0};
    ASSERT_EQ(host_.tcp.bind(id, local, false, false), 0);
    ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
    peer.our_port = local.port;
    peer.drain(now_);
    peer.send(now_, kTcpRst | kTcpAck, 0, 1);
    ASSERT_EQ(host_.tcp.error(id), ECONNREFUSED);
  }
  local = {host_.address, 80};
  ASSERT_EQ(host_.tcp.bind(in_vain, local, false, false), EADDRINUSE);
  for (const ConnectionId id : {accepted, refused, in_vain}) {
    ASSERT_EQ(host_.tcp.listen(id, 8), 0);
    EXPECT_EQ(host_.tcp.local(id).address, id == in_vain ? IpAddress{} : host_.address) << id;
  }
}

TEST_F(Listen, NoIndexLeft) {
  HostSettings settings;
  settings.connections = 2;
  Host small(kOurAddress, settings);
  small.listen(80);
  small.open();
  Peer peer(small);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  EXPECT_TRUE(peer.drain(now_).empty());
  EXPECT_EQ(small.tcp.counters().listen_overflows, 1u);
}

TEST_F(Listen, ClosedListenerResetsWhatNobodyAccepted) {
  const ConnectionId listener = host_.listen(80);
  PeerSettings settings;
  Peer ready(host_, settings);
  settings.port = 9001;
  Peer half_open(host_, settings);
  ready.our_port = half_open.our_port = 80;
  ready.syn(now_, kTcpSyn);
  ready.drain(now_);
  ready.send(now_, kTcpAck, 1, 1);
  half_open.syn(now_, kTcpSyn);
  half_open.drain(now_);
  host_.tcp.close(now_, listener, false);
  SegmentOut out;
  int resets = 0;
  while (host_.tcp.next_segment(now_, 65535, out)) resets += out.header.has(kTcpRst) ? 1 : 0;
  EXPECT_EQ(resets, 2);
  host_.take_events();
  EXPECT_EQ(host_.ids.allocated(), 0u);
  EXPECT_EQ(host_.tcp.deadline(), kNever);
}

TEST_F(Listen, ResetWhileWaitingForAccept) {
  const ConnectionId listener = host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  peer.send(now_, kTcpAck, 1, 1);
  peer.send(now_, kTcpRst, 1, 0);
  const auto id = host_.accept(listener);  // as Linux: it is handed over, with its error
  ASSERT_TRUE(id);
  EXPECT_EQ(host_.tcp.error(*id), ECONNRESET);
  EXPECT_TRUE(events(*id) & kFailed);
  host_.tcp.close(now_, *id, false);
  host_.take_events();
  EXPECT_EQ(host_.ids.allocated(), 1u);
}

// tcp(7) TCP_DEFER_ACCEPT, as Linux has it (tcp_check_req(), syn_ack_recalc()).
class DeferredAccept : public Listen {
 protected:
  void SetUp() override {
    listener_ = host_.listen(80);
    Options options = host_.tcp.options(listener_);
    options.defer_accept = 3;
    host_.tcp.set_options(now_, listener_, options);
    peer_.our_port = 80;
    peer_.syn(now_, kTcpSyn);
    EXPECT_EQ(peer_.drain(now_).size(), 1u);
    peer_.send(now_, kTcpAck, 1, 1);
    EXPECT_EQ(events(listener_), 0u) << "it has said nothing yet";
  }

  ConnectionId listener_ = 0;
  Peer peer_{host_};
};

TEST_F(DeferredAccept, WaitsForTheFirstByte) {
  EXPECT_TRUE(peer_.run(now_, now_ + 900 * ms).empty());
  now_ += 900 * ms;
  peer_.send(now_, kTcpAck, 1, 1, "hello");
  EXPECT_EQ(events(listener_), kAcceptable);
  const auto id = host_.accept(listener_);
  ASSERT_TRUE(id);
  EXPECT_EQ(host_.read_text(now_, *id), "hello");
  EXPECT_LT(host_.tcp.info(*id).smoothed_rtt, 100 * ms) << "the silence was no round trip";
}

TEST_F(DeferredAccept, TheEndIsSomethingToo) {
  peer_.send(now_, kTcpAck | kTcpFin, 1, 1);
  EXPECT_EQ(events(listener_), kAcceptable);
}

TEST_F(DeferredAccept, AndInTheEndWhoSaysNothingIsAccepted) {
  const TimeNs start = now_;
  const auto sent = peer_.run(now_, now_ + 7100 * ms);
  ASSERT_EQ(sent.size(), 1u) << "only the last time-out asks once more";
  EXPECT_NEAR(static_cast<double>(sent[0].first - start) / kSecond, 7, 0.01);
  now_ = start + 7100 * ms;
  peer_.send(now_, kTcpAck, 1, 1);
  EXPECT_EQ(events(listener_), kAcceptable);
  const auto id = host_.accept(listener_);
  ASSERT_TRUE(id);
  EXPECT_GT(host_.tcp.info(*id).congestion_window, 5000u) << "nothing was lost";
}

TEST_F(DeferredAccept, ButNotForEver) {
  peer_.run(now_, now_ + 300 * kSecond);
  EXPECT_EQ(host_.ids.allocated(), 1u) << "only the listener";
}

}  // namespace
}  // namespace skerry::tcp
