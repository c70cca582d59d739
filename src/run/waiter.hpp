// The descriptors that end a process's sleep: doorbells, the control socket, a device, a signal. Read first:
// epoll(7).
//
// Invariant: nothing here blocks but wait() itself, and what has hung up does not keep the process awake.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace skerry {

class Waiter {
 public:
  using Handler = std::function<void(uint32_t epoll_events)>;

  static Result<Waiter> create();

  // Watches a descriptor for input; the handler runs inside wait() and may watch and unwatch anything. A
  // doorbell's handler drains it: `waiter.watch(link.wake_fd(), [&](uint32_t) { link.drain(); })`. A
  // descriptor that has hung up with nothing left to read is unwatched after its handler has run. The
  // descriptor stays the caller's, who calls unwatch before closing it.
  Result<void> watch(int descriptor, Handler handler);
  // Only ends the wait, and only when something new arrives: what lies there unread does not. For a source
  // that its owner may not want to read from now.
  Result<void> watch_edges(int descriptor);
  // Does nothing if the descriptor is not watched.
  void unwatch(int descriptor);

  // Sleeps until something is ready or the time is over (kNever: without end; 0: only looks), then drains
  // doorbells and calls handlers. Returns early on a signal.
  void wait(DurationNs timeout_ns);

 private:
  struct Source {
    uint32_t serial = 0;  // tells a descriptor from its predecessor of the same number
    Handler handler;      // empty: only ends the wait
  };

  explicit Waiter(Fd epoll) : epoll_(std::move(epoll)) {}
  Result<void> add(int descriptor, uint32_t events, Handler handler);

  Fd epoll_;
  std::map<int, Source> sources_;
  uint32_t next_serial_ = 1;
};

}  // namespace skerry
