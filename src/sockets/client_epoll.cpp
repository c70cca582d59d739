// Interest: epoll_ctl() and the life of sets.
#include "sockets/client_epoll.hpp"

#include <sys/mman.h>

#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets::client {

constinit EpollSet epoll_sets[kMaxWaiters] = {};
constinit std::atomic<uint32_t> epoll_descriptors[kMaxWaiters] = {};
constinit ExtraInterest extra_interests[kMaxExtraInterests] = {};
constinit const char doorbell_mark = 0, nudge_mark = 0, nested_mark = 0;

namespace {

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;  // reported whether asked for or not

uint32_t waiter_of(int epoll_fd) {
  const uint32_t entry = entry_of(epoll_fd);
  return fd_kind(entry) == FdKind::epoll ? fd_index(entry) : kNoWaiter;
}

uint64_t& member_word(EpollSet& set, uint32_t socket) {
  return set.members[socket / 64];
}
uint64_t member_bit(uint32_t socket) {
  return uint64_t{1} << (socket % 64);
}

// The row may hold what a killed process left. Interests are the program's own memory, so the pages can go.
void clear_interests(uint32_t waiter) {
  Interest& first = state.view.interest(waiter, 0);
  const size_t bytes = state.size.sockets * sizeof(Interest);
  const bool whole_pages = word(&first) % 4096 == 0 && bytes % 4096 == 0;
  if (whole_pages && system_call(SYS_madvise, word(&first), static_cast<long>(bytes), MADV_REMOVE) == 0)
    return;
  for (uint32_t socket = 0; socket < state.size.sockets; ++socket)
    state.view.interest(waiter, socket).events.store(0, std::memory_order_relaxed);
}

bool is_epoll_descriptor(int fd) {
  epoll_event event{};
  return system_call(SYS_epoll_ctl, fd, EPOLL_CTL_MOD, state.anchor, word(&event)) == -ENOENT;
}

// Whoever asks anew is told what is there, edge or not.
uint32_t seen_nothing(uint32_t socket) {
  return state.out[socket].news.load(std::memory_order_relaxed) - 1;
}

ExtraInterest* find_extra(uint32_t waiter, uint32_t socket, uint32_t fd) {
  for (ExtraInterest& extra : extra_interests)
    if (extra.waiter == waiter + 1 && extra.socket == socket && extra.fd == fd) return &extra;
  return nullptr;
}

ExtraInterest* claim_extra(uint32_t waiter) {
  for (ExtraInterest& extra : extra_interests) {
    uint32_t free = 0;
    if (extra.waiter.compare_exchange_strong(free, waiter + 1)) return &extra;
  }
  return nullptr;
}

int add(EpollSet& set, uint32_t waiter, uint32_t socket, int fd, const epoll_event& event) {
  // What may stand beside EPOLLEXCLUSIVE (epoll_ctl(2)).
  constexpr uint32_t kBesideExclusive =
      EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  const bool exclusive = event.events & EPOLLEXCLUSIVE;
  Interest& interest = state.view.interest(waiter, socket);
  const auto number = static_cast<uint32_t>(fd);
  if (exclusive && (event.events & ~kBesideExclusive)) return -EINVAL;
  const bool taken = interest.events.load(std::memory_order_relaxed) != 0;
  if (taken) {
    if (interest.fd.load(std::memory_order_relaxed) == number) return -EEXIST;
    if (set.extras > 0 && find_extra(waiter, socket, number)) return -EEXIST;
    ExtraInterest* extra = claim_extra(waiter);
    if (extra == nullptr) return -ENOSPC;
    extra->socket = socket;
    extra->fd = number;
    extra->events = event.events | kAlways;
    extra->data = event.data.u64;
    extra->seen = {.input = 0, .output = 0, .news = seen_nothing(socket)};
    ++set.extras;
    if (!exclusive) {
      unwatch(socket, waiter);
      watch(socket, waiter);
    }
  } else {
    interest.fd.store(number, std::memory_order_relaxed);
    interest.data.store(event.data.u64, std::memory_order_relaxed);
    interest.seen_news.store(seen_nothing(socket), std::memory_order_relaxed);
    interest.life.store(life_of(socket), std::memory_order_relaxed);
    interest.events.store(event.events | kAlways, std::memory_order_relaxed);
    member_word(set, socket) |= member_bit(socket);
    watch(socket, waiter, exclusive ? kExclusive : 0);
  }
  look_again(set, socket);
  return 0;
}

int modify(EpollSet& set, uint32_t waiter, uint32_t socket, int fd, const epoll_event& event) {
  if (event.events & EPOLLEXCLUSIVE) return -EINVAL;
  Interest& interest = state.view.interest(waiter, socket);
  const auto number = static_cast<uint32_t>(fd);
  if (interest.events.load(std::memory_order_relaxed) != 0 &&
      interest.fd.load(std::memory_order_relaxed) == number) {
    if (interest.events.load(std::memory_order_relaxed) & EPOLLEXCLUSIVE) return -EINVAL;
    interest.data.store(event.data.u64, std::memory_order_relaxed);
    interest.seen_news.store(seen_nothing(socket), std::memory_order_relaxed);
    interest.events.store(event.events | kAlways, std::memory_order_relaxed);
  } else {
    ExtraInterest* extra = set.extras > 0 ? find_extra(waiter, socket, number) : nullptr;
    if (extra == nullptr) return -ENOENT;
    if (extra->events & EPOLLEXCLUSIVE) return -EINVAL;
    extra->events = event.events | kAlways;
    extra->data = event.data.u64;
    extra->seen.news = seen_nothing(socket);
  }
  look_again(set, socket);
  return 0;
}

// The extra interest in the same socket that moves up when the first one goes.
void promote_extra(EpollSet& set, uint32_t waiter, uint32_t socket) {
  for (ExtraInterest& extra : extra_interests) {
    if (extra.waiter != waiter + 1 || extra.socket != socket) continue;
    const epoll_event event{.events = extra.events, .data = {.u64 = extra.data}};
    const int fd = static_cast<int>(extra.fd);
    extra.waiter = 0;
    --set.extras;
    add(set, waiter, socket, fd, event);
    return;
  }
}

int remove(EpollSet& set, uint32_t waiter, uint32_t socket, int fd) {
  Interest& interest = state.view.interest(waiter, socket);
  const auto number = static_cast<uint32_t>(fd);
  if (interest.events.load(std::memory_order_relaxed) != 0 &&
      interest.fd.load(std::memory_order_relaxed) == number) {
    interest.events.store(0, std::memory_order_relaxed);
    member_word(set, socket) &= ~member_bit(socket);
    unwatch(socket, waiter);
    if (set.extras > 0) promote_extra(set, waiter, socket);
    return 0;
  }
  ExtraInterest* extra = set.extras > 0 ? find_extra(waiter, socket, number) : nullptr;
  if (extra == nullptr) return -ENOENT;
  extra->waiter = 0;
  --set.extras;
  return 0;
}

void remove_all(EpollSet& set, uint32_t waiter, uint32_t socket) {
  if (!(member_word(set, socket) & member_bit(socket))) return;
  state.view.interest(waiter, socket).events.store(0, std::memory_order_relaxed);
  member_word(set, socket) &= ~member_bit(socket);
  unwatch(socket, waiter);
  for (ExtraInterest& extra : extra_interests) {
    if (set.extras == 0) return;
    if (extra.waiter != waiter + 1 || extra.socket != socket) continue;
    extra.waiter = 0;
    --set.extras;
  }
}

// By a process that runs: one that called exec() most likely lost it by close-on-exec, and if its new program
// has no library of ours, its words would say otherwise until it ends. The numbers lie together; the words of
// a process that is not there are a page each, which need not be touched.
bool is_held_elsewhere(uint32_t socket) {
  for (uint32_t slot = 0; slot < state.size.processes; ++slot)
    if (slot != state.slot && state.view.process_ids()[slot].load(std::memory_order_relaxed) != 0 &&
        state.view.process(slot).executing.load(std::memory_order_relaxed) == 0 &&
        (state.view.refs(slot)[socket / 64].load() >> (socket % 64) & 1))
      return true;
  return false;
}

int change_kernel_member(int epoll_fd, int operation, int fd, const epoll_event* event) {
  const uint32_t waiter = waiter_of(epoll_fd);
  const auto result = static_cast<int>(system_call(SYS_epoll_ctl, epoll_fd, operation, fd, word(event)));
  if (waiter == kNoWaiter || result != 0 || operation == EPOLL_CTL_MOD) return result;
  EpollSet& set = epoll_sets[waiter];
  const Lock lock(set.lock);
  if (operation == EPOLL_CTL_ADD) {
    set.kernel_members.fetch_add(1);
    if (set.sleepers.load() != 0) sleep_in_kernel_from_now({set, waiter, epoll_fd});
  } else if (set.kernel_members.load() > 0) {
    set.kernel_members.fetch_sub(1);
  }
  return result;
}

void adopt(int fd, uint32_t kernel_members) {
  const uint32_t waiter = claim_waiter();
  if (waiter == kNoWaiter) return;
  clear_interests(waiter);
  epoll_sets[waiter].kernel_members.store(kernel_members);
  install_epoll(fd, waiter);
}

}  // namespace

void adopt_epoll(int fd) {
  if (state.attached && static_cast<uint32_t>(fd) < kMaxDescriptors) adopt(fd, 0);
}

int change_epoll(int epoll_fd, int operation, int fd, const epoll_event* event) {
  const uint32_t entry = entry_of(fd);
  const bool nested = fd_kind(entry) == FdKind::epoll && entry != entry_of(epoll_fd);
  if (fd_kind(entry) == FdKind::internal) return -EBADF;
  if (fd_kind(entry) != FdKind::socket && !nested)
    return change_kernel_member(epoll_fd, operation, fd, event);
  if (event == nullptr && operation != EPOLL_CTL_DEL) return -EFAULT;
  uint32_t waiter = waiter_of(epoll_fd);
  if (waiter == kNoWaiter) {
    // A set that came to us by exec or a call we do not see: what it holds of the kernel's is not known.
    if (!is_epoll_descriptor(epoll_fd)) return -EINVAL;
    adopt(epoll_fd, 1);
    waiter = waiter_of(epoll_fd);
    if (waiter == kNoWaiter) return -ENOSPC;
  }
  EpollSet& set = epoll_sets[waiter];
  if (nested) return change_nested({set, waiter, epoll_fd}, operation, fd, event);
  const Lock lock(set.lock);
  const uint32_t socket = fd_index(entry);
  if (is_over(state.view.interest(waiter, socket), socket)) remove_all(set, waiter, socket);
  if (operation == EPOLL_CTL_DEL) return remove(set, waiter, socket, fd);
  const int result = operation == EPOLL_CTL_ADD   ? add(set, waiter, socket, fd, *event)
                     : operation == EPOLL_CTL_MOD ? modify(set, waiter, socket, fd, *event)
                                                  : -EINVAL;
  if (result == 0) nudge({set, waiter, epoll_fd});
  return result;
}

void hold_epoll(uint32_t waiter) {
  epoll_descriptors[waiter].fetch_add(1);
}

void drop_epoll(uint32_t waiter) {
  if (epoll_descriptors[waiter].fetch_sub(1) != 1) return;
  forget_nested(waiter);
  EpollSet& set = epoll_sets[waiter];
  const Lock lock(set.lock);
  const bool ours = is_ours(waiter);
  for (uint32_t index = 0; index < state.size.sockets / 64; ++index)
    while (set.members[index] != 0) {
      const uint32_t socket = index * 64 + static_cast<uint32_t>(__builtin_ctzll(set.members[index]));
      if (ours)
        remove_all(set, waiter, socket);
      else
        set.members[index] &= ~member_bit(socket);
    }
  for (auto& summary : set.look_summary) summary.store(0, std::memory_order_relaxed);
  for (uint32_t index = 0; index < state.size.sockets / 64; ++index) set.look[index] = 0;
  set.doorbell_added = set.nudge_added = false;
  set.next = 0;
  set.sleepers.store(0);
  ++set.life;
  if (ours)
    release_waiter(waiter);
  else
    forget_doorbell(waiter);
}

// Only the sets of this process: an epoll set that a forked child shares stays as its maker has it. What
// another process holds is still there, and the set goes on with it, until it is_over().
void forget_in_epoll(uint32_t socket) {
  const uint32_t limit = state.size.waiters < kMaxWaiters ? state.size.waiters : kMaxWaiters;
  for (uint32_t waiter = 0; waiter < limit; ++waiter) {
    if (epoll_descriptors[waiter].load(std::memory_order_relaxed) == 0 || !is_ours(waiter)) continue;
    EpollSet& set = epoll_sets[waiter];
    const Lock lock(set.lock);
    if ((member_word(set, socket) & member_bit(socket)) == 0) continue;
    if (is_held_elsewhere(socket)) return;
    remove_all(set, waiter, socket);
  }
}

void unlock_epoll_after_fork() {
  for (uint32_t waiter = 0; waiter < kMaxWaiters; ++waiter) {
    if (epoll_descriptors[waiter].load(std::memory_order_relaxed) == 0) continue;
    epoll_sets[waiter].lock.store(0, std::memory_order_relaxed);
    epoll_sets[waiter].sleepers.store(0, std::memory_order_relaxed);
  }
}

}  // namespace skerry::sockets::client
