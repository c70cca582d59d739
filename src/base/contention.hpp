// Whether a yield hands the core to a neighbour or to a stranger. A neighbour gives it back within
// microseconds; a stranger who computes gives it back at the end of a time slice, and then sleeping is better
// than yielding, because who wakes up goes first. So a yield that took long means: no yields for a while;
// again and again: for longer.
//
// Several threads may share one: its words are hints, and a lost update costs a yield.
#pragma once

#include <algorithm>
#include <atomic>

#include "base/time.hpp"

namespace skerry {

class Contention {
 public:
  static constexpr DurationNs kLongYield = 1 * kMillisecond;
  static constexpr DurationNs kFirstPause = 2 * kMillisecond;  // one interruption says little
  static constexpr DurationNs kLongestPause = 64 * kMillisecond;
  static constexpr DurationNs kSoon =
      16 * kMillisecond;  // a long yield so soon after a pause doubles the next

  bool may_yield(TimeNs now) const { return now >= until_.load(std::memory_order_relaxed); }

  // A yield is over. True if it took long.
  bool yielded(TimeNs from, TimeNs now) {
    if (now - from <= kLongYield) return false;
    const bool soon = now < until_.load(std::memory_order_relaxed) + kSoon;
    const DurationNs last = pause_.load(std::memory_order_relaxed);
    const DurationNs pause = soon ? std::min(2 * last, kLongestPause) : kFirstPause;
    pause_.store(pause, std::memory_order_relaxed);
    until_.store(now + pause, std::memory_order_relaxed);
    return true;
  }

 private:
  std::atomic<TimeNs> until_ = 0;
  std::atomic<DurationNs> pause_ = kFirstPause;
};

}  // namespace skerry
