// Closing: RFC 9293 section 3.6, half-close, orphans.
#include <gtest/gtest.h>

#include "tcp/close.hpp"

namespace skerry::tcp {
namespace {

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

}  // namespace
}  // namespace skerry::tcp
