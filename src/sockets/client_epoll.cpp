// Interest: epoll_ctl().
#include "sockets/client_epoll.hpp"

#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets::client {

constinit const char doorbell_mark = 0, nudge_mark = 0, nested_mark = 0;

namespace {

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;  // reported whether asked for or not

uint32_t waiter_of(int epoll_fd) {
  const uint32_t entry = entry_of(epoll_fd);
  return fd_kind(entry) == FdKind::epoll ? fd_index(entry) : kNoWaiter;
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
  for (ExtraInterest& extra : extra_table())
    if (extra.waiter == waiter + 1 && extra.socket == socket && extra.fd == fd) return &extra;
  return nullptr;
}

ExtraInterest* claim_extra(uint32_t waiter) {
  for (ExtraInterest& extra : extra_table()) {
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
    // The interest last: without it the rest means nothing, should this process be killed in between.
    member_word(set, socket) |= member_bit(socket);
    watch(socket, waiter, exclusive ? kExclusive : 0);
    interest.fd.store(number, std::memory_order_relaxed);
    interest.data.store(event.data.u64, std::memory_order_relaxed);
    interest.seen_news.store(seen_nothing(socket), std::memory_order_relaxed);
    interest.life.store(life_of(socket), std::memory_order_relaxed);
    interest.events.store(event.events | kAlways, std::memory_order_relaxed);
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
  for (ExtraInterest& extra : extra_table()) {
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

int change_kernel_member(int epoll_fd, int operation, int fd, const epoll_event* event) {
  const uint32_t waiter = waiter_of(epoll_fd);
  const auto result = static_cast<int>(system_call(SYS_epoll_ctl, epoll_fd, operation, fd, word(event)));
  if (waiter == kNoWaiter || result != 0 || operation == EPOLL_CTL_MOD) return result;
  EpollSet& set = set_of(waiter);
  const Lock lock(set.lock);
  if (operation == EPOLL_CTL_ADD) {
    set.kernel_members.fetch_add(1);
    if (set.sleepers.load() != 0) sleep_in_kernel_from_now({set, waiter, epoll_fd});
  } else if (set.kernel_members.load() > 0) {
    set.kernel_members.fetch_sub(1);
  }
  return result;
}

}  // namespace

void remove_all(EpollSet& set, uint32_t waiter, uint32_t socket) {
  if (!(member_word(set, socket) & member_bit(socket))) return;
  state.view.interest(waiter, socket).events.store(0, std::memory_order_relaxed);
  member_word(set, socket) &= ~member_bit(socket);
  unwatch(socket, waiter);
  for (ExtraInterest& extra : extra_table()) {
    if (set.extras == 0) return;
    if (extra.waiter != waiter + 1 || extra.socket != socket) continue;
    extra.waiter = 0;
    --set.extras;
  }
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
  EpollSet& set = set_of(waiter);
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

}  // namespace skerry::sockets::client
