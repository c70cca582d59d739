// Asks the kernel for a stream socket of the family FAMILY without libc, so that no preload sees it. For 0:
// makes a call that a filter of its own stops.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

extern "C" [[gnu::noinline]] long ask_past_libc(long family) {
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(SYS_socket), "D"(family), "S"(1L), "d"(0L)
               : "rcx", "r11", "memory");
  return result;
}

void meet_a_filter() {
  sock_filter lines[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter{4, lines};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0)
    std::exit(3);
  getppid();
}

int main(int count, char** words) {
  if (count != 2) return 2;
  if (std::atoi(words[1]) == 0) meet_a_filter();
  std::printf("kernel %d\n", ask_past_libc(std::atoi(words[1])) >= 0);
}
