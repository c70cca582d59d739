// The structures under TCP, each against a model that is obviously right.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.hpp"
#include "tcp/cubic.hpp"
#include "tcp/flow_table.hpp"
#include "tcp/interval_set.hpp"
#include "tcp/rtt.hpp"
#include "tcp/timer_wheel.hpp"

namespace skerry::tcp {
namespace {

TEST(Sequence, ComparesAcrossTheWrap) {
  EXPECT_TRUE(before(0xfffffff0u, 0x10u));
  EXPECT_FALSE(before(0x10u, 0xfffffff0u));
  EXPECT_EQ(later(0xfffffff0u, 0x10u), 0x10u);
  EXPECT_EQ(beyond(0x10u, 0xfffffff0u), 0x20u);
  EXPECT_EQ(beyond(0xfffffff0u, 0x10u), 0u);
}

TEST(IntervalSet, IsASetOfNumbers) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const uint32_t base = static_cast<uint32_t>(random.next());  // some of them wrap
    IntervalSet<8> set;
    std::set<uint32_t> model;
    for (int step = 0; step < 60; ++step) {
      const uint32_t left = random.below(100);
      const uint32_t right = left + 1 + random.below(12);
      if (random.chance(0.1)) {
        set.trim_before(base + left);
        model.erase(model.begin(), model.lower_bound(left));
      } else if (set.has_room_for(base + left, base + right)) {
        uint32_t fresh = 0;
        for (uint32_t i = left; i < right; ++i) fresh += model.insert(i).second;
        EXPECT_EQ(set.insert(base + left, base + right), fresh);
      } else {
        EXPECT_EQ(set.size(), 8u);
        EXPECT_EQ(set.insert(base + left, base + right), 0u);
      }
      EXPECT_EQ(set.bytes(), model.size());
      for (uint32_t i = 0; i < 115; ++i) EXPECT_EQ(set.find(base + i) != nullptr, model.count(i) == 1);
      for (uint32_t i = 1; i < set.size(); ++i) EXPECT_TRUE(before(set[i - 1].right, set[i].left));
      ASSERT_FALSE(HasFailure()) << "seed " << seed;
    }
  }
}

TEST(FlowTable, IsAMap) {
  Random random(3);
  const FlowHash hasher({1, 2});
  std::vector<Flow> flows(200);
  for (uint32_t i = 0; i < flows.size(); ++i) {
    flows[i].local = IpAddress::v4(random.below(4));
    flows[i].remote = IpAddress::v4(random.below(4));
    flows[i].local_port = static_cast<uint16_t>(i);
  }
  FlowTable table(100);
  std::set<uint32_t> model;
  for (int step = 0; step < 20000; ++step) {
    const uint32_t i = random.below(200);
    // Few distinct hashes, so that probe sequences run into each other.
    const auto hash = [&](uint32_t index) { return hasher(flows[index]) & 0x1f0; };
    if (model.count(i) == 1) {
      table.erase(hash(i), i);
      model.erase(i);
    } else if (model.size() < 100) {
      table.insert(hash(i), i);
      model.insert(i);
    }
    const uint32_t j = random.below(200);
    EXPECT_EQ(table.find(hash(j), flows[j], [&](uint32_t index) -> const Flow& { return flows[index]; }),
              model.count(j) == 1 ? j : kNoIndex);
  }
}

TEST(FlowHash, DependsOnTheKeyAndOnEveryField) {
  Flow flow{IpAddress::v4(1), IpAddress::v4(2), 3, 4};
  const FlowHash hasher({1, 2});
  std::set<uint32_t> hashes{hasher(flow), FlowHash({1, 3})(flow)};
  for (int field = 0; field < 4; ++field) {
    Flow other = flow;
    if (field == 0) other.local = IpAddress::v4(9);
    if (field == 1) other.remote = IpAddress::v4(9);
    if (field == 2) other.local_port = 9;
    if (field == 3) other.remote_port = 9;
    hashes.insert(hasher(other));
  }
  EXPECT_EQ(hashes.size(), 6u);
}

// Never late, and not woken for nothing more often than once per level.
TEST(TimerWheel, NamesEachIndexInTime) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    TimerWheel wheel(20);
    std::map<uint32_t, TimeNs> model;  // the truth
    TimeNs now = random.next() % (1000 * kSecond);
    for (int step = 0; step < 300; ++step) {
      const uint32_t index = random.below(20);
      if (random.chance(0.2)) {
        wheel.disarm(index);
        model.erase(index);
      } else {
        const TimeNs deadline = now + (random.next() % (DurationNs{1} << (10 + random.below(34))));
        // Arming later than before leaves the old entry: the truth here is the earlier one.
        if (model.count(index) == 0 || deadline < model[index]) model[index] = deadline;
        wheel.arm(index, model[index]);
      }
      if (random.chance(0.5)) now += random.next() % (DurationNs{1} << (10 + random.below(32)));
      int calls = 0;
      wheel.expire(now, [&](uint32_t fired) {
        ASSERT_LT(++calls, 400);
        ASSERT_EQ(model.count(fired), 1u);
        if (model[fired] <= now) {
          model.erase(fired);
        } else {
          wheel.arm(fired, model[fired]);
        }
      });
      constexpr DurationNs kTick = DurationNs{1} << 18;
      for (const auto& [left, deadline] : model) {
        ASSERT_GT(deadline + kTick, now) << "late, seed " << seed;
        ASSERT_LE(wheel.deadline(), deadline + kTick);
      }
      ASSERT_EQ(wheel.deadline() == kNever, model.empty());
    }
  }
}

TEST(RttEstimator, FollowsRfc6298) {
  RttEstimator rtt;
  EXPECT_EQ(rtt.rto_ns(), kSecond);  // (2.1)
  rtt.sample(400 * kMillisecond);    // (2.2): SRTT = R, RTTVAR = R/2
  EXPECT_EQ(rtt.srtt_ns(), 400 * kMillisecond);
  EXPECT_EQ(rtt.variance_ns(), 200 * kMillisecond);
  EXPECT_EQ(rtt.rto_ns(), 1200 * kMillisecond);
  rtt.sample(800 * kMillisecond);  // (2.3): RTTVAR = 3/4 * 200 + 1/4 * 400, SRTT = 7/8 * 400 + 1/8 * 800
  EXPECT_EQ(rtt.variance_ns(), 250 * kMillisecond);
  EXPECT_EQ(rtt.srtt_ns(), 450 * kMillisecond);
  EXPECT_EQ(rtt.rto_ns(), 1450 * kMillisecond);
  EXPECT_EQ(rtt.rto_ns(2), 4 * 1450 * kMillisecond);  // (5.5)
  EXPECT_EQ(rtt.rto_ns(30), kGreatestRto);
  for (int i = 0; i < 200; ++i) rtt.sample(10 * kMicrosecond);
  EXPECT_EQ(rtt.rto_ns(), kLeastRto);
}

TEST(Cubic, ReducesBySevenTenthsAndRegainsInK) {
  Cubic cubic;
  constexpr uint32_t kMss = 1000;
  EXPECT_EQ(cubic.on_congestion(100 * kMss, 100 * kMss, kMss), 70 * kMss);  // RFC 9438 section 4.6
  EXPECT_EQ(cubic.on_congestion(2 * kMss, 2 * kMss, kMss), 2 * kMss);       // never below two segments

  Cubic again;
  uint32_t cwnd = again.on_congestion(1000 * kMss, 1000 * kMss, kMss);
  // Section 4.2: K = cbrt((W_max - cwnd) / C) = cbrt(300 / 0.4), about 9.1 s, whatever the round-trip time.
  const DurationNs rtt = 100 * kMillisecond;
  TimeNs now = kSecond;
  TimeNs regained = 0;
  uint32_t previous = cwnd;
  for (int round = 0; round < 150; ++round, now += rtt) {
    for (uint32_t acked = 0; acked < cwnd; acked += 10 * kMss)
      cwnd = again.grow(now, cwnd, 10 * kMss, kMss, rtt);
    EXPECT_GE(cwnd, previous);
    EXPECT_LE(cwnd, 1.5 * previous + 10 * kMss);
    previous = cwnd;
    if (regained == 0 && cwnd >= 999 * kMss) regained = now - kSecond;
  }
  // One segment short of it cbrt(1 / 0.4) = 1.4 s earlier.
  EXPECT_NEAR(static_cast<double>(regained) / kSecond, 9.1 - 1.4, 0.3);
}

TEST(Cubic, FastConvergenceGivesWay) {
  Cubic cubic;
  (void)cubic.on_congestion(100'000, 100'000, 1000);
  (void)cubic.on_congestion(80'000, 80'000, 1000);  // below the last maximum: section 4.7
  // The new maximum is 80 * (1 + 0.7) / 2 = 68 segments: from 60 it is reached in cbrt(8 / 0.4) = 2.7 s.
  uint32_t cwnd = 60'000;
  TimeNs now = kSecond;
  for (int i = 0; i < 6; ++i, now += kSecond / 2) cwnd = cubic.grow(now, cwnd, cwnd, 1000, kSecond / 2);
  EXPECT_NEAR(cwnd, 68'000, 3'000);
}

}  // namespace
}  // namespace skerry::tcp
