#include "shm/slot_pool.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(SlotPool, HandsOutTheSlotThatWasFreedLast) {
  SlotPool pool(4, 2);
  const uint32_t first = *pool.take(SlotSize::kSmall);
  const uint32_t second = *pool.take(SlotSize::kSmall);
  pool.put_back(first);
  pool.put_back(second);
  EXPECT_EQ(pool.take(SlotSize::kSmall), second);
}

TEST(SlotPool, SizesAreSeparate) {
  SlotPool pool(1, 1);
  const std::optional<uint32_t> large = pool.take(SlotSize::kLarge);
  ASSERT_TRUE(large);
  EXPECT_EQ(pool.size_of(*large), SlotSize::kLarge);
  EXPECT_FALSE(pool.take(SlotSize::kLarge));
  EXPECT_EQ(pool.free_slots(SlotSize::kLarge), 0u);
  EXPECT_TRUE(pool.take(SlotSize::kSmall));
}

TEST(SlotPool, OnlyWhatIsLentComesBack) {
  SlotPool pool(2, 0);
  const uint32_t slot = *pool.take(SlotSize::kSmall);
  EXPECT_FALSE(pool.reclaim(slot));  // not lent yet
  pool.lend(slot);
  EXPECT_EQ(pool.free_slots(SlotSize::kSmall), 1u);
  EXPECT_TRUE(pool.reclaim(slot));
  EXPECT_FALSE(pool.reclaim(slot));  // twice
  EXPECT_FALSE(pool.reclaim(1));     // never
  EXPECT_FALSE(pool.reclaim(2));     // no such slot
  EXPECT_FALSE(pool.reclaim(UINT32_MAX));
  EXPECT_EQ(pool.free_slots(SlotSize::kSmall), 2u);
}

TEST(SlotPoolDeathTest, OurOwnMistakesAreNotCounted) {
  SlotPool pool(2, 0);
  EXPECT_DEATH(pool.lend(0), "CHECK");
  const uint32_t slot = *pool.take(SlotSize::kSmall);
  pool.lend(slot);
  EXPECT_DEATH(pool.lend(slot), "CHECK");
  EXPECT_DEATH(pool.put_back(slot), "CHECK");
}

}  // namespace
}  // namespace skerry
