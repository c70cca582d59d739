// What a sender has outstanding and what of it is lost, in units of whole segments, with a least round-trip
// time of 8 ms: reordering windows of 2 ms.
#include <gtest/gtest.h>

#include <utility>

#include "base/random.hpp"
#include "tcp/recovery.hpp"

namespace skerry::tcp {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kMss = 100;
  SendWindow window_{0, 20 * kMss, kMss};
  Moment moment_{0xffffff00, 8000, 10000};
  Recovery recovery_;

  void SetUp() override { recovery_.start(window_); }
  uint32_t sack(uint32_t left, uint32_t right) {
    const SackBlock block{left * kMss, right * kMss};
    return recovery_.note_sacks({&block, 1}, window_.una, window_, moment_);
  }
  bool detect() { return recovery_.detect_loss(window_, true, moment_); }
  void enter_fast() { recovery_.enter_fast(window_, 20 * kMss, UINT32_MAX); }
  void acknowledge(uint32_t segment) {
    const uint32_t acked = segment * kMss - window_.una;
    window_.una = segment * kMss;
    recovery_.note_advance(window_, acked, true, moment_);
  }
  void send_new(uint32_t segments) {
    window_.nxt += segments * kMss;
    recovery_.note_new_data(window_);
  }
  void send_again(uint32_t left, uint32_t right) {
    recovery_.note_retransmission(window_, left * kMss, right * kMss, 0, moment_.now_us);
  }
  // The next hole in segments; {0, 0}: none.
  std::pair<uint32_t, uint32_t> hole() {
    Interval hole;
    if (!recovery_.next_hole(hole)) return {0, 0};
    return {hole.left / kMss, hole.right / kMss};
  }
  using Hole = std::pair<uint32_t, uint32_t>;
};

TEST_F(RecoveryTest, ThreeSegmentsAboveAreALoss) {  // RFC 8985 section 6.2 step 4, RFC 6675 section 4
  EXPECT_EQ(sack(1, 2), kMss);
  EXPECT_FALSE(detect());
  sack(1, 3);
  EXPECT_FALSE(detect());
  sack(1, 4);
  EXPECT_TRUE(detect());
}

TEST_F(RecoveryTest, ThreeIslandsAboveAreALoss) {
  sack(2, 3);
  sack(4, 5);
  EXPECT_FALSE(detect());
  const SackBlock small{6 * kMss, 6 * kMss + 1};
  recovery_.note_sacks({&small, 1}, 0, window_, moment_);
  EXPECT_TRUE(detect());
}

TEST_F(RecoveryTest, OneSegmentAboveIsALossAfterAQuarterOfARoundTrip) {  // RFC 8985 section 6.2 step 5
  sack(1, 2);
  EXPECT_FALSE(detect());
  EXPECT_EQ(recovery_.wait_us(), 2000u);
  moment_.now_us += 1999;
  EXPECT_FALSE(detect());
  EXPECT_EQ(recovery_.wait_us(), 1u);
  moment_.now_us += 1;  // the clock wrapped meanwhile
  EXPECT_TRUE(detect());
  EXPECT_EQ(recovery_.wait_us(), 0u);
  enter_fast();
  EXPECT_EQ(hole(), Hole(0, 1)) << "what lies above the sacked may still be on its way";
}

TEST_F(RecoveryTest, TheReorderingWindowIsAtMostOneRoundTrip) {
  sack(5, 6);
  for (int i = 0; i < 100; ++i) {  // every round trip something was sent again needlessly
    send_again(0, 1);
    recovery_.note_received_twice({0, kMss}, window_);
    EXPECT_EQ(recovery_.reordering_window_us(window_, moment_), std::min(4000u + i * 2000u, 10000u));
    acknowledge(window_.nxt / kMss);
    send_new(20);
  }
}

TEST_F(RecoveryTest, TwoNeedlessInOneRoundTripWidenOnce) {  // RFC 8985 section 6.2 step 4
  send_again(0, 4);
  recovery_.note_received_twice({0, kMss}, window_);
  recovery_.note_received_twice({kMss, 2 * kMss}, window_);
  EXPECT_EQ(recovery_.reordering_window_us(window_, moment_), 4000u);
}

TEST_F(RecoveryTest, WhatTheNetworkDoubledWidensNothing) {
  send_again(3, 4);
  recovery_.note_received_twice({0, kMss}, window_);
  recovery_.note_received_twice({5 * kMss, 6 * kMss}, window_);
  recovery_.note_received_twice({4 * kMss, 3 * kMss}, window_);
  EXPECT_EQ(recovery_.reordering_window_us(window_, moment_), 2000u);
}

TEST_F(RecoveryTest, SixteenRecoveriesNarrowTheWindow) {  // RFC 8985 section 6.2 step 4
  send_again(0, 1);
  recovery_.note_received_twice({0, kMss}, window_);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(recovery_.reordering_window_us(window_, moment_), 4000u);
    enter_fast();
    recovery_.leave(window_, true);
  }
  EXPECT_EQ(recovery_.reordering_window_us(window_, moment_), 2000u);
}

TEST_F(RecoveryTest, WhereThePathReordersThreeSegmentsProveNothing) {  // RFC 8985 section 6.2 steps 3 and 4
  sack(1, 2);
  EXPECT_FALSE(detect());
  EXPECT_EQ(sack(0, 1), kMss);  // it was only late
  EXPECT_FALSE(detect());
  sack(3, 10);
  EXPECT_FALSE(detect());
  moment_.now_us += 2000;
  EXPECT_TRUE(detect());
  enter_fast();
  EXPECT_EQ(hole(), Hole(2, 3));
}

TEST_F(RecoveryTest, PipeCountsWhatIsInTheNetwork) {  // RFC 6675 section 4, SetPipe
  EXPECT_EQ(recovery_.in_flight(window_), 20 * kMss);
  sack(5, 10);
  EXPECT_EQ(recovery_.in_flight(window_), 15 * kMss);
  EXPECT_TRUE(detect());
  enter_fast();
  EXPECT_EQ(recovery_.in_flight(window_), 10 * kMss) << "0 to 5 are lost, 5 to 10 sacked";
  EXPECT_EQ(hole(), Hole(0, 5));
  send_again(0, 2);
  EXPECT_EQ(recovery_.in_flight(window_), 12 * kMss);
  EXPECT_EQ(hole(), Hole(2, 5));
  send_new(3);
  EXPECT_EQ(recovery_.in_flight(window_), 15 * kMss);
}

TEST_F(RecoveryTest, HolesAreVisitedInOrderAndOnce) {
  sack(1, 2);
  sack(3, 4);
  sack(6, 10);
  EXPECT_TRUE(detect());
  enter_fast();
  for (const Hole& want : {Hole(0, 1), Hole(2, 3), Hole(4, 6)}) {
    EXPECT_EQ(hole(), want);
    send_again(want.first, want.second);
  }
  EXPECT_EQ(hole(), Hole(0, 0));
}

TEST_F(RecoveryTest, DuplicatesAndNonsenseAreTolerated) {  // RFC 2883 section 5
  const SackBlock blocks[] = {{static_cast<uint32_t>(-100), 0}, {300, 200}, {1900, 2100}, {0, 0}};
  EXPECT_EQ(recovery_.note_sacks(blocks, 0, window_, moment_), 0u);
  EXPECT_EQ(sack(5, 6), kMss);
  EXPECT_EQ(sack(5, 6), 0u);
}

TEST_F(RecoveryTest, RenegingForgetsTheScoreboard) {  // RFC 2018 section 8
  sack(5, 10);
  acknowledge(5);
  EXPECT_EQ(recovery_.sacked_bytes(), 0u);
}

TEST_F(RecoveryTest, ALostRetransmissionIsSeenByNewData) {  // RFC 8985 section 3.1
  sack(1, 5);
  EXPECT_TRUE(detect());
  enter_fast();
  send_again(0, 1);
  moment_.now_us += 8000;
  sack(5, 20);  // all sent before the retransmission
  detect();
  EXPECT_EQ(hole(), Hole(0, 0)) << "it may still be on its way";
  send_new(5);
  sack(20, 21);
  detect();
  EXPECT_EQ(hole(), Hole(0, 1));
}

TEST_F(RecoveryTest, ALostRetransmissionIsSeenByALaterOne) {
  sack(1, 2);
  sack(3, 10);
  EXPECT_TRUE(detect());
  enter_fast();
  send_again(0, 1);
  moment_.now_us += 100;
  send_again(2, 3);
  moment_.now_us += 8000;
  sack(1, 10);  // the second arrived
  detect();
  EXPECT_EQ(hole(), Hole(0, 1));
}

TEST_F(RecoveryTest, AnAnswerSoonerThanARoundTripIsToTheOriginal) {  // RFC 8985 section 6.2 step 2
  sack(1, 2);
  sack(3, 10);
  EXPECT_TRUE(detect());
  enter_fast();
  send_again(0, 1);
  moment_.now_us += 100;
  send_again(2, 3);
  moment_.now_us += 7999;
  sack(1, 10);
  detect();
  EXPECT_EQ(hole(), Hole(0, 0)) << "the original of 2 was late, which says nothing about 0 sent again";
}

TEST_F(RecoveryTest, AProbeShowsAllThatWasSentBeforeIt) {  // RFC 8985 section 7
  send_again(19, 20);
  send_new(5);
  moment_.now_us += 8000;
  sack(19, 20);
  EXPECT_FALSE(detect());
  moment_.now_us += 2000;
  EXPECT_TRUE(detect());
  enter_fast();
  EXPECT_EQ(hole(), Hole(0, 19)) << "and nothing that was sent after it";
  send_again(0, 19);
  EXPECT_EQ(hole(), Hole(0, 0));
}

// Whatever is lost goes again, piece by piece and at different times, also when each piece asks for a run.
TEST_F(RecoveryTest, AFullScoreboardSkipsNothingThatIsLost) {
  window_.nxt = 200 * kMss;
  recovery_.start(window_);
  for (uint32_t hole = 0; hole < 40; ++hole) sack(4 * hole + 3, 4 * hole + 4);
  ASSERT_TRUE(detect());
  enter_fast();
  const uint32_t lost = window_.nxt - window_.una - recovery_.sacked_bytes() - recovery_.in_flight(window_);
  ASSERT_GE(lost, 50 * kMss);
  uint32_t again = 0;
  for (Hole next = hole(); next != Hole(0, 0) && again <= lost; next = hole()) {
    moment_.now_us += 10;
    send_again(next.first, next.first + 1);
    again += kMss;
  }
  EXPECT_EQ(again, lost);
}

TEST_F(RecoveryTest, AFullScoreboardForgetsButNeverInvents) {
  window_.nxt = 400 * kMss;
  recovery_.start(window_);
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    moment_.now_us += random.below(3000);
    const uint32_t at = window_.una / kMss + random.below(400);
    if (const uint32_t right = at + 1 + random.below(3); right * kMss <= window_.nxt) sack(at, right);
    detect();
    if (recovery_.phase() == Recovery::Phase::open) enter_fast();
    for (int i = 0; i < 3 && hole() != Hole(0, 0); ++i) send_again(hole().first, hole().first + 1);
    if (random.chance(0.1))
      acknowledge(window_.una / kMss + random.below((window_.nxt - window_.una) / kMss));
    if (random.chance(0.3)) send_new(random.below(30));
    ASSERT_LE(recovery_.in_flight(window_), window_.nxt - window_.una);
    ASSERT_LE(recovery_.sacked_bytes(), window_.nxt - window_.una);
    if (const auto [left, right] = hole(); right != 0) {
      ASSERT_LE(window_.una, left * kMss);
      ASSERT_LT(left, right);
      ASSERT_LE(right * kMss, window_.nxt);
    }
    if (random.chance(0.02)) recovery_.enter_loss(window_, 10 * kMss, UINT32_MAX);
    if (recovery_.is_complete(window_.una)) recovery_.leave(window_, true);
  }
}

}  // namespace
}  // namespace skerry::tcp
