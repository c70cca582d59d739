#include "run/fiber.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>
#include <vector>

#include "run/slices.hpp"

namespace skerry {
namespace {

TEST(FiberTest, WorkGoesOnWhereItGaveWay) {
  std::vector<int> seen;
  std::optional<Fiber> fiber;
  auto made = Fiber::create([&] {
    for (int i = 0; i < 3; ++i) {
      seen.push_back(i);
      fiber->give_way();
    }
  });
  ASSERT_TRUE(made);
  fiber.emplace(std::move(*made));
  EXPECT_TRUE(seen.empty());
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(fiber->resume());
    EXPECT_EQ(seen.size(), static_cast<size_t>(i));
  }
  EXPECT_FALSE(fiber->resume());
  EXPECT_FALSE(fiber->resume()) << "it is done";
}

// In the middle of a library's function, with things on the stack.
TEST(FiberTest, ASortCanGiveWayBetweenTwoComparisons) {
  std::vector<int> numbers(1000);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i * 7919 % 1009);
  std::optional<Fiber> fiber;
  auto made = Fiber::create([&] {
    std::array<char, 4096> deep{};
    deep[17] = 'x';
    std::stable_sort(numbers.begin(), numbers.end(), [&](int a, int b) {
      fiber->give_way();
      return a < b;
    });
    EXPECT_EQ(deep[17], 'x');
  });
  ASSERT_TRUE(made);
  fiber.emplace(std::move(*made));
  size_t turns = 0;
  while (fiber->resume()) ++turns;
  EXPECT_GT(turns, numbers.size());
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST(FiberTest, WhatWasBegunIsDoneToItsEnd) {
  int done = 0;
  {
    Fiber* here = nullptr;
    auto fiber = Fiber::create([&] {
      const std::vector<int> kept(100, 1);
      here->give_way();
      done = std::accumulate(kept.begin(), kept.end(), 0);
    });
    ASSERT_TRUE(fiber);
    here = &*fiber;
    EXPECT_TRUE(fiber->resume());
  }
  EXPECT_EQ(done, 100);
}

// What a frame takes that is larger than a page must not lie behind the guard.
TEST(FiberTest, BelowTheStackNobodyWritesForSixteenPages) {
  std::string maps;
  auto fiber = Fiber::create([&] {
    std::ifstream stream("/proc/self/maps");
    maps.assign(std::istreambuf_iterator<char>(stream), {});
    maps += "\n" + std::to_string(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  });
  ASSERT_TRUE(fiber);
  fiber->resume();
  const uintptr_t inside = std::stoull(maps.substr(maps.rfind('\n') + 1));
  std::istringstream lines(maps);
  uintptr_t begin_before = 0, end_before = 0;
  bool open_before = true;
  for (std::string line; std::getline(lines, line);) {
    uintptr_t begin = 0, end = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
    if (begin <= inside && inside < end) {
      EXPECT_EQ(end_before, begin);
      EXPECT_FALSE(open_before);
      EXPECT_GE(end_before - begin_before, size_t{64} << 10);
      return;
    }
    begin_before = begin;
    end_before = end;
    open_before = rights[0] != '-' || rights[1] != '-';
  }
  FAIL() << "its stack is not there";
}

TEST(FiberTest, WhatIsAbandonedStopsWhereItIs) {
  int pieces = 0;
  {
    Fiber* here = nullptr;
    auto fiber = Fiber::create([&] {
      for (; pieces < 10; ++pieces) here->give_way();
    });
    ASSERT_TRUE(fiber);
    here = &*fiber;
    EXPECT_TRUE(fiber->resume());
    fiber->abandon();
  }
  EXPECT_EQ(pieces, 0);
}

TEST(FiberTest, TwoGoOnInTurn) {
  std::string said;
  std::optional<Fiber> one, other;
  auto first = Fiber::create([&] {
    said += 'a';
    one->give_way();
    said += 'c';
  });
  auto second = Fiber::create([&] {
    said += 'b';
    other->give_way();
    said += 'd';
  });
  ASSERT_TRUE(first && second);
  one.emplace(std::move(*first));
  other.emplace(std::move(*second));
  while (one->resume() | other->resume()) {
  }
  EXPECT_EQ(said, "abcd");
}

// --- Slices
TEST(SlicesTest, ASliceEndsWithItsTimeAndTheProcessStaysAwake) {
  TimeNs now = 0;
  Slices slices([&] { return now; }, 10 * kMicrosecond);
  EXPECT_TRUE(slices.arm());
  EXPECT_EQ(slices.tx(now), 0u);
  int pieces = 0;
  bool done = false;
  ASSERT_TRUE(slices.begin(
      [&](const Pause& pause) {
        for (; pieces < 1600; ++pieces) {
          now += kMicrosecond / 10;
          pause();
        }
      },
      [&] { done = true; }));
  EXPECT_FALSE(slices.arm());
  for (int before = 0; !done; before = pieces) {
    EXPECT_EQ(slices.tx(now), 1u);
    EXPECT_LE(pieces - before, 112) << "ten microseconds, and up to sixteen pieces more";
  }
  EXPECT_EQ(pieces, 1600);
  EXPECT_EQ(slices.slices(), 15u);
  EXPECT_EQ(slices.longest_us(), 11u);
  EXPECT_TRUE(slices.arm());
}

TEST(SlicesTest, MoreCanBeginWhereTheLastEnds) {
  TimeNs now = 0;
  int done = 0;
  Slices slices([&] { return ++now; });
  const auto work = [](const Pause& pause) { pause(); };
  ASSERT_TRUE(slices.begin(work, [&] {
    ++done;
    EXPECT_TRUE(slices.begin(work, [&] { ++done; }));
  }));
  slices.tx(now);
  EXPECT_EQ(done, 1);
  slices.tx(now);
  EXPECT_EQ(done, 2);
}

TEST(SlicesTest, WhatWasBegunIsDoneToItsEndAndNobodyIsTold) {
  TimeNs now = 0;
  int pieces = 0;
  {
    Slices slices([&] { return ++now; }, 1);
    ASSERT_TRUE(slices.begin(
        [&](const Pause& pause) {
          for (; pieces < 100; ++pieces) pause();
        },
        [&] { ADD_FAILURE(); }));
    slices.tx(now);
    EXPECT_LT(pieces, 100);
  }
  EXPECT_EQ(pieces, 100);
}

TEST(SlicesTest, WhatIsAbandonedIsNotDoneToItsEnd) {
  TimeNs now = 0;
  int pieces = 0;
  {
    Slices slices([&] { return ++now; }, 1);
    ASSERT_TRUE(slices.begin(
        [&](const Pause& pause) {
          for (; pieces < 100; ++pieces) pause();
        },
        [&] { ADD_FAILURE(); }));
    slices.tx(now);
    slices.abandon();
  }
  EXPECT_LT(pieces, 100);
}

}  // namespace
}  // namespace skerry
