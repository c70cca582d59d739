#include "sockets/client_state.hpp"

#include <signal.h>
#include <sys/wait.h>

namespace skerry::sockets::client {
namespace {

constinit std::atomic<uint32_t> no_descriptors[kMaxDescriptors] = {};

}  // namespace

constinit State state = {.fds = no_descriptors, .anchor = -1, .ring = -1};

uint32_t ask_thread_id() {
  return cached_thread_id = static_cast<uint32_t>(system_call(SYS_gettid));
}

void forget_session() {
  state = {.fds = no_descriptors, .anchor = -1, .ring = -1};
}

void forget_thread() {
  cached_thread_id = 0;
}

// One ring a sleep: who gets the armed word writes the byte. A full pipe has been rung already. If the stack
// is dead the write is SIGPIPE's death, or EPIPE for who ignores that: either way the program ends, because
// the supervisor ends it with its stack.
void ring_stack() {
  if (state.control->stack_armed.exchange(0, std::memory_order_seq_cst) == 0) return;
  const uint8_t byte = 1;
  system_call(SYS_write, state.ring, client::word(&byte), 1);
}

namespace {

// Of a process whose parent has not waited for it yet, tkill() says that it is there. Only the parent can be
// kept from waiting by that, for all others it ends.
bool is_dead(uint32_t thread) {
  if (system_call(SYS_tkill, thread, 0) == -ESRCH) return true;
  siginfo_t end{};
  return system_call(SYS_waitid, P_PID, thread, client::word(&end), WEXITED | WNOHANG | WNOWAIT, 0) == 0 &&
         static_cast<uint32_t>(end.si_pid) == thread;
}

}  // namespace

bool Lock::wait(std::atomic<uint32_t>& word, uint32_t owner, uint32_t self) {
  if (owner == self) return false;
  for (uint32_t turn = 0;; ++turn) {
    uint32_t seen = 0;
    if (word.compare_exchange_strong(seen, self, std::memory_order_acquire)) return true;
    if (turn < 64 && !few_calls) {
      system_call(SYS_sched_yield);
      continue;
    }
    if (!few_calls && is_dead(seen) && word.compare_exchange_strong(seen, self, std::memory_order_acquire))
      return true;
    const timespec pause = to_timespec(50 * kMicrosecond);
    system_call(SYS_nanosleep, client::word(&pause), 0);
  }
}

}  // namespace skerry::sockets::client
