#include "run/loop.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>

namespace skerry {
namespace {

// A machine whose time passes only by what the loop does.
struct FakeHost {
  TimeNs time = 1 * kSecond;
  DurationNs yield_takes = 1 * kMicrosecond;
  uint32_t yields = 0;
  std::vector<DurationNs> waits;  // the time-out of each real wait
  uint32_t looks = 0;
  std::function<void()> on_look;  // a handler of a descriptor
  bool stop = false;

  TimeNs now() { return time; }
  void yield() {
    ++yields;
    time += yield_takes;
  }
  void wait(DurationNs timeout_ns) {
    if (timeout_ns == 0) {
      ++looks;
      if (on_look) on_look();
      return;
    }
    waits.push_back(timeout_ns);
    time += timeout_ns == kNever ? kSecond : timeout_ns;
  }
  bool stop_requested() { return stop; }
};

struct FakeComponent {
  std::deque<uint32_t> work;  // what the next breaths find; none: idle
  bool arm_finds_work = false;
  TimeNs due = kNever;
  bool armed = false;
  uint32_t arms = 0;
  std::vector<char> order;

  uint32_t rx(TimeNs) {
    order.push_back('r');
    if (work.empty()) return 0;
    const uint32_t units = work.front();
    work.pop_front();
    return units;
  }
  uint32_t tx(TimeNs) {
    order.push_back('t');
    return 0;
  }
  TimeNs deadline() { return due; }
  bool arm() {
    ++arms;
    armed = true;
    return !arm_finds_work;
  }
  void disarm() { armed = false; }
};

class LoopTest : public testing::Test {
 protected:
  LoopTest() : memory_(std::move(*create_stats_memory())), stats_(std::move(*Stats::attach(memory_))) {}

  void turns(int count, LoopPolicy policy) {
    Loop loop(component_, host_, stats_, policy);
    for (int i = 0; i < count; ++i) loop.turn();
  }
  uint64_t counted(const char* name) { return stats_.counter(name).get(); }

  Fd memory_;
  Stats stats_;
  FakeHost host_;
  FakeComponent component_;
};

TEST_F(LoopTest, EachTurnIsRxThenTx) {
  turns(2, {});
  EXPECT_EQ(component_.order, (std::vector<char>{'r', 't', 'r', 't'}));
  EXPECT_EQ(counted("breaths"), 2u);
}

TEST_F(LoopTest, IdleYieldsAreBoundedThenItSleepsArmed) {
  turns(31, {.idle_yields = 30});
  EXPECT_EQ(host_.yields, 30u);
  EXPECT_EQ(component_.arms, 1u);
  EXPECT_FALSE(component_.armed) << "awake again, so disarmed";
  EXPECT_EQ(host_.waits, std::vector<DurationNs>{kNever});
  EXPECT_EQ(counted("yields"), 30u);
  EXPECT_EQ(counted("sleeps"), 1u);
  EXPECT_EQ(counted("asleep"), 0u);
}

TEST_F(LoopTest, LongSleepsTakePatienceAwayAndShortOnesGiveItBack) {
  Loop loop(component_, host_, stats_, {.idle_yields = 30});
  const auto yields_before_sleep = [&](DurationNs sleep) {
    const uint32_t before = host_.yields;
    const size_t slept = host_.waits.size();
    while (host_.waits.size() == slept) {
      component_.due = host_.time + sleep;
      loop.turn();
    }
    return host_.yields - before;
  };
  constexpr DurationNs kLong = 300 * kMicrosecond, kShort = 100 * kMicrosecond;
  std::vector<uint32_t> yields;
  for (int n = 0; n < 5; ++n) yields.push_back(yields_before_sleep(kLong));
  EXPECT_EQ(yields, (std::vector<uint32_t>{30, 15, 7, 4, 4}));
  yields.clear();
  for (int n = 0; n < 5; ++n) yields.push_back(yields_before_sleep(kShort));
  EXPECT_EQ(yields, (std::vector<uint32_t>{4, 8, 16, 30, 30}));
}

TEST_F(LoopTest, WithoutYieldsItSleepsAtOnce) {
  turns(3, {.idle_yields = 0});
  EXPECT_EQ(host_.yields, 0u);
  EXPECT_EQ(host_.waits.size(), 3u);
}

TEST_F(LoopTest, WorkBeginsTheCountOfIdleYieldsAnew) {
  component_.work = {0, 0, 1, 0, 0};
  turns(5, {.idle_yields = 3});
  EXPECT_EQ(host_.yields, 4u) << "the working breath keeps the core";
  EXPECT_TRUE(host_.waits.empty());
}

TEST_F(LoopTest, YieldsAfterWorkIfAskedTo) {
  component_.work = {5, 5, 5};
  turns(3, {.yield_after_work = true});
  EXPECT_EQ(host_.yields, 3u);
}

TEST_F(LoopTest, DoesNotSleepIfSomethingArrivedWhileArming) {
  component_.arm_finds_work = true;
  turns(10, {.idle_yields = 0});
  EXPECT_TRUE(host_.waits.empty());
  EXPECT_EQ(component_.arms, 10u);
  EXPECT_FALSE(component_.armed);
  EXPECT_EQ(counted("sleeps"), 0u);
}

TEST_F(LoopTest, SleepsUntilTheDeadline) {
  component_.due = host_.time + 700;
  turns(1, {.idle_yields = 0});
  EXPECT_EQ(host_.waits, std::vector<DurationNs>{700});
}

TEST_F(LoopTest, ADeadlineThatPassedWhileArmingIsNotSleptOver) {
  component_.due = host_.time - 1;
  turns(1, {.idle_yields = 0});
  EXPECT_TRUE(host_.waits.empty());
}

TEST_F(LoopTest, ASlowYieldMeansNoYieldsForAWhile) {
  const LoopPolicy policy{.yield_after_work = true, .idle_yields = 30};
  Loop loop(component_, host_, stats_, policy);
  host_.yield_takes = 4 * kMillisecond;
  loop.turn();  // yields, and pays for it
  EXPECT_EQ(host_.yields, 1u);

  component_.due = 0;
  component_.work.assign(4, 1);
  for (int i = 0; i < 4; ++i) {
    host_.time += 400 * kMicrosecond;
    loop.turn();
  }
  EXPECT_EQ(host_.yields, 1u) << "1.6 ms of work without a yield";
  loop.turn();
  EXPECT_EQ(component_.arms, 1u) << "idle: armed at once";
  EXPECT_EQ(counted("slow_yields"), 1u);

  host_.time += 2 * kMillisecond;
  host_.yield_takes = 1 * kMicrosecond;
  component_.work.assign(10, 1);
  for (int i = 0; i < 10; ++i) loop.turn();
  EXPECT_EQ(host_.yields, 11u) << "the stranger is gone";
}

TEST_F(LoopTest, ABusyProcessStillLooksAtItsDescriptors) {
  const LoopPolicy policy{
      .yield_after_work = true, .look_every_ns = kMillisecond / 4, .report_every_ns = 1 * kMillisecond};
  Loop loop(component_, host_, stats_, policy);
  int reports = 0;
  loop.on_report([&] { ++reports; });
  component_.work.assign(5000, 1);
  for (int i = 0; i < 5000; ++i) loop.turn();  // 5 ms, at 1 µs a turn
  EXPECT_GE(host_.looks, 19u);
  EXPECT_LE(host_.looks, 21u);
  EXPECT_GE(reports, 4);
  EXPECT_LE(reports, 6);
}

TEST_F(LoopTest, ReportsBeforeEachSleepIfAnythingHappened) {
  Loop loop(component_, host_, stats_, {.idle_yields = 0, .look_every_ns = kNever / 2});
  int reports = 0;
  loop.turn();  // the first look, and a first sleep
  loop.on_report([&] { ++reports; });
  loop.turn();
  EXPECT_EQ(reports, 1) << "it was woken";
  component_.arm_finds_work = true;
  loop.turn();
  EXPECT_EQ(reports, 2);
  loop.turn();
  EXPECT_EQ(reports, 3) << "arming may have found a fault";
  component_.arm_finds_work = false;
  component_.work = {1};
  loop.turn();
  EXPECT_EQ(reports, 3) << "it works, and will report before it sleeps";
  loop.turn();
  EXPECT_EQ(reports, 4);
}

TEST_F(LoopTest, AReportMayAskForAStop) {
  Loop loop(component_, host_, stats_, {.idle_yields = 0, .look_every_ns = kNever / 2});
  loop.turn();
  loop.on_report([&] { host_.stop = true; });
  host_.waits.clear();
  loop.run();
  EXPECT_TRUE(host_.waits.empty()) << "nobody would wake it again";
}

TEST_F(LoopTest, WhatALookFindsIsReportedBeforeTheSleep) {
  Loop loop(component_, host_, stats_, {.idle_yields = 0});
  bool gone = false;
  host_.on_look = [&] { gone = true; };
  loop.on_report([&] { host_.stop = gone; });
  loop.run();
  EXPECT_TRUE(host_.waits.empty()) << "nobody would wake it again";
}

TEST_F(LoopTest, RunsUntilItIsToldToStop) {
  struct Stopper : FakeComponent {
    FakeHost* host = nullptr;
    uint32_t tx(TimeNs) {
      if (order.size() > 20) host->stop = true;
      return 0;
    }
  } component;
  component.host = &host_;
  Loop loop(component, host_, stats_, LoopPolicy{});
  loop.run();
  EXPECT_EQ(counted("breaths"), 21u);
}

}  // namespace
}  // namespace skerry
