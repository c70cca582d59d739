// When a process that died is started again, and when a process that lives is taken for dead. Pure: time
// comes in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.hpp"

namespace skerry::supervisor {

// Exponential back-off with a budget. Who lived long is started again at once, because an outage counts in
// milliseconds; who dies young again and again is given up, because nobody should have to find a loop by its
// heat.
class RestartBudget {
 public:
  static constexpr DurationNs kLongLife = 10 * kSecond;
  static constexpr DurationNs kFirstDelay = 100 * kMillisecond;
  static constexpr DurationNs kLongestDelay = 10 * kSecond;
  static constexpr DurationNs kWindow = 60 * kSecond;
  static constexpr size_t kYoungDeaths = 5;  // within kWindow; the next one is the last

  // How long to wait before the next start; nothing if there shall be none.
  std::optional<DurationNs> died(TimeNs now, DurationNs lived) {
    if (lived >= kLongLife) {
      young_deaths_.clear();
      return 0;
    }
    while (!young_deaths_.empty() && now - young_deaths_.front() > kWindow) young_deaths_.pop_front();
    if (young_deaths_.size() >= kYoungDeaths) return std::nullopt;
    const DurationNs delay = std::min(kFirstDelay << young_deaths_.size(), kLongestDelay);
    young_deaths_.push_back(now);
    return delay;
  }

 private:
  std::deque<TimeNs> young_deaths_;
};

// The heartbeat: a loop that neither breathes nor sleeps is hung. A process that got stuck in what woke it
// still says that it sleeps; the time it uses gives it away.
class Heartbeat {
 public:
  static constexpr DurationNs kPatience = 5 * kSecond;
  static constexpr DurationNs kSleepersCpu = 1 * kSecond;  // more than any sleep uses without a breath

  void begin(TimeNs now) {
    breaths_ = 0;
    cpu_at_breath_ns_ = 0;
    moved_at_ = now;
  }

  // True if the process shall be killed. `cpu_ns`: what it has used in all its life.
  bool hung(TimeNs now, uint64_t breaths, bool asleep, uint64_t cpu_ns) {
    const bool breathed = breaths != breaths_;
    if (breathed) {
      breaths_ = breaths;
      cpu_at_breath_ns_ = cpu_ns;
    }
    if (breathed || (asleep && cpu_ns - cpu_at_breath_ns_ < kSleepersCpu)) moved_at_ = now;
    return now - moved_at_ > kPatience;
  }

 private:
  uint64_t breaths_ = 0;
  DurationNs cpu_at_breath_ns_ = 0;
  TimeNs moved_at_ = 0;
};

}  // namespace skerry::supervisor
