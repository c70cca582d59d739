// Free-running 32-bit positions in a ring whose capacity is a power of two: they wrap by themselves, their
// difference is a length, and (position & (capacity - 1)) is a place.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"

namespace skerry {

// Copies `length` bytes into the ring at place `at` (already masked), in at most two pieces.
inline void ring_store(uint8_t* ring, uint32_t capacity, uint32_t at, const uint8_t* from, uint32_t length) {
  const uint32_t first = std::min(length, capacity - at);
  std::memcpy(ring + at, from, first);
  if (length > first) std::memcpy(ring, from + first, length - first);
}

// Copies `length` bytes out of the ring from place `at` (already masked), in at most two pieces.
inline void ring_load(uint8_t* to, const uint8_t* ring, uint32_t capacity, uint32_t at, uint32_t length) {
  const uint32_t first = std::min(length, capacity - at);
  std::memcpy(to, ring + at, first);
  if (length > first) std::memcpy(to + first, ring, length - first);
}

}  // namespace skerry
