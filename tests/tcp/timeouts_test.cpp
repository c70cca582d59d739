// A peer who is silent: window probes (RFC 9293 section 3.8.6.1), keepalive (section 3.8.4), giving up.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/send.hpp"

namespace skerry::tcp {
namespace {

class Timeouts : public Send {};

TEST_F(Timeouts, AClosedWindowIsProbedForEver) {  // section 3.8.6.1
  start();
  write(1000);
  drain();
  peer_->window = 0;
  ack(1001);
  write(1000);
  EXPECT_TRUE(drain().empty());
  TimeNs last = now_;
  std::vector<DurationNs> gaps;
  for (int i = 0; i < 40; ++i) {
    auto sent = peer_->run(now_, host_->tcp.deadline());
    while (sent.empty()) sent = peer_->run(now_, host_->tcp.deadline());
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].second.seq, 1000u) << "a number that was acknowledged";
    EXPECT_TRUE(sent[0].second.payload.empty());
    gaps.push_back(sent[0].first - last);
    last = sent[0].first;
    ack(1001);
    EXPECT_TRUE(drain().empty());
  }
  EXPECT_NEAR(static_cast<double>(gaps[0]), 200e6, 1e6);
  EXPECT_NEAR(static_cast<double>(gaps[3]), 1600e6, 1e6);
  EXPECT_NEAR(static_cast<double>(gaps.back()), 120e9, 1e6);
  EXPECT_EQ(host_->tcp.counters().window_probes, 40u);
  EXPECT_EQ(info().retransmissions, 0u);
  peer_->window = 60000;
  ack(1001);
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 1000u);
  EXPECT_EQ(info().retransmission_timeout, 200 * ms) << "the back-off of the probes is over";
}

TEST_F(Timeouts, ProbesWithoutAnswerGiveUp) {
  start();
  peer_->window = 0;
  ack(1);
  write(1000);
  EXPECT_EQ(peer_->run(now_, now_ + 3600 * kSecond).size(), 15u);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
}

TEST_F(Timeouts, KeepaliveProbesAndGivesUp) {  // section 3.8.4
  start();
  option([](Options& options) {
    options.keep_alive = true;
    options.keep_idle = 100 * kSecond;
    options.keep_interval = 10 * kSecond;
    options.keep_count = 3;
  });
  const TimeNs begin = now_;
  const auto sent = peer_->run(now_, now_ + 1000 * kSecond);
  ASSERT_EQ(sent.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(static_cast<double>(sent[i].first - begin) / kSecond, 100.0 + 10 * i, 0.01);
    EXPECT_TRUE(sent[i].second.is_bare_ack());
    EXPECT_EQ(sent[i].second.seq, 0u);
  }
  EXPECT_EQ(sent[3].second.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
}

TEST_F(Timeouts, KeepaliveIsContentWithAnyAnswer) {
  start();
  option([](Options& options) {
    options.keep_alive = true;
    options.keep_idle = 10 * kSecond;
    options.keep_interval = 20 * kSecond;
    options.keep_count = 2;
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(peer_->run(now_, now_ + 10 * kSecond + 10 * ms).size(), 1u) << i;
    ack(1);
    EXPECT_TRUE(peer_->run(now_, now_ + 10 * kSecond).empty());
    peer_->send(now_, kTcpAck, 1, 1);
  }
  EXPECT_EQ(host_->tcp.error(id_), 0);
}

TEST_F(Timeouts, UnansweredDataGivesUp) {  // section 3.8.3; tcp(7) tcp_retries2
  start();
  write(100);
  const TimeNs begin = now_;
  const auto sent = peer_->run(now_, now_ + 3600 * kSecond);
  EXPECT_EQ(sent.size(), 17u) << "the first, a probe, and fifteen";
  EXPECT_NEAR(static_cast<double>(sent.back().first - begin) / kSecond, 804.6, 1);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
  EXPECT_EQ(host_->tcp.state(id_), State::closed);
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Timeouts, UserTimeout) {  // RFC 5482, tcp(7) TCP_USER_TIMEOUT
  start();
  option([](Options& options) { options.user_timeout = 3 * kSecond; });
  write(100);
  const TimeNs begin = now_;
  peer_->run(now_, now_ + 2900 * ms);
  EXPECT_EQ(host_->tcp.error(id_), 0);
  peer_->run(now_, begin + 3100 * ms);
  EXPECT_EQ(host_->tcp.error(id_), ETIMEDOUT);
}

TEST_F(Timeouts, SoftErrorsAreToldWhenTheConnectionTimesOut) {  // RFC 1122 section 4.2.3.9
  start();
  write(100);
  drain();
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1,
                         EHOSTUNREACH, 0);
  EXPECT_EQ(host_->tcp.state(id_), State::established);
  EXPECT_EQ(host_->tcp.error(id_), 0);
  peer_->run(now_, now_ + 3600 * kSecond);
  EXPECT_EQ(host_->tcp.error(id_), EHOSTUNREACH);
}

}  // namespace
}  // namespace skerry::tcp
