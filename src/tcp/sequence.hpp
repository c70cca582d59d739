// Arithmetic on sequence numbers and stream positions, modulo 2^32 (RFC 9293 section 3.4). A comparison is
// meaningful for two numbers less than 2^31 apart, which windows of at most 2^30 bytes guarantee.
#pragma once

#include <cstdint>

namespace skerry::tcp {

constexpr bool before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}
constexpr bool at_or_before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) <= 0;
}
constexpr uint32_t later(uint32_t a, uint32_t b) {
  return before(a, b) ? b : a;
}
constexpr uint32_t earlier(uint32_t a, uint32_t b) {
  return before(a, b) ? a : b;
}
// How far `a` lies beyond `b`; 0 if it does not.
constexpr uint32_t beyond(uint32_t a, uint32_t b) {
  return before(b, a) ? a - b : 0;
}

}  // namespace skerry::tcp
