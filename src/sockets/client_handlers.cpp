#include "sockets/client_handlers.hpp"

#include <utility>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {
namespace {

constinit thread_local siginfo_t waiting_signal = {};
constinit thread_local uint64_t mask_before = 0;

constexpr uint64_t mask_of(int signal) {
  return uint64_t{1} << (signal - 1);
}
// What a thread raises by its own instructions ends the process if it is blocked.
constexpr uint64_t kFaults = mask_of(SIGSEGV) | mask_of(SIGBUS) | mask_of(SIGFPE) | mask_of(SIGILL) |
                             mask_of(SIGTRAP) | mask_of(SIGSYS);

// The kernel delivers it once more, with the masks, stacks and flags that it has.
void send_again(const siginfo_t& signal) {
  const long process = system_call(SYS_getpid);
  if (system_call(SYS_rt_tgsigqueueinfo, process, thread_id(), signal.si_signo, word(&signal)) < 0)
    system_call(SYS_tgkill, process, thread_id(), signal.si_signo);  // too many are queued
}

void unblock() {
  thread_handlers.waiting = false;
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&mask_before), 0, sizeof mask_before);
}

}  // namespace

constinit thread_local ThreadHandlers thread_handlers = {};

// Blocked signals cannot overtake it. Of two that the kernel had at once the second runs first, and then the
// other; the mask of that one is the thread's. Where system calls are few, those that this needs may be
// forbidden.
bool put_off(const siginfo_t& signal, uint64_t& mask) {
  if (thread_handlers.kept_off == 0 || few_calls) return false;
  // No other comes in the middle of this, until sigreturn(2) sets `mask`.
  constexpr uint64_t kMost = ~kFaults;
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&kMost), 0, sizeof kMost);
  if (thread_handlers.waiting) send_again(waiting_signal);
  waiting_signal = signal;
  mask_before = std::exchange(mask, kMost);
  thread_handlers.waiting = true;
  return true;
}

void run_what_waits() {
  send_again(waiting_signal);
  unblock();
}

HandlersMayRun::HandlersMayRun() : before_(std::exchange(thread_handlers.kept_off, 0)) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (thread_handlers.waiting) run_what_waits();
}

void forget_handlers_after_fork() {
  thread_handlers.kept_off = 0;
  if (thread_handlers.waiting) unblock();
}

}  // namespace skerry::sockets::client
