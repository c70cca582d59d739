// The machine as a Loop sees it: monotonic clock, sched_yield, a Waiter to sleep on, SIGTERM as the wish to
// stop.
#pragma once

#include <memory>
#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "run/waiter.hpp"

namespace skerry {

class Host {
 public:
  // One per process: blocks SIGTERM, which then ends the loop, and ignores SIGPIPE, because ringing at a
  // neighbour that died is no reason to die. Call it before any thread is started.
  static Result<Host> create();

  TimeNs now() const;
  void yield();
  void wait(DurationNs timeout_ns);
  bool stop_requested() const { return *stop_; }
  void request_stop() { *stop_ = true; }

  Waiter& waiter() { return waiter_; }

 private:
  Host(Waiter waiter, Fd signals) : waiter_(std::move(waiter)), signals_(std::move(signals)) {}

  Waiter waiter_;
  Fd signals_;
  std::unique_ptr<bool> stop_ = std::make_unique<bool>(false);  // stays where it is while the Host moves
};

}  // namespace skerry
