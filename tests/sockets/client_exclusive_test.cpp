// EPOLLEXCLUSIVE (epoll_ctl(2)) as the kernel has it: every test runs on both.
#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class ExclusiveTest : public OsCase {
 protected:
  int change(int set, int operation, int fd, uint32_t events) {
    const epoll_event event{.events = events, .data = {.fd = fd}};
    return os->epoll_ctl(set, operation, fd, &event);
  }
  int ready(int set, int timeout_ms) {
    epoll_event event{};
    return os->epoll_wait(set, &event, 1, timeout_ms);
  }
};
ON_KERNEL_AND_CLIENT(ExclusiveTest);

TEST_P(ExclusiveTest, ItStandsBesideFewOthersAndIsNeverModified) {
  uint16_t port = 0;
  const int listening = listener(port), set = os->epoll_create();
  for (const uint32_t refused : {EPOLLONESHOT, EPOLLRDHUP, EPOLLPRI})
    EXPECT_EQ(change(set, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLEXCLUSIVE | refused), -EINVAL) << refused;
  EXPECT_EQ(change(set, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE), 0);
  EXPECT_EQ(change(set, EPOLL_CTL_MOD, listening, EPOLLIN), -EINVAL);
  EXPECT_EQ(change(set, EPOLL_CTL_DEL, listening, 0), 0);
  EXPECT_EQ(change(set, EPOLL_CTL_ADD, listening, EPOLLIN), 0);
  EXPECT_EQ(change(set, EPOLL_CTL_MOD, listening, EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
  for (const int fd : {listening, set}) os->close(fd);
}

// Which of the two reports the connection is open; that one does is not.
TEST_P(ExclusiveTest, SomebodyHearsOfEveryConnection) {
  uint16_t port = 0;
  const int listening = listener(port, SOCK_NONBLOCK);
  const int sets[] = {os->epoll_create(), os->epoll_create()};
  for (const int set : sets) ASSERT_EQ(change(set, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLEXCLUSIVE), 0);
  std::atomic<int> accepted = 0;
  std::vector<std::thread> workers;
  for (const int set : sets)
    workers.emplace_back([&, set] {
      while (accepted < 50)
        if (ready(set, 100) == 1)
          if (const int fd = os->accept(listening, nullptr, nullptr, SOCK_NONBLOCK); fd >= 0) {
            ++accepted;
            os->close(fd);
          }
    });
  for (int i = 0; i < 50; ++i) {
    os->close(connect_to(port));
    for (int turn = 0; turn < 5000 && accepted <= i; ++turn)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_GT(accepted, i);
  }
  for (std::thread& worker : workers) worker.join();
  for (const int fd : {listening, sets[0], sets[1]}) os->close(fd);
}

}  // namespace
}  // namespace skerry::sockets
