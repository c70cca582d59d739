// One epoll set that two processes have after a fork, what one does with it and what the other sees of that:
// every test runs on the kernel too. How it ends: client_epoll_life_test.cpp.
#include <fcntl.h>
#include <sys/eventfd.h>

#include "shared_epoll_case.hpp"

namespace skerry::sockets {
namespace {

ON_KERNEL_AND_CLIENT(SharedEpollTest);

TEST_P(SharedEpollTest, AChangeByOneIsTheOthersToo) {
  Child other = child([&](Child& self) {
    self.tell({{static_cast<uint64_t>(add(b, EPOLLIN, 7)), 0}});
    self.told();
    self.tell({{static_cast<uint64_t>(modify(b, EPOLLIN | EPOLLOUT, 8)), 0}});
    self.told();
    self.tell({{static_cast<uint64_t>(change(EPOLL_CTL_DEL, b, 0, 0)), 0}});
    self.told();
    self.tell(wait(kLimitMs));
  });
  EXPECT_EQ(other.told(), (Events{{0, 0}}));
  EXPECT_EQ(add(b, EPOLLIN, 1), -EEXIST);
  send(a, "x");
  EXPECT_EQ(wait(kLimitMs), (Events{{7, EPOLLIN}}));
  other.go_on();
  EXPECT_EQ(other.told(), (Events{{0, 0}}));
  EXPECT_EQ(wait(kLimitMs), (Events{{8, EPOLLIN | EPOLLOUT}}));
  other.go_on();
  EXPECT_EQ(other.told(), (Events{{0, 0}}));
  EXPECT_EQ(wait(0), Events{});
  EXPECT_EQ(modify(b, EPOLLIN, 1), -ENOENT);
  EXPECT_EQ(add(b, EPOLLIN, 9), 0);
  other.go_on();
  EXPECT_EQ(other.told(), (Events{{9, EPOLLIN}}));
}

TEST_P(SharedEpollTest, AnInterestThroughADuplicateIsTheOthersToo) {
  const int copy = os->dup(b);
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  Child other = child([&](Child& self) {
    self.tell({{static_cast<uint64_t>(add(copy, EPOLLIN, 2)), 0}});
    self.told();
  });
  EXPECT_EQ(other.told(), (Events{{0, 0}}));
  send(a, "x");
  EXPECT_EQ(wait(kLimitMs), (Events{{1, EPOLLIN}, {2, EPOLLIN}}));
  EXPECT_EQ(change(EPOLL_CTL_DEL, b, 0, 0), 0);
  EXPECT_EQ(wait(kLimitMs), (Events{{2, EPOLLIN}}));
  os->close(copy);
}

TEST_P(SharedEpollTest, AnEdgeAndAOneShotAreToldToOneOfThem) {
  for (const uint32_t mode : {uint32_t{EPOLLET}, uint32_t{EPOLLONESHOT}}) {
    ASSERT_EQ(add(b, EPOLLIN | mode, 7), 0);
    Child other = child([&](Child& self) {
      self.tell(wait(kLimitMs));
      self.told();
      modify(b, EPOLLIN | mode, 8);
      self.tell({});
      self.told();
    });
    send(a, "x");
    EXPECT_EQ(other.told(), (Events{{7, EPOLLIN}}));
    EXPECT_EQ(wait(0), Events{});
    other.go_on();
    other.told();
    EXPECT_EQ(wait(kLimitMs), (Events{{8, EPOLLIN}})) << "whoever asks anew is told what is there";
    EXPECT_EQ(wait(0), Events{});
    ASSERT_EQ(change(EPOLL_CTL_DEL, b, 0, 0), 0);
    receive(b);
  }
}

// Both sleep. A level is told to both, an edge to one of them.
TEST_P(SharedEpollTest, BothSleepAndAreWokenAsTheyAsked) {
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  for (const bool with_kernel_descriptor : {false, true}) {
    for (const uint32_t mode : {uint32_t{0}, uint32_t{EPOLLET}, uint32_t{EPOLLEXCLUSIVE}}) {
      ASSERT_EQ(add(b, EPOLLIN | mode, 7), 0);
      const int kernel = with_kernel_descriptor ? event : -1;
      ASSERT_EQ(add(kernel, EPOLLIN, 1), with_kernel_descriptor ? 0 : -EBADF);
      const auto sleeper = [&](Child& self) {
        self.tell(wait(kLimitMs));
        self.told();
      };
      Child one = child(sleeper), other = child(sleeper);
      wait_for_sleep({one.pid(), other.pid()});
      send(a, "x");
      if (mode == EPOLLET) {
        while (!one.has_told(1) && !other.has_told(1)) {
        }
        const bool first = one.has_told(0);
        EXPECT_EQ((first ? one : other).told(), (Events{{7, EPOLLIN}}));
        EXPECT_FALSE((first ? other : one).has_told(20));
        send(a, "y");
        EXPECT_EQ((first ? other : one).told(), (Events{{7, EPOLLIN}}));
      } else {
        EXPECT_EQ(one.told(), (Events{{7, EPOLLIN}})) << "mode " << mode << with_kernel_descriptor;
        EXPECT_EQ(other.told(), (Events{{7, EPOLLIN}})) << "mode " << mode << with_kernel_descriptor;
      }
      receive(b);
      ASSERT_EQ(change(EPOLL_CTL_DEL, b, 0, 0), 0);
      ASSERT_EQ(change(EPOLL_CTL_DEL, kernel, 0, 0), with_kernel_descriptor ? 0 : -EBADF);
    }
  }
  ::close(event);
}

TEST_P(SharedEpollTest, WhoSleepsIsWokenByWhatTheOtherAdds) {
  const int event = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  for (const int ready : {a, event}) {
    Child other = child([&](Child& self) { self.tell(wait(kLimitMs)); });
    wait_for_sleep({other.pid()});
    ASSERT_EQ(add(ready, EPOLLIN | EPOLLOUT, 5), 0);
    EXPECT_EQ(other.told().size(), 1u);
    ASSERT_EQ(change(EPOLL_CTL_DEL, ready, 0, 0), 0);
    // And the other way round.
    Child adds = child([&](Child& self) {
      wait_for_sleep({::getppid()});
      add(ready, EPOLLIN | EPOLLOUT, 6);
      self.told();
    });
    EXPECT_EQ(wait(kLimitMs).size(), 1u);
    ASSERT_EQ(change(EPOLL_CTL_DEL, ready, 0, 0), 0);
  }
  ::close(event);
}

// Requests and answers over connections that both processes serve from one set: none is lost, and none is
// served twice.
TEST_P(SharedEpollTest, BothServeFromOneSet) {
  constexpr int kConnections = 6, kRounds = 300;
  for (const uint32_t mode : {uint32_t{EPOLLET}, uint32_t{EPOLLONESHOT}}) {
    std::vector<std::pair<int, int>> pairs;
    for (int i = 0; i < kConnections; ++i) {
      pairs.push_back(connection());
      const int served = pairs.back().second;
      ASSERT_EQ(os->fcntl(served, F_SETFL, O_NONBLOCK), 0);
      ASSERT_EQ(add(served, EPOLLIN | mode, static_cast<uint64_t>(served)), 0);
    }
    const auto serve = [&](Child& self) {
      for (;;) {
        for (const auto& [data, events] : wait(kLimitMs, 2)) {
          const auto fd = static_cast<int>(data);
          char byte = 0;
          while (os->receive(fd, &byte, 1, MSG_DONTWAIT) == 1) os->send(fd, &byte, 1, 0);
          if (mode == EPOLLONESHOT) modify(fd, EPOLLIN | mode, data);
        }
        if (self.has_told(0)) return;
      }
    };
    {
      Child one = child(serve), other = child(serve);
      for (int round = 0; round < kRounds; ++round) {
        const char sent = static_cast<char>(round);
        for (const auto& [client, served] : pairs) ASSERT_EQ(os->send(client, &sent, 1, 0), 1);
        for (const auto& [client, served] : pairs) {
          char got = 0;
          ASSERT_NE(wait_for(client, POLLIN), 0) << "lost in round " << round;
          ASSERT_EQ(os->receive(client, &got, 1, 0), 1);
          ASSERT_EQ(got, sent);
        }
      }
    }
    for (const auto& [client, served] : pairs) {
      ASSERT_EQ(change(EPOLL_CTL_DEL, served, 0, 0), 0);
      os->close(client);
      os->close(served);
    }
  }
}

}  // namespace
}  // namespace skerry::sockets
