// Opening connections: RFC 9293 section 3.5, options by RFC 7323, 2018, 6691, limits by RFC 4987.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Handshake : public ::testing::Test {
 protected:
  Host host_{kOurAddress, {}};
  TimeNs now_ = 10 * kSecond;

  uint32_t events(ConnectionId id) {
    host_.take_events();
    return host_.sockets[id].events;
  }
};

TEST_F(Handshake, PassiveOpen) {  // RFC 9293 figure 6
  const ConnectionId listener = host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  const auto answer = peer.drain(now_);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(answer[0].ack, 1u);
  EXPECT_FALSE(host_.accept(listener));
  EXPECT_EQ(events(listener), 0u);
  peer.send(now_, kTcpAck, 1, 1);
  EXPECT_EQ(events(listener), kAcceptable);
  const auto id = host_.accept(listener);
  ASSERT_TRUE(id);
  EXPECT_EQ(host_.tcp.state(*id), State::established);
  EXPECT_EQ(host_.tcp.remote(*id), (Endpoint{IpAddress::v4(kPeerAddress), 8080}));
  EXPECT_EQ(host_.tcp.local(*id), (Endpoint{host_.address, 80}));
  EXPECT_TRUE(peer.drain(now_).empty());
  EXPECT_EQ(host_.tcp.counters().passive_opens, 1u);
}

TEST_F(Handshake, DataWithTheFinalAckAndBeforeAccept) {
  const ConnectionId listener = host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  peer.send(now_, kTcpAck, 1, 1, "hello");
  const auto id = host_.accept(listener);
  ASSERT_TRUE(id);
  EXPECT_TRUE(events(*id) & kReadable);
  EXPECT_EQ(host_.read_text(now_, *id), "hello");
}

TEST_F(Handshake, ActiveOpen) {  // RFC 9293 figure 6
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), EALREADY);
  peer.our_port = host_.tcp.local(id).port;
  auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpSyn);
  peer.syn(now_, kTcpSyn | kTcpAck, 1);
  EXPECT_EQ(events(id), kEstablished);
  sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].is_bare_ack());
  EXPECT_EQ(sent[0].ack, 1u);
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), EISCONN);
}

TEST_F(Handshake, SimultaneousOpen) {  // RFC 9293 figure 7
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.drain(now_);
  peer.syn(now_, kTcpSyn);
  EXPECT_EQ(host_.tcp.state(id), State::syn_received);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpSyn | kTcpAck);
  peer.syn(now_, kTcpSyn | kTcpAck, 1);
  EXPECT_EQ(host_.tcp.state(id), State::established);
  EXPECT_EQ(events(id), kEstablished);
}

TEST_F(Handshake, ConnectionToItself) {
  const ConnectionId id = host_.open();
  Endpoint local{host_.address, 8080};
  ASSERT_EQ(host_.tcp.bind(id, local, false, false), 0);
  ASSERT_EQ(host_.tcp.connect(now_, id, local), 0);
  SegmentOut out;
  for (int i = 0; i < 10 && host_.tcp.next_segment(now_, 65535, out); ++i) {
    SegmentIn in;
    in.source = out.source;
    in.destination = out.destination;
    in.header = out.header;
    host_.tcp.receive(now_, in);
  }
  EXPECT_EQ(host_.tcp.state(id), State::established);
}

struct Offer {
  const char* name;
  bool timestamps, sack;
  std::optional<uint8_t> scale;
  uint16_t mss;
};

class OptionsOffered : public ::testing::TestWithParam<Offer> {};

// An option is used only if both SYNs have it; a SYN-ACK never offers what the SYN did not (RFC 7323 sections
// 1.3, 2.2 and 3.2; RFC 2018 section 2; RFC 9293 section 3.7.1).
TEST_P(OptionsOffered, ArePairwise) {
  const Offer& offer = GetParam();
  Host host(kOurAddress, {});
  PeerSettings settings;
  settings.timestamps = offer.timestamps;
  settings.sack = offer.sack;
  settings.window_scale = offer.scale;
  settings.mss = offer.mss;
  const uint32_t expected_mss =
      std::min<uint32_t>(offer.mss == 0 ? 536 : offer.mss, 1460) - (offer.timestamps ? 12 : 0);

  const ConnectionId listener = host.listen(80);
  Peer peer(host, settings);
  peer.our_port = 80;
  peer.syn(kSecond, kTcpSyn);
  const auto answer = peer.drain(kSecond);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_TRUE(answer[0].options.has_mss);
  EXPECT_EQ(answer[0].options.mss, 1460);
  EXPECT_EQ(answer[0].options.has_timestamps, offer.timestamps);
  EXPECT_EQ(answer[0].options.sack_permitted, offer.sack);
  EXPECT_EQ(answer[0].options.has_window_scale, offer.scale.has_value());
  EXPECT_EQ(answer[0].options.ts_echo, offer.timestamps ? 1000u : 0u);
  peer.send(kSecond, kTcpAck, 1, 1);
  const Info passive = host.tcp.info(*host.accept(listener));
  EXPECT_EQ(passive.timestamps, offer.timestamps);
  EXPECT_EQ(passive.sack, offer.sack);
  EXPECT_EQ(passive.send_scale, offer.scale.value_or(0));
  EXPECT_EQ(passive.mss, expected_mss);
  EXPECT_EQ(passive.congestion_window, std::min(10 * expected_mss, std::max(2 * expected_mss, 14600u)));

  Peer other(host, settings);
  const Info active = host.tcp.info(other.accept(kSecond));
  EXPECT_EQ(active.timestamps, offer.timestamps);
  EXPECT_EQ(active.sack, offer.sack);
  EXPECT_EQ(active.send_scale, offer.scale.value_or(0));
  EXPECT_EQ(active.receive_scale, offer.scale ? 1 : 0) << "a ring of 65536 bytes needs one bit";
  EXPECT_EQ(active.mss, expected_mss);
}

INSTANTIATE_TEST_SUITE_P(
    Handshake, OptionsOffered,
    ::testing::Values(Offer{"none", false, false, {}, 1460}, Offer{"all", true, true, 7, 1460},
                      Offer{"timestamps", true, false, {}, 1460}, Offer{"sack", false, true, {}, 1460},
                      Offer{"scale", false, false, 14, 1460}, Offer{"no_mss", false, true, 0, 0},
                      Offer{"small_mss", true, true, 3, 500}, Offer{"large_mss", true, true, 3, 9000}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Handshake, SynOffersEverythingUnscaled) {  // RFC 7323 section 2.2
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].window, 65535u);
  EXPECT_TRUE(sent[0].options.has_timestamps && sent[0].options.sack_permitted &&
              sent[0].options.has_window_scale);
  EXPECT_EQ(sent[0].options.ts_echo, 0u);
}

TEST_F(Handshake, SynIsRetransmittedWithBackOff) {  // RFC 6298 section 5, tcp(7) tcp_syn_retries
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  const TimeNs start = now_;
  const auto sent = peer.run(now_, now_ + 200 * kSecond);
  const DurationNs expected[] = {0, 1, 3, 7, 15, 31, 63};
  ASSERT_EQ(sent.size(), 7u);
  for (int i = 0; i < 7; ++i)
    EXPECT_NEAR(static_cast<double>(sent[i].first - start) / kSecond, static_cast<double>(expected[i]), 0.01);
  EXPECT_EQ(host_.tcp.error(id), ETIMEDOUT);
  EXPECT_EQ(events(id), kFailed);
  EXPECT_EQ(host_.tcp.deadline(), kNever);
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0) << "it may try again";
}

TEST_F(Handshake, SynAckIsRetransmittedAndGivenUp) {  // tcp(7) tcp_synack_retries
  host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  EXPECT_EQ(peer.run(now_, now_ + 200 * kSecond).size(), 6u);
  EXPECT_EQ(host_.ids.allocated(), 1u) << "only the listener";
}

TEST_F(Handshake, ProgramsSayHowOftenASynIsSent) {  // tcp(7) TCP_SYNCNT
  Peer peer(host_);
  const ConnectionId id = host_.open();
  Options options = host_.tcp.options(id);
  options.syn_retries = 1;
  host_.tcp.set_options(now_, id, options);
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  EXPECT_EQ(peer.run(now_, now_ + 200 * kSecond).size(), 2u);
  EXPECT_EQ(host_.tcp.error(id), ETIMEDOUT);
}

// tcp(7) TCP_DEFER_ACCEPT, as Linux has it (tcp_check_req(), syn_ack_recalc()).
class DeferredAccept : public Handshake {
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

TEST_F(Handshake, RepeatedSynGetsTheSameAnswer) {
  host_.listen(80);
  Peer peer(host_);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  const uint32_t isn = peer.our_isn;
  now_ += 300 * ms;
  peer.syn(now_, kTcpSyn);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(peer.our_isn, isn);
}

TEST_F(Handshake, LostSynsMeanASmallFirstWindow) {  // RFC 6928 section 2, RFC 5681 section 3.1
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.run(now_, now_ + 3500 * ms);
  peer.syn(now_, kTcpSyn | kTcpAck, 1);
  EXPECT_EQ(host_.tcp.info(id).congestion_window, 1460u);
  EXPECT_EQ(host_.tcp.info(id).retransmission_timeout,
            3 * kSecond);  // RFC 6298 section 5.7: Karn left no sample
}

TEST_F(Handshake, TheHandshakeIsTimed) {
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.drain(now_);
  now_ += 70 * ms;
  peer.syn(now_, kTcpSyn | kTcpAck, 1);
  EXPECT_EQ(host_.tcp.info(id).smoothed_rtt, 70 * ms);
}

TEST_F(Handshake, RefusedByReset) {  // RFC 9293 section 3.10.7.3
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

TEST_F(Handshake, AnOldAckInSynSentIsReset) {  // RFC 9293 figure 9
  Peer peer(host_);
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer.our_port = host_.tcp.local(id).port;
  peer.drain(now_);
  peer.send(now_, kTcpAck, 300, 91);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpRst);
  EXPECT_EQ(sent[0].seq, 91u);
  EXPECT_EQ(host_.tcp.state(id), State::syn_sent);
}

TEST_F(Handshake, NobodyListens) {  // RFC 9293 section 3.10.7.1
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

TEST_F(Handshake, ListenerIgnoresAndResets) {  // RFC 9293 section 3.10.7.2
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

TEST_F(Handshake, WrongAckInSynReceivedIsReset) {  // RFC 9293 section 3.10.7.4, fifth
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

TEST_F(Handshake, ResetInSynReceivedReturnsTheIndex) {  // RFC 9293 section 3.10.7.4, second
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

TEST_F(Handshake, FullBacklogDropsSyns) {  // listen(2)
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

TEST_F(Handshake, FullBacklogHoldsTheFinalAckBack) {
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
TEST_F(Handshake, HalfOpenConnectionsAreLimited) {
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

TEST_F(Handshake, NoIndexLeft) {
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

TEST_F(Handshake, ClosedListenerResetsWhatNobodyAccepted) {
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

TEST_F(Handshake, ResetWhileWaitingForAccept) {
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

TEST_F(Handshake, IcmpFailsAConnectionThatIsBeingMade) {  // RFC 5461 section 4
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

TEST_F(Handshake, IcmpIsToldOfAConnectionThatIsThereIfItAskedForIt) {  // ip(7) IP_RECVERR
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

TEST_F(Handshake, NoRoute) {
  host_.path.reachable = false;
  const ConnectionId id = host_.open();
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), ENETUNREACH);
}

TEST_F(Handshake, InitialSequenceNumbersFollowAClockAndDifferByFlow) {  // RFC 6528 section 3
  host_.listen(80);
  const auto isn = [&](uint16_t port, TimeNs when) {
    PeerSettings settings;
    settings.port = port;
    Peer peer(host_, settings);
    peer.our_port = 80;
    peer.syn(when, kTcpSyn);
    peer.drain(when);
    peer.send(when, kTcpRst, 1, 0);
    return peer.our_isn;
  };
  const uint32_t first = isn(9000, now_);
  EXPECT_EQ(isn(9000, now_ + 4 * ms) - first, 1000u) << "one every 4 microseconds";
  EXPECT_GT(isn(9001, now_) - first, 100'000u);
}

}  // namespace
}  // namespace skerry::tcp
