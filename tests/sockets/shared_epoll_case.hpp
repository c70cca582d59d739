// The ground of the tests of epoll sets that several processes have.
#pragma once

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstdio>
#include <functional>

#include "epoll_case.hpp"

namespace skerry::sockets {

inline constexpr int kLimitMs = 20'000;

class SharedEpollTest : public EpollTest {
 protected:
  // A forked process that works, and what it and its parent tell each other.
  class Child {
   public:
    Child(bool is_client, const std::function<void(Child&)>& work) {
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_), 0);
      if (is_client) client::fork_prepare();
      pid_ = ::fork();
      if (pid_ == 0) {
        if (is_client) client::fork_child();
        std::swap(ends_[0], ends_[1]);
        ::close(ends_[1]);
        work(*this);
        ::_exit(0);
      }
      if (is_client) client::fork_parent();
      ::close(ends_[1]);
    }
    ~Child() {
      ::close(ends_[0]);
      end();
    }
    void end() {
      if (pid_ <= 0) return;
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
    void tell(const Events& events) {
      const size_t bytes = events.size() * sizeof events[0];
      const ssize_t sent = ::send(ends_[0], events.data(), bytes, MSG_NOSIGNAL);
      static_cast<void>(sent);
    }
    void go_on() { tell({{0, 0}}); }
    bool has_told(int within_ms) const {
      pollfd one{.fd = ends_[0], .events = POLLIN, .revents = 0};
      return ::poll(&one, 1, within_ms) == 1;
    }
    Events told() const {
      if (!has_told(kLimitMs)) return {{0, 0xdead}};
      Events events(16);
      const ssize_t got = ::recv(ends_[0], events.data(), events.size() * sizeof events[0], 0);
      events.resize(got < 0 ? 0 : static_cast<size_t>(got) / sizeof events[0]);
      return events;
    }
    pid_t pid() const { return pid_; }

   private:
    int ends_[2] = {-1, -1};
    pid_t pid_ = 0;
  };

  void SetUp() override {
    EpollTest::SetUp();
    std::tie(a, b) = connection();
  }
  void TearDown() override {
    os->close(a);
    os->close(b);
    EpollTest::TearDown();
  }
  Child child(const std::function<void(Child&)>& work) { return {is_client(), work}; }

  // Until so many processes sleep in the set: the kernel's tells it by /proc, ours by its word.
  void wait_for_sleep(std::initializer_list<pid_t> processes) {
    for (const pid_t process : processes) {
      const std::string name = "/proc/" + std::to_string(process) + "/stat";
      for (char state = 0; state != 'S'; ::sched_yield()) {
        FILE* const file = ::fopen(name.c_str(), "re");
        ASSERT_NE(file, nullptr);
        ASSERT_EQ(::fscanf(file, "%*d (%*[^)]) %c", &state), 1);
        ::fclose(file);
      }
    }
  }

  int a = -1, b = -1;
};

}  // namespace skerry::sockets
