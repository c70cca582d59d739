// poll(2) and select(2) over sockets and the kernel's descriptors: every test runs on both.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "client_case.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_poll.hpp"

namespace skerry::sockets {
namespace {

class PollTest : public OsCase {
 protected:
  void SetUp() override {
    OsCase::SetUp();
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
  }
  void TearDown() override {
    ::close(pipe[0]);
    ::close(pipe[1]);
    OsCase::TearDown();
  }
  int pipe[2] = {-1, -1};
};
ON_KERNEL_AND_CLIENT(PollTest);

TEST_P(PollTest, ReportsWhatIsAskedAndWhatIsAlwaysReported) {
  const auto [a, b] = connection();
  pollfd fds[] = {{a, POLLIN, 0}, {b, POLLIN | POLLOUT, 0}, {-1, POLLIN, 99}};
  EXPECT_EQ(os->poll(fds, 3, 0), 1);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLOUT);
  EXPECT_EQ(fds[2].revents, 0);
  os->shutdown(b, SHUT_WR);
  EXPECT_EQ(wait_for(a, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
  os->close(b);
  os->shutdown(a, SHUT_WR);
  EXPECT_EQ(wait_for(a, 0), POLLHUP);
  os->close(a);
}

TEST_P(PollTest, SleepsForBothKinds) {
  const auto [a, b] = connection();
  pollfd fds[] = {{b, POLLIN, 0}, {pipe[0], POLLIN, 0}};
  for (const bool by_pipe : {true, false}) {
    std::thread other([&, fd = a] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (by_pipe)
        EXPECT_EQ(::write(pipe[1], "x", 1), 1);
      else
        send(fd, "x");
    });
    EXPECT_EQ(os->poll(fds, 2, -1), 1);
    EXPECT_EQ(fds[0].revents, by_pipe ? 0 : POLLIN);
    EXPECT_EQ(fds[1].revents, by_pipe ? POLLIN : 0);
    other.join();
    char byte;
    EXPECT_EQ(::read(pipe[0], &byte, 1), by_pipe ? 1 : -1);
  }
  os->close(a);
  os->close(b);
}

TEST_P(PollTest, TimeoutIsKept) {
  const auto [a, b] = connection();
  pollfd fds[] = {{b, POLLIN, 0}, {pipe[0], POLLIN, 0}};
  for (const nfds_t count : {1, 2}) {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(os->poll(fds, count, 30), 0);
    EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(30));
  }
  os->close(a);
  os->close(b);
}

TEST_P(PollTest, ManyDescriptors) {
  const auto [a, b] = connection();
  std::vector<pollfd> fds(500, pollfd{a, POLLIN, 0});
  fds.push_back({b, POLLOUT, 0});
  EXPECT_EQ(os->poll(fds.data(), fds.size(), 0), 1);
  EXPECT_EQ(fds.back().revents, POLLOUT);
  os->close(a);
  os->close(b);
}

// poll(2): as many entries as RLIMIT_NOFILE says, and no more.
TEST_P(PollTest, TheLimitOfDescriptorsIsThatOfEntries) {
  const auto [a, b] = connection();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{.rlim_cur = 300, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (const int second : {b, pipe[0]}) {
    std::vector<pollfd> fds(300, pollfd{a, POLLIN, 0});
    fds[7].fd = second;
    EXPECT_EQ(os->poll(fds.data(), fds.size(), 10), 0) << second;
    std::thread other([&, fd = b] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      send(fd, "x");
    });
    EXPECT_EQ(os->poll(fds.data(), fds.size(), -1), 299) << second;
    other.join();
    EXPECT_EQ(receive(a), "x");
    fds.push_back({a, POLLIN, 0});
    EXPECT_EQ(os->poll(fds.data(), fds.size(), 0), -EINVAL) << second;
  }
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  os->close(a);
  os->close(b);
}

TEST_P(PollTest, ALowLimitIsThatOfEntriesToo) {
  const auto [a, b] = connection();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const rlim_t most : {17, 64}) {
    const rlimit few{.rlim_cur = most, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    std::vector<pollfd> fds(most, pollfd{a, POLLIN, 0});
    EXPECT_EQ(os->poll(fds.data(), fds.size(), 0), 0);
    fds.push_back({a, POLLIN, 0});
    EXPECT_EQ(os->poll(fds.data(), fds.size(), 0), -EINVAL);
  }
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  os->close(a);
  os->close(b);
}

TEST_P(PollTest, Select) {
  const auto [a, b] = connection();
  fd_set read, write;
  FD_ZERO(&read);
  FD_ZERO(&write);
  FD_SET(b, &read);
  FD_SET(pipe[0], &read);
  FD_SET(a, &write);
  const int count = std::max({a, b, pipe[0]}) + 1;
  EXPECT_EQ(os->select(count, &read, &write, nullptr, 1000), 1);
  EXPECT_FALSE(FD_ISSET(b, &read));
  EXPECT_TRUE(FD_ISSET(a, &write));
  send(a, "x");
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  wait_for(b, POLLIN);
  FD_SET(b, &read);
  FD_SET(pipe[0], &read);
  EXPECT_EQ(os->select(count, &read, &write, nullptr, -1), 3);
  EXPECT_TRUE(FD_ISSET(b, &read));
  EXPECT_TRUE(FD_ISSET(pipe[0], &read));
  receive(b);
  FD_ZERO(&read);
  FD_SET(b, &read);
  EXPECT_EQ(os->select(b + 1, &read, nullptr, nullptr, 20), 0);
  EXPECT_FALSE(FD_ISSET(b, &read));
  os->close(a);
  os->close(b);
}

TEST_P(PollTest, ConnectingSocketBecomesWritable) {
  uint16_t port = 0;
  const int listening = listener(port);
  const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  const sockaddr_in to = loopback(port);
  os->connect(fd, as_sockaddr(to), sizeof to);
  EXPECT_EQ(wait_for(fd, POLLOUT), POLLOUT);
  os->close(fd);
  os->close(listening);
}

// What pselect() and its relatives are for: a signal that is let in only while they sleep.
TEST(ClientMasks, PendingSignalEndsTheSleepThatLetsItIn) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  struct sigaction old {};
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  sigaction(SIGUSR1, &nothing, &old);
  sigset_t blocked, before, none;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const int fd = os->socket(AF_INET, SOCK_DGRAM);
  const int set = os->epoll_create();
  const epoll_event interest{.events = EPOLLIN, .data = {.u64 = 1}};
  ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest), 0);
  pthread_kill(pthread_self(), SIGUSR1);
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(client::wait_poll(&one, 1, kNever, &none), -EINTR);
  pthread_kill(pthread_self(), SIGUSR1);
  epoll_event event;
  EXPECT_EQ(client::wait_epoll(set, &event, 1, kNever, &none), -EINTR);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  sigaction(SIGUSR1, &old, nullptr);
  os->close(set);
  os->close(fd);
}

TEST_P(PollTest, AListenerThatIsShutDownHangsUpAndItsAcceptEnds) {
  uint16_t port = 0;
  const int listening = listener(port);
  std::thread blocked([&] { EXPECT_EQ(os->accept(listening, nullptr, nullptr, 0), -EINVAL); });
  ASSERT_EQ(os->shutdown(listening, SHUT_RDWR), 0);
  blocked.join();
  pollfd fd{.fd = listening, .events = POLLIN | POLLOUT, .revents = 0};
  EXPECT_EQ(os->poll(&fd, 1, 0), 1);
  EXPECT_EQ(fd.revents, POLLOUT | POLLHUP);
  ASSERT_EQ(os->listen(listening, 4), 0);
  const int one = connect_to(port_of(listening));
  const int other = os->accept(listening, nullptr, nullptr, 0);
  EXPECT_GE(other, 0) << "it listens again";
  for (const int number : {listening, one, other}) os->close(number);
}

}  // namespace
}  // namespace skerry::sockets
