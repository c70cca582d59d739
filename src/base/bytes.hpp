// Spans of bytes and big-endian loads and stores. Every multi-byte field on a wire goes through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace skerry {

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

inline uint16_t load_be16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap16(value);
}

inline uint32_t load_be32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap32(value);
}

inline uint64_t load_be64(const uint8_t* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap64(value);
}

inline void store_be16(uint8_t* p, uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(p, &value, sizeof value);
}

inline void store_be32(uint8_t* p, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(p, &value, sizeof value);
}

inline void store_be64(uint8_t* p, uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(p, &value, sizeof value);
}

// As it lies in memory that somebody else may write to: read once, and not together with what is beside it.
template <class Number>
Number load_once(const uint8_t* from) {
  Number value;
  std::memcpy(&value, from, sizeof value);
  asm volatile("" : "+r"(value));
  return value;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the loads above swap: a big-endian port must not");

}  // namespace skerry
