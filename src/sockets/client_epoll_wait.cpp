// epoll_wait(): look, yield a while, sleep. Which side of the set is looked at when:
//   sockets: in every call, and after every yield.
//   kernel: whenever no socket is ready, and else every 16 calls or 100 µs, so that neither starves the
//   other.
//
// Several threads may sleep on one set, and of several processes. All sleep in the same way: on the waiter's
// futex word until the set first has to do with descriptors of the kernel, and from then on in the kernel's
// set, where the waiter's pipe is. One wake-up may reach only one of them, so that no news is lost by two
// rules: a thread that does not sleep leaves what rings to those that do, and a thread that leaves hands on
// what it has not looked at, and what others shall hear too because it is level-triggered (Linux
// ep_send_events()).
#include <sys/epoll.h>

#include <algorithm>

#include "sockets/client_cancel.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets::client {
namespace {

constexpr uint32_t kCallsBetweenLooks = 16;
constexpr DurationNs kTimeBetweenLooks = 100 * kMicrosecond;

Wake wake_of(int epoll_fd) {
  const uint32_t waiter = fd_index(entry_of(epoll_fd));
  return {set_of(waiter), waiter, epoll_fd};
}

int take_kernel(const Wake& wake, epoll_event* events, int max) {
  if (max <= 0) return 0;
  const long count = system_call(SYS_epoll_pwait, wake.epoll_fd, word(events), max, 0, 0, 8);
  return count <= 0 ? static_cast<int>(count)
                    : only_theirs(wake, events, static_cast<int>(count), From::look);
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
  count += take_nested(wake, events + count, max - count);
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

Armed way_to_sleep(const Wake& wake) {
  return wake.set.doorbell_added ? kPipe : kFutex;
}

struct Sleep {
  Armed how;
  uint32_t life;  // a set that is closed meanwhile has forgotten its sleepers
};

// One thread more that sleeps. Arming and disarming happen under the lock, so that a thread that leaves does
// not disarm the others.
Sleep enter_sleep(const Wake& wake, bool for_kernel) {
  const Lock lock(wake.set.lock);
  if (for_kernel || wake.set.kernel_members.load() > 0) sleep_in_kernel_from_now(wake);
  forget_dead_sleepers(wake);
  wake.set.sleepers.fetch_add(1);
  ++wake.set.sleepers_of[state.slot];
  const Armed how = way_to_sleep(wake);
  arm(wake.waiter, how);
  arm_nested(wake);
  return {how, wake.set.life};
}

// With the lock held.
void leave_sleep(const Wake& wake, uint32_t life) {
  if (wake.set.life != life || wake.set.sleepers_of[state.slot] == 0) return;
  --wake.set.sleepers_of[state.slot];
  disarm_nested(wake);
  if (wake.set.sleepers.fetch_sub(1) > 1)
    arm(wake.waiter, way_to_sleep(wake));
  else
    disarm(wake.waiter);
}

// So that who cannot take a ring looks a thousand times a second, and does not spin. 0 or -EINTR.
int pause_briefly(const sigset_t* mask) {
  const timespec pause = to_timespec(kMillisecond);
  return std::min(static_cast<int>(system_call(SYS_ppoll, 0, 0, word(&pause), word(mask), 8)), 0);
}

int sleep_in_kernel(const Wake& wake, epoll_event* events, int max, TimeNs deadline, const sigset_t* mask) {
  timespec left{};
  if (deadline != kNever) {
    const TimeNs now = monotonic_ns();
    left = to_timespec(deadline > now ? deadline - now : 0);
  }
  const auto sleep = [&] {
    return system_call(SYS_epoll_pwait2, wake.epoll_fd, word(events), max,
                       deadline == kNever ? 0 : word(&left), word(mask), 8);
  };
  const long count = sleep_cancellably(sleep);
  if (count == 0) return -ETIMEDOUT;
  if (count < 0) return static_cast<int>(count);
  const int kept = only_theirs(wake, events, static_cast<int>(count), From::sleep);
  if (kept > 0) return kept;
  return rang_in_vain(wake, events, static_cast<int>(count)) ? pause_briefly(mask) : 0;
}

// Threads that sleep hear of what this one leaves.
void hand_on(const Wake& wake) {
  if (wake.set.sleepers.load() == 0 || !has_notes(wake)) return;
  const Lock lock(wake.set.lock);
  nudge(wake);
}

// A thread that may sleep, and may not come back from there, nor from anywhere behind it. It may have been
// the one that was woken.
class Sleeper {
 public:
  explicit Sleeper(const Wake& wake)
      : wake_(wake), undo_([](void* sleeper) { static_cast<Sleeper*>(sleeper)->vanish(); }, this) {}
  ~Sleeper() { hand_on(wake_); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  // Unless something is noted after arming. What the kernel reported meanwhile (>= 0), -ETIMEDOUT, -EINTR.
  int sleep(epoll_event* events, int max, TimeNs deadline, const sigset_t* mask) {
    enter(mask != nullptr);
    long result = 0;
    if (!has_notes(wake_) && !has_ready_nested(wake_)) {
      if (sleep_.how == kPipe) {
        result = sleep_in_kernel(wake_, events, max, deadline, mask);
      } else {
        const auto sleep_here = [&] {
          return futex_wait(&state.view.waiter(wake_.waiter).armed, kFutex, ended_by_any_handler(deadline));
        };
        result = sleep_cancellably(sleep_here);
      }
      if (result == -EAGAIN) result = 0;
    }
    leave();
    return static_cast<int>(result);
  }

 private:
  void enter(bool for_kernel) {
    const NoHandlers none;
    sleep_ = enter_sleep(wake_, for_kernel);
    entered_ = true;
  }
  void leave() {
    const Lock lock(wake_.set.lock);
    leave_sleep(wake_, sleep_.life);
    entered_ = false;
  }
  void vanish() {
    if (entered_) leave();
    const Lock lock(wake_.set.lock);
    nudge(wake_);
  }

  const Wake& wake_;
  bool entered_ = false;
  Sleep sleep_{};
  Undo undo_;
};

// Nothing was ready at first. `handlers`: when the call began.
int wait(const Wake& wake, epoll_event* events, int max, DurationNs timeout_ns, const sigset_t* mask,
         const HandlersRun& handlers) {
  const TimeNs deadline = timeout_ns == kNever ? kNever : monotonic_ns() + timeout_ns;
  Sleeper sleeper(wake);
  for (;;) {
    for (Yields yields; !has_notes(wake) && yields.again();) {
    }
    const int slept = has_notes(wake)           ? 0
                      : has_run_since(handlers) ? -EINTR
                                                : sleeper.sleep(events, max, deadline, mask);
    if (slept == -EINTR) return -EINTR;
    const int count =
        slept > 0 ? slept + take_sockets(wake, events + slept, max - slept) : take_both(wake, events, max);
    if (count != 0) return count;
    if (slept < 0 && slept != -ETIMEDOUT) return slept;
    if (slept == -ETIMEDOUT || (deadline != kNever && monotonic_ns() >= deadline)) return 0;
  }
}

}  // namespace

int wait_epoll(int epoll_fd, epoll_event* events, int max, DurationNs timeout_ns, const sigset_t* mask) {
  if (max <= 0 || events == nullptr) return max <= 0 ? -EINVAL : -EFAULT;
  const Wake wake = wake_of(epoll_fd);
  const HandlersRun handlers = handlers_run();
  const int count = take_both(wake, events, max);
  if (count == 0 && timeout_ns != 0) return wait(wake, events, max, timeout_ns, mask, handlers);
  hand_on(wake);
  return count;
}

void arm_set(const Wake& wake) {
  enter_sleep(wake, true);
}

void arm_epoll(int epoll_fd) {
  arm_set(wake_of(epoll_fd));
}

bool is_epoll_ready(int epoll_fd) {
  const Wake wake = wake_of(epoll_fd);
  return is_ready(wake) || has_ready_nested(wake);
}

bool is_epoll_readable(int epoll_fd) {
  return is_ready_at_all(wake_of(epoll_fd));
}

void disarm_set(const Wake& wake) {
  const Lock lock(wake.set.lock);
  leave_sleep(wake, wake.set.life);
  if (wake.set.sleepers.load() == 0) take_rings(wake);
}

void disarm_epoll(int epoll_fd) {
  disarm_set(wake_of(epoll_fd));
}

}  // namespace skerry::sockets::client
