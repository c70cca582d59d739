// When signal handlers of the program may run. A handler may send, receive, poll and close
// (signal-safety(7)), and leave by siglongjmp(). So none may find its own thread holding a lock or with a
// change half made: one that comes then is put off until the thread is through, as the kernel puts it off
// until a system call is.
//
// The handlers come through preload/interpose_signals.cpp. Those it does not know run at once, and to them
// what their thread holds is -EDEADLK.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>

namespace skerry::sockets::client {

// How often handlers of this thread have run, and of these those that end a call which may be restarted.
struct HandlersRun {
  uint32_t all, without_restart;
};

struct ThreadHandlers {
  uint32_t kept_off;  // how many NoHandlers there are
  bool waiting;       // a signal is put off, and with it all that could follow
  HandlersRun run;
};
extern constinit thread_local ThreadHandlers thread_handlers;

void run_what_waits();

inline void keep_handlers_off() {
  ++thread_handlers.kept_off;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}
inline void let_handlers_in() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  --thread_handlers.kept_off;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (thread_handlers.waiting && thread_handlers.kept_off == 0) [[unlikely]]
    run_what_waits();
}

class NoHandlers {
 public:
  NoHandlers() { keep_handlers_off(); }
  ~NoHandlers() { let_handlers_in(); }
  NoHandlers(const NoHandlers&) = delete;
  NoHandlers& operator=(const NoHandlers&) = delete;
};

// Within NoHandlers: they may run all the same, because the thread may wait long, or makes a process that
// would have its signals blocked as they are while one is put off.
class HandlersMayRun {
 public:
  HandlersMayRun();
  ~HandlersMayRun() { thread_handlers.kept_off += before_; }
  HandlersMayRun(const HandlersMayRun&) = delete;
  HandlersMayRun& operator=(const HandlersMayRun&) = delete;

 private:
  uint32_t before_;
};

// In the child of a fork: what was put off is the parent's.
void forget_handlers_after_fork();

// A handler is about to run: true puts it off. `mask` is what the kernel will block when it returns to the
// thread.
bool put_off(const siginfo_t& signal, uint64_t& mask);

// What a call knows of handlers when it begins, so that one that runs before the call sleeps ends it as one
// that finds it asleep.
inline HandlersRun handlers_run() {
  return thread_handlers.run;
}
inline bool has_run_since(const HandlersRun& before) {
  return thread_handlers.run.all != before.all;
}
inline bool has_ended_calls_since(const HandlersRun& before) {
  return thread_handlers.run.without_restart != before.without_restart;
}
inline void note_handler(bool restarts) {
  ++thread_handlers.run.all;
  if (!restarts) ++thread_handlers.run.without_restart;
}

}  // namespace skerry::sockets::client
