// Reading what a stranger may be writing: once, into memory of our own.
#pragma once

#include <cstring>

#include "base/bytes.hpp"

namespace skerry::stack {

// Copies bytes out of memory that somebody else may write to. The barrier keeps the compiler from reading the
// original a second time where the copy is meant.
inline void copy_once(uint8_t* to, const uint8_t* from, size_t length) {
  std::memcpy(to, from, length);
  asm volatile("" ::: "memory");
}

}  // namespace skerry::stack
