// TIME-WAIT: how long it lasts, what ends it and what does not (RFC 1337), and its reuse (RFC 6191).
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/close.hpp"

namespace skerry::tcp {
namespace {

class TimeWaiting : public Close {
 protected:
  // Brings the connection into TIME-WAIT; both FINs have the number 1.
  void wait(bool timestamps, uint32_t limit = 32) {
    PeerSettings settings;
    settings.timestamps = timestamps;
    HostSettings host_settings;
    host_settings.time_wait = limit;
    start(settings, host_settings);
    finish();
  }
  void finish() {
    host_->tcp.close(now_, id_, false);
    peer_->drain(now_);
    peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
    peer_->drain(now_);
    host_->take_events();
  }
};

TEST_F(TimeWaiting, ARepeatedFinIsAcknowledgedAndRestartsTheTimer) {  // RFC 9293 section 3.10.7.4
  wait(false);
  peer_->run(now_, now_ + 30 * kSecond);
  peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
  const Sent ack = one();
  EXPECT_EQ(ack.ack, 2u);
  EXPECT_EQ(ack.seq, 2u);
  peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
  EXPECT_TRUE(peer_->drain(now_).empty()) << "within a rate limit";
  peer_->run(now_, now_ + 59 * kSecond);
  EXPECT_EQ(time_waits(), 1u);
  peer_->run(now_, now_ + 2 * kSecond);
  EXPECT_EQ(time_waits(), 0u);
}

TEST_F(TimeWaiting, AResetDoesNotEndIt) {  // RFC 1337
  wait(false);
  peer_->send(now_, kTcpRst, 2, 0);
  peer_->send(now_, kTcpRst, 1, 0);
  EXPECT_EQ(time_waits(), 1u);
  EXPECT_TRUE(peer_->drain(now_).empty());
}

TEST_F(TimeWaiting, ANewerSynOpensAgain) {  // RFC 6191 section 2, RFC 9293 section 3.6.1
  for (const bool timestamps : {false, true}) {
    wait(timestamps);
    const uint32_t old_isn = peer_->our_isn;
    now_ += timestamps ? 2 * ms : 2 * kSecond;
    if (!timestamps) peer_->settings.isn += 100;
    peer_->syn(now_, kTcpSyn);
    const Sent answer = one();
    EXPECT_EQ(answer.flags, kTcpSyn | kTcpAck);
    EXPECT_GT(peer_->our_isn - old_isn, 65535u) << "beyond all that was in the old window";
    EXPECT_EQ(time_waits(), 0u);
    peer_->send(now_, kTcpAck, 1, 1);
    EXPECT_TRUE(host_->accept(listener_));
  }
}

TEST_F(TimeWaiting, ASynThatFindsNoPlaceEndsNothing) {
  wait(false);
  for (uint16_t i = 0; i < 9; ++i) {  // backlog + 1
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(9000 + i);
    Peer other(*host_, settings);
    other.our_port = 80;
    other.syn(now_, kTcpSyn);
    other.drain(now_);
    other.send(now_, kTcpAck, 1, 1);
  }
  peer_->settings.isn += 100;
  peer_->syn(now_, kTcpSyn);
  EXPECT_TRUE(peer_->drain(now_).empty());
  EXPECT_EQ(time_waits(), 1u);
  ASSERT_TRUE(host_->accept(listener_));
  peer_->syn(now_, kTcpSyn);
  EXPECT_EQ(one().flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(time_waits(), 0u);
}

TEST_F(TimeWaiting, AnOlderSynDoesNot) {
  wait(false);
  peer_->settings.isn -= 100;
  peer_->syn(now_, kTcpSyn);
  const Sent answer = one();
  EXPECT_TRUE(answer.is_bare_ack());
  EXPECT_EQ(time_waits(), 1u);

  wait(true);
  peer_->settings.isn += 100000;
  now_ -= 5 * kSecond;  // its clock is behind
  peer_->syn(now_, kTcpSyn);
  EXPECT_TRUE(one().is_bare_ack());
}

// A program that ended and began anew at its address has a stack that knows nothing of the old connection,
// nor of its numbers and its clock. It is told so by a challenge, as a half-open connection is (RFC 9293
// section 3.5.1), and then its SYN opens; without that it would wait for the whole of TIME-WAIT.
class PeerBegunAnew : public TimeWaiting {
 protected:
  // The peer's older SYN; what answers it.
  Sent ask() {
    peer_->settings.isn -= 100;
    peer_->syn(now_, kTcpSyn);
    return one();
  }
  // Whether it opens a connection when it comes again.
  bool opens() {
    now_ += kSecond;
    peer_->syn(now_, kTcpSyn);
    return one().flags == (kTcpSyn | kTcpAck);
  }
};

TEST_F(PeerBegunAnew, ItsSynOpensOnceItResetTheChallenge) {
  for (const bool timestamps : {false, true}) {
    wait(timestamps);
    const uint32_t old_isn = peer_->our_isn;
    if (timestamps) now_ -= 5 * kSecond;
    const Sent challenge = ask();
    EXPECT_TRUE(challenge.is_bare_ack());
    peer_->send(now_, kTcpRst, challenge.ack, 0);
    EXPECT_TRUE(peer_->drain(now_).empty());
    EXPECT_EQ(time_waits(), 1u) << "it is not cut short (RFC 1337)";
    EXPECT_TRUE(opens());
    EXPECT_EQ(peer_->our_isn - old_isn, timestamps ? 65539u : 250'000u)
        << "beyond all that was in the old window";
    EXPECT_EQ(time_waits(), 0u);
    peer_->send(now_, kTcpAck, 1, 1);
    EXPECT_TRUE(host_->accept(listener_));
  }
}

TEST_F(PeerBegunAnew, NoOtherSynOpens) {
  wait(false);
  peer_->send(now_, kTcpRst, ask().ack, 0);
  peer_->settings.isn -= 100;
  EXPECT_FALSE(opens()) << "it was not asked about that one";
  EXPECT_FALSE(opens()) << "nor did it reset that answer";
  peer_->settings.isn += 100;
  EXPECT_FALSE(opens()) << "and the last that was answered is the other";
}

TEST_F(PeerBegunAnew, NoOtherResetCounts) {
  wait(false);
  peer_->send(now_, kTcpRst, 2, 0);
  const Sent challenge = ask();
  EXPECT_TRUE(challenge.is_bare_ack()) << "the number was right, but nothing had been asked";
  peer_->send(now_, kTcpRst, challenge.ack - 1, 0);
  peer_->send(now_, kTcpRst, challenge.ack + 1, 0);
  EXPECT_FALSE(opens()) << "guesses";
}

TEST_F(PeerBegunAnew, AResetToTheAnswerOfOldDataDoesNotCount) {  // RFC 1337 section 2
  wait(false);
  const Sent challenge = ask();
  now_ += kSecond;
  peer_->send(now_, kTcpAck, 101, 2, "old");
  EXPECT_TRUE(one().is_bare_ack());
  peer_->syn(now_, kTcpSyn);
  EXPECT_TRUE(peer_->drain(now_).empty()) << "within a rate limit";
  peer_->send(now_, kTcpRst, challenge.ack, 0);
  EXPECT_FALSE(opens());
}

TEST_F(PeerBegunAnew, NobodyListensAnyMore) {
  wait(false);
  host_->tcp.close(now_, listener_, false);
  const Sent challenge = ask();
  EXPECT_TRUE(challenge.is_bare_ack());
  peer_->send(now_, kTcpRst, challenge.ack, 0);
  now_ += kSecond;
  peer_->syn(now_, kTcpSyn);
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck);
  peer_->settings.isn += 200;
  peer_->syn(now_, kTcpSyn);
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck) << "a newer one at once";
  EXPECT_EQ(time_waits(), 1u);
}

TEST_F(TimeWaiting, TheOldestGivesWay) {
  wait(false, 2);
  for (uint16_t i = 0; i < 3; ++i) {
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(9000 + i);
    peer_.emplace(*host_, settings);
    id_ = peer_->connect(now_, listener_).value();
    finish();
    EXPECT_EQ(time_waits(), 2u);
  }
  peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
  EXPECT_EQ(one().ack, 2u) << "the newest is still there";
}

TEST_F(TimeWaiting, ConnectTakesAFlowOverAfterASecond) {  // RFC 6191 section 3; tcp(7) tcp_tw_reuse
  for (const bool timestamps : {false, true}) {
    PeerSettings settings;
    settings.timestamps = timestamps;
    host_.emplace(kOurAddress, HostSettings{});
    peer_.emplace(*host_, settings);
    const Endpoint remote{IpAddress::v4(kPeerAddress), settings.port};
    Endpoint local{host_->address, 5555};
    id_ = host_->open();
    ASSERT_EQ(host_->tcp.bind(id_, local, true, false), 0);
    ASSERT_EQ(host_->tcp.connect(now_, id_, remote), 0);
    peer_->our_port = 5555;
    peer_->drain(now_);
    peer_->syn(now_, kTcpSyn | kTcpAck, 1);
    peer_->drain(now_);
    const uint32_t old_isn = peer_->our_isn;
    finish();
    EXPECT_EQ(time_waits(), 1u);
    id_ = host_->open();
    ASSERT_EQ(host_->tcp.bind(id_, local, true, false), 0);
    EXPECT_EQ(host_->tcp.connect(now_, id_, remote), EADDRNOTAVAIL);
    now_ += 1100 * ms;
    EXPECT_EQ(host_->tcp.connect(now_, id_, remote), timestamps ? 0 : EADDRNOTAVAIL);
    if (!timestamps) continue;
    peer_->drain(now_);
    EXPECT_GT(peer_->our_isn - old_isn, 65535u);
    EXPECT_EQ(time_waits(), 0u);
  }
}

}  // namespace
}  // namespace skerry::tcp
