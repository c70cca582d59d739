// One epoll set that two processes have after a fork: every test runs on the kernel too.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstdio>
#include <functional>

#include "epoll_case.hpp"
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets {
namespace {

constexpr int kLimitMs = 20'000;

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

TEST_P(SharedEpollTest, ASetOutlivesItsMaker) {
  Child maker = child([&](Child& self) {
    set = os->epoll_create();
    Child heir = child([&](Child& second) {
      self.told();
      second.tell(add(b, EPOLLIN, 7) == 0 ? Events{{1, 1}} : Events{});
      self.tell(wait(kLimitMs));
      self.told();
    });
    self.tell({{static_cast<uint64_t>(heir.pid()), 0}});
    if (heir.told().size() == 1) ::raise(SIGKILL);
  });
  const auto heir = static_cast<pid_t>(maker.told().at(0).first);
  maker.go_on();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(maker.pid()), &info, WEXITED | WNOWAIT), 0);
  // Sets of this process now, at the places of those that are free.
  int others[4];
  for (int& one : others) one = os->epoll_create();
  send(a, "x");
  EXPECT_EQ(maker.told(), (Events{{7, EPOLLIN}}));
  for (const int one : others) os->close(one);
  ::kill(heir, SIGKILL);
}

TEST_P(SharedEpollTest, WhoIsKilledInItsSleepTakesNoWakeUpAway) {
  ASSERT_EQ(add(b, EPOLLIN | EPOLLET, 7), 0);
  Child victim = child([&](Child&) { wait(kLimitMs); });
  Child other = child([&](Child& self) { self.tell(wait(kLimitMs)); });
  wait_for_sleep({victim.pid(), other.pid()});
  victim.end();
  send(a, "x");
  EXPECT_EQ(other.told(), (Events{{7, EPOLLIN}}));
  if (!is_client()) return;
  const EpollSet& shared = client::set_of(fd_index(client::entry_of(set)));
  do {
    wait(1);
  } while (shared.sleepers.load() != 0);  // once the stack has heard of it
}

TEST_P(SharedEpollTest, ASocketStaysInTheSetAsLongAsOneOfThemHasIt) {
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  Child other = child([&](Child& self) {
    self.told();
    os->close(b);
    self.tell({});
    self.told();
  });
  send(a, "x");
  os->close(b);
  EXPECT_EQ(wait(kLimitMs), (Events{{7, EPOLLIN}}));
  other.go_on();
  other.told();
  EXPECT_EQ(wait(0), Events{});
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

// A child that is promised holds what it will inherit before it has said a word.
TEST(SharedEpoll, ASocketStaysInTheSetForAChildThatIsNotThereYet) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int set = os->epoll_create(), socket = os->socket(AF_INET, SOCK_STREAM);
  const epoll_event interest{.events = EPOLLOUT, .data = {.u64 = 7}};
  ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, socket, &interest), 0);
  client::fork_prepare();
  os->close(socket);
  epoll_event found{};
  EXPECT_EQ(os->epoll_wait(set, &found, 1, 0), 1);
  client::fork_parent();  // and no child came of it
  while (os->epoll_wait(set, &found, 1, 0) != 0) ::sched_yield();
  os->close(set);
}

TEST(SharedEpoll, ASetThatNobodyHasAnyMoreIsFreed) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const auto in_use = [&] {
    uint32_t count = 0;
    for (uint32_t waiter = 0; waiter < client::state.size.waiters; ++waiter)
      count += client::state.view.waiter_owners()[waiter].load() >= kSetOwner;
    return count;
  };
  const int set = os->epoll_create();
  int told[2];
  ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
  for (const bool is_killed : {false, true}) {
    client::fork_prepare();
    const pid_t child = ::fork();
    if (child == 0) {
      client::fork_child();
      const int own = os->epoll_create();
      char byte = 'x';
      if (::write(told[1], &byte, 1) != 1) ::_exit(1);
      if (is_killed) ::pause();
      os->close(set);
      os->close(own);
      ::_exit(0);
    }
    client::fork_parent();
    char byte = 0;
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    EXPECT_GE(in_use(), is_killed ? 2u : 1u);
    if (is_killed) ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  while (in_use() != 1) ::sched_yield();  // the stack hears of the kill
  os->close(set);
  EXPECT_EQ(in_use(), 0u);
  ::close(told[0]);
  ::close(told[1]);
}

}  // namespace
}  // namespace skerry::sockets
