// Closing: RFC 9293 section 3.6, half-close, TIME-WAIT and its reuse (RFC 6191, 1337), resets on unread data
// (RFC 2525 section 2.17), orphans.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Close : public ::testing::Test {
 public:
  void start(const PeerSettings& settings = {}, const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    listener_ = host_->listen(80);
    id_ = peer_->connect(now_, listener_).value();
    host_->take_events();
  }
  Sent one() {
    const auto sent = peer_->drain(now_);
    EXPECT_EQ(sent.size(), 1u);
    return sent.empty() ? Sent{} : sent[0];
  }
  uint32_t events() {
    host_->take_events();
    return host_->sockets.count(id_) == 1 ? host_->sockets[id_].events : uint32_t{kGone};
  }
  uint32_t time_waits() {
    uint32_t count = 0;
    host_->tcp.for_each(
        [](void* context, ConnectionId id, const Info& info) {
          if (info.state != State::time_wait) return;
          EXPECT_EQ(id, kNoConnection);
          ++*static_cast<uint32_t*>(context);
        },
        &count);
    return count;
  }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId listener_ = kNoConnection;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(Close, WeFirst) {  // RFC 9293 figure 12
  start();
  host_->tcp.close(now_, id_, false);
  EXPECT_EQ(one().flags, kTcpFin | kTcpAck);
  peer_->send(now_, kTcpAck, 1, 2);
  EXPECT_EQ(host_->tcp.state(id_), State::fin_wait_2);
  EXPECT_NE(events(), uint32_t{kGone});
  peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
  const Sent last = one();
  EXPECT_TRUE(last.is_bare_ack());
  EXPECT_EQ(last.seq, 2u);
  EXPECT_EQ(last.ack, 2u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->ids.allocated(), 1u) << "TIME-WAIT holds no index";
  EXPECT_EQ(time_waits(), 1u);
  const TimeNs begin = now_;
  EXPECT_NEAR(static_cast<double>(host_->tcp.deadline() - begin), 60e9, 1e6);
  peer_->run(now_, now_ + 61 * kSecond);
  EXPECT_EQ(time_waits(), 0u);
}

TEST_F(Close, PeerFirst) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
  EXPECT_EQ(events(), uint32_t{kPeerClosed});
  EXPECT_EQ(host_->tcp.state(id_), State::close_wait);
  EXPECT_EQ(one().ack, 2u);
  host_->tcp.close(now_, id_, false);
  EXPECT_EQ(one().flags, kTcpFin | kTcpAck);
  EXPECT_EQ(host_->tcp.state(id_), State::last_ack);
  peer_->send(now_, kTcpAck, 2, 2);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(time_waits(), 0u);
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Close, BothAtOnce) {  // RFC 9293 figure 13
  start();
  host_->tcp.close(now_, id_, false);
  one();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
  EXPECT_EQ(host_->tcp.state(id_), State::closing);
  EXPECT_EQ(one().ack, 2u);
  peer_->send(now_, kTcpAck, 2, 2);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(time_waits(), 1u);
}

TEST_F(Close, FinAndItsAckTogether) {
  start();
  host_->tcp.close(now_, id_, false);
  one();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
  EXPECT_EQ(one().ack, 2u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(time_waits(), 1u);
}

TEST_F(Close, HalfCloseByUs) {
  start();
  EXPECT_EQ(host_->tcp.shutdown_write(now_, id_), 0);
  EXPECT_EQ(host_->tcp.shutdown_write(now_, id_), 0) << "twice changes nothing";
  one();
  peer_->send(now_, kTcpAck, 1, 2, "still talking");
  EXPECT_EQ(host_->read_text(now_, id_), "still talking");
  peer_->send(now_, kTcpFin | kTcpAck, 14, 2, "bye");
  EXPECT_EQ(host_->read_text(now_, id_), "bye");
  EXPECT_TRUE(events() & kPeerClosed);
  EXPECT_EQ(host_->tcp.state(id_), State::closed);
  EXPECT_EQ(time_waits(), 1u);
  host_->tcp.close(now_, id_, false);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(one().ack, 18u) << "the ACK of the FIN, and no reset";
}

TEST_F(Close, HalfCloseByThePeer) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1, "question");
  EXPECT_EQ(host_->read_text(now_, id_), "question");
  host_->write(now_, id_, "answer");
  EXPECT_EQ(one().payload, "answer");
  peer_->send(now_, kTcpAck, 10, 7);
  EXPECT_EQ(host_->tcp.state(id_), State::close_wait);
}

TEST_F(Close, FinWaitsForTheData) {
  start();
  host_->write(now_, id_, std::string(20000, 'x'));
  host_->tcp.close(now_, id_, false);
  auto sent = peer_->drain(now_);
  EXPECT_FALSE(sent.back().flags & kTcpFin);
  peer_->send(now_, kTcpAck, 1, 1 + 14600);
  sent = peer_->drain(now_);
  EXPECT_TRUE(sent.back().flags & kTcpFin);
}

TEST_F(Close, AFinBeyondAHoleWaits) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 6, 1, "world");
  EXPECT_EQ(events(), 0u);
  EXPECT_EQ(one().options.sack[0], (SackBlock{6, 11})) << "a FIN is not data";
  peer_->send(now_, kTcpAck, 1, 1, "hello");
  EXPECT_TRUE(events() & kPeerClosed);
  EXPECT_EQ(one().ack, 12u);
  EXPECT_EQ(host_->read_text(now_, id_), "helloworld");
}

TEST_F(Close, ABareFinBeyondAHoleWaits) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 6, 1);
  EXPECT_EQ(one().ack, 1u);
  peer_->send(now_, kTcpAck, 1, 1, "hello");
  EXPECT_TRUE(events() & kPeerClosed);
  EXPECT_EQ(one().ack, 7u);
}

TEST_F(Close, ARepeatedFinIsAcknowledgedAgain) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
  EXPECT_EQ(one().ack, 2u);
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
  EXPECT_EQ(one().ack, 2u);
}

TEST_F(Close, NothingCountsAfterTheFin) {
  start();
  peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
  one();
  peer_->send(now_, kTcpAck, 2, 1, "after the end");
  EXPECT_EQ(host_->readable(id_), 0u);
}

TEST_F(Close, UnreadDataMeansReset) {  // RFC 2525 section 2.17
  start();
  peer_->send(now_, kTcpAck, 1, 1, "unread");
  host_->tcp.close(now_, id_, false);
  const Sent reset = one();
  EXPECT_EQ(reset.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(reset.seq, 1u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Close, AbortMeansReset) {  // linger 0
  start();
  host_->tcp.close(now_, id_, true);
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
}

// Linux: send() puts on the wire what the windows allow, and only then can close() discard the rest.
TEST_F(Close, AnAbortComesBehindWhatTheWindowsAllow) {
  start();
  peer_->window = 2920;
  peer_->send(now_, kTcpAck, 1, 1);
  host_->write(now_, id_, std::string(5000, 'x'));
  host_->tcp.close(now_, id_, true);
  EXPECT_EQ(host_->ids.allocated(), 2u) << "what was written is still in the ring";
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].payload.size() + sent[1].payload.size(), 2920u);
  EXPECT_EQ(sent[2].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(sent[2].seq, 2921u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->ids.allocated(), 1u);
  EXPECT_TRUE(peer_->drain(now_).empty());
}

TEST_F(Close, UnreadDataResetsBehindWhatWasWritten) {
  start();
  peer_->send(now_, kTcpAck | kTcpPsh, 1, 1, "unread");
  host_->take_events();
  host_->write(now_, id_, "answer");
  host_->tcp.shutdown_write(now_, id_);
  host_->tcp.close(now_, id_, false);
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].payload, "answer");
  EXPECT_TRUE((sent[0].flags & kTcpFin) != 0);
  EXPECT_EQ(sent[1].flags, kTcpRst | kTcpAck);
}

TEST_F(Close, WhatComesWhileAnAbortWaitsForTheLinkTakesNothingBack) {
  start();
  host_->write(now_, id_, "last words");
  host_->tcp.close(now_, id_, true);
  peer_->send(now_, kTcpAck | kTcpPsh, 1, 1, "more");
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].payload, "last words");
  EXPECT_EQ(sent[1].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->ids.allocated(), 1u);
}

TEST_F(Close, DataAfterCloseMeansReset) {  // RFC 9293 section 3.6.1
  start();
  host_->tcp.close(now_, id_, false);
  one();
  peer_->send(now_, kTcpAck, 1, 2, "nobody reads this");
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
}

TEST_F(Close, AnOrphanDoesNotWaitForEverInFinWait2) {  // tcp(7) tcp_fin_timeout
  start();
  host_->tcp.close(now_, id_, false);
  one();
  peer_->send(now_, kTcpAck, 1, 2);
  peer_->run(now_, now_ + 59 * kSecond);
  EXPECT_NE(events(), uint32_t{kGone});
  peer_->run(now_, now_ + 2 * kSecond);
  EXPECT_EQ(events(), uint32_t{kGone});
}

TEST_F(Close, AHalfClosedSocketMayWaitForEver) {
  start();
  host_->tcp.shutdown_write(now_, id_);
  one();
  peer_->send(now_, kTcpAck, 1, 2);
  EXPECT_TRUE(peer_->run(now_, now_ + 24 * 3600 * kSecond).empty());
  EXPECT_EQ(host_->tcp.state(id_), State::fin_wait_2);
}

TEST_F(Close, AnOrphanGivesUpSooner) {  // tcp(7) tcp_orphan_retries
  start();
  host_->write(now_, id_, "hello");
  host_->tcp.close(now_, id_, false);
  EXPECT_EQ(peer_->run(now_, now_ + 3600 * kSecond).size(), 10u);
  EXPECT_EQ(events(), uint32_t{kGone});
}

TEST_F(Close,
       AnOrphanGivesUpThoughItsPeerAnswersProbes) {  // RFC 6429 section 3: nobody holds memory for ever
  start();
  host_->write(now_, id_, "hello");
  one();
  peer_->window = 0;
  peer_->send(now_, kTcpAck, 1, 6);
  host_->write(now_, id_, "world");
  host_->tcp.close(now_, id_, false);
  for (int probe = 0; probe < 100 && host_->tcp.state(id_) != State::closed; ++probe) {
    peer_->run(now_, host_->tcp.deadline());
    now_ += ms;
    peer_->send(now_, kTcpAck, 1, 6);
  }
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_LT(now_, 600 * kSecond);
}

TEST_F(Close, ResetsEndEachState) {
  struct Row {
    const char* name;
    void (*reach)(Close&);
  };
  const Row rows[] = {
      {"established", [](Close&) {}},
      {"fin_wait_1", [](Close& t) { t.host_->tcp.shutdown_write(t.now_, t.id_); }},
      {"fin_wait_2",
       [](Close& t) {
         t.host_->tcp.shutdown_write(t.now_, t.id_);
         t.peer_->drain(t.now_);
         t.peer_->send(t.now_, kTcpAck, 1, 2);
       }},
  };
  for (const Row& row : rows) {
    start();
    row.reach(*this);
    peer_->drain(now_);
    peer_->send(now_, kTcpRst, 1, 0);
    EXPECT_EQ(host_->tcp.state(id_), State::closed) << row.name;
    EXPECT_EQ(host_->tcp.error(id_), ECONNRESET) << row.name;
    EXPECT_TRUE(events() & kFailed) << row.name;
    EXPECT_TRUE(peer_->drain(now_).empty()) << row.name;
    host_->tcp.close(now_, id_, false);
    EXPECT_EQ(events(), uint32_t{kGone}) << row.name;
  }
  for (const bool both : {false, true}) {  // CLOSE-WAIT, CLOSING
    start();
    if (both) host_->tcp.shutdown_write(now_, id_);
    peer_->drain(now_);
    peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
    peer_->drain(now_);
    EXPECT_EQ(host_->tcp.state(id_), both ? State::closing : State::close_wait);
    peer_->send(now_, kTcpRst, 2, 0);
    EXPECT_EQ(host_->tcp.error(id_), ECONNRESET);
  }
}

TEST_F(Close, WhatArrivedBeforeAResetCanBeRead) {
  start();
  peer_->send(now_, kTcpAck, 1, 1, "last words");
  peer_->send(now_, kTcpRst, 11, 0);
  EXPECT_EQ(host_->read_text(now_, id_), "last words");
}

// ---- TIME-WAIT

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
