// One epoll set in another (epoll(7)) as the kernel has it: every test runs on both.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>

#include <chrono>
#include <thread>
#include <tuple>
#include <vector>

#include "epoll_case.hpp"

namespace skerry::sockets {
namespace {

class NestedEpollTest : public EpollTest {
 protected:
  void SetUp() override {
    EpollTest::SetUp();
    inner = os->epoll_create();
    std::tie(a, b) = connection();
    const epoll_event input{.events = EPOLLIN, .data = {.u64 = 1}};
    ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, b, &input), 0);
  }
  void TearDown() override {
    for (const int fd : {a, b, inner}) os->close(fd);
    EpollTest::TearDown();
  }

  // Lets another thread that is about to sleep do so, most likely, and changes the inner set: with its quiet
  // socket it stays as little ready as it was.
  void change_inner_without_news() {
    const epoll_event input{.events = EPOLLIN, .data = {.u64 = 1}};
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      EXPECT_EQ(os->epoll_ctl(inner, EPOLL_CTL_MOD, b, &input), 0);
    }
  }
  // The byte is there before the stack tells of it. Whoever looks in between sees it, and an edge behind it.
  void send_and_settle(const char* byte) {
    send(a, byte);
    pollfd input{.fd = b, .events = POLLIN, .revents = 0};
    ASSERT_EQ(os->poll(&input, 1, 20'000), 1);
    tcp_info info{};
    socklen_t length = sizeof info;
    ASSERT_EQ(os->get_option(b, IPPROTO_TCP, TCP_INFO, &info, &length), 0) << "in the stack's next breath";
  }
  // As poll(2) has it at once.
  bool is_readable(int fd) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    return os->poll(&one, 1, 0) == 1;
  }

  int inner = -1, a = -1, b = -1;
};
ON_KERNEL_AND_CLIENT(NestedEpollTest);

TEST_P(NestedEpollTest, TheOuterSetHearsOfTheInnersSockets) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  EXPECT_EQ(add(inner, EPOLLIN, 7), -EEXIST);
  EXPECT_EQ(wait(0), Events{});
  std::thread sender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the outer sleeps, most likely
    send(a, "x");
  });
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(wait(0), (Events{{7, EPOLLIN}})) << "level-triggered";
  sender.join();
  receive(b);
  EXPECT_EQ(wait(0), Events{});
  ASSERT_EQ(change(EPOLL_CTL_DEL, inner, 0, 0), 0);
  EXPECT_EQ(change(EPOLL_CTL_DEL, inner, 0, 0), -ENOENT);
  send(a, "y");
  EXPECT_EQ(wait(30), Events{});
}

TEST_P(NestedEpollTest, TheKernelsDescriptorsCountToo) {
  const int event = ::eventfd(0, EFD_NONBLOCK);
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 2}};
  ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, event, &input), 0);
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  EXPECT_EQ(wait(0), Events{});
  ASSERT_EQ(::eventfd_write(event, 1), 0);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  eventfd_t value = 0;
  ASSERT_EQ(::eventfd_read(event, &value), 0);
  EXPECT_EQ(wait(0), Events{});
  ::close(event);
}

TEST_P(NestedEpollTest, AnEdgeIsToldOnce) {
  ASSERT_EQ(add(inner, EPOLLIN | EPOLLET, 7), 0);
  send_and_settle("x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(wait(30), Events{});
  send_and_settle("y");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  ASSERT_EQ(modify(inner, EPOLLIN | EPOLLONESHOT, 8), 0);
  EXPECT_EQ(wait(20'000), (Events{{8, EPOLLIN}}));
  EXPECT_EQ(wait(30), Events{});
}

TEST_P(NestedEpollTest, ThreeDeepAndNoCircle) {
  const int middle = os->epoll_create();
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 3}};
  ASSERT_EQ(os->epoll_ctl(middle, EPOLL_CTL_ADD, inner, &input), 0);
  ASSERT_EQ(add(middle, EPOLLIN, 7), 0);
  EXPECT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, set, &input), -ELOOP);
  EXPECT_EQ(add(set, EPOLLIN, 9), -EINVAL);
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  pollfd one{.fd = set, .events = POLLIN, .revents = 0};
  EXPECT_EQ(os->poll(&one, 1, 20'000), 1);
  receive(b);
  EXPECT_EQ(os->poll(&one, 1, 0), 0);
  os->close(inner);
  inner = -1;
  send(a, "y");
  EXPECT_EQ(wait(30), Events{}) << "the innermost is gone";
  os->close(middle);
}

TEST_P(NestedEpollTest, WhoSleepsInTheOuterSleepsOnWhenTheInnerChangesWithoutNews) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  for (const int sleepers : {1, 3}) {
    std::vector<std::thread> threads;
    std::atomic<int64_t> computed_ns = 0;
    for (int i = 0; i < sleepers; ++i)
      threads.emplace_back([&] {
        EXPECT_EQ(wait(500), Events{});
        computed_ns += cpu_time().count();
      });
    change_inner_without_news();
    for (std::thread& thread : threads) thread.join();
    EXPECT_LT(computed_ns, 200'000'000) << sleepers;
    EXPECT_FALSE(is_readable(inner));
    EXPECT_FALSE(is_readable(set));
  }
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
}

TEST_P(NestedEpollTest, AnEdgeThatIsToldLetsEveryoneSleepOnThoughTheInnerStaysReady) {
  const int event = ::eventfd(1, EFD_NONBLOCK);
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 2}};
  ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, event, &input), 0);
  ASSERT_EQ(add(inner, EPOLLIN | EPOLLET, 7), 0);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  std::vector<std::thread> threads;
  std::atomic<int64_t> computed_ns = 0;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      EXPECT_EQ(wait(500), Events{});
      computed_ns += cpu_time().count();
    });
  change_inner_without_news();
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(computed_ns, 200'000'000);
  ::close(event);
}

TEST_P(NestedEpollTest, EveryoneWhoSleepsInTheOuterHearsOfALevel) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}})); });
  change_inner_without_news();
  send(a, "x");
  for (std::thread& thread : threads) thread.join();
}

TEST_P(NestedEpollTest, PollSleepsOnWhenASetChangesWithoutNews) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  for (const int polled : {inner, set}) {
    std::thread sleeper([&] { EXPECT_EQ(wait(500), Events{}); });
    std::thread poller([&] {
      pollfd one{.fd = polled, .events = POLLIN, .revents = 0};
      EXPECT_EQ(os->poll(&one, 1, 300), 0);
      EXPECT_LT(cpu_time(), std::chrono::milliseconds(200));
    });
    change_inner_without_news();
    poller.join();
    sleeper.join();
  }
}

TEST_P(NestedEpollTest, ASetThatIsClosedWhileAThreadSleepsAboveItLeavesNothingToTheNext) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  std::thread sleeper([&] { EXPECT_EQ(wait(500), Events{}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  os->close(inner);
  inner = os->epoll_create();
  const int event = ::eventfd(0, EFD_NONBLOCK);
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 2}};
  ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, b, &input), 0);
  ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, event, &input), 0);
  change_inner_without_news();
  EXPECT_FALSE(is_readable(inner));
  sleeper.join();
  EXPECT_FALSE(is_readable(inner));
  ASSERT_EQ(add(inner, EPOLLIN, 8), 0);
  EXPECT_EQ(wait(0), Events{});
  ::close(event);
}

TEST_P(NestedEpollTest, ASetStaysUnderTheNumberThatAnotherSetHasNow) {
  ASSERT_EQ(add(inner, EPOLLIN, 7), 0);
  const int other = os->dup(inner);
  os->close(inner);
  const int next = os->epoll_create();
  ASSERT_EQ(next, inner);
  inner = other;
  std::thread sender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send(a, "x");
  });
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  sender.join();
  EXPECT_EQ(change(EPOLL_CTL_DEL, next, 0, 0), -ENOENT);
  EXPECT_EQ(change(EPOLL_CTL_DEL, other, 0, 0), -ENOENT) << "it is registered under its first number";
  EXPECT_EQ(add(next, EPOLLIN, 8), 0);
  EXPECT_EQ(add(other, EPOLLIN, 9), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLIN}, {9, EPOLLIN}}));
  os->close(other);
  inner = next;
  EXPECT_EQ(wait(30), Events{}) << "its last descriptor is closed";
}

// A thread goes on sleeping in a set that another one closes; what has the set's place then is not its own.
TEST_P(NestedEpollTest, WhoSleepsInAClosedSetDoesNotWakeForTheNext) {
  std::thread before([this, closed = set] {
    epoll_event event{};
    os->epoll_wait(closed, &event, 1, 300);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  os->close(set);
  set = os->epoll_create();
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  std::thread after([&] { EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}})); });
  before.join();
  send(a, "x");
  after.join();
}

}  // namespace
}  // namespace skerry::sockets
