#include "supervisor/restart.hpp"

#include <gtest/gtest.h>

namespace skerry::supervisor {
namespace {

TEST(RestartBudget, StartsAtOnceWhoLivedLong) {
  RestartBudget budget;
  for (TimeNs now = 0; now < 100 * kSecond; now += kSecond) EXPECT_EQ(budget.died(now, 10 * kSecond), 0U);
}

TEST(RestartBudget, BacksOffFromWhoDiesYoungAndThenGivesUp) {
  RestartBudget budget;
  for (const DurationNs delay_ms : {100, 200, 400, 800, 1600})
    EXPECT_EQ(budget.died(kSecond, 0), delay_ms * kMillisecond);
  EXPECT_EQ(budget.died(kSecond, 0), std::nullopt);
}

TEST(RestartBudget, ForgetsAfterAWindowAndAfterALongLife) {
  RestartBudget budget;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(budget.died(kSecond, 0));
  EXPECT_EQ(budget.died(62 * kSecond, 0), 100 * kMillisecond);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(budget.died(62 * kSecond, 0));
  EXPECT_EQ(budget.died(80 * kSecond, 15 * kSecond), 0U);
  EXPECT_EQ(budget.died(80 * kSecond, 0), 100 * kMillisecond);
}

TEST(Heartbeat, TakesForHungWhoNeitherBreathesNorSleeps) {
  Heartbeat heart;
  heart.begin(0);
  EXPECT_FALSE(heart.hung(5 * kSecond, 0, false, 0));
  EXPECT_TRUE(heart.hung(5 * kSecond + 1, 0, false, 0));
}

TEST(Heartbeat, BreathOrSleepIsLife) {
  Heartbeat heart;
  heart.begin(0);
  EXPECT_FALSE(heart.hung(6 * kSecond, 1, false, 6 * kSecond));
  EXPECT_FALSE(heart.hung(100 * kSecond, 1, true, 6 * kSecond));
  EXPECT_FALSE(heart.hung(105 * kSecond, 1, false, 6 * kSecond));
  EXPECT_TRUE(heart.hung(106 * kSecond, 1, false, 6 * kSecond));
}

TEST(Heartbeat, ASleeperThatUsesTheCoreIsHung) {
  Heartbeat heart;
  heart.begin(0);
  EXPECT_FALSE(heart.hung(1 * kSecond, 7, true, 2 * kSecond));
  EXPECT_FALSE(heart.hung(10 * kSecond, 7, true, 2 * kSecond + kMillisecond));
  EXPECT_FALSE(heart.hung(11 * kSecond, 7, true, 4 * kSecond));
  EXPECT_TRUE(heart.hung(16 * kSecond, 7, true, 9 * kSecond));
}

}  // namespace
}  // namespace skerry::supervisor
