// Blind attacks (RFC 5961), nonsense, and ends out of step.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Attack : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_ = host_.listen(80);
    id_ = peer_.connect(now_, listener_).value();
    peer_.send(now_, kTcpAck, 1, 1, "x");
    peer_.run(now_, now_ + 100 * ms);
    host_.write(now_, id_, "y");
    peer_.drain(now_);
  }
  // A challenge ACK was sent and nothing else.
  bool challenged() {
    const auto sent = peer_.drain(now_);
    return sent.size() == 1 && sent[0].is_bare_ack() && sent[0].ack == 2 && sent[0].seq == 2;
  }

  Host host_{kOurAddress, {}};
  Peer peer_{host_};
  ConnectionId listener_ = kNoConnection;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(Attack, OnlyTheExactResetCounts) {  // RFC 5961 section 3.2
  peer_.send(now_, kTcpRst, 2 + 1000, 0);
  EXPECT_TRUE(challenged()) << "in the window";
  EXPECT_EQ(host_.tcp.state(id_), State::established);
  now_ += kSecond;
  peer_.send(now_, kTcpRst, 2 + 100'000, 0);
  peer_.send(now_, kTcpRst, 1, 0);
  EXPECT_TRUE(peer_.drain(now_).empty()) << "outside: dropped silently";
  EXPECT_EQ(host_.tcp.state(id_), State::established);
  peer_.send(now_, kTcpRst, 2, 0);
  EXPECT_EQ(host_.tcp.state(id_), State::closed);
  EXPECT_EQ(host_.tcp.error(id_), ECONNRESET);
}

TEST_F(Attack, ASynIsChallenged) {  // RFC 5961 section 4.2
  for (const uint32_t seq : {2u, 1002u, 100'000u, 0u}) {
    now_ += kSecond;
    peer_.send(now_, kTcpSyn, seq, 0);
    EXPECT_TRUE(challenged()) << seq;
    now_ += kSecond;
    peer_.send(now_, kTcpSyn | kTcpAck, seq, 1);
    EXPECT_TRUE(challenged()) << seq;
  }
  EXPECT_EQ(host_.tcp.state(id_), State::established);
}

TEST_F(Attack, ASynWithoutATimestampIsChallengedToo) {  // RFC 7323 section 3.2 would drop it
  PeerSettings settings;
  settings.port = 8081;
  settings.timestamps = true;
  Peer peer(host_, settings);
  const ConnectionId id = peer.connect(now_, listener_).value();
  now_ += kSecond;
  peer.settings.timestamps = false;
  peer.send(now_, kTcpAck, 1, 1, "x");
  EXPECT_TRUE(peer.drain(now_).empty());
  peer.send(now_, kTcpSyn, 5000, 0);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].is_bare_ack());
  EXPECT_EQ(sent[0].ack, 1u);
  peer.send(now_, kTcpRst, 1, 0);
  EXPECT_EQ(host_.tcp.state(id), State::closed);
}

// Whoever reboots in the middle of its connect() asks with another number, and hears where we are at once.
TEST_F(Attack, AnotherSynInSynReceivedIsAnswered) {  // RFC 9293 section 3.10.7.4, first; RFC 5961 section 4.2
  PeerSettings settings;
  settings.port = 9000;
  Peer peer(host_, settings);
  peer.our_port = 80;
  peer.syn(now_, kTcpSyn);
  EXPECT_EQ(peer.drain(now_).size(), 1u);
  peer.settings.isn += 5'000'000;
  now_ += ms;
  peer.syn(now_, kTcpSyn);
  const auto sent = peer.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(sent[0].ack, 1u - 5'000'000) << "of the SYN that came first";
  now_ += ms;
  peer.syn(now_, kTcpSyn);
  EXPECT_TRUE(peer.drain(now_).empty()) << "within a rate limit";
}

TEST_F(Attack, AcksOfWhatWasNeverSent) {  // RFC 5961 section 5.2
  peer_.send(now_, kTcpAck, 2, 3, "inject");
  EXPECT_TRUE(challenged()) << "beyond SND.NXT";
  now_ += kSecond;
  peer_.send(now_, kTcpAck, 2, 2 - 70'000, "inject");
  EXPECT_TRUE(challenged()) << "before SND.UNA - MAX.SND.WND";
  EXPECT_EQ(host_.readable(id_), 1u);
  peer_.send(now_, kTcpAck, 2, 0, "late");
  EXPECT_EQ(host_.readable(id_), 5u) << "an old ACK within that window is merely old";
}

TEST_F(Attack, ChallengesAreRateLimited) {  // RFC 5961 section 7
  for (int i = 0; i < 1000; ++i) {
    peer_.send(now_, kTcpSyn, 2, 0);
    peer_.drain(now_);
    now_ += ms;
  }
  EXPECT_LE(host_.tcp.counters().challenge_acks, 2u);
}

TEST_F(Attack, EndsOutOfStepDoNotAcknowledgeForEver) {
  // A peer that answers every ACK outside its window with another one.
  int sent = 0;
  for (int i = 0; i < 1000; ++i) {
    peer_.send(now_, kTcpAck, 500'000, 2);
    sent += static_cast<int>(peer_.drain(now_).size());
    now_ += 10 * kMicrosecond;
  }
  EXPECT_EQ(sent, 1);
}

TEST_F(Attack, SegmentsWithoutAckAreDropped) {  // RFC 9293 section 3.10.7.4, fifth
  peer_.send(now_, 0, 2, 0, "no flags");
  peer_.send(now_, kTcpFin, 2, 0);
  EXPECT_EQ(host_.readable(id_), 1u);
  EXPECT_EQ(host_.tcp.state(id_), State::established);
}

TEST_F(Attack, SackNonsenseIsHarmless) {
  const std::vector<std::vector<SackBlock>> rows = {
      {{1, 1}}, {{2, 1}}, {{1, 3}}, {{0, 2}}, {{5, 10}, {1, 2}, {0x80000000, 0x80000001}, {3, 4}}};
  for (const auto& blocks : rows) {
    for (int i = 0; i < 5; ++i) peer_.send(now_, kTcpAck, 2, 1, {}, blocks);
    EXPECT_TRUE(peer_.drain(now_).empty());
  }
  peer_.send(now_, kTcpAck, 2, 2);
  EXPECT_EQ(host_.tcp.tx_acked(id_), 1u);
}

TEST_F(Attack, UrgentDataIsInLine) {  // RFC 6093: what it points to stays in the stream
  SegmentIn segment;
  segment.source = IpAddress::v4(kPeerAddress);
  segment.destination = host_.address;
  segment.header.source_port = 8080;
  segment.header.destination_port = 80;
  segment.header.flags = kTcpAck | kTcpUrg;
  segment.header.urgent = 3;
  segment.header.seq = 1002;
  segment.header.ack = peer_.our_isn + 2;
  segment.header.window = 1000;
  const std::string text = "urgent";
  segment.payload = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  host_.tcp.receive(now_, segment);
  EXPECT_EQ(host_.read_text(now_, id_), "xurgent");
}

TEST_F(Attack, AnotherHostsPortIsAnotherConnection) {
  PeerSettings settings;
  settings.port = 8081;
  Peer stranger(host_, settings);
  stranger.our_port = 80;
  stranger.our_isn = peer_.our_isn;
  stranger.send(now_, kTcpRst, 2, 0);
  stranger.send(now_, kTcpAck, 2, 2, "hello");
  EXPECT_EQ(stranger.drain(now_).at(0).flags, kTcpRst);
  EXPECT_EQ(host_.tcp.state(id_), State::established);
  EXPECT_EQ(host_.readable(id_), 1u);
}

TEST_F(Attack, IcmpMustQuoteWhatIsInFlight) {  // RFC 5927 section 4
  for (const uint32_t sequence : {peer_.our_isn, peer_.our_isn + 2, peer_.our_isn + 70'000}) {
    host_.tcp.unreachable(now_, host_.tcp.local(id_), host_.tcp.remote(id_), sequence, ECONNREFUSED, 0);
    host_.tcp.unreachable(now_, host_.tcp.local(id_), host_.tcp.remote(id_), sequence, EMSGSIZE, 600);
  }
  host_.tcp.unreachable(now_, {host_.address, 81}, host_.tcp.remote(id_), peer_.our_isn + 1, ECONNREFUSED, 0);
  EXPECT_EQ(host_.tcp.info(id_).mss, 1460u);
  EXPECT_EQ(host_.tcp.state(id_), State::established);
}

TEST_F(Attack, ResetsOfStrangersAreBounded) {
  for (uint32_t i = 0; i < 100'000; ++i) {
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(1 + i % 60000);
    Peer stranger(host_, settings);
    stranger.our_port = 81;
    stranger.send(now_, kTcpAck, 5, 9);
  }
  SegmentOut out;
  int count = 0;
  while (host_.tcp.next_segment(now_, 65535, out)) ++count;
  EXPECT_LE(count, 256);
  EXPECT_EQ(host_.tcp.counters().resets_out, static_cast<uint64_t>(count));
}

}  // namespace
}  // namespace skerry::tcp
