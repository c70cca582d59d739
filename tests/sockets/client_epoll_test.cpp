// epoll(7) as the kernel has it: every test runs on both.
#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "epoll_case.hpp"
#include "sockets/client_exec.hpp"

namespace skerry::sockets {
namespace {

ON_KERNEL_AND_CLIENT(EpollTest);

TEST_P(EpollTest, LevelTriggeredRepeatsUntilRead) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  EXPECT_EQ(wait(0), Events{});
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  receive(b);
  EXPECT_EQ(wait(0), Events{});
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, EdgeTriggeredReportsEachArrivalOnceWithAllThatHolds) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN | EPOLLOUT | EPOLLET, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT}}));
  EXPECT_EQ(wait(0), Events{});
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN | EPOLLOUT}}));
  EXPECT_EQ(wait(0), Events{});
  send(a, "y");  // the old byte is still unread
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN | EPOLLOUT}}));
  EXPECT_EQ(wait(0), Events{});
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, OneShotIsSilentUntilModified) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN | EPOLLONESHOT, 7), 0);
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  send(a, "y");
  EXPECT_EQ(wait(30), Events{});
  ASSERT_EQ(modify(b, EPOLLIN | EPOLLONESHOT, 8), 0);
  EXPECT_EQ(wait(20'000), (Events{{8, EPOLLIN}}));
  EXPECT_EQ(wait(0), Events{});
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, ModifyTogglesInterest) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(a, EPOLLIN, 7), 0);
  EXPECT_EQ(wait(0), Events{});
  ASSERT_EQ(modify(a, EPOLLOUT, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT}}));
  ASSERT_EQ(modify(a, EPOLLIN, 7), 0);
  EXPECT_EQ(wait(0), Events{});
  ASSERT_EQ(change(EPOLL_CTL_DEL, a, 0, 0), 0);
  EXPECT_EQ(modify(a, EPOLLIN, 7), -ENOENT);
  EXPECT_EQ(change(EPOLL_CTL_DEL, a, 0, 0), -ENOENT);
  ASSERT_EQ(add(a, EPOLLIN, 7), 0);
  EXPECT_EQ(add(a, EPOLLIN, 7), -EEXIST);
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, UnconnectedSocketHangsUp) {
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  ASSERT_EQ(add(fd, EPOLLIN | EPOLLOUT, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT | EPOLLHUP}}));
  os->close(fd);
}

TEST_P(EpollTest, InterestBeforeConnectReportsTheConnection) {
  uint16_t port = 0;
  const int listening = listener(port);
  const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  ASSERT_EQ(add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT | EPOLLHUP}}));
  const sockaddr_in to = loopback(port);
  os->connect(fd, as_sockaddr(to), sizeof to);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLOUT}}));
  os->close(fd);
  os->close(listening);
}

TEST_P(EpollTest, ListenerIsReadyWhileSomebodyWaits) {
  uint16_t port = 0;
  const int listening = listener(port, SOCK_NONBLOCK);
  ASSERT_EQ(add(listening, EPOLLIN, 7), 0);
  EXPECT_EQ(wait(0), Events{});
  const int one = connect_to(port);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  const int other = os->accept(listening, nullptr, nullptr, SOCK_NONBLOCK);
  ASSERT_GE(other, 0);
  EXPECT_EQ(wait(0), Events{});
  for (const int fd : {listening, one, other}) os->close(fd);
}

TEST_P(EpollTest, EndOfStreamAndHangUp) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(a, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7), 0);
  os->shutdown(b, SHUT_WR);
  wait_for(a, POLLRDHUP);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN | EPOLLOUT | EPOLLRDHUP}}));
  os->shutdown(a, SHUT_WR);
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP}}));
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, ResetReportsEverything) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(a, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7), 0);
  send(a, "unread");
  wait_for(b, POLLIN);
  os->close(b);
  while (!(wait_for(a, POLLRDHUP) & POLLRDHUP)) std::this_thread::yield();  // the error may be seen first
  EXPECT_EQ(wait(20'000), (Events{{7, 0x201d}}));
  os->close(a);
}

TEST_P(EpollTest, ClosedDuplicateKeepsReportingWithTheOldData) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  const int copy = os->dup(b);
  os->close(b);
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(change(EPOLL_CTL_DEL, copy, 0, 0), -ENOENT);
  os->close(copy);
  EXPECT_EQ(wait(20), Events{});
  os->close(a);
}

TEST_P(EpollTest, DuplicateIsAnInterestOfItsOwn) {
  const auto [a, b] = connection();
  const int copy = os->dup(b);
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  ASSERT_EQ(add(copy, EPOLLIN, 8), 0);
  EXPECT_EQ(add(copy, EPOLLIN, 8), -EEXIST);
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{7, EPOLLIN}, {8, EPOLLIN}}));
  ASSERT_EQ(change(EPOLL_CTL_DEL, b, 0, 0), 0);
  EXPECT_EQ(wait(20'000), (Events{{8, EPOLLIN}}));
  ASSERT_EQ(modify(copy, EPOLLIN, 9), 0);
  EXPECT_EQ(wait(20'000), (Events{{9, EPOLLIN}}));
  ASSERT_EQ(change(EPOLL_CTL_DEL, copy, 0, 0), 0);
  EXPECT_EQ(wait(0), Events{});
  for (const int fd : {a, b, copy}) os->close(fd);
}

TEST_P(EpollTest, ClosedSocketLeavesTheSet) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLIN | EPOLLOUT, 7), 0);
  os->close(b);
  EXPECT_EQ(wait(0), Events{});
  os->close(a);
  const auto [c, d] = connection();  // numbers and sockets are used again
  ASSERT_EQ(add(d, EPOLLIN, 8), 0);
  send(c, "x");
  EXPECT_EQ(wait(20'000), (Events{{8, EPOLLIN}}));
  os->close(c);
  os->close(d);
}

TEST_P(EpollTest, WrongCallsAreRefused) {
  const auto [a, b] = connection();
  epoll_event event{};
  EXPECT_EQ(os->epoll_wait(set, &event, 0, 0), -EINVAL);
  EXPECT_EQ(os->epoll_ctl(set, 99, a, &event), -EINVAL);
  EXPECT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, a, nullptr), -EFAULT);
  os->close(a);
  os->close(b);
}

// A server starts a program that knows nothing of our sockets, and relies on close() to empty its set.
TEST_P(EpollTest, CloseEndsAnInterestWhateverAChildExecuted) {
  const auto [a, b] = connection();
  for (const int fd : {a, b}) ASSERT_EQ(os->fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  ASSERT_EQ(add(b, EPOLLIN, 1), 0);
  int to_child[2], from_child[2];
  ASSERT_EQ(::pipe2(to_child, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(from_child, O_CLOEXEC), 0);
  if (is_client()) client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    if (is_client()) client::fork_child();
    ::dup2(to_child[0], 0);
    ::dup2(from_child[1], 1);
    std::optional<client::Executing> executing;
    if (is_client()) executing.emplace();
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(1);
  }
  if (is_client()) client::fork_parent();
  char byte = 'x';
  ASSERT_EQ(::write(to_child[1], &byte, 1), 1);
  ASSERT_EQ(::read(from_child[0], &byte, 1), 1) << "it runs";
  send(a, "x");
  EXPECT_EQ(wait(20'000), (Events{{1, EPOLLIN}}));
  os->close(b);
  EXPECT_EQ(wait(0), Events{});
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) ::close(fd);
  ::waitpid(child, nullptr, 0);
  os->close(a);
}

TEST_P(EpollTest, AnEdgeIsToldOnlyToWhoAskedForIt) {
  const auto [a, b] = connection();
  ASSERT_EQ(add(b, EPOLLOUT | EPOLLET, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT}}));
  const int other = os->epoll_create();
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 1}};
  ASSERT_EQ(os->epoll_ctl(other, EPOLL_CTL_ADD, b, &input), 0);
  send(a, "x");
  epoll_event found{};
  ASSERT_EQ(os->epoll_wait(other, &found, 1, 20'000), 1);
  EXPECT_EQ(wait(0), Events{}) << "input is nothing to a writer";
  os->close(other);
  os->close(a);
  os->close(b);
}

TEST_P(EpollTest, AnEdgeTriggeredDatagramSocketCanBeWrittenAgainAfterEachSend) {
  const int a = os->socket(AF_INET, SOCK_DGRAM), b = os->socket(AF_INET, SOCK_DGRAM);
  sockaddr_in name = loopback(0);
  ASSERT_EQ(os->bind(a, as_sockaddr(name), sizeof name), 0);
  name = loopback(port_of(a));
  ASSERT_EQ(os->connect(b, as_sockaddr(name), sizeof name), 0);
  ASSERT_EQ(add(b, EPOLLIN | EPOLLOUT | EPOLLET, 7), 0);
  EXPECT_EQ(wait(0), (Events{{7, EPOLLOUT}}));
  EXPECT_EQ(wait(0), Events{});
  for (int round = 0; round < 3; ++round) {
    send(b, "x");
    EXPECT_EQ(wait(20'000), (Events{{7, EPOLLOUT}}));
    EXPECT_EQ(wait(0), Events{});
  }
  os->close(a);
  os->close(b);
}

}  // namespace
}  // namespace skerry::sockets
