// Tail loss probes and the reordering timer (RFC 8985 sections 6.3 and 7), with a round trip of 20 ms: a
// probe is due after 44 ms.
#include <gtest/gtest.h>

#include "tcp/loss.hpp"

namespace skerry::tcp {
namespace {

class TailProbe : public Loss {
 protected:
  void start(bool sack = true) { Loss::start(sack, false, 20 * ms); }
  uint64_t timeouts() const { return host_->tcp.counters().timeouts; }
  uint64_t probes() const { return host_->tcp.counters().tail_probes; }
};

TEST_F(TailProbe, TheLastSegmentGoesAgainAfterTwoRoundTrips) {  // section 7.3
  start();
  write(5);
  EXPECT_EQ(sent_within(60 * ms), (Times{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {44, 4}}));
  EXPECT_EQ(info().congestion_window, 10 * kMss);
  EXPECT_EQ(probes(), 1u);
}

TEST_F(TailProbe, NewDataIsTheBetterProbe) {  // section 7.3
  start();
  write(20);
  EXPECT_EQ(sent().size(), 10u) << "the congestion window";
  EXPECT_EQ(sent_within(60 * ms), (Times{{44, 10}}));
  EXPECT_EQ(info().retransmissions, 0u);
}

TEST_F(TailProbe, AClosedWindowTakesNoNewData) {
  start();
  peer_->window = 5 * kMss;
  peer_->send(now_, kTcpAck, 1, 1);
  write(20);
  EXPECT_EQ(sent().size(), 5u);
  EXPECT_EQ(sent_within(60 * ms), (Times{{44, 4}}));
}

TEST_F(TailProbe, OneIsSentThenTheTimeoutDecides) {  // section 7.2
  start();
  write(5);
  sent();
  EXPECT_EQ(sent_within(260 * ms), (Times{{44, 4}, {244, 0}}));
  EXPECT_EQ(timeouts(), 1u);
}

TEST_F(TailProbe, ItsSackShowsTheHoles) {  // section 7.4.1
  start();
  write(8);
  sent();
  now_ += 20 * ms;
  ack(5);  // 5 to 7 are lost
  EXPECT_EQ(sent_within(50 * ms), (Times{{44, 7}}));
  now_ += 14 * ms;
  ack(5, {{7, 8}});
  EXPECT_EQ(sent_within(4 * ms), (Times{})) << "they might only be late";
  EXPECT_EQ(sent_within(2 * ms), (Times{{1, 5}})) << "a quarter of a round trip later";
  now_ += 18 * ms;
  ack(6, {{7, 8}});
  EXPECT_EQ(sent(), (Numbers{6}));
  now_ += 20 * ms;
  ack(8);
  EXPECT_EQ(info().congestion_window, info().slow_start_threshold);
  EXPECT_EQ(sent_within(100 * ms), (Times{}));
  EXPECT_EQ(timeouts(), 0u);
  EXPECT_EQ(host_->tcp.counters().fast_recoveries, 1u);
}

TEST_F(TailProbe, TheOnlyLossThatItRepairedWasCongestionToo) {  // section 7.4.2
  start();
  write(5);
  sent();
  sent_within(60 * ms);
  ack(5);
  EXPECT_EQ(info().congestion_window, 10 * kMss) << "it may have been needless";
  write(1);
  EXPECT_EQ(sent(), (Numbers{5}));
  ack(6);
  EXPECT_EQ(info().congestion_window, 7 * kMss);
  EXPECT_EQ(info().slow_start_threshold, 7 * kMss);
}

TEST_F(TailProbe, ANeedlessOneCostsNothing) {  // section 7.4.2, case 1
  start();
  write(5);
  sent();
  sent_within(60 * ms);
  ack(5, {{4, 5}});  // D-SACK
  write(1);
  sent();
  ack(6);
  EXPECT_EQ(info().congestion_window, 10 * kMss);
}

TEST_F(TailProbe, ANeedlessOneSaysNothingAboutReordering) {
  start();
  write(5);
  sent();
  sent_within(60 * ms);
  ack(5, {{4, 5}});
  write(10);
  sent();
  now_ += 20 * ms;
  ack(5, {{6, 9}});  // three segments above the hole: it is one, as long as nothing came out of order
  const Numbers again = sent();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again[0], 5u);
}

TEST_F(TailProbe, NorDoesOneThatADuplicateAckTellsOf) {  // section 7.4.2, case 2
  start();
  write(5);
  sent();
  sent_within(60 * ms);
  ack(5);
  ack(5);
  write(1);
  sent();
  ack(6);
  EXPECT_EQ(info().congestion_window, 10 * kMss);
}

TEST_F(TailProbe, NewDataThatWasDeliveredCostsNothing) {
  start();
  write(20);
  sent();
  sent_within(60 * ms);
  ack(11);
  EXPECT_GE(info().congestion_window, 10 * kMss);
  sent();
  ack(20);
  EXPECT_EQ(info().slow_start_threshold, UINT32_MAX);
}

TEST_F(TailProbe, ALoneSegmentWaitsForADelayedAck) {  // section 7.2, TLP.max_ack_delay
  start();
  write(1);
  sent();
  EXPECT_EQ(sent_within(100 * ms), (Times{{94, 0}}));
}

// A request whose probe repaired a loss: the answer carries the same acknowledgement, and accuses nobody.
TEST_F(TailProbe, AnAnswerWithTheSameAckIsNoDuplicate) {
  start();
  write(1);
  sent();
  EXPECT_EQ(sent_within(100 * ms), (Times{{94, 0}}));
  ack(1);
  peer_->send(now_, kTcpAck, 1, 1 + kMss, "answer");
  write(1);
  sent();
  peer_->send(now_, kTcpAck, 7, 1 + 2 * kMss);
  write(1);
  sent();
  EXPECT_EQ(sent_within(150 * ms).size(), 1u) << "a lone segment has its probe still";
  EXPECT_EQ(probes(), 2u);
}

// Each segment that is sent moves the probe, but not beyond the time-out of the first without an answer.
TEST_F(TailProbe, WhoSendsOnAndOnHearsOfTheSilence) {
  start();
  write(1);
  sent();
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(host_->write(now_, id_, std::string(100, 'x')), 100u);
    sent_within(20 * ms);
  }
  EXPECT_GE(probes(), 1u);
  EXPECT_GE(timeouts(), 1u);
}

TEST_F(TailProbe, WhoHoldsAcksBackLongerIsNotAskedAgain) {
  start();
  write(1);
  sent();
  EXPECT_EQ(sent_within(100 * ms), (Times{{94, 0}}));
  ack(1, {{0, 1}});  // D-SACK: it had the first
  write(1);
  sent();
  EXPECT_EQ(sent_within(150 * ms), (Times{}));
  ack(2);
  write(3);
  sent();
  EXPECT_EQ(probes(), 1u);
  ASSERT_EQ(sent_within(100 * ms).size(), 1u) << "of several, the second is acknowledged at once";
  EXPECT_EQ(probes(), 2u);
}

TEST_F(TailProbe, WhatFollowsALoneSegmentMakesItsProbeSooner) {
  start();
  write(1);
  sent();
  now_ += 10 * ms;
  write(1);
  sent();
  EXPECT_EQ(sent_within(60 * ms), (Times{{44, 1}}));
}

TEST_F(TailProbe, WaitsFromTheLastSegmentSent) {
  start();
  write(2);
  sent();
  now_ += 30 * ms;
  write(1);
  sent();
  EXPECT_EQ(sent_within(60 * ms), (Times{{44, 2}}));
}

TEST_F(TailProbe, IsNotSentWithoutSack) {  // section 7.2
  start(false);
  write(5);
  sent();
  EXPECT_EQ(sent_within(190 * ms), (Times{}));
}

TEST_F(TailProbe, AnswersMakeItUnnecessary) {
  start();
  write(5);
  sent();
  now_ += 20 * ms;
  ack(5);
  EXPECT_EQ(sent_within(kSecond), (Times{}));
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(TailProbe, ARepeatedFinIsOneToo) {
  start();
  write(2);
  host_->tcp.shutdown_write(now_, id_);
  sent();
  const auto again = peer_->run(now_, now_ + 60 * ms);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].second.flags & kTcpFin, kTcpFin);
  peer_->send(now_, kTcpAck, 1, 2 + 2 * kMss);
  EXPECT_EQ(host_->tcp.state(id_), State::fin_wait_2);
}

TEST_F(TailProbe, ARecoveryThatHearsNothingAsks) {
  start();
  write(10);
  sent();
  now_ += 20 * ms;
  ack(0, {{1, 9}});  // 0 is lost; 9 and what is sent from here on arrives, but the one ACK for it is lost
  EXPECT_EQ(sent(), (Numbers{0}));
  EXPECT_EQ(sent_within(60 * ms), (Times{{44, 9}}));
  now_ += 20 * ms;
  ack(10);
  EXPECT_EQ(sent_within(kSecond), (Times{}));
  EXPECT_EQ(timeouts(), 0u);
}

TEST_F(TailProbe, OneSegmentAboveAHoleIsEnoughAfterAQuarterOfARoundTrip) {  // section 6.2 step 5
  start();
  write(3);
  sent();
  now_ += 20 * ms;
  ack(1, {{2, 3}});
  EXPECT_EQ(sent_within(10 * ms), (Times{{5, 1}}));
  now_ += 10 * ms;
  ack(3);
  EXPECT_EQ(timeouts(), 0u);
}

TEST_F(TailProbe, ALostRetransmissionIsSeenWithoutATimeout) {  // section 3.1
  start();
  write(30);
  sent();
  now_ += 20 * ms;
  ack(0, {{1, 10}});
  const Numbers first = sent();
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first[0], 0u);
  now_ += 20 * ms;
  ack(0, {{1, 11}});  // sent after it
  const Numbers second = sent();
  ASSERT_FALSE(second.empty());
  EXPECT_EQ(second[0], 0u);
}

}  // namespace
}  // namespace skerry::tcp
