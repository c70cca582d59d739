// Opening connections: RFC 9293 section 3.5, options by RFC 7323, 2018, 6691.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/handshake.hpp"

namespace skerry::tcp {
namespace {

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
