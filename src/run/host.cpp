#include "run/host.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/system_error.hpp"

namespace skerry {

Result<Host> Host::create() {
  Result<Waiter> waiter = Waiter::create();
  if (!waiter) return waiter.error();
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  Fd signals(::signalfd(-1, &terminate, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals || ::sigprocmask(SIG_BLOCK, &terminate, nullptr) != 0 || ::signal(SIGPIPE, SIG_IGN) == SIG_ERR)
    return system_error("cannot set up signals");
  Host host(std::move(*waiter), std::move(signals));
  const Result<void> watched =
      host.waiter_.watch(host.signals_.get(), [stop = host.stop_.get()](uint32_t) { *stop = true; });
  if (!watched) return watched.error();
  return host;
}

TimeNs Host::now() const {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<TimeNs>(now.tv_sec) * kSecond + static_cast<TimeNs>(now.tv_nsec);
}

void Host::yield() {
  ::sched_yield();
}

void Host::wait(DurationNs timeout_ns) {
  waiter_.wait(timeout_ns);
}

}  // namespace skerry
