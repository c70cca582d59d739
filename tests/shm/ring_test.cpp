#include "shm/ring.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace skerry {
namespace {

struct Entry {
  uint64_t first;
  uint64_t second;
};

constexpr uint32_t kCapacity = 8;

struct RingTest : testing::Test {
  alignas(kSharingBytes) std::byte memory[RingEntry<Entry>::ring_bytes(kCapacity)] = {};
  RingIndices& indices() { return *reinterpret_cast<RingIndices*>(memory); }
  RingProducer<Entry> producer{memory, kCapacity};
  RingConsumer<Entry> consumer{memory, kCapacity};
  Entry out[16] = {};

  void stage(uint64_t value) {
    ASSERT_GE(producer.room(1), 1u);
    const Entry entry{value, ~value};
    producer.stage(&entry, 1);
  }
};

TEST_F(RingTest, NothingIsSeenBeforePublish) {
  stage(1);
  stage(2);
  EXPECT_EQ(producer.staged(), 2u);
  EXPECT_FALSE(consumer.has_news());
  EXPECT_EQ(consumer.pop(out, 16), 0u);
  producer.publish();
  EXPECT_EQ(producer.staged(), 0u);
  EXPECT_TRUE(consumer.has_news());
  EXPECT_EQ(consumer.pop(out, 16), 2u);
  EXPECT_EQ(out[1].first, 2u);
  EXPECT_EQ(out[1].second, ~uint64_t{2});
}

TEST_F(RingTest, FullUntilConsumed) {
  for (uint64_t value = 0; value < kCapacity; ++value) stage(value);
  EXPECT_EQ(producer.room(1), 0u);
  producer.publish();
  EXPECT_EQ(consumer.pop(out, 3), 3u);
  EXPECT_EQ(producer.room(1), 3u);
  EXPECT_FALSE(producer.broken());
}

TEST_F(RingTest, KeepsOrderAcrossTheWrap) {
  uint64_t in_value = 0, out_value = 0;
  for (int round = 0; round < 1000; ++round) {
    const uint32_t count = round % (kCapacity + 1);
    for (uint32_t n = 0; n < count; ++n) stage(in_value++);
    producer.publish();
    for (uint32_t left = count; left > 0;) {
      const uint32_t got = consumer.pop(out, 3);
      ASSERT_GT(got, 0u);
      for (uint32_t n = 0; n < got; ++n) ASSERT_EQ(out[n].first, out_value++);
      left -= got;
    }
  }
}

TEST_F(RingTest, AProducerFurtherThanTheCapacityBreaksIt) {
  indices().produced = kCapacity + 1;
  EXPECT_EQ(consumer.pop(out, 16), 0u);
  EXPECT_TRUE(consumer.broken());
  indices().produced = 1;
  EXPECT_EQ(consumer.pop(out, 16), 0u);  // for good
}

TEST_F(RingTest, AProducerThatGoesBackBreaksIt) {
  stage(1);
  stage(2);
  producer.publish();
  EXPECT_EQ(consumer.pop(out, 1), 1u);
  indices().produced = 1;  // the second entry was seen already
  EXPECT_EQ(consumer.pop(out, 2), 0u);
  EXPECT_TRUE(consumer.broken());
}

TEST_F(RingTest, AConsumerAheadOfTheProducerBreaksIt) {
  for (uint64_t value = 0; value < kCapacity; ++value) stage(value);
  producer.publish();
  indices().consumed = kCapacity + 1;
  EXPECT_EQ(producer.room(1), 0u);
  EXPECT_TRUE(producer.broken());
}

// Under ThreadSanitizer this shows that entries travel by the indices' acquire and release alone.
TEST(RingThreads, EveryEntryArrivesOnceAndInOrder) {
  constexpr uint64_t kEntries = 200'000;
  constexpr uint32_t kLength = 64;
  std::vector<std::byte> storage(RingEntry<Entry>::ring_bytes(kLength) + kSharingBytes);
  auto* const memory = reinterpret_cast<std::byte*>(
      (reinterpret_cast<uintptr_t>(storage.data()) + kSharingBytes - 1) & ~uintptr_t{kSharingBytes - 1});
  std::thread sender([memory] {
    RingProducer<Entry> producer(memory, kLength);
    for (uint64_t value = 0; value < kEntries;) {
      for (; value < kEntries && producer.room(1) > 0; ++value) {
        const Entry entry{value, value * 3};
        producer.stage(&entry, 1);
      }
      producer.publish();
      std::this_thread::yield();
    }
  });
  RingConsumer<Entry> consumer(memory, kLength);
  Entry out[32];
  for (uint64_t expected = 0; expected < kEntries;) {
    const uint32_t count = consumer.pop(out, 32);
    for (uint32_t n = 0; n < count; ++n, ++expected) {
      ASSERT_EQ(out[n].first, expected);
      ASSERT_EQ(out[n].second, expected * 3);
    }
    if (count == 0) std::this_thread::yield();
  }
  sender.join();
}

}  // namespace
}  // namespace skerry
