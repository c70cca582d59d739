#include "run/waiter.hpp"

#include <sys/epoll.h>

#include <cerrno>

#include "base/system_error.hpp"

namespace skerry {
namespace {

constexpr int kEventsPerWait = 32;

}  // namespace

Result<Waiter> Waiter::create() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return system_error("cannot create an epoll descriptor");
  return Waiter(std::move(epoll));
}

Result<void> Waiter::watch(int descriptor, Handler handler) {
  CHECK(handler != nullptr);
  return add(descriptor, EPOLLIN, std::move(handler));
}

Result<void> Waiter::watch_edges(int descriptor) {
  return add(descriptor, EPOLLIN | EPOLLET, nullptr);
}

Result<void> Waiter::add(int descriptor, uint32_t events, Handler handler) {
  const uint32_t serial = next_serial_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(serial) << 32 | static_cast<uint32_t>(descriptor);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    return system_error("cannot watch a descriptor");
  sources_[descriptor] = Source{serial, std::move(handler)};
  return {};
}

void Waiter::unwatch(int descriptor) {
  if (sources_.erase(descriptor) == 0) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void Waiter::wait(DurationNs timeout_ns) {
  epoll_event events[kEventsPerWait];
  timespec timeout{static_cast<time_t>(timeout_ns / kSecond), static_cast<long>(timeout_ns % kSecond)};
  const int ready = ::epoll_pwait2(epoll_.get(), events, kEventsPerWait,
                                   timeout_ns == kNever ? nullptr : &timeout, nullptr);
  CHECK(ready >= 0 || errno == EINTR);
  for (int i = 0; i < ready; ++i) {
    const int descriptor = static_cast<int>(events[i].data.u64 & UINT32_MAX);
    // A handler that ran before may have removed this source, or put another in its place.
    const auto is_still_there = [&] {
      const auto found = sources_.find(descriptor);
      return found != sources_.end() && found->second.serial == events[i].data.u64 >> 32;
    };
    if (!is_still_there()) continue;
    if (const Handler handler = sources_.at(descriptor).handler)  // a copy, because it may unwatch itself
      handler(events[i].events);
    if ((events[i].events & (EPOLLHUP | EPOLLIN)) == EPOLLHUP && is_still_there()) unwatch(descriptor);
  }
}

}  // namespace skerry
