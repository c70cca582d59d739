// How much memory a process may map, and what it locks: the session is not the program's.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

#include "scenarios.hpp"

namespace {

constexpr size_t kLimit = 96 << 20;

bool can_map(size_t bytes) {
  void* const place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) {
    EXPECT(errno == ENOMEM);
    return false;
  }
  munmap(place, bytes);
  return true;
}

size_t kilobytes(const char* of_what) {
  FILE* const file = std::fopen("/proc/self/status", "r");
  EXPECT(file != nullptr);
  char line[256];
  size_t found = 0;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::strncmp(line, of_what, std::strlen(of_what)) == 0)
      EXPECT(std::sscanf(line + std::strlen(of_what), " %zu", &found) == 1);
  std::fclose(file);
  return found;
}

}  // namespace

// vsftpd gives itself 200 MB, and shells have ulimit -v: what the program sets it may map, and reads again;
// what it starts then has its sockets.
void limited_memory() {
  const rlimit limit{kLimit, kLimit};
  EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
  rlimit found{};
  EXPECT(getrlimit(RLIMIT_AS, &found) == 0 && found.rlim_cur == kLimit && found.rlim_max == kLimit);
  found = {};
  EXPECT(syscall(SYS_prlimit64, 0, RLIMIT_AS, nullptr, &found) == 0 && found.rlim_cur == kLimit);
  EXPECT(can_map(kLimit / 3) && !can_map(kLimit));
  const rlimit less{kLimit / 2, kLimit};
  EXPECT(prlimit(0, RLIMIT_AS, &less, &found) == 0 && found.rlim_cur == kLimit);
  EXPECT(!can_map(kLimit * 2 / 3));
  exec_self("limited_before", 0);
}
void limited_before(int) {
  rlimit found{};
  EXPECT(getrlimit(RLIMIT_AS, &found) == 0 && found.rlim_cur == kLimit / 2 && found.rlim_max == kLimit);
  EXPECT(!can_map(kLimit * 2 / 3));
  const int listening = listener(7050);
  const int one = connect_to(7050);
  EXPECT(exchange(one, accept(listening, nullptr, nullptr)));
}

// Nothing of the session is filled with pages that nobody has asked for.
void locked_memory() {
  const int listening = listener(7051);
  if (mlockall(MCL_CURRENT) != 0 && errno == ENOMEM) return;  // who may lock less than it has
  for (const int flags : {MCL_CURRENT, MCL_CURRENT | MCL_FUTURE, MCL_CURRENT | MCL_ONFAULT}) {
    EXPECT(mlockall(flags) == 0);
    EXPECT(kilobytes("RssShmem:") < 64 << 10 && kilobytes("VmLck:") > 0);
  }
  EXPECT(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
  constexpr size_t kBytes = 1 << 20;
  void* const place = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char there[kBytes / 4096] = {};
  EXPECT(place != MAP_FAILED && mincore(place, kBytes, there) == 0 && there[kBytes / 8192] == 1);
  const int one = connect_to(7051);
  EXPECT(exchange(one, accept(listening, nullptr, nullptr)));
}
