#include "stack/neighbours.hpp"

#include <gtest/gtest.h>

namespace skerry::stack {
namespace {

constexpr MacAddress kMac{{2, 0, 0, 0, 0, 9}};
constexpr Ipv4Address kAddress = 0x0a000009;

Frame frame_number(uint32_t number) {
  Frame frame;
  frame.slot = number;
  return frame;
}

class NeighboursTest : public testing::Test {
 protected:
  // The questions that are due now.
  std::vector<Neighbours::Question> questions() {
    std::vector<Neighbours::Question> asked;
    Neighbours::Question question;
    while (cache_.next_question(now_, question)) asked.push_back(question);
    return asked;
  }

  Neighbours cache_{4, 12345};
  TimeNs now_ = 500 * kSecond;
};

TEST_F(NeighboursTest, AsksThreeTimesOnceASecondThenGivesUp) {
  const uint32_t index = cache_.resolve(now_, kAddress);
  ASSERT_NE(index, Neighbours::kNone);
  for (int i = 0; i < 3; ++i) {
    EXPECT_LE(cache_.deadline(), now_);
    EXPECT_FALSE(cache_.next_failed(now_));
    const auto asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].address, kAddress);
    EXPECT_TRUE(asked[0].to.is_broadcast());
    EXPECT_EQ(cache_.deadline(), now_ + kSecond);
    now_ += kSecond - 1;
    EXPECT_TRUE(questions().empty());
    now_ += 1;
  }
  ASSERT_EQ(cache_.next_failed(now_), index);
  cache_.forget(index);
  EXPECT_TRUE(questions().empty());
  EXPECT_EQ(cache_.deadline(), kNever);
  EXPECT_EQ(cache_.find(kAddress), Neighbours::kNone);
}

// Who is in use stays so, and is found under another MAC too.
TEST_F(NeighboursTest, DoubtAsksEverybodyAndGoesOn) {
  const uint32_t index = cache_.resolve(now_, kAddress);
  ASSERT_TRUE(cache_.learn(now_, kAddress, kMac, false));
  cache_.doubt(now_);
  ASSERT_NE(cache_.use(now_, index), nullptr);
  const auto asked = questions();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].address, kAddress);
  EXPECT_TRUE(asked[0].to.is_broadcast());
  constexpr MacAddress kNewMac{{2, 0, 0, 0, 0, 10}};
  ASSERT_TRUE(cache_.learn(now_, kAddress, kNewMac, false));
  EXPECT_EQ(*cache_.use(now_, index), kNewMac);
  now_ += kSecond;
  EXPECT_TRUE(questions().empty()) << "he has answered";
  // Who has not been used for long is nobody's worry.
  now_ += 2 * Neighbours::kUnusedTime;
  cache_.doubt(now_);
  EXPECT_TRUE(questions().empty());
}

TEST_F(NeighboursTest, ResolvingTwiceAsksOnce) {
  EXPECT_EQ(cache_.resolve(now_, kAddress), cache_.resolve(now_, kAddress));
  EXPECT_EQ(questions().size(), 1u);
}

TEST_F(NeighboursTest, AnAnswerEndsTheQuestions) {
  const uint32_t index = cache_.resolve(now_, kAddress);
  EXPECT_EQ(cache_.use(now_, index), nullptr);
  questions();
  EXPECT_TRUE(cache_.learn(now_, kAddress, kMac, false));
  ASSERT_NE(cache_.use(now_, index), nullptr);
  EXPECT_EQ(*cache_.use(now_, index), kMac);
  now_ += 5 * kSecond;
  EXPECT_TRUE(questions().empty());
  EXPECT_EQ(cache_.deadline(), kNever);
}

TEST_F(NeighboursTest, StrangersAreLearntOnlyWhenAskedTo) {
  EXPECT_FALSE(cache_.learn(now_, kAddress, kMac, false));
  EXPECT_EQ(cache_.size(), 0u);
  EXPECT_TRUE(cache_.learn(now_, kAddress, kMac, true));
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(NeighboursTest, AnOldEntryIsUsedWhileItIsProbed) {
  cache_.learn(now_, kAddress, kMac, true);
  const uint32_t index = cache_.find(kAddress);
  now_ += Neighbours::kReachableTime + 1;
  ASSERT_NE(cache_.use(now_, index), nullptr);
  const auto asked = questions();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].to, kMac);  // not a broadcast
  ASSERT_NE(cache_.use(now_, index), nullptr);
  EXPECT_TRUE(questions().empty());
  now_ += 3 * kSecond;
  for (int i = 0; i < 2; ++i) questions(), now_ += kSecond;
  EXPECT_EQ(cache_.next_failed(now_), index);
}

TEST_F(NeighboursTest, TrafficConfirms) {
  cache_.learn(now_, kAddress, kMac, true);
  const uint32_t index = cache_.find(kAddress);
  now_ += 20 * kSecond;
  cache_.confirm(now_, index, kMac);
  now_ += 20 * kSecond;
  cache_.use(now_, index);
  EXPECT_TRUE(questions().empty());
  cache_.confirm(now_, index, MacAddress{{2, 0, 0, 0, 0, 8}});  // somebody else's traffic
  now_ += 20 * kSecond;
  cache_.use(now_, index);
  EXPECT_EQ(questions().size(), 1u);
  cache_.confirm(now_, index, kMac);
  now_ += 2 * kSecond;
  EXPECT_TRUE(questions().empty());
}

TEST_F(NeighboursTest, FramesWaitForTheirNeighbourInOrder) {
  const uint32_t one = cache_.resolve(now_, kAddress);
  const uint32_t two = cache_.resolve(now_, kAddress + 1);
  EXPECT_TRUE(cache_.hold(one, frame_number(1)));
  EXPECT_TRUE(cache_.hold(two, frame_number(2)));
  EXPECT_TRUE(cache_.hold(one, frame_number(3)));
  EXPECT_FALSE(cache_.next_ready());
  cache_.learn(now_, kAddress, kMac, false);
  auto ready = cache_.next_ready();
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->frame.slot, 1u);
  EXPECT_EQ(ready->mac, kMac);
  ready = cache_.next_ready();
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->frame.slot, 3u);
  EXPECT_FALSE(cache_.next_ready());
  EXPECT_EQ(cache_.held(), 1u);
  EXPECT_EQ(cache_.take_held(two)->slot, 2u);
  EXPECT_FALSE(cache_.take_held(two));
}

TEST_F(NeighboursTest, TheFirstFramesWait) {
  for (uint32_t neighbour = 0; neighbour < 3; ++neighbour) {
    const uint32_t index = cache_.resolve(now_, kAddress + neighbour);
    const uint32_t most = neighbour < 2 ? Neighbours::kHeldPerNeighbour : 0;  // two fill what there is in all
    for (uint32_t i = 0; i < most; ++i) EXPECT_TRUE(cache_.hold(index, frame_number(i)));
    EXPECT_FALSE(cache_.hold(index, frame_number(1000)));
  }
  EXPECT_EQ(cache_.held(), Neighbours::kHeldFrames);
  cache_.learn(now_, kAddress, kMac, false);
  for (uint32_t i = 0; i < Neighbours::kHeldPerNeighbour; ++i) EXPECT_EQ(cache_.next_ready()->frame.slot, i);
}

TEST_F(NeighboursTest, AFullTableForgetsTheLeastRecentlyUsed) {
  for (uint32_t i = 0; i < 4; ++i) {
    cache_.learn(now_, kAddress + i, kMac, true);
    now_ += kSecond;
  }
  cache_.use(now_, cache_.find(kAddress));
  ASSERT_NE(cache_.resolve(now_, kAddress + 7), Neighbours::kNone);
  EXPECT_EQ(cache_.size(), 4u);
  EXPECT_NE(cache_.find(kAddress), Neighbours::kNone);
  EXPECT_EQ(cache_.find(kAddress + 1), Neighbours::kNone);
}

TEST_F(NeighboursTest, StrangersDoNotPushOutWhatIsInUse) {
  for (uint32_t i = 0; i < 4; ++i) cache_.learn(now_, kAddress + i, kMac, true);
  EXPECT_FALSE(cache_.learn(now_, kAddress + 7, kMac, true));
  now_ += Neighbours::kUnusedTime;
  EXPECT_TRUE(cache_.learn(now_, kAddress + 7, kMac, true));
}

TEST_F(NeighboursTest, QuestionsUnderWayAreNotPushedOut) {
  for (uint32_t i = 0; i < 4; ++i) cache_.resolve(now_, kAddress + i);
  EXPECT_EQ(cache_.resolve(now_, kAddress + 7), Neighbours::kNone);
}

TEST_F(NeighboursTest, AnEntryWithWaitingFramesIsNotPushedOut) {
  for (uint32_t i = 0; i < 4; ++i) cache_.resolve(now_, kAddress + i);
  cache_.hold(cache_.find(kAddress), frame_number(1));
  for (uint32_t i = 0; i < 4; ++i) cache_.learn(now_, kAddress + i, kMac, false);
  ASSERT_NE(cache_.resolve(now_ + kSecond, kAddress + 7), Neighbours::kNone);
  EXPECT_NE(cache_.find(kAddress), Neighbours::kNone);
  EXPECT_EQ(cache_.next_ready()->frame.slot, 1u);
}

}  // namespace
}  // namespace skerry::stack
