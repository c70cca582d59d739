#include "sockets/client_poll.hpp"

#include <sys/resource.h>

#include "sockets/client_epoll.hpp"
#include "sockets/client_level.hpp"
#include "sockets/client_room.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

// One poll: the program's array, and the same array as the kernel sees it, with ours taken out and, while the
// thread sleeps, its doorbell in the place of one of them: the kernel takes no more than RLIMIT_NOFILE says.
struct Poll {
  pollfd* fds;
  nfds_t count;
  pollfd* kernel;
  HandlersRun handlers;  // when the call began
  bool has_kernel = false;
  bool changed = false;  // a number became the kernel's since the kernel was asked
};

bool is_set(FdKind kind) {
  return kind == FdKind::epoll;
}

void split(Poll& poll) {
  for (nfds_t i = 0; i < poll.count; ++i) {
    pollfd& fd = poll.fds[i];
    const FdKind kind = fd_kind(entry_of(fd.fd));
    poll.kernel[i] = fd;
    if (kind == FdKind::socket || kind == FdKind::internal) poll.kernel[i].fd = -1;
    if (poll.kernel[i].fd >= 0) poll.has_kernel = true;
  }
}

// Our part: sets revents, counts what is ready. A number that another thread has closed or reused since it
// was split off is the kernel's from now on: it has the answer, and Java wakes its readers so.
int look(Poll& poll) {
  int ready = 0;
  for (nfds_t i = 0; i < poll.count; ++i) {
    pollfd& fd = poll.fds[i];
    fd.revents = 0;
    const uint32_t entry = entry_of(fd.fd);
    const auto asked = static_cast<uint32_t>(static_cast<uint16_t>(fd.events)) | POLLERR | POLLHUP;
    if (fd_kind(entry) == FdKind::socket)
      fd.revents = static_cast<short>(level(fd_index(entry), asked) & asked);
    else if (fd_kind(entry) == FdKind::internal)
      fd.revents = POLLNVAL;
    else if (is_set(fd_kind(entry)) && is_epoll_ready(fd.fd))
      fd.revents = static_cast<short>(asked & (POLLIN | POLLRDNORM));
    if (entry == 0 && fd.fd >= 0 && poll.kernel[i].fd < 0) {
      poll.kernel[i] = fd;
      poll.has_kernel = poll.changed = true;
    }
    if (fd.revents != 0) ++ready;
  }
  return ready;
}

// The kernel's part of the answer, beside what look() found.
int merge(const Poll& poll, int ready) {
  for (nfds_t i = 0; i < poll.count; ++i) {
    if (poll.kernel[i].fd < 0 || poll.kernel[i].revents == 0) continue;
    if (is_set(fd_kind(entry_of(poll.fds[i].fd))) && !is_epoll_readable(poll.fds[i].fd)) continue;
    if (poll.fds[i].revents == 0) ++ready;
    poll.fds[i].revents = static_cast<short>(poll.fds[i].revents | poll.kernel[i].revents);
  }
  return ready;
}

int look_at_both(Poll& poll) {
  const int ready = look(poll);
  poll.changed = false;
  if (!poll.has_kernel) return ready;
  const timespec none{};
  const long found =
      system_call(SYS_ppoll, word(poll.kernel), static_cast<long>(poll.count), word(&none), 0, 8);
  if (found < 0) return static_cast<int>(found);
  return merge(poll, ready);
}

void watch_all(const Poll& poll, uint32_t waiter, bool on) {
  for (nfds_t i = 0; i < poll.count; ++i) {
    const uint32_t entry = entry_of(poll.fds[i].fd);
    if (is_set(fd_kind(entry))) on ? arm_epoll(poll.fds[i].fd) : disarm_epoll(poll.fds[i].fd);
    if (fd_kind(entry) != FdKind::socket || waiter == kNoWaiter) continue;
    on ? watch(fd_index(entry), waiter) : unwatch(fd_index(entry), waiter);
  }
}

// From here on the stack tells of what is polled, until the call ends, however it does.
class Watching {
 public:
  explicit Watching(const Poll& poll)
      : poll_(poll), undo_([](void* watching) { static_cast<Watching*>(watching)->end(); }, this) {
    const NoHandlers none;
    watch_all(poll_, waiter(), true);
    on_ = true;
  }
  ~Watching() { end(); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  uint32_t waiter() const { return waiter_.index(); }

 private:
  void end() {
    const NoHandlers none;
    if (!on_) return;
    on_ = false;
    if (waiter() != kNoWaiter && !waiter_.is_ours()) return;
    watch_all(poll_, waiter(), false);
    if (waiter() != kNoWaiter) disarm(waiter());
  }

  const Poll& poll_;
  ThreadWaiter waiter_;
  bool on_ = false;
  Undo undo_;
};

int sleep_in_kernel(Poll& poll, TimeNs deadline, const sigset_t* mask) {
  timespec left{};
  if (deadline != kNever) {
    const TimeNs now = monotonic_ns();
    left = to_timespec(deadline > now ? deadline - now : 0);
  }
  const auto sleep = [&] {
    return system_call(SYS_ppoll, word(poll.kernel), static_cast<long>(poll.count),
                       deadline == kNever ? 0 : word(&left), word(mask), 8);
  };
  const long found = sleep_cancellably(sleep);
  return found == 0 ? -ETIMEDOUT : found < 0 ? static_cast<int>(found) : 0;
}

// Null: all of it is the kernel's by now, so the stack tells nothing of it.
pollfd* free_place(Poll& poll) {
  for (nfds_t i = 0; i < poll.count; ++i)
    if (poll.kernel[i].fd < 0) return &poll.kernel[i];
  return nullptr;
}

// Sleeps once, armed. 0: look again. Without a waiter of its own the thread looks a thousand times a second.
int sleep(Poll& poll, uint32_t waiter, TimeNs deadline, const sigset_t* mask) {
  const bool in_kernel = poll.has_kernel || mask != nullptr;
  int pipe_end = -1;
  if (waiter != kNoWaiter && in_kernel) pipe_end = doorbell(waiter);
  if (waiter == kNoWaiter || (in_kernel && pipe_end < 0)) {
    const TimeNs soon = monotonic_ns() + kMillisecond;
    const int slept = sleep_in_kernel(poll, soon < deadline ? soon : deadline, mask);
    return slept == -ETIMEDOUT && soon < deadline ? 0 : slept;
  }
  arm(waiter, in_kernel ? kPipe : kFutex);
  const bool found = look(poll) > 0 || poll.changed;
  if (found || has_run_since(poll.handlers)) {
    disarm(waiter);
    return found ? 0 : -EINTR;
  }
  if (!in_kernel) {
    const auto sleep = [&]() -> long { return sleep_armed(waiter, ended_by_any_handler(deadline)); };
    return static_cast<int>(sleep_cancellably(sleep));
  }
  pollfd* const place = free_place(poll);
  if (place != nullptr) *place = {.fd = pipe_end, .events = POLLIN, .revents = 0};
  const int slept = sleep_in_kernel(poll, deadline, mask);
  disarm(waiter);
  if (place != nullptr) {
    if (place->revents != 0) drain(pipe_end);
    *place = {.fd = -1, .events = 0, .revents = 0};
  }
  return slept;
}

}  // namespace

bool has_ours(const pollfd* fds, nfds_t count) {
  if (fds == nullptr) return false;
  for (nfds_t i = 0; i < count; ++i)
    if (entry_of(fds[i].fd) != 0) return true;
  return false;
}

int wait_poll(pollfd* fds, nfds_t count, DurationNs timeout_ns, const sigset_t* mask) {
  constexpr nfds_t kFew = 16;  // of these the kernel is not asked each time: docs/sockets.md tells
  rlimit limit{};
  if (count > kFew && !few_calls && system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, word(&limit)) == 0 &&
      count > limit.rlim_cur)
    return -EINVAL;
  return wait_any_number(fds, count, timeout_ns, mask);
}

int wait_any_number(pollfd* fds, nfds_t count, DurationNs timeout_ns, const sigset_t* mask) {
  const HandlersRun handlers = handlers_run();
  PollFds room;
  pollfd* const kernel = room.take(count);
  if (kernel == nullptr) return -ENOMEM;
  Poll poll{fds, count, kernel, handlers};
  split(poll);
  int ready = look_at_both(poll);
  if (ready != 0 || timeout_ns == 0) return ready;
  const TimeNs deadline = timeout_ns == kNever ? kNever : monotonic_ns() + timeout_ns;
  const Watching watching(poll);
  int slept = 0;
  while (ready == 0 && slept == 0) {
    for (Yields yields; ready == 0 && yields.again();) ready = look(poll);
    if (ready == 0) slept = sleep(poll, watching.waiter(), deadline, mask);
    ready = look_at_both(poll);
  }
  if (ready != 0) return ready;
  return slept == -ETIMEDOUT ? 0 : slept;
}

}  // namespace skerry::sockets::client
