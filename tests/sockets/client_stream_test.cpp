// Streams as programs see them.
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <random>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class StreamTest : public OsCase {};
ON_KERNEL_AND_CLIENT(StreamTest);

TEST_P(StreamTest, CarriesBytesBothWays) {
  const auto [a, b] = connection();
  EXPECT_EQ(send(a, "hello"), 5);
  EXPECT_EQ(receive(b), "hello");
  EXPECT_EQ(send(b, "world"), 5);
  EXPECT_EQ(receive(a, 2), "wo");
  EXPECT_EQ(receive(a), "rld");
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, CarriesMegabytesInOrder) {
  const auto [a, b] = connection();
  std::string sent(3 << 20, '\0');
  std::mt19937 random(1);
  for (char& c : sent) c = static_cast<char>(random());
  std::thread writer([&, fd = a] {
    EXPECT_EQ(os->send(fd, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  });
  std::string got;
  while (got.size() < sent.size()) {
    const std::string piece = receive(b, 1 + random() % 200'000);
    ASSERT_FALSE(piece.empty());
    got += piece;
  }
  writer.join();
  EXPECT_TRUE(got == sent);
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, PeekLeavesAndTruncDiscards) {
  const auto [a, b] = connection();
  send(a, "abcdef");
  wait_for(b, POLLIN);
  EXPECT_EQ(receive(b, 3, MSG_PEEK), "abc");
  char unused[3] = {'x', 'x', 'x'};
  EXPECT_EQ(os->receive(b, unused, 2, MSG_TRUNC), 2);
  EXPECT_EQ(unused[0], 'x');
  EXPECT_EQ(receive(b), "cdef");
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, WaitallWaitsForAll) {
  const auto [a, b] = connection();
  std::thread writer([&, fd = a] {
    send(fd, "abc");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send(fd, "def");
  });
  EXPECT_EQ(receive(b, 6, MSG_WAITALL), "abcdef");
  writer.join();
  send(a, "gh");
  os->close(a);
  EXPECT_EQ(receive(b, 6, MSG_WAITALL), "gh");
  os->close(b);
}

TEST_P(StreamTest, AnErrorBehindWhatWasReceivedIsLeftToTheNextCall) {
  const auto [a, b] = connection();
  send(a, "ab");
  wait_for(b, POLLIN);
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(os->set_option(a, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  os->close(a);
  EXPECT_TRUE(wait_for(b, POLLRDHUP) & POLLERR);
  EXPECT_EQ(receive(b, 4, MSG_WAITALL), "ab");
  EXPECT_EQ(receive(b), "error 104");
  EXPECT_EQ(receive(b), "");
  os->close(b);
}

TEST_P(StreamTest, NonBlockingSaysSo) {
  const auto [a, b] = connection();
  EXPECT_EQ(os->fcntl(a, F_SETFL, O_RDWR | O_NONBLOCK), 0);
  EXPECT_EQ(os->fcntl(a, F_GETFL, 0), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(receive(a), "error 11");
  EXPECT_EQ(receive(b, 10, MSG_DONTWAIT), "error 11");
  int on = 0;
  EXPECT_EQ(os->control(a, FIONBIO, &on), 0);
  EXPECT_EQ(os->fcntl(a, F_GETFL, 0), O_RDWR);
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, FullRingStopsTheWriterAndSpaceStartsItAgain) {
  const auto [a, b] = connection();
  const std::string block(100'000, 'x');
  size_t sent = 0;
  for (;;) {
    const ssize_t result = send(a, block, MSG_DONTWAIT);
    if (result == -EAGAIN) {
      // Delivery may still make room.
      pollfd out{.fd = a, .events = POLLOUT, .revents = 0};
      if (os->poll(&out, 1, 50) == 0) break;
      continue;
    }
    ASSERT_GT(result, 0);
    sent += static_cast<size_t>(result);
  }
  expect_room_once_read(a, b, sent);
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, EndOfStreamAfterShutdown) {
  const auto [a, b] = connection();
  send(a, "last");
  EXPECT_EQ(os->shutdown(a, SHUT_WR), 0);
  EXPECT_EQ(receive(b), "last");
  EXPECT_EQ(receive(b), "");
  EXPECT_EQ(receive(b), "");
  EXPECT_EQ(send(b, "still"), 5);
  EXPECT_EQ(receive(a), "still");
  EXPECT_EQ(send(a, "x", MSG_NOSIGNAL), -EPIPE);
  os->close(a);
  os->close(b);
}

volatile sig_atomic_t pipes_broken = 0;

TEST_P(StreamTest, WritingToAnEndedStreamSignals) {
  const auto [a, b] = connection();
  os->shutdown(a, SHUT_WR);
  pipes_broken = 0;
  struct sigaction old {};
  struct sigaction count {};
  count.sa_handler = [](int) { pipes_broken = pipes_broken + 1; };
  sigaction(SIGPIPE, &count, &old);
  EXPECT_EQ(send(a, "x"), -EPIPE);
  EXPECT_EQ(pipes_broken, 1);
  EXPECT_EQ(send(a, "x", MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(pipes_broken, 1);
  sigaction(SIGPIPE, &old, nullptr);
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, ResetIsToldOnce) {
  const auto [a, b] = connection();
  send(a, "never read");
  wait_for(b, POLLIN);
  os->close(b);  // with unread bytes: a reset
  wait_for(a, POLLRDHUP);
  EXPECT_EQ(receive(a), "error 104");
  EXPECT_EQ(receive(a), "");
  EXPECT_EQ(send(a, "x", MSG_NOSIGNAL), -EPIPE);
  os->close(a);
}

TEST_P(StreamTest, LingerZeroResets) {
  const auto [a, b] = connection();
  const linger now{.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(os->set_option(b, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  os->close(b);
  wait_for(a, POLLRDHUP);
  EXPECT_EQ(receive(a), "error 104");
  os->close(a);
}

TEST_P(StreamTest, ReceiveTimeoutEndsTheWait) {
  const auto [a, b] = connection();
  const timeval soon{.tv_sec = 0, .tv_usec = 30'000};
  EXPECT_EQ(os->set_option(a, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(receive(a), "error 11");
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(30));
  os->close(a);
  os->close(b);
}

// sock_set_timeout(): what does not fit is never. The second is 2^64 ns and 3.3 s.
TEST_P(StreamTest, ATimeoutOfAgesDoesNotPass) {
  const auto [a, b] = connection();
  for (const time_t seconds : {time_t{4'000'000'000}, time_t{18'446'744'077}, time_t{INT64_MAX}}) {
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      timeval ages{.tv_sec = seconds, .tv_usec = 0};
      socklen_t length = sizeof ages;
      EXPECT_EQ(os->set_option(a, SOL_SOCKET, option, &ages, sizeof ages), 0);
      EXPECT_EQ(os->get_option(a, SOL_SOCKET, option, &ages, &length), 0);
      const bool is_never =
          seconds == INT64_MAX || (is_client() && seconds > 5'000'000'000);  // docs/sockets.md
      EXPECT_EQ(ages.tv_sec, is_never ? 0 : seconds);
    }
    std::thread other([&, fd = b] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      send(fd, "late");
    });
    EXPECT_EQ(receive(a), "late");
    other.join();
  }
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, ALongPathsRingsHoldMore) {
  if (!is_client()) return;
  const int server = os->socket(AF_INET, SOCK_STREAM), a = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  const sockaddr_in at = loopback(FakeStack::kLongPathPort);
  ASSERT_EQ(os->bind(server, as_sockaddr(at), sizeof at), 0);
  ASSERT_EQ(os->listen(server, 1), 0);
  ASSERT_EQ(os->connect(a, as_sockaddr(at), sizeof at), -EINPROGRESS);
  const int b = os->accept(server, nullptr, nullptr, 0);
  EXPECT_EQ(wait_for(a, POLLOUT), POLLOUT);
  std::string sent(2 << 20, '\0'), got;
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 2654435761u >> 24);
  for (size_t done = 0; got.size() < sent.size();) {
    const ssize_t bytes = done == sent.size() ? 0 : os->send(a, sent.data() + done, sent.size() - done, 0);
    if (bytes > 0) done += static_cast<size_t>(bytes);
    if (got.empty() && bytes > 0) {
      EXPECT_GE(bytes, 256 << 10) << "as much as such a ring takes, and what went out meanwhile";
    }
    got += receive(b, 100'000);
  }
  EXPECT_TRUE(got == sent);
  EXPECT_EQ(send(a, "u", MSG_OOB), 1);
  EXPECT_EQ(wait_for(b, POLLPRI), POLLPRI);
  EXPECT_EQ(receive(b, 1, MSG_OOB), "u");
  for (const int fd : {server, a, b}) os->close(fd);
}

TEST_P(StreamTest, NothingIsSentOnlyWhereSomethingCouldBe) {
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(send(fd, "", MSG_NOSIGNAL), -EPIPE);
  os->close(fd);
  const auto [a, b] = connection();
  EXPECT_EQ(send(a, "", MSG_NOSIGNAL), 0);
  os->close(a);
  os->close(b);
}

TEST_P(StreamTest, QueuesAreCounted) {
  const auto [a, b] = connection();
  send(a, "12345");
  wait_for(b, POLLIN);
  int waiting = 0;
  EXPECT_EQ(os->control(b, FIONREAD, &waiting), 0);
  EXPECT_EQ(waiting, 5);
  os->close(a);
  os->close(b);
}

volatile sig_atomic_t alarms = 0;

// signal(7): a handler without SA_RESTART ends a blocking recv(), one with it does not.
TEST_P(StreamTest, HandlersEndAWaitUnlessTheyRestartIt) {
  const auto [a, b] = connection();
  struct sigaction old {};
  struct sigaction count {};
  count.sa_handler = [](int) { alarms = alarms + 1; };
  const pthread_t self = pthread_self();
  for (const int flags : {0, SA_RESTART}) {
    alarms = 0;
    count.sa_flags = flags;
    sigaction(SIGUSR1, &count, &old);
    std::thread other([&, fd = b] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      pthread_kill(self, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      send(fd, "late");
    });
    EXPECT_EQ(receive(a), flags == 0 ? "error 4" : "late");
    EXPECT_EQ(alarms, 1);
    other.join();
    if (flags == 0) {
      EXPECT_EQ(receive(a), "late");
    }
    sigaction(SIGUSR1, &old, nullptr);
  }
  os->close(a);
  os->close(b);
}

}  // namespace
}  // namespace skerry::sockets
