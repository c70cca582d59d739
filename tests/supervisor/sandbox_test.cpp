// Each wall is tried from inside: a child confines itself, then does what it must not be able to do.
#include "supervisor/sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_xdp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

#include "run/confine.hpp"

namespace skerry::supervisor {
namespace {

constexpr int kCouldNotConfine = 99;

class Confined : public testing::TestWithParam<Confinement> {
 protected:
  void SetUp() override {
    if (!confinement_is_complete()) GTEST_SKIP() << "a sanitizer needs more than a confined process may do";
  }
};

// Runs `act` in a confined child: its exit status, or 128 + the signal that killed it.
int after_confine(Confinement kind, const std::function<int()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    Result<void> confined = confine(kind);
    if (!confined) {
      ::dprintf(2, "%s\n", confined.error().message.c_str());
      ::_exit(kCouldNotConfine);
    }
    ::_exit(act());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

constexpr int kKilledByFilter = 128 + SIGSYS;

TEST_P(Confined, DoesTheWorkOfABreath) {
  int pair[2], doorbell[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  ASSERT_EQ(::pipe(doorbell), 0);
  const Fd memory(::memfd_create("region", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(memory.get(), 8192), 0);
  const int epoll = ::epoll_create1(0);
  EXPECT_EQ(after_confine(GetParam(),
                          [&] {
                            epoll_event event{EPOLLIN, {}};
                            if (::epoll_ctl(epoll, EPOLL_CTL_ADD, doorbell[0], &event) != 0) return 1;
                            if (::write(doorbell[1], "", 1) != 1) return 2;
                            if (::epoll_wait(epoll, &event, 1, 1000) != 1) return 3;
                            char byte;
                            if (::read(doorbell[0], &byte, 1) != 1) return 4;
                            if (::send(pair[0], "x", 1, 0) != 1 || ::recv(pair[1], &byte, 1, 0) != 1)
                              return 5;
                            void* page =
                                ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
                            if (page == MAP_FAILED) return 6;
                            std::memset(page, 1, 8192);
                            struct stat status {};
                            if (::fstat(memory.get(), &status) != 0 || status.st_size != 8192) return 7;
                            timespec now{};
                            if (::clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 8;
                            std::string grows(1 << 20, 'x');
                            grows += grows;
                            return grows.size() == 1 << 21 ? 0 : 9;
                          }),
            0);
  for (const int fd : {pair[0], pair[1], doorbell[0], doorbell[1], epoll}) ::close(fd);
}

TEST_P(Confined, OpensNoFile) {
  // The compiler's library looks for files and is told that there are none.
  EXPECT_EQ(
      after_confine(GetParam(), [] { return ::open("/etc/passwd", O_RDONLY) >= 0 ? 1 : errno != ENOENT; }),
      GetParam() == Confinement::compiler ? 0 : kKilledByFilter);
  EXPECT_EQ(after_confine(GetParam(), [] { return ::chdir("/"); }), kKilledByFilter);
}

TEST_P(Confined, MakesNoSocket) {
  EXPECT_EQ(after_confine(GetParam(), [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }),
            kKilledByFilter);
  EXPECT_EQ(after_confine(GetParam(), [] { return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }),
            kKilledByFilter);
}

// A datagram socket that is connected to one peer would still take another's address, call by call.
TEST_P(Confined, SendsToNobodyWhomItNames) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  peer.sin_port = htons(9);
  const auto* const address = reinterpret_cast<const sockaddr*>(&peer);
  ASSERT_EQ(::connect(socket.get(), address, sizeof peer), 0);
  EXPECT_EQ(
      after_confine(GetParam(),
                    [&] { return ::sendto(socket.get(), "x", 1, 0, address, sizeof peer) == 1 ? 1 : 2; }),
      kKilledByFilter);
  EXPECT_EQ(after_confine(GetParam(), [&] { return ::connect(socket.get(), address, sizeof peer); }),
            kKilledByFilter);
  if (GetParam() != Confinement::resolver) return;  // the others hold no such socket, and pass descriptors on
  EXPECT_EQ(after_confine(GetParam(),
                          [&] {
                            iovec part{const_cast<char*>("x"), 1};
                            msghdr message{};
                            message.msg_name = &peer;
                            message.msg_namelen = sizeof peer;
                            message.msg_iov = &part;
                            message.msg_iovlen = 1;
                            return ::sendmsg(socket.get(), &message, 0) == 1 ? 1 : 2;
                          }),
            kKilledByFilter);
}

TEST_P(Confined, StartsNoProcessAndTouchesNoOther) {
  EXPECT_EQ(after_confine(GetParam(), [] { return static_cast<int>(::syscall(SYS_fork)); }), kKilledByFilter);
  EXPECT_EQ(after_confine(GetParam(), [] { return ::execl("/bin/true", "true", nullptr); }), kKilledByFilter);
  const pid_t parent = ::getpid();
  EXPECT_EQ(after_confine(GetParam(), [&] { return ::kill(parent, 0); }), kKilledByFilter);
  EXPECT_EQ(
      after_confine(GetParam(), [&] { return static_cast<int>(::syscall(SYS_tgkill, parent, parent, 0)); }),
      kKilledByFilter);
}

TEST_P(Confined, MakesNothingExecutable) {
  EXPECT_EQ(after_confine(GetParam(),
                          [] {
                            return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                                          -1, 0) != MAP_FAILED;
                          }),
            kKilledByFilter);
}

TEST_P(Confined, AFailedCheckStillAborts) {
  EXPECT_EQ(after_confine(GetParam(),
                          [] {
                            ::abort();
                            return 0;
                          }),
            128 + SIGABRT);
}

TEST_P(Confined, StillDiesWithItsParent) {
  int alive[2];
  ASSERT_EQ(::pipe(alive), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const pid_t parent_id = ::getpid();
    if (::fork() == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent_id || !confine(GetParam())) ::_exit(1);
      char byte = 0;
      if (::write(alive[1], &byte, 1) != 1) ::_exit(1);
      for (;;) ::poll(nullptr, 0, 1000);
    }
    ::pause();
  }
  ::close(alive[1]);
  char byte = 0;
  EXPECT_EQ(::read(alive[0], &byte, 1), 1);
  ASSERT_GT(parent, 1);
  ::kill(parent, SIGKILL);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  pollfd ended{alive[0], POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 5000), 1) << "the confined process outlived its parent";
  ::close(alive[0]);
}

// The root directory is empty, the user is not root, the namespaces are not ours.
void expect_elsewhere(pid_t process) {
  const std::string proc = "/proc/" + std::to_string(process);
  EXPECT_EQ(::access((proc + "/root/.").c_str(), F_OK), 0);
  EXPECT_NE(::access((proc + "/root/etc").c_str(), F_OK), 0);
  for (const char* name : {"user", "mnt", "net", "ipc", "uts"}) {
    struct stat ours {
    }, theirs{};
    EXPECT_EQ(::stat((std::string("/proc/self/ns/") + name).c_str(), &ours), 0);
    EXPECT_EQ(::stat((proc + "/ns/" + name).c_str(), &theirs), 0);
    EXPECT_NE(ours.st_ino, theirs.st_ino) << name;
  }
  std::ifstream status(proc + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Uid:")) {
      EXPECT_EQ(line.find("\t0"), std::string::npos) << line;
    }
  }
}

TEST_P(Confined, TheKernelSaysSo) {
  int ready[2], end[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(end), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(end[1]);
    const bool confined = static_cast<bool>(confine(GetParam()));
    char byte = confined ? 1 : 0;
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    ::_exit(::read(end[0], &byte, 1) == 0 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 1);
  EXPECT_TRUE(walls_of(child).complete());
  EXPECT_FALSE(walls_of(::getpid()).system_calls_filtered);
  // Only root may look deeper into a process that is not dumpable.
  if (::geteuid() == 0) expect_elsewhere(child);
  for (const int fd : {ready[0], ready[1], end[0], end[1]}) ::close(fd);
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_TRUE(WIFEXITED(ended));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Confined,
                         testing::Values(Confinement::vswitch, Confinement::driver, Confinement::driver_afxdp,
                                         Confinement::stack, Confinement::resolver, Confinement::compiler),
                         [](const auto& kind) {
                           return kind.param == Confinement::vswitch        ? "vswitch"
                                  : kind.param == Confinement::driver       ? "driver"
                                  : kind.param == Confinement::driver_afxdp ? "driver_afxdp"
                                  : kind.param == Confinement::stack        ? "stack"
                                  : kind.param == Confinement::resolver     ? "resolver"
                                                                            : "compiler";
                         });

TEST_F(Confined, OnlyTheStackAccepts) {
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "sk-sandbox-test-%d", ::getpid());
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  const int client = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const auto accept_it = [&] {
    const int session = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    ucred peer{};
    socklen_t length = sizeof peer;
    if (session < 0 || ::getsockopt(session, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return 1;
    return static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0U)) >= 0 ? 0 : 2;
  };
  EXPECT_EQ(after_confine(Confinement::vswitch, accept_it), kKilledByFilter);
  EXPECT_EQ(after_confine(Confinement::stack, accept_it), 0);
  ::close(listener);
  ::close(client);
}

TEST_F(Confined, OnlyTheXdpDriverReadsAnXdpSocketsCounters) {
  const auto read_counters = [](int level) {
    xdp_statistics counters{};
    socklen_t length = sizeof counters;
    ::getsockopt(0, level, XDP_STATISTICS, &counters, &length);
    return 0;
  };
  EXPECT_EQ(after_confine(Confinement::driver_afxdp, [&] { return read_counters(SOL_XDP); }), 0);
  EXPECT_EQ(after_confine(Confinement::driver_afxdp, [&] { return read_counters(SOL_SOCKET); }),
            kKilledByFilter);
  EXPECT_EQ(after_confine(Confinement::driver, [&] { return read_counters(SOL_XDP); }), kKilledByFilter);
}

TEST(Kernel, OfThisMachineIsEnough) {
  Result<void> enough = check_kernel();
  EXPECT_TRUE(enough) << enough.error().message;
}

}  // namespace
}  // namespace skerry::supervisor
