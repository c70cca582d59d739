#include "sockets/wakeups.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "sockets/notes.hpp"

namespace skerry::sockets {
namespace {

void futex_wake(std::atomic<uint32_t>& word, int how_many) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, how_many, nullptr, nullptr, 0);
}

}  // namespace

Wakeups::Wakeups(SessionView view)
    : view_(view), pipes_(view.size().waiters), is_touched_(view.size().waiters, false) {
  touched_.reserve(view.size().waiters);
}

void Wakeups::touch(uint32_t socket) {
  SocketIn& in = view_.in(socket);
  for (std::atomic<uint16_t>& place : in.watchers) {
    const uint32_t watcher = place.load(std::memory_order_relaxed);
    if (watcher != 0 && watcher <= view_.size().waiters) tell(watcher - 1, socket);
  }
  if (in.watch_all.load(std::memory_order_relaxed) != 0) {
    for (uint32_t waiter = 0; waiter < view_.size().waiters; ++waiter) {
      if (view_.waiter(waiter).in_use.load(std::memory_order_relaxed) != 0) tell(waiter, socket);
    }
  }
}

void Wakeups::tell(uint32_t waiter, uint32_t socket) {
  note(view_.ready(waiter), view_.waiter(waiter).ready_summary, socket);
  if (!is_touched_[waiter]) {
    is_touched_[waiter] = true;
    touched_.push_back(waiter);
  }
}

uint32_t Wakeups::ring() {
  uint32_t woken = 0;
  for (const uint32_t waiter : touched_) {
    is_touched_[waiter] = false;
    std::atomic<uint32_t>& armed = view_.waiter(waiter).armed;
    if (armed.load() == kAwake) continue;
    const uint32_t how = armed.exchange(kAwake);
    if (how == kFutex) {
      futex_wake(armed, INT_MAX);
    } else if (how == kPipe && pipes_[waiter]) {
      // EAGAIN means that a byte is waiting already; EPIPE that the sleeper is gone.
      const char byte = 1;
      const ssize_t ignored = ::write(pipes_[waiter].get(), &byte, 1);
      static_cast<void>(ignored);
    } else {
      continue;
    }
    ++woken;
  }
  touched_.clear();
  rings_ += woken;
  return woken;
}

void Wakeups::finish(Call& call) {
  call.state.store(kCallDone);
  futex_wake(call.state, 1);
}

void Wakeups::set_pipe(uint32_t waiter, Fd write_end) {
  pipes_[waiter] = std::move(write_end);
}

}  // namespace skerry::sockets
