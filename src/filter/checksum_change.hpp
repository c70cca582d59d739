// The Internet checksum of what changes in part: only what was there before and what is there now needs to
// be looked at.
//
// Read first: RFC 1624.
#pragma once

#include "base/bytes.hpp"

namespace skerry::filter {

// Sum of 16-bit words; a last odd byte is padded.
inline uint32_t sum_of(ConstBytes bytes) {
  uint32_t sum = 0;
  size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  if (i < bytes.size()) sum += uint32_t{bytes[i]} << 8;
  return sum;
}
inline uint16_t fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The sum of what is covered changes by `after` - `before`.
inline void adjust(uint8_t* checksum, uint32_t before, uint32_t after) {
  const auto sum = static_cast<uint16_t>(~load_be16(checksum));
  store_be16(checksum,
             static_cast<uint16_t>(~fold(uint64_t{0xffff} + sum + uint16_t(~fold(before)) + after)));
}
// The same of a sum that is not finished: of a pseudo-header alone.
inline void adjust_unfinished(uint8_t* sum, uint32_t before, uint32_t after) {
  store_be16(sum, fold(uint64_t{load_be16(sum)} + uint16_t(~fold(before)) + after));
}

}  // namespace skerry::filter
