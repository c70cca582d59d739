// Asking for a cache line before it is needed. A line that the other core wrote last takes a tenth of a
// microsecond or more to come; asked for in time, many come at once.
#pragma once

namespace skerry {

inline void prefetch_to_read(const void* at) {
  __builtin_prefetch(at, 0);
}

// With ownership, so that the store does not have to fetch it from the other core. Compilers make a plain
// prefetch of __builtin_prefetch(at, 1) unless told of the instruction, which every x86-64 takes.
inline void prefetch_to_write(const void* at) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

}  // namespace skerry
