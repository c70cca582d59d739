// What processes do to each other and to themselves: seccomp(2).
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
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
