// One epoll set in another. The kernel's set of the outer holds the kernel's descriptor of the inner, which
// is readable when the kernel's part of the inner is ready; the stack rings the inner's pipe, which is in
// there too, while somebody sleeps in the outer. Whether the inner really is ready is found by looking into
// it, so what the kernel says of it is only a reason to look, and never reaches the program.
//
// Locks are taken from the outside in; there are no circles, because the kernel allows none.
#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_session.hpp"

namespace skerry::sockets::client {
namespace {

struct NestedSet {
  std::atomic<uint32_t> outer;  // waiter + 1, 0 = free
  uint32_t inner;               // waiter
  int fd;                       // of the inner, as the program named it, which may close it
  int outer_fd, inner_fd;       // our own
  uint32_t events;
  uint64_t data;
  bool was_ready;       // edge-triggered: at the last look
  uint32_t seen_notes;  // the same: the inner's notes_taken then
};
constexpr uint32_t kMaxNested = 64;
constinit NestedSet nested_sets[kMaxNested] = {};
constinit std::atomic<uint32_t> nested_count[kMaxWaiters] = {};

constexpr uint32_t kAboutReady =
    EPOLLIN | EPOLLRDNORM;  // what an epoll descriptor can be (ep_eventpoll_poll)

Wake wake_of(const NestedSet& nested) {
  return {set_of(nested.inner), nested.inner, nested.inner_fd};
}

template <class Visit>
void for_each_in(const Wake& outer, Visit visit) {
  if (nested_in(outer.waiter) == 0) return;
  for (NestedSet& nested : nested_sets)
    if (nested.outer.load(std::memory_order_relaxed) == outer.waiter + 1) visit(nested);
}

// As the kernel does, by the number and what it is of: another set may have the number now.
NestedSet* find(uint32_t outer, int fd, uint32_t inner) {
  for (NestedSet& nested : nested_sets)
    if (nested.outer.load(std::memory_order_relaxed) == outer + 1 && nested.fd == fd && nested.inner == inner)
      return &nested;
  return nullptr;
}

NestedSet* claim(uint32_t outer) {
  for (NestedSet& nested : nested_sets) {
    uint32_t free = 0;
    if (nested.outer.compare_exchange_strong(free, outer + 1)) return &nested;
  }
  return nullptr;
}

// An edge is where the inner was not ready at the last look, or where the stack has noted something since.
bool has_event(const NestedSet& nested, bool ready) {
  return ready && (!(nested.events & EPOLLET) || !nested.was_ready ||
                   set_of(nested.inner).notes_taken != nested.seen_notes);
}

bool is_ready_inside(const NestedSet& nested) {
  return (nested.events & kAboutReady) && is_ready_at_all(wake_of(nested));
}

// What the kernel is asked: to wake whoever sleeps in the outer as often as the program wants to hear.
int tell_kernel(const NestedSet& nested, int operation) {
  epoll_event event{
      .events = (nested.events & kAboutReady ? uint32_t{EPOLLIN} : 0) | (nested.events & EPOLLET),
      .data = {.u64 = mark_data(nested_mark)}};
  return static_cast<int>(
      system_call(SYS_epoll_ctl, nested.outer_fd, operation, nested.inner_fd, word(&event)));
}

void release(NestedSet& nested) {
  for (const int fd : {nested.outer_fd, nested.inner_fd})
    if (fd >= 0) forget_internal(fd);
  nested.outer.store(0);
}

int add(const Wake& outer, int fd, const epoll_event& event) {
  NestedSet* const nested = claim(outer.waiter);
  if (nested == nullptr) return -ENOSPC;
  nested->inner = fd_index(entry_of(fd));
  nested->fd = fd;
  nested->events = event.events;
  nested->data = event.data.u64;
  nested->was_ready = false;
  nested->outer_fd = copy_internal(outer.epoll_fd);
  nested->inner_fd = copy_internal(fd);
  const bool copied = nested->outer_fd >= 0 && nested->inner_fd >= 0;
  if (const int result = copied ? tell_kernel(*nested, EPOLL_CTL_ADD) : -ENOSPC; result != 0) {
    release(*nested);
    return result;
  }
  nested_count[outer.waiter].fetch_add(1);
  outer.set.kernel_members.fetch_add(1);
  for (uint32_t sleeper = 0; sleeper < outer.set.sleepers.load(); ++sleeper) arm_set(wake_of(*nested));
  return 0;
}

void forget(NestedSet& nested) {
  nested_count[nested.outer.load() - 1].fetch_sub(1);
  release(nested);
}

int remove(EpollSet& outer, NestedSet& nested) {
  const int result = tell_kernel(nested, EPOLL_CTL_DEL);
  for (uint32_t sleeper = 0; sleeper < outer.sleepers.load(); ++sleeper) disarm_set(wake_of(nested));
  if (outer.kernel_members.load() > 0) outer.kernel_members.fetch_sub(1);
  forget(nested);
  return result;
}

}  // namespace

int change_nested(const Wake& outer, int operation, int fd, const epoll_event* event) {
  if (event == nullptr && operation != EPOLL_CTL_DEL) return -EFAULT;
  if (operation != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE)) return -EINVAL;
  const Lock lock(outer.set.lock);
  NestedSet* const nested = find(outer.waiter, fd, fd_index(entry_of(fd)));
  switch (operation) {
    case EPOLL_CTL_ADD: {
      if (nested != nullptr) return -EEXIST;
      const int result = add(outer, fd, *event);
      if (result == 0 && outer.set.sleepers.load() != 0) {
        sleep_in_kernel_from_now(outer);
        nudge(outer);
      }
      return result;
    }
    case EPOLL_CTL_MOD:
      if (nested == nullptr) return -ENOENT;
      nested->events = event->events;
      nested->data = event->data.u64;
      nested->was_ready = false;
      nudge(outer);
      return tell_kernel(*nested, EPOLL_CTL_MOD);
    case EPOLL_CTL_DEL:
      return nested == nullptr ? -ENOENT : remove(outer.set, *nested);
    default:
      return -EINVAL;
  }
}

int take_nested(const Wake& outer, epoll_event* events, int max) {
  if (nested_in(outer.waiter) == 0 || max <= 0) return 0;
  int count = 0;
  const Lock lock(outer.set.lock);
  for_each_in(outer, [&](NestedSet& nested) {
    if (count == max) return;
    const bool ready = is_ready_inside(nested), tells = has_event(nested, ready);
    nested.was_ready = ready;
    nested.seen_notes = set_of(nested.inner).notes_taken;
    if (!tells) return;
    events[count].events = nested.events & kAboutReady;
    events[count++].data.u64 = nested.data;
    if (!(nested.events & EPOLLONESHOT)) return;
    nested.events = 0;
    tell_kernel(nested, EPOLL_CTL_MOD);
  });
  return count;
}

bool has_ready_nested(const Wake& outer) {
  bool found = false;
  if (nested_in(outer.waiter) == 0) return false;
  const Lock lock(outer.set.lock);
  for_each_in(outer,
              [&](const NestedSet& nested) { found = found || has_event(nested, is_ready_inside(nested)); });
  return found;
}

uint32_t nested_in(uint32_t waiter) {
  return nested_count[waiter].load(std::memory_order_relaxed);
}

void arm_nested(const Wake& outer) {
  for_each_in(outer, [](const NestedSet& nested) { arm_set(wake_of(nested)); });
}

void disarm_nested(const Wake& outer) {
  for_each_in(outer, [](const NestedSet& nested) { disarm_set(wake_of(nested)); });
}

void forget_nested(uint32_t waiter) {
  for (NestedSet& nested : nested_sets) {
    const uint32_t outer = nested.outer.load(std::memory_order_relaxed);
    if (outer == 0) continue;
    EpollSet& set = set_of(outer - 1);
    const Lock lock(set.lock);
    if (nested.outer.load() != outer || (outer != waiter + 1 && nested.inner != waiter)) continue;
    // What another process has too stays as it is there.
    if (is_shared(outer - 1))
      forget(nested);
    else
      remove(set, nested);
  }
}

}  // namespace skerry::sockets::client
