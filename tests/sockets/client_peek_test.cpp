// MSG_PEEK that waits: for all that is asked (MSG_WAITALL), or for SO_RCVLOWAT.
#include <vector>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class PeekTest : public ConnectedCase {
 protected:
  static constexpr int kAll = MSG_PEEK | MSG_WAITALL;

  // In a thread of its own, most likely once the test's own one waits.
  template <class Work>
  std::thread soon(Work work) {
    return std::thread([work] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      work();
    });
  }
  void give_up_after_ms(int fd, int limit_ms) {
    const timeval time{.tv_sec = 0, .tv_usec = limit_ms * 1000};
    EXPECT_EQ(os->set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
  }
  void wait_for_bytes(int fd, int least) {
    EXPECT_EQ(os->set_option(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least), 0);
  }
};
ON_KERNEL_AND_CLIENT(PeekTest);

TEST_P(PeekTest, WaitallWaitsForAllAndLeavesIt) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  std::thread other = soon([&] { send(a_, "cdef"); });
  EXPECT_EQ(receive(b_, 4, kAll), "abcd");
  other.join();
  EXPECT_EQ(receive(b_, 6, MSG_WAITALL), "abcdef");
}

TEST_P(PeekTest, WaitallWaitsWhereNothingIsYet) {
  std::thread other = soon([&] {
    send(a_, "ab");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send(a_, "cd");
  });
  EXPECT_EQ(receive(b_, 4, kAll), "abcd");
  other.join();
}

TEST_P(PeekTest, SomeOfItIsTheAnswerWhenTheTimeIsOver) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  give_up_after_ms(b_, 30);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(receive(b_, 4, kAll), "ab");
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(30));
  EXPECT_EQ(receive(b_), "ab");
  EXPECT_EQ(receive(b_, 4, kAll), "error 11");
}

TEST_P(PeekTest, WhoDoesNotWaitHasWhatIsThere) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  EXPECT_EQ(receive(b_, 4, kAll | MSG_DONTWAIT), "ab");
}

TEST_P(PeekTest, TheEndEndsTheWait) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  std::thread other = soon([&] {
    send(a_, "c");
    os->shutdown(a_, SHUT_WR);
  });
  EXPECT_EQ(receive(b_, 10, kAll), "abc");
  other.join();
  EXPECT_EQ(receive(b_, 10, kAll), "abc");
}

TEST_P(PeekTest, AnErrorEndsTheWaitAndIsLeftToTheNextCall) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  send(b_, "so that closing resets");
  wait_for(a_, POLLIN);
  std::thread other = soon([&] { os->close(a_); });
  EXPECT_EQ(receive(b_, 10, kAll), "ab");
  other.join();
  EXPECT_EQ(receive(b_, 10), "ab");
  EXPECT_EQ(receive(b_, 10, MSG_PEEK), "error 104");
  a_ = os->socket(AF_INET, SOCK_STREAM);
}

TEST_P(PeekTest, TheLowWaterMarkIsWaitedFor) {
  wait_for_bytes(b_, 4);
  send(a_, "ab");
  std::thread other = soon([&] { send(a_, "cde"); });
  EXPECT_EQ(receive(b_, 8, MSG_PEEK), "abcde");
  other.join();
  EXPECT_EQ(receive(b_, 3, MSG_PEEK), "abc");
}

// tcp_recvmsg_locked() looks once more before it gives up.
TEST_P(PeekTest, WhatCameBelowTheMarkIsTheAnswerWhenTheTimeIsOver) {
  std::vector<std::pair<int, int>> connections;
  std::vector<std::thread> readers;
  for (const size_t first : {0, 10}) {
    for (const int flags : {0, int{MSG_WAITALL}, int{MSG_PEEK}, kAll}) {
      const auto [near, far] = connections.emplace_back(connection());
      wait_for_bytes(far, 100);
      give_up_after_ms(far, 250);
      send(near, std::string(first, 'a'));
      readers.emplace_back([this, first, flags, fd = far] {
        EXPECT_EQ(receive(fd, 4096, flags).size(), first + 40) << first << " and flags " << flags;
      });
    }
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  for (const auto& [near, far] : connections) send(near, std::string(40, 'b'));
  for (std::thread& reader : readers) reader.join();
  for (const auto& [near, far] : connections) {
    os->close(near);
    os->close(far);
  }
}

TEST_P(PeekTest, NothingIsSeenBeyondAnUrgentByte) {
  send(a_, "ab");
  wait_for(b_, POLLIN);
  std::thread other = soon([&] {
    send(a_, "cd!", MSG_OOB);
    send(a_, "behind");
  });
  EXPECT_EQ(receive(b_, 10, kAll), "abcd");
  other.join();
  EXPECT_EQ(receive(b_, 4), "abcd");
  EXPECT_EQ(receive(b_, 6, kAll), "behind");
  EXPECT_EQ(receive(b_, 6, MSG_WAITALL), "behind");
}

}  // namespace
}  // namespace skerry::sockets
