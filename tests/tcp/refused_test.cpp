// Connections that do not come about: RFC 9293 section 3.10.7.1 to 4, before both are synchronized, and ICMP.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/handshake.hpp"

namespace skerry::tcp {
namespace {

class Refused : public Handshake {};

TEST_F(Refused, RefusedByReset) {  // RFC 9293 section 3.10.7.3
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.drain(now_);
  peer.send(now_, kTcpRst, 0, 0);
  peer.send(now_, kTcpRst | kTcpAck, 0, 77);
  EXPECT_EQ(host_.tcp.state(id), State::syn_sent) << "neither acknowledges our SYN";
  peer.send(now_, kTcpRst | kTcpAck, 0, 1);
  EXPECT_EQ(host_.tcp.error(id), ECONNREFUSED);
  EXPECT_EQ(events(id), kFailed);
  EXPECT_EQ(host_.tcp.tx_acked(id), 0u);
}

TEST_F(Refused, AnOldAckInSynSentIsReset) {  // RFC 9293 figure 9
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.drain(now_);
  peer.send(now_, kTcpAck, 300, 91);
  auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].flags, kTcpRst);
  EXPECT_EQ(sent[0].seq, 91u);
  EXPECT_EQ(sent[1].flags, kTcpSyn) << "now nothing is in its way (Linux tcp_rcv_synsent_state_process())";
  EXPECT_EQ(sent[1].seq, 0u);
  EXPECT_EQ(host_.tcp.state(id), State::syn_sent);
  peer.send(now_, kTcpAck, 300, 91);
  sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u) << "once";
  EXPECT_EQ(sent[0].flags, kTcpRst);
  now_ += kSecond;
  host_.tcp.expire(now_);
  sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u) << "as if nothing had been";
  EXPECT_EQ(sent[0].flags, kTcpSyn);
}

TEST_F(Refused, NobodyListens) {  // RFC 9293 section 3.10.7.1
  Peer peer(host_);
  peer.our_port = 81;
  peer.syn(now_, kTcpSyn);
  auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(sent[0].ack, 1u);
  peer.send(now_, kTcpAck, 5, 9);
  sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpRst);
  EXPECT_EQ(sent[0].seq, 9u);
  peer.send(now_, kTcpRst, 5, 0);
  EXPECT_TRUE(peer.drain(now_).empty()) << "a reset is never answered";
  EXPECT_EQ(host_.tcp.counters().no_connection, 3u);
}

TEST_F(Refused, ListenerIgnoresAndResets) {  // RFC 9293 section 3.10.7.2
  host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.send(now_, kTcpRst, 0, 0);
  EXPECT_TRUE(peer.drain(now_).empty());
  peer.send(now_, kTcpAck, 0, 9);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpRst);
  peer.send(now_, kTcpSyn | kTcpFin, 0, 0);
  EXPECT_TRUE(peer.drain(now_).empty());
  EXPECT_EQ(host_.ids.allocated(), 1u);
}

TEST_F(Refused, WrongAckInSynReceivedIsReset) {  // RFC 9293 section 3.10.7.4, fifth
  host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  peer.send(now_, kTcpAck, 1, 7);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpRst);
  EXPECT_EQ(sent[0].seq, 7u);
}

TEST_F(Refused, ResetInSynReceivedReturnsTheIndex) {  // RFC 9293 section 3.10.7.4, second
  host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  EXPECT_EQ(host_.ids.allocated(), 2u);
  peer.send(now_, kTcpRst, 1, 0);
  EXPECT_EQ(host_.ids.allocated(), 1u);
  EXPECT_TRUE(peer.drain(now_).empty());
}

TEST_F(Refused, IcmpFailsAConnectionThatIsBeingMade) {  // RFC 5461 section 4
  Peer peer(host_);
  const ConnectionId id = host_.open();
  const Endpoint remote{IpAddress::v4(kPeerAddress), 8080};
  ASSERT_EQ(host_.tcp.connect(now_, id, remote), 0);
  peer.drain(now_);
  host_.tcp.unreachable(now_, host_.tcp.local(id), remote, peer.our_isn + 5, EHOSTUNREACH, 0);
  EXPECT_EQ(host_.tcp.state(id), State::syn_sent) << "quotes nothing that is in flight (RFC 5927 section 4)";
  host_.tcp.unreachable(now_, host_.tcp.local(id), remote, peer.our_isn, EHOSTUNREACH, 0);
  EXPECT_EQ(host_.tcp.error(id), EHOSTUNREACH);
}

TEST_F(Refused, IcmpIsToldOfAConnectionThatIsThereIfItAskedForIt) {  // ip(7) IP_RECVERR
  Peer peer(host_);
  const ConnectionId id = peer.accept(now_);
  events(id);
  const auto unreachable = [&] {
    host_.write(now_, id, std::string("x"));
    const auto sent = peer.drain(now_);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(host_.tcp.unreachable(now_, host_.tcp.local(id), host_.tcp.remote(id),
                                      sent[0].seq + peer.our_isn, EHOSTUNREACH, 0));
  };
  unreachable();
  EXPECT_EQ(events(id) & kSoftError, 0u);
  Options options = host_.tcp.options(id);
  options.receive_errors = true;
  options.no_delay = true;
  host_.tcp.set_options(now_, id, options);
  host_.sockets[id].events = 0;
  unreachable();
  EXPECT_TRUE(events(id) & kSoftError);
  EXPECT_EQ(host_.tcp.soft_error(id), EHOSTUNREACH);
  EXPECT_EQ(host_.tcp.state(id), State::established);
}

TEST_F(Refused, NoRoute) {
  host_.path.reachable = false;
  const ConnectionId id = host_.open();
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), ENETUNREACH);
}

}  // namespace
}  // namespace skerry::tcp
