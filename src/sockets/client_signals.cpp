#include "sockets/client_signals.hpp"

#include <signal.h>

#include <climits>
#include <cstring>
#include <type_traits>

#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

struct Bell {
  int type;
  int pid;     // 0: free
  int signal;  // 0: SIGIO
  uint32_t waiter;
};

// A program has one owner, seldom two.
constexpr uint32_t kBells = 8;
constinit Bell bells[kBells] = {};
constinit std::atomic<uint32_t> bells_lock = 0;

// Names the owner to the kernel, which holds on to it: another process that gets its number later is another.
int tune(const Bell& bell) {
  const int pipe_end = doorbell(bell.waiter);
  if (pipe_end < 0) return -ENOMEM;
  const f_owner_ex owner{.type = static_cast<__pid_type>(bell.type), .pid = bell.pid};
  const long result = system_call(SYS_fcntl, pipe_end, F_SETOWN_EX, word(&owner));
  if (result < 0) return static_cast<int>(result);
  system_call(SYS_fcntl, pipe_end, F_SETSIG, bell.signal);
  system_call(SYS_fcntl, pipe_end, F_SETFL, O_NONBLOCK | O_ASYNC);
  arm(bell.waiter, kSignal);
  return 0;
}

// Of one that is gone the kernel says 0 (Linux f_getown_ex()).
bool has_owner(const Bell& bell) {
  f_owner_ex owner{};
  return system_call(SYS_fcntl, doorbell(bell.waiter), F_GETOWN_EX, word(&owner)) == 0 && owner.pid != 0;
}

// Sockets that name it have nobody to tell any more.
void forget(Bell& bell) {
  for (uint32_t socket = 0; socket < state.size.sockets; ++socket) {
    uint32_t named = bell.waiter + 1;
    state.names[socket].urgent_bell.compare_exchange_strong(named, 0);
    named = bell.waiter + 1;
    if (state.names[socket].async_bell.compare_exchange_strong(named, 0)) unwatch(socket, bell.waiter);
  }
  release_waiter(bell.waiter);
  bell = {};
}

// A place without a bell; if there is none, that of an owner that died.
Bell* free_bell() {
  for (Bell& bell : bells)
    if (bell.pid == 0) return &bell;
  for (Bell& bell : bells) {
    if (has_owner(bell)) continue;
    forget(bell);
    return &bell;
  }
  return nullptr;
}

// The waiter of a bell, or -errno. Under bells_lock.
int64_t bell_for(const f_owner_ex& owner, int signal) {
  for (Bell& bell : bells) {
    if (bell.pid != owner.pid || bell.type != owner.type || bell.signal != signal) continue;
    if (has_owner(bell)) return int64_t{bell.waiter};
    forget(bell);
  }
  Bell* const place = free_bell();
  const uint32_t waiter = place == nullptr ? kNoWaiter : claim_waiter();
  if (waiter == kNoWaiter) return -ENOMEM;
  const Bell bell{.type = owner.type, .pid = owner.pid, .signal = signal, .waiter = waiter};
  if (const int result = tune(bell); result < 0) {
    release_waiter(waiter);
    return result;
  }
  *place = bell;
  return waiter;
}

// Under bells_lock.
int watch_for_sigio(uint32_t socket, const f_owner_ex& owner) {
  std::atomic<uint32_t>& place = state.names[socket].async_bell;
  int64_t waiter = kNoWaiter;
  if (owner.pid != 0) waiter = bell_for(owner, 0);
  if (waiter < 0) return static_cast<int>(waiter);
  if (const uint32_t old = place.exchange(0); old != 0) unwatch(socket, old - 1);
  if (waiter == kNoWaiter) return 0;
  place.store(static_cast<uint32_t>(waiter) + 1);
  watch(socket, static_cast<uint32_t>(waiter));
  return 0;
}

}  // namespace

int set_owner(uint32_t socket, const f_owner_ex& owner) {
  std::underlying_type_t<__pid_type> type;  // the program's word: it may be none of the type's values
  std::memcpy(&type, &owner.type, sizeof type);
  if (type != F_OWNER_TID && type != F_OWNER_PID && type != F_OWNER_PGRP) return -EINVAL;
  SocketNames& names = state.names[socket];
  const Lock lock(bells_lock);
  if (!lock) return -EDEADLK;
  uint32_t urgent_bell = 0;
  if (owner.pid != 0) {
    const int64_t waiter = bell_for(owner, SIGURG);
    if (waiter < 0) return static_cast<int>(waiter);
    urgent_bell = static_cast<uint32_t>(waiter) + 1;
  }
  if (state.in[socket].flags.load(std::memory_order_relaxed) & kAsync)
    if (const int result = watch_for_sigio(socket, owner); result < 0) return result;
  names.owner_type.store(owner.type, std::memory_order_relaxed);
  names.owner.store(owner.pid, std::memory_order_relaxed);
  names.urgent_bell.store(urgent_bell, std::memory_order_seq_cst);
  return 0;
}

int set_owner(uint32_t socket, int owner) {
  if (owner == INT_MIN) return -EINVAL;
  return set_owner(socket, owner < 0 ? f_owner_ex{F_OWNER_PGRP, -owner} : f_owner_ex{F_OWNER_PID, owner});
}

f_owner_ex owner_of(uint32_t socket) {
  const SocketNames& names = state.names[socket];
  return {static_cast<__pid_type>(names.owner_type.load(std::memory_order_relaxed)),
          names.owner.load(std::memory_order_relaxed)};
}

int owner_number(const f_owner_ex& owner) {
  return owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid;
}

int set_async(uint32_t socket, bool on) {
  const Lock lock(bells_lock);
  return lock ? watch_for_sigio(socket, on ? owner_of(socket) : f_owner_ex{F_OWNER_PID, 0}) : -EDEADLK;
}

void release_bells() {
  for (Bell& bell : bells) {
    if (bell.pid != 0) release_waiter(bell.waiter);
    bell = {};
  }
}

void forget_bells_after_fork() {
  for (Bell& bell : bells) bell = {};
  bells_lock.store(0, std::memory_order_relaxed);
}

}  // namespace skerry::sockets::client
