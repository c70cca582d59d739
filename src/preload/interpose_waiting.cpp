// epoll, poll and select.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

#include "preload/interpose.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_poll.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

constinit Next<int(int, epoll_event*, int, int)> next_epoll_wait{"epoll_wait"};
constinit Next<int(int, epoll_event*, int, int, const sigset_t*)> next_epoll_pwait{"epoll_pwait"};
constinit Next<int(int, epoll_event*, int, const timespec*, const sigset_t*)> next_epoll_pwait2{
    "epoll_pwait2"};
constinit Next<int(pollfd*, nfds_t, int)> next_poll{"poll"};
constinit Next<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> next_ppoll{"ppoll"};
constinit Next<int(int, fd_set*, fd_set*, fd_set*, timeval*)> next_select{"select"};
constinit Next<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)> next_pselect{"pselect"};

// Time-outs of the calls as wait_epoll() and wait_poll() take them; -EINVAL does not occur for milliseconds.
DurationNs from_milliseconds(int timeout) {
  return timeout < 0 ? kNever : static_cast<DurationNs>(timeout) * kMillisecond;
}

bool from_timespec(const timespec* timeout, DurationNs& result) {
  if (timeout == nullptr) {
    result = kNever;
    return true;
  }
  if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000) return false;
  // A time that does not fit is as good as never.
  const auto seconds = static_cast<uint64_t>(timeout->tv_sec);
  result = seconds > 1'000'000'000 ? kNever : seconds * kSecond + static_cast<uint64_t>(timeout->tv_nsec);
  return true;
}

bool is_our_set(int fd) {
  return sockets::fd_kind(client::entry_of(fd)) == sockets::FdKind::epoll;
}

}  // namespace

void resolve_waiting() {
  next_epoll_wait.resolve();
  next_epoll_pwait.resolve();
  next_epoll_pwait2.resolve();
  next_poll.resolve();
  next_ppoll.resolve();
  next_select.resolve();
  next_pselect.resolve();
}

}  // namespace skerry::preload

using namespace skerry;
using namespace skerry::preload;

SKERRY_EXPORT int epoll_create1(int flags) noexcept {
  const int fd = finish(static_cast<int>(system_call(SYS_epoll_create1, flags)));
  if (fd >= 0) client::adopt_epoll(fd);
  return fd;
}

SKERRY_EXPORT int epoll_create(int size) noexcept {
  if (size <= 0) return finish(-EINVAL);
  return epoll_create1(0);
}

SKERRY_EXPORT int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event) noexcept {
  return finish(client::change_epoll(epoll_fd, operation, fd, event));
}

SKERRY_EXPORT int epoll_wait(int fd, epoll_event* events, int max, int timeout) {
  if (!is_our_set(fd)) return next_epoll_wait(fd, events, max, timeout);
  pthread_testcancel();
  return finish(client::wait_epoll(fd, events, max, from_milliseconds(timeout), nullptr));
}

SKERRY_EXPORT int epoll_pwait(int fd, epoll_event* events, int max, int timeout, const sigset_t* mask) {
  if (!is_our_set(fd)) return next_epoll_pwait(fd, events, max, timeout, mask);
  pthread_testcancel();
  return finish(client::wait_epoll(fd, events, max, from_milliseconds(timeout), mask));
}

SKERRY_EXPORT int epoll_pwait2(int fd, epoll_event* events, int max, const timespec* timeout,
                               const sigset_t* mask) {
  if (!is_our_set(fd)) return next_epoll_pwait2(fd, events, max, timeout, mask);
  DurationNs timeout_ns = 0;
  if (!from_timespec(timeout, timeout_ns)) return finish(-EINVAL);
  pthread_testcancel();
  return finish(client::wait_epoll(fd, events, max, timeout_ns, mask));
}

SKERRY_EXPORT int poll(pollfd* fds, nfds_t count, int timeout) {
  if (!client::has_ours(fds, count)) return next_poll(fds, count, timeout);
  pthread_testcancel();
  return finish(client::wait_poll(fds, count, from_milliseconds(timeout), nullptr));
}

SKERRY_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!client::has_ours(fds, count)) return next_ppoll(fds, count, timeout, mask);
  DurationNs timeout_ns = 0;
  if (!from_timespec(timeout, timeout_ns)) return finish(-EINVAL);
  pthread_testcancel();
  return finish(client::wait_poll(fds, count, timeout_ns, mask));
}

// Linux leaves in `timeout` what was not slept (select(2)).
SKERRY_EXPORT int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  if (!client::has_ours(count, read, write, except)) return next_select(count, read, write, except, timeout);
  DurationNs timeout_ns = kNever;
  if (timeout != nullptr) {
    const timespec time{.tv_sec = timeout->tv_sec + timeout->tv_usec / 1'000'000,
                        .tv_nsec = timeout->tv_usec % 1'000'000 * 1000};
    if (!from_timespec(&time, timeout_ns)) return finish(-EINVAL);
  }
  const TimeNs before = client::monotonic_ns();
  pthread_testcancel();
  const int result = finish(client::wait_select(count, read, write, except, timeout_ns, nullptr));
  if (timeout != nullptr) {
    const DurationNs slept = client::monotonic_ns() - before;
    const DurationNs left = timeout_ns > slept ? timeout_ns - slept : 0;
    timeout->tv_sec = static_cast<time_t>(left / kSecond);
    timeout->tv_usec = static_cast<suseconds_t>(left % kSecond / kMicrosecond);
  }
  return result;
}

SKERRY_EXPORT int pselect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
                          const sigset_t* mask) {
  if (!client::has_ours(count, read, write, except))
    return next_pselect(count, read, write, except, timeout, mask);
  DurationNs timeout_ns = 0;
  if (!from_timespec(timeout, timeout_ns)) return finish(-EINVAL);
  pthread_testcancel();
  return finish(client::wait_select(count, read, write, except, timeout_ns, mask));
}

// The fortified names (-D_FORTIFY_SOURCE): the compiler adds how large the array is.
extern "C" [[noreturn]] void __chk_fail();

SKERRY_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
  if (count > room / sizeof *fds) __chk_fail();
  return poll(fds, count, timeout);
}

SKERRY_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                              size_t room) {
  if (count > room / sizeof *fds) __chk_fail();
  return ppoll(fds, count, timeout, mask);
}
SKERRY_ALSO(int, poll, (pollfd*, nfds_t, int));
SKERRY_ALSO(int, select, (int, fd_set*, fd_set*, fd_set*, timeval*));
