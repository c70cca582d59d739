// SIGURG and SIGIO for sockets, as the kernel has them: F_SETOWN, O_ASYNC, and the ioctls of the same
// meaning.
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <latch>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

std::array<std::atomic<int>, 65> counts;

class SignalsTest : public ConnectedCase {
 protected:
  void SetUp() override {
    for (auto& count : counts) count = 0;
    struct sigaction counting {};
    counting.sa_handler = [](int signal) { ++counts[static_cast<size_t>(signal)]; };
    counting.sa_flags = SA_RESTART;
    ::sigaction(SIGURG, &counting, &urgent_before_);
    ::sigaction(SIGIO, &counting, &io_before_);
    ConnectedCase::SetUp();
  }
  void TearDown() override {
    ConnectedCase::TearDown();
    ::sigaction(SIGURG, &urgent_before_, nullptr);
    ::sigaction(SIGIO, &io_before_, nullptr);
  }
  int own(long owner) { return os->fcntl(b_, F_SETOWN, owner); }
  f_owner_ex owner() {
    f_owner_ex answer{};
    EXPECT_EQ(os->fcntl(b_, F_GETOWN_EX, reinterpret_cast<long>(&answer)), 0);
    return answer;
  }
  // A signal is there when what caused it is, or a moment later.
  bool came(int signal, int times = 1) {
    for (int turn = 0; turn < 5000 && counts[static_cast<size_t>(signal)] < times; ++turn) ::usleep(1000);
    return counts[static_cast<size_t>(signal)] >= times;
  }
  void pass_plain_data() {
    EXPECT_EQ(send(a_, "plain"), 5);
    EXPECT_EQ(receive(b_, 5, MSG_WAITALL), "plain");
  }
  int count(int signal) { return counts[static_cast<size_t>(signal)]; }

  struct sigaction urgent_before_ {
  }, io_before_{};
};
ON_KERNEL_AND_CLIENT(SignalsTest);

TEST_P(SignalsTest, TheOwnerIsToldOfUrgentDataAndOfNothingElse) {
  EXPECT_EQ(own(::getpid()), 0);
  pass_plain_data();
  EXPECT_EQ(count(SIGURG), 0);
  EXPECT_EQ(send(a_, "u", MSG_OOB), 1);
  EXPECT_TRUE(came(SIGURG));
  EXPECT_EQ(receive(b_, 1, MSG_OOB), "u");
  pass_plain_data();
  EXPECT_EQ(send(a_, "v", MSG_OOB), 1);
  EXPECT_TRUE(came(SIGURG, 2));
  EXPECT_EQ(count(SIGURG), 2);
  EXPECT_EQ(count(SIGIO), 0);
}

TEST_P(SignalsTest, WithoutAnOwnerNobodyIsTold) {
  EXPECT_EQ(own(::getpid()), 0);
  EXPECT_EQ(own(0), 0);
  EXPECT_EQ(send(a_, "u", MSG_OOB), 1);
  EXPECT_EQ(wait_for(b_, POLLPRI), POLLPRI);
  EXPECT_EQ(count(SIGURG), 0);
}

TEST_P(SignalsTest, AThreadCanBeTheOwner) {
  const f_owner_ex thread{F_OWNER_TID, ::gettid()};
  EXPECT_EQ(os->fcntl(b_, F_SETOWN_EX, reinterpret_cast<long>(&thread)), 0);
  EXPECT_EQ(send(a_, "u", MSG_OOB), 1);
  EXPECT_TRUE(came(SIGURG));
  EXPECT_EQ(owner().type, F_OWNER_TID);
}

TEST_P(SignalsTest, WhoCanBeAnOwner) {
  EXPECT_EQ(owner().pid, 0);
  EXPECT_EQ(own(-::getpgrp()), 0);
  EXPECT_EQ(owner().type, F_OWNER_PGRP);
  EXPECT_EQ(owner().pid, ::getpgrp());
  EXPECT_EQ(own(0x3fff'ffff), -ESRCH);
  EXPECT_EQ(own(INT32_MIN), -EINVAL);
  EXPECT_EQ(owner().pid, ::getpgrp());
  EXPECT_EQ(own(::getpid()), 0);
  EXPECT_EQ(owner().type, F_OWNER_PID);
  const f_owner_ex nothing{static_cast<__pid_type>(9), ::getpid()};
  EXPECT_EQ(os->fcntl(b_, F_SETOWN_EX, reinterpret_cast<long>(&nothing)), -EINVAL);
  EXPECT_EQ(os->fcntl(b_, F_GETSIG, 0), 0);
  EXPECT_EQ(os->fcntl(b_, F_SETSIG, 0), 0);
}

TEST_P(SignalsTest, TheIoctlsMeanTheSame) {
  for (const auto& [set, get] : {std::pair<unsigned long, unsigned long>{FIOSETOWN, FIOGETOWN},
                                 std::pair<unsigned long, unsigned long>{SIOCSPGRP, SIOCGPGRP}}) {
    int pid = -::getpgrp();
    EXPECT_EQ(os->control(b_, set, &pid), 0);
    int answer = 0;
    EXPECT_EQ(os->control(b_, get, &answer), 0);
    EXPECT_EQ(answer, pid);
    EXPECT_EQ(owner().type, F_OWNER_PGRP);
    pid = ::getpid();
    EXPECT_EQ(os->control(b_, set, &pid), 0);
    EXPECT_EQ(owner().type, F_OWNER_PID);
  }
  EXPECT_EQ(send(a_, "u", MSG_OOB), 1);
  EXPECT_TRUE(came(SIGURG));
}

TEST_P(SignalsTest, AsyncTellsOfInputWhicheverWasSetFirst) {
  EXPECT_EQ(os->fcntl(b_, F_SETFL, O_ASYNC), 0);
  EXPECT_EQ(own(::getpid()), 0);
  EXPECT_EQ(send(a_, "x"), 1);
  EXPECT_TRUE(came(SIGIO));
  EXPECT_EQ(os->fcntl(b_, F_SETFL, 0), 0);
  EXPECT_EQ(receive(b_), "x");
  const int before = count(SIGIO);
  pass_plain_data();
  EXPECT_EQ(count(SIGIO), before);
  int on = 1;
  EXPECT_EQ(os->control(b_, FIOASYNC, &on), 0);
  EXPECT_EQ(send(a_, "x"), 1);
  EXPECT_TRUE(came(SIGIO, before + 1));
}

TEST_P(SignalsTest, AnOwnerTooManyLeavesTheFlagsAsTheyWere) {
  if (!is_client()) GTEST_SKIP() << "the kernel has room for all";
  std::latch done(1);
  std::array<std::atomic<int>, 7> ids{};
  std::vector<std::thread> owners;
  for (std::atomic<int>& id : ids) {
    owners.emplace_back([&id, &done] {
      id = ::gettid();
      id.notify_one();
      done.wait();
    });
    id.wait(0);
    const f_owner_ex thread{F_OWNER_TID, id};
    EXPECT_EQ(os->fcntl(b_, F_SETOWN_EX, reinterpret_cast<long>(&thread)), 0);
  }
  EXPECT_EQ(own(::getpid()), 0);
  int on = 1;
  EXPECT_EQ(os->fcntl(b_, F_SETFL, O_ASYNC | O_NONBLOCK), -ENOMEM);
  EXPECT_EQ(os->fcntl(b_, F_GETFL, 0), O_RDWR);
  EXPECT_EQ(os->control(b_, FIOASYNC, &on), -ENOMEM);
  EXPECT_EQ(os->fcntl(b_, F_GETFL, 0), O_RDWR);
  done.count_down();
  for (std::thread& owner : owners) owner.join();
}

TEST_P(SignalsTest, AsyncTellsOfTheEnd) {
  EXPECT_EQ(own(::getpid()), 0);
  EXPECT_EQ(os->fcntl(b_, F_SETFL, O_ASYNC), 0);
  EXPECT_EQ(os->shutdown(a_, SHUT_WR), 0);
  EXPECT_TRUE(came(SIGIO));
}

// As a server does that names a child for each connection.
TEST_P(SignalsTest, OwnersThatDiedMakeRoom) {
  for (int turn = 0; turn < 12; ++turn) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    EXPECT_EQ(own(child), 0) << turn;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  EXPECT_EQ(own(::getpid()), 0);
  EXPECT_EQ(os->send(a_, "u", 1, MSG_OOB), 1);
  EXPECT_TRUE(came(SIGURG));
}

// The number that the process before had; 0: it cannot be had here. It waits for SIGUSR1, and then says
// whether SIGURG had come. By system calls alone, because a sanitizer does not know of this kind of fork.
pid_t successor_of(pid_t number) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uint64_t>(&number);
  arguments.set_tid_size = 1;
  const uint64_t asked = uint64_t{1} << (SIGUSR1 - 1);
  uint64_t pending = 0;
  const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child != 0) return child > 0 ? static_cast<pid_t>(child) : 0;
  ::syscall(SYS_rt_sigtimedwait, &asked, nullptr, nullptr, sizeof asked);
  ::syscall(SYS_rt_sigpending, &pending, sizeof pending);
  for (;;) ::syscall(SYS_exit_group, static_cast<long>(pending >> (SIGURG - 1) & 1));
}

TEST_P(SignalsTest, WhoGetsADeadOwnersNumberIsNotTheOwner) {
  const pid_t first = ::fork();
  if (first == 0) {
    ::pause();
    ::_exit(0);
  }
  EXPECT_EQ(own(first), 0);
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);

  sigset_t both, before;
  ::sigemptyset(&both);
  ::sigaddset(&both, SIGURG);
  ::sigaddset(&both, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &both, &before);
  const auto [c, d] = connection();
  for (const bool is_owner : {false, true}) {
    const pid_t second = successor_of(first);
    if (second == 0) {
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      GTEST_SKIP() << "numbers cannot be chosen here";
    }
    EXPECT_EQ(os->fcntl(d, F_SETOWN, second), 0);
    const auto [from, to] = is_owner ? std::pair(c, d) : std::pair(a_, b_);
    EXPECT_EQ(send(from, "u", MSG_OOB), 1);
    EXPECT_EQ(wait_for(to, POLLPRI), POLLPRI);
    EXPECT_EQ(send(from, "x"), 1);  // behind which the signal, if any, is on its way
    EXPECT_EQ(receive(to), "x");
    EXPECT_EQ(send(to, "y"), 1);
    EXPECT_EQ(receive(from), "y");
    ::kill(second, SIGUSR1);
    int status = -1;
    ::waitpid(second, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), is_owner ? 1 : 0);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  os->close(c);
  os->close(d);
}

TEST_P(SignalsTest, AsyncTellsADatagramSocketToo) {
  const int fd = os->socket(AF_INET, SOCK_DGRAM);
  const sockaddr_in any = loopback(0);
  EXPECT_EQ(os->bind(fd, as_sockaddr(any), sizeof any), 0);
  EXPECT_EQ(os->fcntl(fd, F_SETOWN, ::getpid()), 0);
  EXPECT_EQ(os->fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
  const sockaddr_in to = loopback(port_of(fd));
  EXPECT_EQ(os->send(fd, "d", 1, 0, as_sockaddr(to), sizeof to), 1);
  EXPECT_TRUE(came(SIGIO));
  os->close(fd);
}

}  // namespace
}  // namespace skerry::sockets
