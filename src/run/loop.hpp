// The loop of a process: breathes one Component, hands the core over while there is work to share it for, and
// sleeps when there is none. Read first: sched_yield(2), and sched(7) for what a yield does to SCHED_OTHER.
//
// Why yields: waking a sleeping process costs 2 µs on the same core and 20 to 50 µs on another one, a yield 1
// µs; and a program, its stack and the switch that share a core turn about by yielding, with no wake-up at
// all. Why few of them: an idle system uses no CPU. Why each is timed: base/contention.hpp.
//
// Waiting for work by yields pays where it comes soon, and costs CPU where it comes in batches with pauses
// between. So a sleep that was short doubles the yields before the next one, and a long one halves them.
//
// Invariant: between the first look that finds nothing and the sleep lie at most `idle_yields` yields, and a
// sleep begins only after every source of work was armed and then found empty.
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>

#include "base/contention.hpp"
#include "base/time.hpp"
#include "run/component.hpp"
#include "run/stats.hpp"

namespace skerry {

struct LoopPolicy {
  bool yield_after_work = false;  // hand over after each breath that did work, not only when idle
  uint32_t idle_yields =
      30;  // idle breaths that yield, one after another, before the process sleeps: at most
  // How often a busy process looks at control socket and signals, which takes half a microsecond, and
  // publishes its counters.
  DurationNs look_every_ns = 500 * kMicrosecond, report_every_ns = 10 * kMillisecond;

  // Of a process that hands over to its neighbours. If all of them share its core, a yield that finds no work
  // costs who has work more than the wake-up that it saves, which is a cheap one there.
  static LoopPolicy among_neighbours(bool one_core) {
    return {.yield_after_work = true, .idle_yields = one_core ? 2u : 30u};
  }
};

// What a loop needs of the machine. A test gives one with a clock of its own.
template <class H>
concept LoopHost = requires(H& host, DurationNs timeout_ns) {
  { host.now() } -> std::same_as<TimeNs>;
  host.yield();
  host.wait(timeout_ns);  // until a wake descriptor is ready; kNever: without end; 0: only looks
  { host.stop_requested() } -> std::convertible_to<bool>;
};

template <Component C, LoopHost H>
class Loop {
 public:
  // A round trip through processes that are all asleep, across cores, takes less: whoever slept no longer may
  // wait for the next one without sleeping.
  static constexpr DurationNs kShortSleep = 200 * kMicrosecond;
  static constexpr uint32_t kLeastPatience = 4;

  // Counts in `stats`: breaths (the heartbeat), busy_breaths (those that did work), yields, slow_yields,
  // sleeps, asleep (1 while it sleeps).
  Loop(C& component, H& host, Stats& stats, const LoopPolicy& policy)
      : component_(component),
        host_(host),
        policy_(policy),
        breaths_(stats.counter("breaths")),
        busy_breaths_(stats.counter("busy_breaths")),
        asleep_(stats.counter("asleep")),
        yields_(stats.counter("yields")),
        slow_yields_(stats.counter("slow_yields")),
        sleeps_(stats.counter("sleeps")),
        patience_(policy.idle_yields) {}

  // Called now and then while busy, and before each sleep that follows work or a wake-up: the place to
  // publish counters, and to ask for a stop.
  void on_report(std::function<void()> report) { report_ = std::move(report); }

  void run() {
    while (!host_.stop_requested()) turn();
    report();
  }

  // One breath and what follows from it.
  void turn() {
    const TimeNs now = host_.now();
    judge_yield(now);
    uint32_t work = component_.rx(now);
    work += component_.tx(now);
    breaths_.add(1);
    if (now >= next_look_) {
      next_look_ = now + policy_.look_every_ns;
      if (now >= next_report_) {
        next_report_ = now + policy_.report_every_ns;
        report();
      }
      host_.wait(0);
      unreported_ =
          true;  // a handler may have found something that is no work, such as a device that is gone
    }
    const bool may_yield = contention_.may_yield(now);
    if (work > 0) {
      idle_breaths_ = 0;
      unreported_ = true;
      busy_breaths_.add(1);
      if (policy_.yield_after_work && may_yield) yield();
    } else if (may_yield && idle_breaths_ < patience_) {
      ++idle_breaths_;
      yield();
    } else {
      const bool patient = idle_breaths_ == patience_;
      idle_breaths_ = 0;
      const DurationNs slept = sleep();
      if (patient && slept > 0) learn(slept);
    }
  }

 private:
  void yield() {
    yielded_at_ = host_.now();
    host_.yield();
    yields_.add(1);
  }

  // The yield ended when this turn began.
  void judge_yield(TimeNs now) {
    if (yielded_at_ == kNever) return;
    if (contention_.yielded(yielded_at_, now)) slow_yields_.add(1);
    yielded_at_ = kNever;
  }

  void learn(DurationNs slept) {
    patience_ = slept < kShortSleep ? 2 * patience_ : std::max(patience_ / 2, kLeastPatience);
    patience_ = std::min(patience_, policy_.idle_yields);
  }

  // How long it slept; 0 if it did not.
  DurationNs sleep() {
    if (unreported_) report();
    if (host_.stop_requested()) return 0;
    DurationNs slept = 0;
    if (component_.arm()) {
      const TimeNs deadline = component_.deadline();
      const TimeNs now = host_.now();
      asleep_.set(1);
      sleeps_.add(1);
      host_.wait(deadline == kNever ? kNever : deadline > now ? deadline - now : 0);
      asleep_.set(0);
      slept = host_.now() - now;
    }
    // Arming may have found something that no breath will count as work, such as a link's fault.
    unreported_ = true;
    component_.disarm();
    return slept;
  }

  void report() {
    unreported_ = false;
    if (report_) report_();
  }

  C& component_;
  H& host_;
  const LoopPolicy policy_;
  Counter breaths_, busy_breaths_, asleep_, yields_, slow_yields_, sleeps_;
  std::function<void()> report_;
  uint32_t patience_;  // idle breaths that yield, until something else is learnt
  uint32_t idle_breaths_ = 0;
  bool unreported_ = false;
  TimeNs yielded_at_ = kNever;
  Contention contention_;
  TimeNs next_look_ = 0, next_report_ = 0;
};

}  // namespace skerry
