// An epoll set that has descriptors of the kernel's too, threads that sleep in it, and a set that is polled
// itself.
#include <sys/eventfd.h>

#include <chrono>
#include <thread>

#include "epoll_case.hpp"

namespace skerry::sockets {
namespace {

class EpollMixTest : public EpollTest {};
ON_KERNEL_AND_CLIENT(EpollMixTest);

TEST_P(EpollMixTest, MixesWithTheKernelsDescriptors) {
  const auto [a, b] = connection();
  const int event = ::eventfd(0, EFD_NONBLOCK);
  ASSERT_EQ(add(event, EPOLLIN, 1), 0);
  ASSERT_EQ(add(b, EPOLLIN, 2), 0);
  EXPECT_EQ(wait(0), Events{});
  const uint64_t one = 1;
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(::write(event, &one, sizeof one), 8);
  });
  EXPECT_EQ(wait(-1), (Events{{1, EPOLLIN}}));
  writer.join();
  send(a, "x");
  wait_for(b, POLLIN);
  Events seen;
  for (int i = 0; i < 40 && seen.size() < 2; ++i) seen = wait(20'000);
  EXPECT_EQ(seen, (Events{{1, EPOLLIN}, {2, EPOLLIN}}));
  uint64_t value = 0;
  EXPECT_EQ(::read(event, &value, sizeof value), 8);
  EXPECT_EQ(wait(20'000), (Events{{2, EPOLLIN}}));
  std::thread sender([&, fd = a] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send(fd, "y");
  });
  receive(b);
  EXPECT_EQ(wait(-1), (Events{{2, EPOLLIN}}));
  sender.join();
  ::close(event);
  os->close(a);
  os->close(b);
}

// With room for one event, what is ready on both sides is reported in turns.
TEST_P(EpollMixTest, ShortArraysStarveNobody) {
  const int event = ::eventfd(1, EFD_NONBLOCK);
  ASSERT_EQ(add(event, EPOLLIN, 0), 0);
  std::vector<std::pair<int, int>> pairs;
  for (uint64_t i = 1; i <= 3; ++i) {
    pairs.push_back(connection());
    ASSERT_EQ(add(pairs.back().second, EPOLLIN, i), 0);
    send(pairs.back().first, "x");
    wait_for(pairs.back().second, POLLIN);
  }
  int times[4] = {};
  for (int i = 0; i < 200; ++i) {
    const Events one = wait(1000, 1);
    ASSERT_EQ(one.size(), 1u);
    ++times[one[0].first];
  }
  for (const int count : times) EXPECT_GE(count, 4);
  ::close(event);
  for (const auto& [a, b] : pairs) {
    os->close(a);
    os->close(b);
  }
}

TEST_P(EpollMixTest, InterestFromAnotherThreadWakesTheSleeper) {
  const auto [a, b] = connection();
  const auto [c, d] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  send(c, "x");
  wait_for(d, POLLIN);
  std::thread other([&, fd = d] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(add(fd, EPOLLIN, 2), 0);
  });
  EXPECT_EQ(wait(-1), (Events{{2, EPOLLIN}}));
  other.join();
  for (const int fd : {a, b, c, d}) os->close(fd);
}

TEST_P(EpollMixTest, KernelDescriptorFromAnotherThreadWakesTheSleeper) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  const int event = ::eventfd(1, EFD_NONBLOCK);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(add(event, EPOLLIN, 2), 0);
  });
  EXPECT_EQ(wait(-1), (Events{{2, EPOLLIN}}));
  other.join();
  ::close(event);
  os->close(a);
  os->close(b);
}

TEST_P(EpollMixTest, TimeoutIsKept) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(wait(40), Events{});
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(40));
  os->close(a);
  os->close(b);
}

TEST_P(EpollMixTest, TheSetItselfCanBePolled) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  pollfd one{.fd = set, .events = POLLIN, .revents = 0};
  EXPECT_EQ(os->poll(&one, 1, 0), 0);
  std::thread sender([&, fd = a] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send(fd, "x");
  });
  EXPECT_EQ(os->poll(&one, 1, -1), 1);
  EXPECT_EQ(one.revents, POLLIN);
  EXPECT_EQ(wait(0), (Events{{1, EPOLLIN}}));
  sender.join();
  os->close(a);
  os->close(b);
}

}  // namespace
}  // namespace skerry::sockets
