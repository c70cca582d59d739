// epoll_wait(): look, yield a while, sleep. Which side of the set is looked at when:
//   sockets: in every call, and after every yield.
//   kernel: whenever no socket is ready, and else every 16 calls or 100 µs, so that neither starves the
//   other.
#include <sys/epoll.h>

#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets::client {
namespace {

constexpr uint32_t kCallsBetweenLooks = 16;
constexpr DurationNs kTimeBetweenLooks = 100 * kMicrosecond;
Wake wake_of(int epoll_fd) {
  const uint32_t waiter = fd_index(entry_of(epoll_fd));
  return {epoll_sets[waiter], waiter, epoll_fd};
}

// Takes our own events out of what the kernel gave.
int only_theirs(const Wake& wake, epoll_event* events, int count) {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == mark_data(doorbell_mark))
      drain(doorbell(wake.waiter));
    else if (events[i].data.u64 != mark_data(nudge_mark))
      events[kept++] = events[i];
  }
  return kept;
}

int take_kernel(const Wake& wake, epoll_event* events, int max) {
  if (max <= 0) return 0;
  const long count = system_call(SYS_epoll_pwait, wake.epoll_fd, word(events), max, 0, 0, 8);
  return count <= 0 ? static_cast<int>(count) : only_theirs(wake, events, static_cast<int>(count));
}

int take_both(const Wake& wake, epoll_event* events, int max) {
  EpollSet& set = wake.set;
  if (set.kernel_members.load(std::memory_order_relaxed) == 0) return take_sockets(wake, events, max);
  const TimeNs now = monotonic_ns();
  const uint32_t calls = set.calls_since_look.load(std::memory_order_relaxed) + 1;
  set.calls_since_look.store(calls, std::memory_order_relaxed);
  const bool due = calls >= kCallsBetweenLooks ||
                   now - set.last_look_ns.load(std::memory_order_relaxed) > kTimeBetweenLooks;
  const bool kernel_first = due && set.kernel_first.load(std::memory_order_relaxed);
  int count = 0;
  if (kernel_first) count = take_kernel(wake, events, max);
  if (count < 0) return count;
  count += take_sockets(wake, events + count, max - count);
  if (due) set.kernel_first.store(!kernel_first, std::memory_order_relaxed);
  if (due ? !kernel_first && count < max : count == 0) {
    const int found = take_kernel(wake, events + count, max - count);
    if (found < 0) return count > 0 ? count : found;
    count += found;
  } else if (!kernel_first) {
    return count;
  }
  set.calls_since_look.store(0, std::memory_order_relaxed);
  set.last_look_ns.store(now, std::memory_order_relaxed);
  return count;
}

// The waiter's pipe goes into the kernel's set with the first sleep there.
bool add_doorbell(const Wake& wake) {
  const Lock lock(wake.set.lock);
  if (wake.set.doorbell_added) return true;
  const int pipe_end = doorbell(wake.waiter);
  if (pipe_end < 0) return false;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = mark_data(doorbell_mark)}};
  const long added = system_call(SYS_epoll_ctl, wake.epoll_fd, EPOLL_CTL_ADD, pipe_end, word(&event));
  wake.set.doorbell_added = added == 0 || added == -EEXIST;
  return wake.set.doorbell_added;
}

// A deadline that never comes: unlike no time-out at all, it lets every signal handler end the sleep, as
// epoll_wait() has it (signal(7)).
constexpr TimeNs kFarAway = uint64_t{1} << 62;

// One thread more that sleeps. Several threads may wait for one set: arming and disarming happen under the
// lock, so that a thread that leaves does not disarm the others.
Armed enter_sleep(const Wake& wake, bool for_kernel) {
  const bool can_ring_pipe =
      (for_kernel || wake.set.kernel_members.load(std::memory_order_seq_cst) > 0) && add_doorbell(wake);
  const Lock lock(wake.set.lock);
  wake.set.sleepers.fetch_add(1, std::memory_order_seq_cst);
  // Between the two lines above the first kernel descriptor may have come: then this sleep must see it too.
  const bool in_kernel = can_ring_pipe || (wake.set.kernel_members.load() > 0 && wake.set.doorbell_added);
  const Armed how = in_kernel ? kPipe : kFutex;
  arm(wake.waiter, how);
  return how;
}

void leave_sleep(const Wake& wake, Armed how) {
  const Lock lock(wake.set.lock);
  if (wake.set.sleepers.fetch_sub(1, std::memory_order_seq_cst) > 1)
    arm(wake.waiter, how);
  else
    disarm(wake.waiter);
}

int sleep_in_kernel(const Wake& wake, epoll_event* events, int max, TimeNs deadline, const sigset_t* mask) {
  timespec left{};
  if (deadline != kNever) {
    const TimeNs now = monotonic_ns();
    left = to_timespec(deadline > now ? deadline - now : 0);
  }
  const long count = system_call(SYS_epoll_pwait2, wake.epoll_fd, word(events), max,
                                 deadline == kNever ? 0 : word(&left), word(mask), 8);
  if (count == 0) return -ETIMEDOUT;
  return count < 0 ? static_cast<int>(count) : only_theirs(wake, events, static_cast<int>(count));
}

// Sleeps unless something is noted after arming. What the kernel reported meanwhile (>= 0), -ETIMEDOUT,
// -EINTR.
int sleep(const Wake& wake, epoll_event* events, int max, TimeNs deadline, const sigset_t* mask) {
  const Armed how = enter_sleep(wake, mask != nullptr);
  long result = 0;
  if (!has_notes(wake)) {
    hand_links_over();
    if (how == kPipe)
      result = sleep_in_kernel(wake, events, max, deadline, mask);
    else
      result =
          futex_wait(&state.view.waiter(wake.waiter).armed, kFutex, deadline == kNever ? kFarAway : deadline);
    if (result == -EAGAIN) result = 0;
  }
  leave_sleep(wake, how);
  return static_cast<int>(result);
}

}  // namespace

int wait_epoll(int epoll_fd, epoll_event* events, int max, DurationNs timeout_ns, const sigset_t* mask) {
  if (max <= 0 || events == nullptr) return max <= 0 ? -EINVAL : -EFAULT;
  const Wake wake = wake_of(epoll_fd);
  int count = take_both(wake, events, max);
  if (count != 0 || timeout_ns == 0) return count;
  const TimeNs deadline = timeout_ns == kNever ? kNever : monotonic_ns() + timeout_ns;
  for (;;) {
    for (Yields yields; !has_notes(wake) && yields.again();) {
    }
    const int slept = has_notes(wake) ? 0 : sleep(wake, events, max, deadline, mask);
    if (slept == -EINTR) return -EINTR;
    count =
        slept > 0 ? slept + take_sockets(wake, events + slept, max - slept) : take_both(wake, events, max);
    if (count != 0) return count;
    if (slept < 0 && slept != -ETIMEDOUT) return slept;
    if (slept == -ETIMEDOUT || (deadline != kNever && monotonic_ns() >= deadline)) return 0;
  }
}

void arm_epoll(int epoll_fd) {
  enter_sleep(wake_of(epoll_fd), true);
}

bool is_epoll_ready(int epoll_fd) {
  return is_ready(wake_of(epoll_fd));
}

void disarm_epoll(int epoll_fd) {
  const Wake wake = wake_of(epoll_fd);
  leave_sleep(wake, kPipe);
  drain(doorbell(wake.waiter));
}

}  // namespace skerry::sockets::client
