// What ends a sleep on an epoll set: the bytes that the stack writes into the waiter's pipe, and nudges, by
// which threads tell each other that there is something left. Both are descriptors in the kernel's set and
// never reach the program. Read first: client_epoll_wait.cpp.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_session.hpp"

namespace skerry::sockets::client {
namespace {

constinit int always_readable = -1;  // eventfd behind nudges

// The same in every process that shares a set, so that the kernel takes it for the same.
bool has_always_readable() {
  if (always_readable >= 0) return true;
  const long made = system_call(SYS_eventfd2, 1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made >= 0) always_readable = adopt_internal(static_cast<int>(made));
  return made >= 0;
}

bool is_ready_in_kernel(const Wake& wake) {
  pollfd set{.fd = wake.epoll_fd, .events = POLLIN, .revents = 0};
  const timespec none{};
  return system_call(SYS_ppoll, word(&set), 1, word(&none), 0, 8) > 0 && set.revents == POLLIN;
}

bool is_in_vain(const Wake& wake, const epoll_event& event) {
  if (event.data.u64 == mark_data(doorbell_mark)) return !has_doorbell(wake.waiter);
  return event.data.u64 == mark_data(nested_mark) && !has_ready_nested(wake) && is_ready_in_kernel(wake);
}

}  // namespace

// A byte in the pipe stays there for those who sleep; a nudge was used up by being seen, so it is given
// again.
int only_theirs(const Wake& wake, epoll_event* events, int count, From from) {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    const bool rung = events[i].data.u64 == mark_data(doorbell_mark);
    const bool nudged = events[i].data.u64 == mark_data(nudge_mark);
    if (events[i].data.u64 == mark_data(nested_mark)) continue;
    if (!rung && !nudged) {
      events[kept++] = events[i];
      continue;
    }
    const Lock lock(wake.set.lock);
    if (rung && (from == From::sleep || wake.set.sleepers.load() == 0)) drain_doorbell(wake.waiter);
    if (nudged && from == From::look) nudge(wake);
  }
  return kept;
}

bool rang_in_vain(const Wake& wake, const epoll_event* events, int count) {
  return std::any_of(events, events + count,
                     [&](const epoll_event& event) { return is_in_vain(wake, event); });
}

void take_rings(const Wake& wake) {
  EpollSet& set = wake.set;
  if (!set.doorbell_added) return;
  drain_doorbell(wake.waiter);
  if (set.sleepers.load() != 0) arm(wake.waiter, kPipe);
  if (!set.nudge_added) return;
  system_call(SYS_epoll_ctl, wake.epoll_fd, EPOLL_CTL_DEL, always_readable, 0);
  set.nudge_added = false;
}

// An event that only one sleeper gets: the others sleep on, and whoever gets it hands on what it leaves.
void nudge(const Wake& wake) {
  EpollSet& set = wake.set;
  if (set.sleepers.load() == 0) return;
  if (!set.doorbell_added) {
    std::atomic<uint32_t>& armed = state.view.waiter(wake.waiter).armed;
    armed.store(kAwake);
    futex_wake_all(&armed);
    return;
  }
  if (!has_always_readable()) return;
  epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = mark_data(nudge_mark)}};
  const auto ask = [&](int operation) {
    return system_call(SYS_epoll_ctl, wake.epoll_fd, operation, always_readable, word(&event));
  };
  // What was added may be another process's, if this one had none when it was forked.
  const bool changed = set.nudge_added && ask(EPOLL_CTL_MOD) == 0;
  if (changed || ask(EPOLL_CTL_ADD) == 0) set.nudge_added = true;
}

// Nobody is left behind on the futex: `armed` is never kFutex again, so who has not fallen asleep there will
// not.
void sleep_in_kernel_from_now(const Wake& wake) {
  EpollSet& set = wake.set;
  if (set.doorbell_added) return;
  const int pipe_end = doorbell(wake.waiter);
  if (pipe_end < 0) return;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = mark_data(doorbell_mark)}};
  const long added = system_call(SYS_epoll_ctl, wake.epoll_fd, EPOLL_CTL_ADD, pipe_end, word(&event));
  if (added != 0 && added != -EEXIST) return;
  nudge(wake);
  set.doorbell_added = true;
}

void make_fit_to_share(const Wake& wake) {
  if (has_always_readable()) sleep_in_kernel_from_now(wake);
}

// The kernel's set is readable for our own rings too. They end every sleep above it for as long as they are
// there, so somebody has to take them who only looks, and rings again if there is something for the others.
bool is_ready_at_all(const Wake& wake) {
  const auto has_ours = [&] { return is_ready(wake) || has_ready_nested(wake); };
  if (has_ours()) return true;
  if (!is_ready_in_kernel(wake)) return false;
  bool has_kernels = false;
  {
    const Lock lock(wake.set.lock);
    take_rings(wake);
    has_kernels = wake.set.kernel_members.load() > nested_in(wake.waiter) && is_ready_in_kernel(wake);
  }
  if (!has_ours()) return has_kernels;  // of which the kernel tells the others
  const Lock lock(wake.set.lock);
  nudge(wake);
  return true;
}

}  // namespace skerry::sockets::client
