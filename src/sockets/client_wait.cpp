#include "sockets/client_wait.hpp"

#include <pthread.h>

#include "base/contention.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_session.hpp"
#include "sockets/client_signals.hpp"

namespace skerry::sockets::client {
namespace {

constinit Contention contention;
constinit int doorbells[kMaxWaiters] = {};       // descriptor + 1
constinit thread_local uint32_t own_waiter = 0;  // + 1
constinit thread_local bool own_waiter_taken = false;
constinit pthread_key_t exit_key = 0;
constinit bool exit_key_made = false;

void at_thread_exit(void*) {
  release_thread_waiter();
}

uint32_t waiter_limit() {
  return state.size.waiters < kMaxWaiters ? state.size.waiters : kMaxWaiters;
}

}  // namespace

void get_by_with_few_calls() {
  few_calls = true;
  yields_before_sleep = 0;
  thread_id();
}

bool Yields::again() {
  // When the stack sleeps there is nobody to yield to who could bring anything.
  if (left_ == 0 || state.control->stack_armed.load(std::memory_order_relaxed) != 0) return false;
  if (last_ns_ == 0) {
    last_ns_ = monotonic_ns();
    if (!contention.may_yield(last_ns_)) {
      left_ = 0;
      return false;
    }
  }
  --left_;
  system_call(SYS_sched_yield);
  const TimeNs now = monotonic_ns();
  if (contention.yielded(last_ns_, now)) left_ = 0;
  last_ns_ = now;
  return true;
}

uint32_t claim_waiter() {
  const uint32_t limit = waiter_limit();
  for (uint32_t i = 0; i < limit; ++i) {
    std::atomic<uint32_t>& owner = state.view.waiter_owners()[i];
    uint32_t free = 0;
    if (owner.load(std::memory_order_relaxed) != 0 ||
        !owner.compare_exchange_strong(free, state.slot + 1, std::memory_order_acq_rel))
      continue;
    disarm(i);
    return i;
  }
  return kNoWaiter;
}

void forget_doorbell(uint32_t waiter) {
  if (doorbells[waiter] != 0) forget_internal(doorbells[waiter] - 1);
  doorbells[waiter] = 0;
}

void release_waiter(uint32_t waiter) {
  forget_doorbell(waiter);
  disarm(waiter);
  state.view.waiter_owners()[waiter].store(0, std::memory_order_release);
}

void release_waiters_of(uint32_t slot) {
  for (uint32_t i = 0; i < waiter_limit(); ++i) {
    uint32_t owner = slot + 1;
    state.view.waiter_owners()[i].compare_exchange_strong(owner, 0, std::memory_order_release);
  }
}

int doorbell(uint32_t waiter) {
  const NoHandlers none;
  if (doorbells[waiter] == 0) {
    const int pipe_end = request_doorbell(waiter);
    if (pipe_end < 0) return -1;
    doorbells[waiter] = pipe_end + 1;
  }
  return doorbells[waiter] - 1;
}

void drain(int doorbell_end) {
  uint8_t bytes[64];
  system_call(SYS_read, doorbell_end, word(bytes), sizeof bytes);
}

bool has_doorbell(uint32_t waiter) {
  return doorbells[waiter] != 0;
}

void drain_doorbell(uint32_t waiter) {
  if (has_doorbell(waiter)) drain(doorbells[waiter] - 1);
}

void watch(uint32_t socket, uint32_t waiter, uint16_t how) {
  SocketIn& in = state.in[socket];
  const auto mark = static_cast<uint16_t>((waiter + 1) | how);
  for (const auto& place : in.watchers)
    if (place.load(std::memory_order_relaxed) == mark) return;
  bool placed = false;
  for (auto& place : in.watchers) {
    uint16_t free = 0;
    if (place.load(std::memory_order_relaxed) == 0 &&
        place.compare_exchange_strong(free, mark, std::memory_order_seq_cst)) {
      placed = true;
      break;
    }
  }
  if (!placed) in.watch_all.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void unwatch(uint32_t socket, uint32_t waiter) {
  const auto mark = static_cast<uint16_t>(waiter + 1);
  for (auto& place : state.in[socket].watchers) {
    uint16_t now = place.load(std::memory_order_relaxed);
    if ((now & ~kExclusive) == mark && place.compare_exchange_strong(now, 0)) return;
  }
}

void arm(uint32_t waiter, Armed how) {
  state.view.waiter(waiter).armed.store(how, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

int sleep_armed(uint32_t waiter, TimeNs deadline) {
  const long result = futex_wait(&state.view.waiter(waiter).armed, kFutex, deadline);
  disarm(waiter);
  return result == -ETIMEDOUT || result == -EINTR ? static_cast<int>(result) : 0;
}

ThreadWaiter::ThreadWaiter()
    : undo_([](void* waiter) { static_cast<ThreadWaiter*>(waiter)->release(); }, this) {
  const NoHandlers none;
  is_own_ = !own_waiter_taken;
  if (is_own_ && own_waiter != 0) {
    index_ = own_waiter - 1;
  } else {
    index_ = claim_waiter();
    is_own_ = is_own_ && index_ != kNoWaiter;
    if (is_own_) own_waiter = index_ + 1;
    if (is_own_ && exit_key_made) pthread_setspecific(exit_key, &own_waiter);
  }
  if (is_own_) own_waiter_taken = true;
}

bool ThreadWaiter::is_ours() const {
  return index_ != kNoWaiter && state.view.waiter_owners()[index_].load() == state.slot + 1;
}

void ThreadWaiter::release() {
  const NoHandlers none;
  if (is_own_)
    own_waiter_taken = false;
  else if (is_ours())
    release_waiter(index_);
  is_own_ = false;
  index_ = kNoWaiter;
}

void release_thread_waiter() {
  if (own_waiter == 0) return;
  release_waiter(own_waiter - 1);
  own_waiter = 0;
}

// The doorbells of epoll sets stay open: the child shares those sets.
void forget_waiters_after_fork() {
  own_waiter = 0;
  own_waiter_taken = false;
  forget_bells_after_fork();
  for (uint32_t waiter = 0; waiter < kMaxWaiters; ++waiter)
    if (epoll_descriptors[waiter].load(std::memory_order_relaxed) == 0) forget_doorbell(waiter);
}

// The first keys of a process lie in the thread's own block, so setting one allocates nothing.
bool prepare_thread_exit() {
  if (!exit_key_made) exit_key_made = pthread_key_create(&exit_key, at_thread_exit) == 0;
  return exit_key_made;
}

Wait::Wait(uint32_t socket, const Begun& begun)
    : socket_(socket), begun_(begun), undo_([](void* wait) { static_cast<Wait*>(wait)->end(); }, this) {
  if (index() != kNoWaiter) watch(socket_, index());
}

void Wait::end() {
  if (!waiter_.is_ours()) return;
  disarm(index());
  unwatch(socket_, index());
}

// What the stack noted so far is looked at now; the bit is taken so that a later note is a new one.
void Wait::take_note() {
  if (index() == kNoWaiter) return;
  state.view.ready(index())[socket_ / 64].fetch_and(~(uint64_t{1} << (socket_ % 64)),
                                                    std::memory_order_seq_cst);
}

// Without a waiter of its own the thread looks a thousand times a second.
int Wait::sleep(TimeNs deadline) {
  const auto sleep = [&]() -> long {
    if (index() != kNoWaiter) return sleep_armed(index(), deadline);
    const timespec pause = to_timespec(kMillisecond);
    if (system_call(SYS_nanosleep, word(&pause), 0) == -EINTR) return -EINTR;
    return monotonic_ns() >= deadline ? -ETIMEDOUT : 0;
  };
  return static_cast<int>(sleep_cancellably(sleep));
}

}  // namespace skerry::sockets::client
