// Asks the kernel for a stream socket of the family FAMILY without libc, so that no preload sees it.
#include <sys/syscall.h>

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

int main(int count, char** words) {
  if (count != 2) return 2;
  std::printf("kernel %d\n", ask_past_libc(std::atoi(words[1])) >= 0);
}
