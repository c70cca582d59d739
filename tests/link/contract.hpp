// The contract of src/link/link.hpp as tests. A new kind of link adds a world to the list in
// contract_test.cpp.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <vector>

#include "base/random.hpp"
#include "link/link.hpp"
#include "worlds.hpp"

namespace skerry {

// A frame that says its own number in every byte, so that a mixed-up slot shows.
template <Link L>
std::optional<Frame> numbered_frame(L& link, uint32_t number, uint32_t bytes) {
  std::optional<Frame> frame = link.allocate(bytes);
  if (!frame) return frame;
  const Bytes data = link.data(*frame);
  std::memset(data.data(), static_cast<int>(number * 31 & 0xff), data.size());
  if (data.size() >= 4) std::memcpy(data.data(), &number, 4);
  return frame;
}

template <Link L>
void expect_number(L& link, const Frame& frame, uint32_t number, uint32_t bytes) {
  const Bytes data = link.data(frame);
  ASSERT_EQ(data.size(), bytes);
  uint32_t found;
  std::memcpy(&found, data.data(), 4);
  ASSERT_EQ(found, number);
  for (uint32_t at = 4; at < bytes; ++at) ASSERT_EQ(data[at], static_cast<uint8_t>(number * 31));
}

template <Link L>
bool send_one(L& link, const Frame& frame) {
  return link.send({&frame, 1}) == 1;
}

template <class World>
class LinkContract : public testing::Test {
 protected:
  World world;
};

TYPED_TEST_SUITE_P(LinkContract);

TYPED_TEST_P(LinkContract, AllocateLeavesTheHeadroom) {
  auto& a = this->world.a();
  for (const uint32_t bytes : {1u, 60u, 1514u}) {
    const std::optional<Frame> frame = a.allocate(bytes);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->offset, a.facts().headroom);
    EXPECT_EQ(frame->length, bytes);
    EXPECT_EQ(frame->flags, 0);
    EXPECT_EQ(a.data(*frame).size(), bytes);
    a.give_back(*frame);
  }
  EXPECT_FALSE(a.allocate(a.facts().max_frame + 1));
}

TYPED_TEST_P(LinkContract, BytesTravelBothWays) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  for (uint32_t number = 0; number < 200; ++number) {
    const uint32_t bytes = 60 + number * 7;
    ASSERT_TRUE(send_one(a, *numbered_frame(a, number, bytes)));
    ASSERT_TRUE(send_one(b, *numbered_frame(b, number + 1000, bytes)));
    FrameBatch at_a, at_b;
    a.receive(at_a);
    b.receive(at_b);
    ASSERT_EQ(at_a.count, 1u);
    ASSERT_EQ(at_b.count, 1u);
    expect_number(a, at_a.frames[0], number + 1000, bytes);
    expect_number(b, at_b.frames[0], number, bytes);
    a.give_back(at_a.frames[0]);
    b.give_back(at_b.frames[0]);
  }
}

TYPED_TEST_P(LinkContract, ReceiveAppendsUpToTheRoom) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  for (uint32_t number = 0; number < 10; ++number) ASSERT_TRUE(send_one(a, *numbered_frame(a, number, 64)));
  FrameBatch batch;
  Frame mark;
  mark.slot = 12'345;
  for (uint32_t n = 0; n < kBatch - 4; ++n) batch.push(mark);
  b.receive(batch);
  ASSERT_EQ(batch.count, kBatch);
  EXPECT_EQ(batch.frames[kBatch - 5].slot, 12'345u);
  for (uint32_t n = 0; n < 4; ++n) expect_number(b, batch.frames[kBatch - 4 + n], n, 64);
  b.receive(batch);
  EXPECT_EQ(batch.count, kBatch);
  FrameBatch rest;
  b.receive(rest);
  ASSERT_EQ(rest.count, 6u);
  expect_number(b, rest.frames[0], 4, 64);
}

// What was not sent is still the caller's; what was sent comes out, in order and once.
TYPED_TEST_P(LinkContract, BackpressureNeverLosesAFrame) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  Random random(7);
  std::deque<Frame> waiting;
  uint32_t made = 0, seen = 0;
  int refusals = 0;
  constexpr uint32_t kFrames = 5000;
  for (int round = 0; seen < kFrames; ++round) {
    ASSERT_LT(round, 100'000);
    for (uint32_t wish = random.below(40); wish > 0 && made < kFrames; --wish) {
      const std::optional<Frame> frame = numbered_frame(a, made, 64 + made % 100);
      if (!frame) {
        ++refusals;
        break;
      }
      waiting.push_back(*frame);
      ++made;
    }
    const std::vector<Frame> list(waiting.begin(), waiting.end());
    const size_t sent = a.send(list);
    ASSERT_LE(sent, list.size());
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(sent));
    if (random.chance(0.3)) continue;
    FrameBatch batch;
    b.receive(batch);
    for (const Frame& frame : batch.view()) {
      expect_number(b, frame, seen, 64 + seen % 100);
      ++seen;
      b.give_back(frame);
    }
  }
  EXPECT_GT(refusals, 0);
}

TYPED_TEST_P(LinkContract, MemoryComesBack) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  std::vector<Frame> frames;
  while (const std::optional<Frame> frame = a.allocate(64)) frames.push_back(*frame);
  ASSERT_GT(frames.size(), 0u);
  for (const Frame& frame : frames) a.give_back(frame);  // never sent
  const size_t all = frames.size();
  for (int round = 0; round < 5; ++round) {
    for (size_t n = 0; n < all; ++n) ASSERT_TRUE(send_one(a, *numbered_frame(a, 1, 64)));
    ASSERT_FALSE(a.allocate(64));
    for (size_t got = 0; got < all;) {
      FrameBatch batch;
      b.receive(batch);
      ASSERT_GT(batch.count, 0u);
      for (const Frame& frame : batch.view()) b.give_back(frame);
      got += batch.count;
    }
    b.arm();  // what is given back has left by the time its owner sleeps
    b.disarm();
  }
}

TYPED_TEST_P(LinkContract, AFrameIsItsReceiversUntilGivenBack) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  ASSERT_TRUE(send_one(a, *numbered_frame(a, 77, 500)));
  FrameBatch kept;
  b.receive(kept);
  ASSERT_EQ(kept.count, 1u);
  for (uint32_t number = 0; number < 1000; ++number) {
    ASSERT_TRUE(send_one(a, *numbered_frame(a, number, 500)));
    FrameBatch batch;
    b.receive(batch);
    ASSERT_EQ(batch.count, 1u);
    b.give_back(batch.frames[0]);
  }
  expect_number(b, kept.frames[0], 77, 500);
  b.give_back(kept.frames[0]);
}

TYPED_TEST_P(LinkContract, SuperFramesKeepTheirMarks) {
  if (!TypeParam::kCarriesSuperFrames) return;
  auto& a = this->world.a();
  auto& b = this->world.b();
  for (int round = 0; round < 20; ++round) {
    std::optional<Frame> frame = numbered_frame(a, 5, kMaxFrame);
    ASSERT_TRUE(frame);
    frame->flags = kChecksumNeeded | kSegmentTcp4;
    frame->gso_size = 1448;
    frame->checksum_start = 34;
    frame->checksum_offset = 16;
    ASSERT_TRUE(send_one(a, *frame));
    FrameBatch batch;
    b.receive(batch);
    ASSERT_EQ(batch.count, 1u);
    expect_number(b, batch.frames[0], 5, kMaxFrame);
    EXPECT_EQ(batch.frames[0].flags, kChecksumNeeded | kSegmentTcp4);
    EXPECT_EQ(batch.frames[0].gso_size, 1448);
    EXPECT_EQ(batch.frames[0].checksum_start, 34);
    EXPECT_EQ(batch.frames[0].checksum_offset, 16);
    b.give_back(batch.frames[0]);
    b.arm();
    b.disarm();
  }
}

TYPED_TEST_P(LinkContract, ArmSaysWhetherSleepingIsSafe) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  EXPECT_TRUE(b.arm());
  b.disarm();
  ASSERT_TRUE(send_one(a, *numbered_frame(a, 1, 64)));
  EXPECT_FALSE(b.arm());
  b.disarm();
  FrameBatch batch;
  b.receive(batch);
  ASSERT_EQ(batch.count, 1u);
  b.give_back(batch.frames[0]);
  EXPECT_TRUE(b.arm());
  b.disarm();
}

TYPED_TEST_P(LinkContract, OnlyTheArmedAreRungAndOnlyOnce) {
  if constexpr (TypeParam::kHasDoorbell) {
    auto& a = this->world.a();
    auto& b = this->world.b();
    ASSERT_TRUE(send_one(a, *numbered_frame(a, 1, 64)));
    EXPECT_FALSE(readable(b.wake_fd()));
    FrameBatch batch;
    b.receive(batch);
    ASSERT_TRUE(b.arm());
    ASSERT_TRUE(send_one(a, *numbered_frame(a, 2, 64)));
    EXPECT_TRUE(readable(b.wake_fd()));
    b.drain();
    EXPECT_FALSE(readable(b.wake_fd()));
    ASSERT_TRUE(send_one(a, *numbered_frame(a, 3, 64)));
    EXPECT_FALSE(readable(b.wake_fd()));
    b.receive(batch);
    EXPECT_EQ(batch.count, 3u);
    ASSERT_TRUE(b.arm());
    b.disarm();
    ASSERT_TRUE(send_one(a, *numbered_frame(a, 4, 64)));
    EXPECT_FALSE(readable(b.wake_fd()));
  }
}

// A sender that found no memory may sleep: the memory's return wakes it. One that has memory is left alone.
TYPED_TEST_P(LinkContract, ReturnedMemoryWakesOnlyTheStarved) {
  if constexpr (TypeParam::kHasDoorbell) {
    auto& a = this->world.a();
    auto& b = this->world.b();
    ASSERT_TRUE(send_one(a, *numbered_frame(a, 1, 64)));
    FrameBatch batch;
    b.receive(batch);
    ASSERT_TRUE(a.arm());
    b.give_back(batch.frames[0]);
    ASSERT_TRUE(b.arm());
    EXPECT_FALSE(readable(a.wake_fd()));
    b.disarm();
    a.disarm();
    while (const std::optional<Frame> frame = numbered_frame(a, 1, 64)) ASSERT_TRUE(send_one(a, *frame));
    ASSERT_TRUE(a.arm());
    batch.clear();
    b.receive(batch);
    b.give_back(batch.frames[0]);
    ASSERT_TRUE(b.arm());
    EXPECT_TRUE(readable(a.wake_fd()));
    a.drain();
    EXPECT_TRUE(a.allocate(64));
  }
}

// Both ways and apart from frames; told twice the same is no news.
TYPED_TEST_P(LinkContract, TheCarrierIsTold) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  FrameBatch batch;
  for (uint32_t changes = 0; changes < 4; ++changes) {
    a.tell({changes});
    b.tell({changes + 10});
    a.tell({changes});
    a.receive(batch);
    b.receive(batch);
    EXPECT_EQ(b.carrier(), Carrier{changes});
    EXPECT_EQ(a.carrier(), Carrier{changes + 10});
    EXPECT_EQ(b.carrier().up(), changes % 2 == 0);
    EXPECT_TRUE(b.arm());
    b.disarm();
  }
  EXPECT_EQ(batch.count, 0u);
}

TYPED_TEST_P(LinkContract, NewsOfTheCarrierIsNotSleptOver) {
  auto& a = this->world.a();
  auto& b = this->world.b();
  a.tell({1});
  EXPECT_FALSE(b.arm());
  b.disarm();
  FrameBatch batch;
  b.receive(batch);
  ASSERT_TRUE(b.arm());
  if constexpr (TypeParam::kHasDoorbell) {
    EXPECT_FALSE(readable(b.wake_fd()));
    a.tell({2});
    EXPECT_TRUE(readable(b.wake_fd()));
  }
}

REGISTER_TYPED_TEST_SUITE_P(LinkContract, AllocateLeavesTheHeadroom, BytesTravelBothWays,
                            ReceiveAppendsUpToTheRoom, BackpressureNeverLosesAFrame, MemoryComesBack,
                            AFrameIsItsReceiversUntilGivenBack, SuperFramesKeepTheirMarks,
                            ArmSaysWhetherSleepingIsSafe, OnlyTheArmedAreRungAndOnlyOnce,
                            ReturnedMemoryWakesOnlyTheStarved, TheCarrierIsTold,
                            NewsOfTheCarrierIsNotSleptOver);

}  // namespace skerry
