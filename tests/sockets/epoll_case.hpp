// The ground of the tests of epoll sets.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "client_case.hpp"

namespace skerry::sockets {

inline constexpr uint32_t kNormal = EPOLLRDNORM | EPOLLWRNORM;

// What the calling thread has computed so far.
inline std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

class EpollTest : public OsCase {
 protected:
  void SetUp() override {
    OsCase::SetUp();
    set = os->epoll_create();
    ASSERT_GE(set, 0);
  }
  void TearDown() override {
    os->close(set);
    OsCase::TearDown();
  }

  int add(int fd, uint32_t events, uint64_t data) { return change(EPOLL_CTL_ADD, fd, events, data); }
  int modify(int fd, uint32_t events, uint64_t data) { return change(EPOLL_CTL_MOD, fd, events, data); }
  int change(int operation, int fd, uint32_t events, uint64_t data) {
    const epoll_event event{.events = events, .data = {.u64 = data}};
    return os->epoll_ctl(set, operation, fd, &event);
  }
  // Events in order of their data, without the *NORM bits that nobody asked for.
  std::vector<std::pair<uint64_t, uint32_t>> wait(int timeout_ms, int max = 16) {
    std::vector<epoll_event> events(static_cast<size_t>(max));
    const int count = os->epoll_wait(set, events.data(), max, timeout_ms);
    EXPECT_GE(count, 0);
    std::vector<std::pair<uint64_t, uint32_t>> result;
    for (int i = 0; i < count; ++i)
      result.emplace_back(uint64_t{events[i].data.u64}, uint32_t{events[i].events} & ~kNormal);
    std::sort(result.begin(), result.end());
    return result;
  }
  using Events = std::vector<std::pair<uint64_t, uint32_t>>;

  int set = -1;
};

}  // namespace skerry::sockets
