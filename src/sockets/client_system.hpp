// System calls without libc. The client runs inside the libc functions that a program calls, and those names
// are its own there: a call through libc would come back to it. Nothing here touches errno, is a cancellation
// point, or allocates, so it may run before main, after fork and in signal handlers.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <cstdint>

#include "base/time.hpp"

namespace skerry::sockets::client {

// Returns what the kernel returns: a result, or -errno.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "the client makes its system calls itself: say here how on this processor"
#endif
}

template <class T>
long word(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

// The vDSO behind clock_gettime is no system call and no name of ours.
inline TimeNs monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<TimeNs>(now.tv_sec) * kSecond + static_cast<TimeNs>(now.tv_nsec);
}

inline timespec to_timespec(DurationNs duration) {
  return {.tv_sec = static_cast<time_t>(duration / kSecond),
          .tv_nsec = static_cast<long>(duration % kSecond)};
}

// A deadline that never comes.
inline constexpr TimeNs kFarAway = uint64_t{1} << 62;

// Sleeps while *word == expected; words are shared between processes. `deadline` is on the monotonic clock.
// kNever sleeps without a time-out, so a handler installed with SA_RESTART does not end it; with a deadline,
// and be it kFarAway, every handler ends it with -EINTR (futex(2)).
inline long futex_wait(std::atomic<uint32_t>* futex_word, uint32_t expected, TimeNs deadline) {
  const timespec until = to_timespec(deadline);
  return system_call(SYS_futex, word(futex_word), FUTEX_WAIT_BITSET, expected,
                     deadline == kNever ? 0 : word(&until), 0, static_cast<long>(FUTEX_BITSET_MATCH_ANY));
}

inline void futex_wake_all(std::atomic<uint32_t>* futex_word) {
  system_call(SYS_futex, word(futex_word), FUTEX_WAKE, INT32_MAX);
}

inline int close_descriptor(int number) {
  return static_cast<int>(system_call(SYS_close, number));
}

}  // namespace skerry::sockets::client
