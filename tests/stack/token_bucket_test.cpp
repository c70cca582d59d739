#include "stack/token_bucket.hpp"

#include <gtest/gtest.h>

namespace skerry::stack {
namespace {

TEST(TokenBucket, BurstThenTheRate) {
  Random random(1);
  TokenBucket bucket(1000, 90);
  TimeNs now = 50 * kSecond;
  int burst = 0;
  while (bucket.take(now, random)) ++burst;
  EXPECT_GE(burst, 30);  // one to three tokens each
  EXPECT_LE(burst, 90);

  int later = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += 100 * kMicrosecond;
    later += bucket.take(now, random);
  }
  EXPECT_GE(later, 3333);  // ten seconds
  EXPECT_LE(later, 10'000);
}

TEST(TokenBucket, NothingIsEarnedBeyondTheBurst) {
  Random random(1);
  TokenBucket bucket(1000, 10);
  EXPECT_TRUE(bucket.take(kSecond, random));
  int taken = 0;
  while (bucket.take(1000 * kSecond, random)) ++taken;
  EXPECT_LE(taken, 10);
}

}  // namespace
}  // namespace skerry::stack
