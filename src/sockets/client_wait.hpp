// How a thread waits: a bounded number of yields, then sleep. DESIGN: the stack is on the same core, so a
// yield is the cheapest hand-over; a sleep costs two system calls and a wake-up.
//
// The order that loses no wake-up: watch the socket, arm, fence, look once more, sleep. Whatever the stack
// publishes after the look finds the waiter armed.
#pragma once

#include "sockets/client_cancel.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// How often a wait yields before it sleeps; attach() chooses. 0 in tests that want every wait to sleep.
inline constexpr int kYieldsBeforeSleep = 30;
inline constinit std::atomic<int> yields_before_sleep = kYieldsBeforeSleep;

// From now on this process reads, writes, polls, shuts down and closes its sockets with no other system calls
// than futex, read, write, close and nanosleep, which every program that forbids itself some (seccomp(2)) has
// to keep. For the calling thread; another one needs gettid once. Descriptors of the kernel's in the same
// poll(), epoll sets, and fork need what they need.
void get_by_with_few_calls();

// The yields of one wait: `while (!ready && yields.again())`.
class Yields {
 public:
  bool again();

 private:
  int left_ = yields_before_sleep.load(std::memory_order_relaxed);
  TimeNs last_ns_ = 0;
};

inline constexpr uint32_t kNoWaiter = UINT32_MAX;

uint32_t claim_waiter();  // kNoWaiter: all are in use
void release_waiter(uint32_t waiter);
void release_waiters_of(uint32_t slot);  // after exec: those of the older image
// The waiter's pipe, made when first asked for; -1 if the stack did not answer. Owned by the waiter.
int doorbell(uint32_t waiter);
bool has_doorbell(uint32_t waiter);  // this process has its end
void forget_doorbell(uint32_t waiter);
void drain(int doorbell);
void drain_doorbell(uint32_t waiter);  // if this process has it

// Puts the waiter among those that the stack tells about the socket; a waiter that is there already stays
// once. kExclusive or 0.
void watch(uint32_t socket, uint32_t waiter, uint16_t how = 0);
void unwatch(uint32_t socket, uint32_t waiter);

void arm(uint32_t waiter, Armed how);  // ends with the fence
inline void disarm(uint32_t waiter) {
  state.view.waiter(waiter).armed.store(kAwake, std::memory_order_relaxed);
}
// Sleeps on an armed waiter (kFutex). 0 (perhaps for nothing), -ETIMEDOUT or -EINTR. Disarms.
int sleep_armed(uint32_t waiter, TimeNs deadline);

// The waiter of this thread, claimed when first needed; another one in a handler that has interrupted a wait
// of the same thread, because what the stack tells that wait is not ours to take.
class ThreadWaiter {
 public:
  ThreadWaiter();
  ~ThreadWaiter() { release(); }
  ThreadWaiter(const ThreadWaiter&) = delete;
  ThreadWaiter& operator=(const ThreadWaiter&) = delete;

  uint32_t index() const { return index_; }  // kNoWaiter if none is free
  // False without one, and in a child that a handler has forked in the middle of its parent's call.
  bool is_ours() const;

 private:
  void release();

  uint32_t index_ = kNoWaiter;
  bool is_own_ = false;
  Undo undo_;
};
void release_thread_waiter();      // at the thread's end
void forget_waiters_after_fork();  // in the child: they are the parent's, and so are their pipes
bool prepare_thread_exit();        // once: makes threads release their waiters when they end

// Which life of its index the socket is in.
inline uint32_t life_of(uint32_t socket) {
  return state.out[socket].life.load(std::memory_order_acquire);
}

// What a call notes before its first look, and gives to each Wait.
struct Begun {
  explicit Begun(uint32_t socket) : life(life_of(socket)) {}

  uint32_t life;
  HandlersRun handlers = handlers_run();
};

// A blocking call of this thread on one socket. If another thread takes the last descriptor of it away
// meanwhile: -EBADF, also if the index is another socket's by now, whose data and room are not ours.
class Wait {
 public:
  Wait(uint32_t socket, const Begun& begun);
  ~Wait() { end(); }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  // Until ready() says true: 0, -EAGAIN when the deadline (kNever: none) has passed, -EINTR: with a deadline
  // any handler ends it, else those without SA_RESTART. ready() may ask for space (want_space); it runs once
  // more after arming.
  template <class Ready>
  int until(Ready ready, TimeNs deadline) {
    // Once more after ready(), which may have seen words of a later life: they were stored behind its number.
    const auto is_over = [&] { return !is_same_life() || ready(); };
    const auto outcome = [&] { return is_same_life() ? 0 : -EBADF; };
    for (;;) {
      take_note();
      if (is_over()) return outcome();
      for (Yields yields; yields.again();)
        if (is_over()) return outcome();
      if (index() != kNoWaiter) arm(index(), kFutex);
      const bool over = is_over(), interrupted = is_interrupted(deadline);
      if (over || interrupted || !is_held_here()) {
        if (index() != kNoWaiter) disarm(index());
        return over ? outcome() : interrupted ? -EINTR : -EBADF;
      }
      const int slept = sleep(deadline);
      if (slept == 0) continue;
      if (is_over()) return outcome();
      return slept == -ETIMEDOUT ? -EAGAIN : slept;
    }
  }

 private:
  uint32_t index() const { return waiter_.index(); }
  void end();
  void take_note();
  int sleep(TimeNs deadline);
  bool is_interrupted(TimeNs deadline) const {
    return deadline == kNever ? has_ended_calls_since(begun_.handlers) : has_run_since(begun_.handlers);
  }
  bool is_same_life() const { return life_of(socket_) == begun_.life; }
  // The life second: a new one begins before this process holds it.
  bool is_held_here() const {
    return (state.refs[socket_ / 64].load(std::memory_order_acquire) >> (socket_ % 64) & 1) && is_same_life();
  }

  uint32_t socket_;
  Begun begun_;
  ThreadWaiter waiter_;
  Undo undo_;
};

// Who has moved some bytes tells so, and is not restarted.
inline TimeNs ended_by_any_handler(TimeNs deadline) {
  return deadline == kNever ? kFarAway : deadline;
}

inline TimeNs deadline_after(DurationNs timeout_ns) {
  return timeout_ns == 0 ? kNever : monotonic_ns() + timeout_ns;
}

}  // namespace skerry::sockets::client
