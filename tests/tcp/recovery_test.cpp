// Loss: SACK-based recovery (RFC 6675), limited transmit (RFC 3042), NewReno (RFC 6582), proportional rate
// reduction (RFC 6937), time-outs (RFC 6298), spurious time-outs (RFC 3522). What is sent needlessly is
// counted.
#include <gtest/gtest.h>

#include "tcp/loss.hpp"

namespace skerry::tcp {
namespace {

TEST_F(Loss, OneLostSegmentIsSentAgainAloneAndOnce) {
  start(true);
  write(20);
  EXPECT_EQ(sent().size(), 10u);
  now_ += 10 * ms;
  // Segment 2 is lost. Limited transmit: each SACK lets one new segment go (RFC 3042, RFC 6675 section 5).
  ack(2);
  EXPECT_EQ(sent(), (Numbers{10, 11, 12, 13}));
  ack(2, {{3, 4}});
  EXPECT_EQ(sent(), (Numbers{14}));
  ack(2, {{3, 5}});
  EXPECT_EQ(sent(), (Numbers{15}));
  ack(2, {{3, 6}});
  EXPECT_EQ(sent(), (Numbers{2})) << "the third: more than two segments above (RFC 6675 section 4)";
  EXPECT_EQ(info().slow_start_threshold, 12 * kMss * 7 / 10)  // RFC 9438 section 4.6
      << "what SACKs took off the wire does not count";
  for (uint32_t i = 7; i <= 16; ++i) {
    ack(2, {{3, i}});
    for (const uint32_t number : sent()) EXPECT_GE(number, 16u) << "only new data";
  }
  ack(16);
  sent();
  EXPECT_EQ(info().retransmissions, 1u);
  EXPECT_EQ(info().congestion_window, info().slow_start_threshold) << "RFC 6937: at the end, exactly that";
  EXPECT_EQ(host_->tcp.counters().fast_recoveries, 1u);
}

TEST_F(Loss, ManyHolesAreFilledOnce) {
  start(true);
  write(10);
  sent();
  now_ += 10 * ms;
  ack(0, {{1, 2}});
  ack(0, {{3, 4}, {1, 2}});
  EXPECT_TRUE(sent().empty());
  ack(0, {{5, 6}, {3, 4}, {1, 2}});
  std::vector<uint32_t> again = sent();
  EXPECT_EQ(again, (Numbers{0}));
  ack(0, {{7, 8}, {5, 6}, {3, 4}});
  for (const uint32_t number : sent()) again.push_back(number);
  ack(0, {{9, 10}, {7, 8}, {5, 6}});
  for (const uint32_t number : sent()) again.push_back(number);
  ack(2, {{9, 10}, {7, 8}, {5, 6}});
  for (const uint32_t number : sent()) again.push_back(number);
  ack(4, {{9, 10}, {7, 8}, {5, 6}});
  for (const uint32_t number : sent()) again.push_back(number);
  ack(8, {{9, 10}});
  for (const uint32_t number : sent()) again.push_back(number);
  EXPECT_EQ(again, (Numbers{0, 2, 4, 6, 8}));
  ack(10);
  EXPECT_EQ(info().retransmissions, 5u);
  EXPECT_EQ(host_->tcp.counters().timeouts, 0u) << "with nothing new to send, a hole is filled on suspicion";
}

TEST_F(Loss, ReductionIsProportional) {  // RFC 6937 section 4: about beta segments for one that is delivered
  start(true);
  write(60);
  uint32_t acked = 0;
  sent();
  ack(acked = 10);
  sent();
  now_ += 10 * ms;
  ASSERT_EQ(info().congestion_window, 20 * kMss);
  // Segment 10 of 10 to 29 is lost.
  uint32_t count = 0;
  for (uint32_t i = 12; i <= 30; ++i) {
    ack(acked, {{11, i}});
    const auto now_sent = sent();
    EXPECT_LE(now_sent.size(), 1u) << "never a burst";
    count += static_cast<uint32_t>(now_sent.size());
  }
  // 19 deliveries: two by limited transmit, then 0.7 for each, the retransmission included.
  EXPECT_NEAR(count, 2 + 17 * 0.7, 1.5);
  EXPECT_EQ(info().retransmissions, 1u);
}

TEST_F(Loss, ALostRetransmissionIsRepeatedBeforeTheTimeout) {
  start(true);
  write(30);
  sent();
  now_ += 10 * ms;
  ack(0, {{1, 4}});
  EXPECT_EQ(sent(), (Numbers{0}));
  ack(0, {{1, 10}});
  const auto fresh = sent();
  ASSERT_GE(fresh.size(), 3u);
  EXPECT_EQ(fresh[0], 10u);
  ack(0, {{1, 13}});  // three sent after the retransmission have arrived
  const auto again = sent();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again[0], 0u);
  EXPECT_EQ(host_->tcp.counters().timeouts, 0u);
}

TEST_F(Loss, DuplicateSacksMoveNothing) {  // RFC 2883: D-SACK is tolerated
  start(true);
  write(10);
  sent();
  ack(5);
  for (int i = 0; i < 5; ++i) ack(5, {{2, 3}});
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(info().retransmissions, 0u);
  for (int i = 0; i < 5; ++i) ack(5);
  EXPECT_TRUE(sent().empty()) << "duplicate ACKs without SACK blocks report no arrival";
}

TEST_F(Loss, NewRenoWithoutSack) {  // RFC 6582 section 3.2
  start(false);
  write(30);
  EXPECT_EQ(sent().size(), 10u);
  now_ += 10 * ms;
  // Segments 0 and 4 are lost; eight duplicates come.
  ack(0);
  EXPECT_EQ(sent(), (Numbers{10})) << "limited transmit (RFC 3042)";
  ack(0);
  EXPECT_EQ(sent(), (Numbers{11}));
  ack(0);
  EXPECT_EQ(sent(), (Numbers{0}));
  for (int i = 0; i < 7; ++i) {
    ack(0);
    for (const uint32_t number : sent()) EXPECT_GE(number, 12u);
  }
  ack(4);  // partial: the next hole is sent at once
  const auto partial = sent();
  ASSERT_FALSE(partial.empty());
  EXPECT_EQ(partial[0], 4u);
  EXPECT_EQ(std::count(partial.begin(), partial.end(), 4u), 1);
  ack(12);
  sent();
  EXPECT_EQ(info().retransmissions, 2u);
  EXPECT_EQ(host_->tcp.counters().fast_recoveries, 1u);
  EXPECT_EQ(info().congestion_window, info().slow_start_threshold);
}

TEST_F(Loss, NewRenoEntersOncePerWindow) {  // RFC 6582 section 3.2 step 2: `recover`
  start(false);
  write(10);
  sent();
  for (int i = 0; i < 3; ++i) ack(0);
  EXPECT_EQ(sent(), (Numbers{0}));
  ack(10);
  write(10);
  const size_t count = sent().size();
  ASSERT_GT(count, 3u);
  for (int i = 0; i < 4; ++i) ack(10);  // late duplicates of the last recovery
  EXPECT_EQ(host_->tcp.counters().fast_recoveries, 1u);
}

TEST_F(Loss, TwoDuplicatesAreReordering) {
  for (const bool sack : {false, true}) {
    start(sack);
    write(10);
    sent();
    ack(0, sack ? std::initializer_list<std::pair<uint32_t, uint32_t>>{{1, 2}}
                : std::initializer_list<std::pair<uint32_t, uint32_t>>{});
    ack(0, sack ? std::initializer_list<std::pair<uint32_t, uint32_t>>{{1, 3}}
                : std::initializer_list<std::pair<uint32_t, uint32_t>>{});
    ack(10);
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(info().retransmissions, 0u);
    EXPECT_EQ(info().congestion_window, 10 * kMss);
  }
}

TEST_F(Loss, TimeoutsDouble) {  // RFC 6298 section 5
  start(true);
  write(1);
  const auto all = peer_->run(now_, now_ + 13 * kSecond);
  ASSERT_EQ(all.size(), 8u);   // the first, a probe, and six time-outs
  for (int i = 1; i < 7; ++i)  // 0.2 + 0.4 + 0.8 + ...
    EXPECT_NEAR(static_cast<double>(all[i + 1].first - all[1].first), 200e6 * ((1 << i) - 1), 2e6);
  EXPECT_EQ(info().retransmission_timeout, 200 * ms << 6);
  ack(1);
  EXPECT_EQ(info().retransmission_timeout, 200 * ms) << "progress ends the back-off";
}

TEST_F(Loss, AfterATimeoutOnlyTheFirstGoesAgainThenSlowStart) {  // RFC 5681 section 3.1
  start(true);
  write(10);
  sent();
  peer_->run(now_, now_ + 100 * ms);
  const auto again = peer_->run(now_, now_ + 150 * ms);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].second.seq, 1u);
  EXPECT_EQ(info().congestion_window, kMss);
  EXPECT_EQ(info().slow_start_threshold, 7 * kMss);
  ack(1);
  EXPECT_EQ(sent(), (Numbers{1, 2}));
  ack(3);
  EXPECT_EQ(sent(), (Numbers{3, 4, 5, 6}));
  ack(10);  // the rest had arrived
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(info().retransmissions, 8u) << "a probe, and seven";
}

TEST_F(Loss, AfterATimeoutWhatIsSackedStays) {  // RFC 6675 section 5.1
  start(true);
  write(10);
  sent();
  ack(0, {{5, 7}});
  Numbers numbers;
  for (const auto& [time, sent] : peer_->run(now_, now_ + 300 * ms)) numbers.push_back((sent.seq - 1) / kMss);
  EXPECT_EQ(host_->tcp.counters().timeouts, 1u);
  EXPECT_EQ(numbers.back(), 0u);
  for (uint32_t step = 1; step <= 5; ++step) {
    ack(step == 5 ? 7 : step, {{5, 7}});
    for (const uint32_t number : sent()) numbers.push_back(number);
  }
  for (const uint32_t number : numbers) EXPECT_TRUE(number < 5 || number >= 7) << number;
}

TEST_F(Loss, AReceiverMayRenege) {  // RFC 2018 section 8
  start(true);
  write(10);
  sent();
  ack(0, {{1, 10}});
  EXPECT_EQ(sent(), (Numbers{0}));
  ack(1);  // it has thrown away what it had sacked
  std::vector<std::pair<TimeNs, Sent>> all = peer_->run(now_, now_ + 300 * ms);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().second.seq, 1 + kMss) << "after a probe";
  ack(10);
  EXPECT_EQ(host_->tcp.tx_acked(id_), 10 * kMss);
}

TEST_F(Loss, KarnTakesNoSampleOfWhatWasSentTwice) {  // RFC 6298 section 3
  start(true);
  write(1);
  peer_->run(now_, now_ + 250 * ms);
  ack(1);
  EXPECT_LT(info().smoothed_rtt, 100 * ms) << "250 ms would be the time since the first transmission";
}

TEST_F(Loss, KarnHoldsInFastRecoveryToo) {
  start(true);
  write(10);
  sent();  // the first is being timed
  now_ += 10 * ms;
  ack(0, {{1, 10}});
  EXPECT_EQ(sent(), (Numbers{0}));
  now_ += 150 * ms;
  ack(10);
  EXPECT_LT(info().smoothed_rtt, 10 * ms) << "neither 150 nor 160 ms is known to be a round trip";
}

TEST_F(Loss, TimestampsTellRoundTripsOfRetransmissions) {  // RFC 7323 section 4.1
  start(true, true);
  now_ += kSecond;
  write(1);
  peer_->run(now_, now_ + 400 * ms);  // sent again after 200 ms; the echo is of that
  ack(1);
  EXPECT_GT(info().smoothed_rtt, 5 * ms);
  EXPECT_LT(info().smoothed_rtt, 210 * ms);
}

TEST_F(Loss, ASpuriousTimeoutIsUndone) {  // RFC 3522
  start(true, true);
  write(10);
  sent();
  const uint32_t original_ts = peer_->last_ts;
  peer_->run(now_, now_ + 250 * ms);
  EXPECT_EQ(info().congestion_window, kMss);
  // The ACK of the first transmission was only late: it echoes the time of that.
  peer_->last_ts = original_ts;
  ack(1);
  EXPECT_EQ(info().congestion_window, 10 * kMss);
  EXPECT_TRUE(sent().empty()) << "the rest is not repeated";
  ack(10);
  EXPECT_EQ(info().retransmissions, 2u) << "a probe, and the one";
}

TEST_F(Loss, AGenuineTimeoutIsNot) {
  start(true, true);
  write(10);
  sent();
  peer_->run(now_, now_ + 250 * ms);
  ack(1);
  EXPECT_LE(info().congestion_window, 2 * kMss);
}

TEST_F(Loss, ALostFinIsSentAgain) {
  start(true);
  write(1);
  host_->tcp.shutdown_write(now_, id_);
  sent();
  ack(1);
  const auto again = peer_->run(now_, now_ + 250 * ms);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].second.flags, kTcpFin | kTcpAck);
  EXPECT_EQ(again[0].second.seq, 1 + kMss);
  peer_->send(now_, kTcpAck, 1, 2 + kMss);
  EXPECT_EQ(host_->tcp.state(id_), State::fin_wait_2);
}

TEST_F(Loss, TheTimerRestartsWithProgress) {  // RFC 6298 section 5.3
  start(true);
  write(5);
  sent();
  for (uint32_t i = 1; i <= 4; ++i) {
    peer_->run(now_, now_ + 150 * ms);
    ack(i);
  }
  EXPECT_EQ(host_->tcp.counters().timeouts, 0u);
}

TEST_F(Loss,
       ProgressEndsTheBackOff) {  // RFC 6298 section 5.3: RTO from the ACK on, not from the last time-out
  start(true);
  write(10);
  sent();
  peer_->run(now_, now_ + 13 * kSecond);  // the next time-out is now seconds away
  ack(1);
  sent();
  const TimeNs progress = now_;
  const auto again = peer_->run(now_, now_ + 60 * kSecond);
  ASSERT_FALSE(again.empty());
  EXPECT_LE(again[0].first - progress, 201 * ms);
}

// Whatever the back-off had come to; and the next one counts from there.
TEST_F(Loss, AsksAgainAtOnceWhenTheLinkIsBack) {
  start(true);
  write(2);
  EXPECT_EQ(sent().size(), 2u);
  sent_within(20 * kSecond);
  host_->tcp.resume(now_);
  EXPECT_EQ(sent_within(500 * ms), (Times{{0, 0}, {400, 0}})) << "and then as after a first time-out";
  ack(2);
  host_->tcp.resume(now_);
  EXPECT_EQ(sent_within(kSecond), (Times{})) << "nobody waits for anything";
}

// A link that comes and goes uses up nobody's tries: they are counted from its last return.
TEST_F(Loss, ALinkThatFlapsEndsNothing) {
  start(true);
  write(2);
  EXPECT_EQ(sent().size(), 2u);
  for (int flap = 0; flap < 10; ++flap) {
    sent_within(2 * kSecond);
    host_->tcp.resume(now_);
  }
  EXPECT_FALSE(sent_within(20 * kSecond).empty()) << "it is still tried";
  EXPECT_EQ(host_->tcp.state(id_), State::established);
}

}  // namespace
}  // namespace skerry::tcp
