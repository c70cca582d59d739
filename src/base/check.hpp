// CHECK: a promise of our own code. It is never used on what a neighbour, a program or the wire says: those
// are counted as faults or drop reasons.
#pragma once

namespace skerry {

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace skerry

#define CHECK(expression)                                      \
  do {                                                         \
    if (!(expression)) [[unlikely]]                            \
      ::skerry::check_failed(#expression, __FILE__, __LINE__); \
  } while (false)
