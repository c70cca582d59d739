#include "sockets/client_descriptors.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>

#include <algorithm>
#include <iterator>

#include "sockets/client_anchor.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_references.hpp"
#include "sockets/client_session.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

// Against fork() only: the entries themselves are exchanged one by one.
constinit std::atomic<uint32_t> table_lock = 0;
constinit bool fork_holds_table = false;

// The last of the processes that share our memory and not our descriptors, by number.
constinit std::atomic<uint32_t> guests[16] = {};
constinit std::atomic<uint32_t> guest_count = 0;

// Asked only where a number changes its meaning, because it costs a system call once there was one.
bool is_guest() {
  return guest_count.load(std::memory_order_relaxed) != 0 &&
         std::find(std::begin(guests), std::end(guests), process_id()) != std::end(guests);
}

// A number that the kernel just gave us now is what `entry` says.
int place(long fd, uint32_t entry) {
  if (fd < 0) return static_cast<int>(fd);
  if (fd >= kMaxDescriptors) {
    close_descriptor(static_cast<int>(fd));
    return -EMFILE;
  }
  hold(entry);
  set_entry(static_cast<int>(fd), entry);
  return static_cast<int>(fd);
}

uint32_t fd_limit() {
  return state.attached ? state.view.process(state.slot).fd_limit.load(std::memory_order_relaxed) : 0;
}

}  // namespace

int install(uint32_t socket, bool close_on_exec) {
  const Lock lock(table_lock);
  const int fd = reserve(close_on_exec);
  if (fd >= 0) install_at(fd, socket);
  return fd;
}

int reserve(bool close_on_exec) {
  if (is_guest()) return -EMFILE;
  return place(system_call(SYS_fcntl, state.anchor, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0), 0);
}

void install_at(int fd, uint32_t socket) {
  place(fd, fd_entry(FdKind::socket, socket));
}

Lock lock_table() {
  return Lock(table_lock);
}

void install_over(int fd, uint32_t socket, bool close_on_exec) {
  {
    const Lock lock(table_lock);
    const long installed = system_call(SYS_dup3, state.anchor, fd, close_on_exec ? O_CLOEXEC : 0);
    if (installed >= 0) place(installed, fd_entry(FdKind::socket, socket));
  }
  let_go_if_last(socket);
}

void install_epoll(int fd, uint32_t waiter) {
  const Lock lock(table_lock);
  const uint32_t entry = fd_entry(FdKind::epoll, waiter);
  hold(entry);
  set_entry(fd, entry);
}

void begin_guest() {
  guests[guest_count.fetch_add(1) % std::size(guests)].store(process_id(), std::memory_order_relaxed);
}

int close(int fd) {
  const uint32_t entry = entry_of(fd);
  if (entry == 0 || is_guest()) return close_descriptor(fd);
  if (fd_kind(entry) == FdKind::internal) return -EBADF;
  const NoHandlers none;  // who has lost the number loses the socket too
  uint32_t old = 0;
  int result = 0;
  {
    const Lock lock(table_lock);
    old = state.fds[fd].exchange(0, std::memory_order_acq_rel);
    result = close_descriptor(fd);
  }
  drop(old);
  return result;
}

int close_range(uint32_t first, uint32_t last, uint32_t flags) {
  if (first > last) return -EINVAL;
  if (flags == CLOSE_RANGE_UNSHARE) {  // the numbers are this thread's alone from now on, and then closed
    if (const long result = system_call(SYS_unshare, CLONE_FILES); result < 0)
      return static_cast<int>(result);
    flags = 0;
  }
  if (flags != 0 || is_guest()) return static_cast<int>(system_call(SYS_close_range, first, last, flags));
  const uint32_t limit = fd_limit();
  uint32_t from = first;
  for (uint32_t fd = first; fd < limit && fd <= last; ++fd) {
    const uint32_t entry = entry_of(static_cast<int>(fd));
    if (entry == 0) continue;
    if (fd > from) system_call(SYS_close_range, from, fd - 1, 0);
    if (fd_kind(entry) != FdKind::internal) close(static_cast<int>(fd));
    from = fd + 1;
  }
  if (from > last || from < first) return 0;
  return static_cast<int>(system_call(SYS_close_range, from, last, 0));
}

int duplicate(int fd, int command, long least) {
  if (is_guest()) return static_cast<int>(system_call(SYS_fcntl, fd, command, least));
  const uint32_t entry = entry_of(fd);
  if (fd_kind(entry) == FdKind::internal) return -EBADF;
  const Lock lock(table_lock);
  const long copy = system_call(SYS_fcntl, fd, command, least);
  return entry == 0 ? static_cast<int>(copy) : place(copy, entry);
}

int dup(int fd) {
  return duplicate(fd, F_DUPFD, 0);
}

int dup3(int from, int to, int flags) {
  if (is_guest()) return static_cast<int>(system_call(SYS_dup3, from, to, flags));
  if (flags & ~O_CLOEXEC) return -EINVAL;  // before any number is looked at (Linux ksys_dup3())
  const uint32_t entry = entry_of(from);
  if (fd_kind(entry) == FdKind::internal) return -EBADF;
  if (fd_kind(entry_of(to)) == FdKind::internal) return -EBUSY;
  if (entry != 0 && static_cast<uint32_t>(to) >= kMaxDescriptors) return -EBADF;
  const NoHandlers none;  // as close()
  uint32_t replaced = 0;
  long result = 0;
  {
    const Lock lock(table_lock);
    result = system_call(SYS_dup3, from, to, flags);
    if (result < 0) return static_cast<int>(result);
    replaced = entry_of(to);
    if (entry != 0) hold(entry);
    if (entry != 0 || replaced != 0) set_entry(to, entry);
  }
  drop(replaced);
  return static_cast<int>(result);
}

int dup2(int from, int to) {
  if (from != to) return dup3(from, to, 0);
  const long valid = system_call(SYS_fcntl, from, F_GETFD);
  return valid < 0 ? static_cast<int>(valid) : to;
}

void set_entry(int fd, uint32_t entry) {
  if (static_cast<uint32_t>(fd) >= kMaxDescriptors) return;
  std::atomic<uint32_t>& limit = state.view.process(state.slot).fd_limit;
  uint32_t now = limit.load(std::memory_order_relaxed);
  while (now <= static_cast<uint32_t>(fd) &&
         !limit.compare_exchange_weak(now, static_cast<uint32_t>(fd) + 1)) {
  }
  state.fds[fd].store(entry, std::memory_order_release);
}

int connect_carrier() {
  return place(connect_anchor(), kCarrierEntry);
}

void forget_carrier(int number) {
  if (!state.attached)
    close_descriptor(number);
  else if (entry_of(number) == kCarrierEntry)
    forget_internal(number);
}

void forget_lost_descriptors() {
  const uint32_t limit = state.view.process(state.slot).fd_limit.load(std::memory_order_relaxed);
  for (uint32_t fd = 0; fd < limit && fd < kMaxDescriptors; ++fd) {
    const uint32_t entry = state.fds[fd].load(std::memory_order_relaxed);
    if (entry == 0 || static_cast<int>(fd) == state.anchor || static_cast<int>(fd) == state.ring) continue;
    const bool kept = fd_kind(entry) == FdKind::socket && fd_index(entry) < state.size.sockets &&
                      is_anchor(static_cast<int>(fd));
    if (kept)
      hold(entry);
    else
      state.fds[fd].store(0, std::memory_order_relaxed);
  }
  let_go_of_lost_sockets();
  let_go_of_lost_sets();
  release_waiters_of(state.slot);
}

void inherit_from_parent() {
  const auto parent_id = static_cast<uint32_t>(system_call(SYS_getppid));
  if (parent_id == 0) return;
  for (uint32_t slot = 0; slot < state.size.processes; ++slot) {
    if (slot == state.slot || state.view.process_ids()[slot].load(std::memory_order_relaxed) != parent_id)
      continue;
    const uint32_t limit = state.view.process(slot).fd_limit.load(std::memory_order_relaxed);
    for (uint32_t fd = 0; fd < limit && fd < kMaxDescriptors; ++fd) {
      const uint32_t entry = state.view.fds(slot)[fd].load(std::memory_order_relaxed);
      if (fd_kind(entry) != FdKind::socket || fd_index(entry) >= state.size.sockets) continue;
      if (entry_of(static_cast<int>(fd)) == 0 && is_anchor(static_cast<int>(fd)))
        place(static_cast<int>(fd), entry);
    }
  }
}

void copy_entries_to(uint32_t slot) {
  const uint32_t limit = fd_limit();
  std::atomic<uint32_t>* entries = state.view.fds(slot);
  for (uint32_t fd = 0; fd < limit; ++fd)
    entries[fd].store(state.fds[fd].load(std::memory_order_relaxed), std::memory_order_relaxed);
  state.view.process(slot).fd_limit.store(limit, std::memory_order_release);
}

void count_again_after_fork() {
  count_sockets_from_nothing();
  count_sets_from_nothing();
  const uint32_t limit = fd_limit();
  for (uint32_t fd = 0; fd < limit; ++fd) {
    const uint32_t entry = state.fds[fd].load(std::memory_order_relaxed);
    hold(entry);
    forget_carrier(static_cast<int>(fd));
  }
  let_go_of_lost_sockets();
  let_go_of_lost_sets();
}

void lock_descriptors() {
  fork_holds_table = Lock::acquire(table_lock);
}

void unlock_descriptors() {
  if (fork_holds_table) table_lock.store(0, std::memory_order_release);
  fork_holds_table = false;
}

void free_descriptors_after_fork() {
  table_lock.store(0, std::memory_order_release);
  fork_holds_table = false;
}

void reset_descriptors() {
  const uint32_t limit = fd_limit();
  for (uint32_t fd = 0; fd < limit; ++fd) {
    const FdKind kind = fd_kind(entry_of(static_cast<int>(fd)));
    if (kind == FdKind::socket || kind == FdKind::epoll) close(static_cast<int>(fd));
  }
}

}  // namespace skerry::sockets::client
