// What processes do to themselves: seccomp(2), system calls by their number, and closing under another
// thread.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

#include "scenarios.hpp"

namespace {

// Like sshd before a login: what is not named ends the process.
void allow_only(const std::vector<unsigned>& calls) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned call : calls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

}  // namespace

// What it would need for sockets on Linux is enough here: sleeping until something comes, too.
void few_system_calls() {
  const int listening = listener(7040);
  const int one = connect_to(7040);
  const int other = accept(listening, nullptr, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    allow_only({SYS_read, SYS_write, SYS_poll, SYS_close, SYS_shutdown, SYS_futex, SYS_nanosleep,
                SYS_clock_gettime, SYS_exit_group});
    char bytes[4];
    for (int i = 0; i < 3; ++i) {
      pollfd asked{other, POLLIN, 0};
      if (poll(&asked, 1, -1) != 1 || read(other, bytes, 4) != 4 || write(other, bytes, 4) != 4) _exit(1);
    }
    if (read(other, bytes, 4) != 4 || shutdown(other, SHUT_WR) != 0 || close(other) != 0) _exit(2);
    _exit(0);
  }
  char bytes[4];
  for (int i = 0; i < 3; ++i) {
    usleep(20'000);  // so that it sleeps
    EXPECT(write(one, "ping", 4) == 4 && read(one, bytes, 4) == 4);
  }
  usleep(20'000);
  EXPECT(write(one, "last", 4) == 4);
  EXPECT(status_of(child) == 0);
  close(other);
  EXPECT(read(one, bytes, 4) == 0);
}

// syscall(2): libuv closes its sockets with it.
void calls_by_number() {
  const int listening = static_cast<int>(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(7041);
  EXPECT(syscall(SYS_bind, listening, &address, sizeof address) == 0 &&
         syscall(SYS_listen, listening, 8) == 0);
  const int one = connect_to(7041);
  const auto other = static_cast<int>(syscall(SYS_accept4, listening, nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT(other >= 0 && syscall(SYS_write, other, "ping", 4) == 4);
  char bytes[4];
  EXPECT(read(one, bytes, 4) == 4 && std::memcmp(bytes, "ping", 4) == 0);
  pollfd asked{one, POLLIN, 0};
  EXPECT(syscall(SYS_poll, &asked, 1, 0) == 0);
  EXPECT(syscall(SYS_close, other) == 0);
  EXPECT(syscall(SYS_read, one, bytes, 4) == 0);
  EXPECT(syscall(SYS_dup2, one, other) == other && syscall(SYS_close_range, other, other, 0) == 0);
  EXPECT(syscall(SYS_getpid) == getpid());
  EXPECT(syscall(SYS_read, -1, bytes, 4) == -1 && errno == EBADF);

  // No point of cancellation, unlike read(): a thread that is to end reads its pipe first.
  int ends[2];
  EXPECT(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
  bool went_on = false;
  std::thread reader([&] {
    pthread_cancel(pthread_self());
    char byte;
    went_on = syscall(SYS_read, ends[0], &byte, 1) == 1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  });
  reader.join();
  EXPECT(went_on);
  timespec left{5, 0};
  pollfd ready{ends[1], POLLOUT, 0};
  EXPECT(syscall(SYS_ppoll, &ready, 1, &left, nullptr, 0) == 1 &&
         left.tv_sec == 4);  // the kernel says what is left
  close(ends[0]);
  close(ends[1]);
}

// clone(2) and clone3(2) by number make what fork() makes, and pselect6(2) hands time back.
void a_child_by_number() {
  const int listening = listener(7043);
  for (const bool with_three : {false, true}) {
    const int one = connect_to(7043);
    const int other = accept(listening, nullptr, nullptr);
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    const long child = with_three ? syscall(SYS_clone3, &arguments, sizeof arguments)
                                  : syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
    EXPECT(child >= 0);
    if (child == 0) {
      char bytes[4];
      if (read(other, bytes, 4) != 4 || write(other, bytes, 4) != 4) _exit(1);
      if (close(one) != 0 || read(other, bytes, 4) != 4) _exit(2);
      _exit(0);
    }
    close(other);
    char bytes[4];
    EXPECT(write(one, "ping", 4) == 4 && read(one, bytes, 4) == 4);  // though we have closed it
    EXPECT(write(one, "last", 4) == 4 && status_of(static_cast<pid_t>(child)) == 0);
    fd_set readers;
    FD_ZERO(&readers);
    FD_SET(one, &readers);
    timespec left{30, 0};
    EXPECT(syscall(SYS_pselect6, one + 1, &readers, nullptr, nullptr, &left, nullptr) == 1);
    EXPECT(FD_ISSET(one, &readers) && left.tv_sec >= 1 && left.tv_sec < 30);
    static const timespec kFixed{30, 0};  // where nobody can hand anything back
    EXPECT(syscall(SYS_pselect6, one + 1, &readers, nullptr, nullptr, &kFixed, nullptr) == 1);
    EXPECT(read(one, bytes, 4) == 0);  // and its end is the child's
    close(one);
  }
  close(listening);
  EXPECT(syscall(SYS_clone3, 8, sizeof(clone_args)) == -1 && errno == EFAULT);  // not ours to read
  EXPECT(syscall(SYS_clone3, nullptr, sizeof(clone_args)) == -1 && errno == EFAULT);
}

// close_range(2): of a range all, but those that are only marked.
void a_range_is_closed() {
  const int listening = listener(7044);
  const int one = connect_to(7044);
  const int other = accept(listening, nullptr, nullptr);
  const int copy = dup(one);
  EXPECT(copy == other + 1);
  EXPECT(close_range(static_cast<unsigned>(other), static_cast<unsigned>(copy), CLOSE_RANGE_CLOEXEC) == 0);
  EXPECT((fcntl(other, F_GETFD) & FD_CLOEXEC) && exchange(one, other));
  EXPECT(close_range(5, 4, 0) == -1 && errno == EINVAL);
  EXPECT(close_range(static_cast<unsigned>(other), static_cast<unsigned>(copy), CLOSE_RANGE_UNSHARE) == 0);
  char byte;
  EXPECT(read(other, &byte, 1) == -1 && errno == EBADF);
  EXPECT(read(one, &byte, 1) == 0);  // the other end is gone
  close(one);
  close(listening);
}

// Java closes so: dup2() of something hung up over the number, and a signal, which may come before the other
// thread sleeps.
void closed_under_a_thread() {
  const int listening = listener(7042);
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  close(ends[1]);
  for (int round = 0; round < 40; ++round) {
    const int one = connect_to(7042);
    const int other = accept(listening, nullptr, nullptr);
    std::thread polls([&] {
      pollfd asked{one, POLLIN, 0};
      EXPECT(poll(&asked, 1, -1) == 1 && (asked.revents & POLLHUP) != 0);
    });
    usleep(static_cast<unsigned>(round) * 50);
    EXPECT(dup2(ends[0], one) == one);
    polls.join();
    for (const int number : {one, other}) close(number);
  }
}
