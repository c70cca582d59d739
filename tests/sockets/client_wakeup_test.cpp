// No wake-up is lost: neither side polls, no sleep has a time-out, so a wake-up that is lost hangs the test
// (ctest ends it).
#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <barrier>
#include <random>

#include "client_case.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets {
namespace {

constexpr int kRounds = 3000;

class WakeupTest : public ::testing::Test {
 protected:
  WakeupTest() : attached_(true), os(client_os()) { client::yields_before_sleep = 0; }
  ~WakeupTest() override { client::yields_before_sleep = client::kYieldsBeforeSleep; }

  std::pair<int, int> connection() {
    const int listening = os->socket(AF_INET, SOCK_STREAM);
    const sockaddr_in address = loopback(port_);
    EXPECT_EQ(os->bind(listening, as_sockaddr(address), sizeof address), 0);
    EXPECT_EQ(os->listen(listening, 4), 0);
    const int one = os->socket(AF_INET, SOCK_STREAM);
    EXPECT_EQ(os->connect(one, as_sockaddr(address), sizeof address), 0);
    const int other = os->accept(listening, nullptr, nullptr, 0);
    os->close(listening);
    ++port_;
    return {one, other};
  }
  void send_byte(int fd) {
    const char byte = 'x';
    ASSERT_EQ(os->send(fd, &byte, 1, 0), 1);
  }
  void receive_byte(int fd) {
    char byte;
    ASSERT_EQ(os->receive(fd, &byte, 1, 0), 1);
  }
  // Sends every byte back, however it waits.
  std::thread echo(int fd) {
    return std::thread([this, fd] {
      char bytes[64];
      for (ssize_t got = 0; (got = os->receive(fd, bytes, sizeof bytes, 0)) > 0;)
        ASSERT_EQ(os->send(fd, bytes, static_cast<size_t>(got), 0), got);
    });
  }

 private:
  AttachedClient attached_;
  uint16_t port_ = 1000;

 protected:
  std::unique_ptr<Os> os;
};

TEST_F(WakeupTest, BlockingBothSides) {
  const auto [a, b] = connection();
  std::thread other = echo(b);
  for (int i = 0; i < kRounds; ++i) {
    send_byte(a);
    receive_byte(a);
  }
  os->shutdown(a, SHUT_WR);
  other.join();
  os->close(a);
  os->close(b);
}

TEST_F(WakeupTest, EpollAsleepOnTheFutexAndInTheKernel) {
  for (const bool with_kernel_descriptor : {false, true}) {
    const auto [a, b] = connection();
    std::thread other = echo(b);
    const int set = os->epoll_create();
    const int event = ::eventfd(0, EFD_NONBLOCK);
    epoll_event interest{.events = EPOLLIN, .data = {.u64 = 1}};
    ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, a, &interest), 0);
    if (with_kernel_descriptor) {
      ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, event, &interest), 0);
    }
    for (int i = 0; i < kRounds; ++i) {
      send_byte(a);
      epoll_event found{};
      ASSERT_EQ(os->epoll_wait(set, &found, 1, -1), 1);
      receive_byte(a);
    }
    os->shutdown(a, SHUT_WR);
    other.join();
    for (const int fd : {a, b, set}) os->close(fd);
    ::close(event);
  }
}

TEST_F(WakeupTest, PollAsleepOnTheFutexAndInTheKernel) {
  const auto [a, b] = connection();
  std::thread other = echo(b);
  const int event = ::eventfd(0, EFD_NONBLOCK);
  pollfd fds[] = {{a, POLLIN, 0}, {event, POLLIN, 0}};
  for (int i = 0; i < kRounds; ++i) {
    send_byte(a);
    ASSERT_EQ(os->poll(fds, i % 2 ? 1 : 2, -1), 1);
    receive_byte(a);
  }
  os->shutdown(a, SHUT_WR);
  other.join();
  os->close(a);
  os->close(b);
  ::close(event);
}

// A small ring that is full most of the time: the writer sleeps for space, the reader for bytes.
TEST_F(WakeupTest, FullRingBothSidesSleep) {
  const auto [a, b] = connection();
  constexpr size_t kTotal = 16 << 20;
  std::thread writer([&, fd = a] {
    const std::string block(50'000, 'x');
    for (size_t sent = 0; sent < kTotal;) {
      const ssize_t result = os->send(fd, block.data(), std::min(block.size(), kTotal - sent), 0);
      ASSERT_GT(result, 0);
      sent += static_cast<size_t>(result);
    }
    os->shutdown(fd, SHUT_WR);
  });
  std::mt19937 random(7);
  std::string room(100'000, '\0');
  size_t got = 0;
  for (ssize_t result = 0; (result = os->receive(b, room.data(), 1 + random() % room.size(), 0)) > 0;)
    got += static_cast<size_t>(result);
  EXPECT_EQ(got, kTotal);
  writer.join();
  os->close(a);
  os->close(b);
}

// Several threads wait for one set; every byte wakes one that takes it.
TEST_F(WakeupTest, ManyThreadsOnOneSet) {
  for (const bool with_kernel_descriptor : {false, true}) {
    const auto [a, b] = connection();
    ASSERT_EQ(os->fcntl(b, F_SETFL, O_NONBLOCK), 0);
    const int set = os->epoll_create();
    const int event = ::eventfd(0, EFD_NONBLOCK);
    epoll_event interest{.events = EPOLLIN | EPOLLET, .data = {.u64 = 1}};
    ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, b, &interest), 0);
    epoll_event stop{.events = EPOLLIN, .data = {.u64 = 2}};
    if (with_kernel_descriptor) {
      ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, event, &stop), 0);
    }
    std::vector<std::thread> workers;
    for (int i = 0; i < 3; ++i)
      workers.emplace_back([&, fd = b] {
        for (;;) {
          epoll_event found{};
          if (os->epoll_wait(set, &found, 1, -1) != 1) continue;
          char byte = 0;
          if (os->receive(fd, &byte, 1, 0) != 1) continue;
          ASSERT_EQ(os->send(fd, &byte, 1, 0), 1);
          if (byte == 'q') return;
        }
      });
    char byte = 0;
    for (int i = 0; i < kRounds / 3; ++i) {
      send_byte(a);
      receive_byte(a);
    }
    for (size_t i = 0; i < workers.size(); ++i) {
      ASSERT_EQ(os->send(a, "q", 1, 0), 1);
      ASSERT_EQ(os->receive(a, &byte, 1, 0), 1);
    }
    for (std::thread& worker : workers) worker.join();
    for (const int fd : {a, b, set}) os->close(fd);
    ::close(event);
  }
}

// Two sockets become ready together, and each of two threads takes one event at a time: whoever comes first
// leaves one to the other, and neither goes on before both have theirs.
TEST_F(WakeupTest, AThreadThatLeavesAnEventWakesAnother) {
  for (const bool with_kernel_descriptor : {false, true}) {
    const std::pair<int, int> pairs[] = {connection(), connection()};
    const int set = os->epoll_create();
    const int event = ::eventfd(0, EFD_NONBLOCK);
    for (const auto& [a, b] : pairs) {
      epoll_event interest{.events = EPOLLIN | EPOLLET, .data = {.u64 = static_cast<uint64_t>(b)}};
      ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, b, &interest), 0);
    }
    if (with_kernel_descriptor) {
      epoll_event interest{.events = EPOLLIN, .data = {.u64 = 0}};
      ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, event, &interest), 0);
    }
    std::barrier both(2);
    std::vector<std::thread> workers;
    for (int i = 0; i < 2; ++i)
      workers.emplace_back([&] {
        for (int round = 0; round < kRounds / 3; ++round) {
          epoll_event found{};
          char byte = 0;
          do {
            ASSERT_EQ(os->epoll_wait(set, &found, 1, -1), 1);
          } while (os->receive(static_cast<int>(found.data.u64), &byte, 1, MSG_DONTWAIT) != 1);
          both.arrive_and_wait();
          ASSERT_EQ(os->send(static_cast<int>(found.data.u64), &byte, 1, 0), 1);
        }
      });
    for (int round = 0; round < kRounds / 3; ++round) {
      const uint32_t waiter = fd_index(client::entry_of(set));
      while (client::set_of(waiter).sleepers.load() != 2) ::sched_yield();
      // The stack is rung behind the second byte, so that it has news of both sockets in one breath.
      std::atomic<uint32_t>& armed = client::state.control->stack_armed;
      const uint32_t was_armed = armed.exchange(0);
      for (const auto& [a, b] : pairs) send_byte(a);
      if (was_armed != 0) {
        armed.store(was_armed);
        client::ring_stack();
      }
      for (const auto& [a, b] : pairs) receive_byte(a);
    }
    for (std::thread& worker : workers) worker.join();
    for (const auto& [a, b] : pairs) {
      os->close(a);
      os->close(b);
    }
    os->close(set);
    ::close(event);
  }
}

// Another thread closes the socket that this one waits for and opens one, which is at the same index.
TEST_F(WakeupTest, WhoWaitsIsNotToldOfTheSocketThatCameAfterwards) {
  for (const bool has_data : {true, false}) {
    const int fd = os->socket(AF_INET, SOCK_DGRAM);
    const uint32_t socket = client::socket_of(fd);
    int next = -1;
    const auto ready = [&] {
      const SocketOut& out = client::state.out[socket];
      if (next >= 0) return out.rx_written.load() != 0;
      os->close(fd);
      next = os->socket(AF_INET, SOCK_DGRAM);
      EXPECT_EQ(client::socket_of(next), socket);
      const sockaddr_in address = loopback(901);
      EXPECT_EQ(os->bind(next, as_sockaddr(address), sizeof address), 0);
      if (has_data) {
        EXPECT_EQ(os->send(next, "x", 1, 0, as_sockaddr(address), sizeof address), 1);
        while (out.rx_written.load() == 0) ::sched_yield();
      }
      return false;
    };
    client::Wait wait(socket, client::Begun(socket));
    EXPECT_EQ(wait.until(ready, client::deadline_after(5 * kSecond)), -EBADF);
    os->close(next);
  }
}

TEST_F(WakeupTest, ACloseWakesWhoReadsWritesAndAccepts) {
  const int datagram = os->socket(AF_INET, SOCK_DGRAM);
  const int listening = os->socket(AF_INET, SOCK_STREAM);
  const sockaddr_in address = loopback(902);
  ASSERT_EQ(os->bind(listening, as_sockaddr(address), sizeof address), 0);
  ASSERT_EQ(os->listen(listening, 4), 0);
  const auto [a, b] = connection();
  const std::string much(1 << 20, 'x');
  const auto until_closed = [&](int fd, auto blocked) {
    const SocketIn& in = client::state.in[client::socket_of(fd)];
    std::thread sleeper(blocked);
    const auto is_asleep = [](const std::atomic<uint16_t>& mark) {
      const uint32_t waiter = mark - 1u;
      return waiter < client::state.size.waiters && client::state.view.waiter(waiter).armed == kFutex;
    };
    while (std::none_of(std::begin(in.watchers), std::end(in.watchers), is_asleep)) ::sched_yield();
    os->close(fd);
    sleeper.join();
  };
  char byte;
  until_closed(datagram, [&] { EXPECT_EQ(os->receive(datagram, &byte, 1, 0), -EBADF); });
  until_closed(listening, [&] { EXPECT_EQ(os->accept(listening, nullptr, nullptr, 0), -EBADF); });
  until_closed(
      a, [&, fd = a] { EXPECT_GT(os->send(fd, much.data(), much.size(), 0), 0) << "what it has sent"; });
  os->close(b);
}

TEST_F(WakeupTest, AcceptAndCallsSleep) {
  const int listening = os->socket(AF_INET, SOCK_STREAM);
  const sockaddr_in address = loopback(900);
  ASSERT_EQ(os->bind(listening, as_sockaddr(address), sizeof address), 0);
  ASSERT_EQ(os->listen(listening, 16), 0);
  std::thread server([&] {
    for (int i = 0; i < kRounds / 10; ++i) {
      const int fd = os->accept(listening, nullptr, nullptr, 0);
      ASSERT_GE(fd, 0);
      os->close(fd);
    }
  });
  for (int i = 0; i < kRounds / 10; ++i) {
    const int fd = os->socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(os->connect(fd, as_sockaddr(address), sizeof address), 0);
    char byte;
    ASSERT_EQ(os->receive(fd, &byte, 1, 0), 0);
    os->close(fd);
  }
  server.join();
  os->close(listening);
}

}  // namespace
}  // namespace skerry::sockets
