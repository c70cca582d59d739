// Jenkins' lookup3 hash as Linux's jhash() has it: rules that name a seed mean its values.
//
// Read first: Bob Jenkins, "lookup3.c" (2006, public domain); linux/jhash.h.
#pragma once

#include <bit>
#include <cstring>

#include "base/bytes.hpp"

namespace skerry::filter {

inline uint32_t jenkins_hash(ConstBytes key, uint32_t seed) {
  static_assert(std::endian::native == std::endian::little);
  uint32_t a, b, c;
  a = b = c = 0xdeadbeef + static_cast<uint32_t>(key.size()) + seed;
  const auto turn = [](uint32_t& x, uint32_t y, int bits) { x ^= std::rotl(y, bits); };
  const auto take = [&](size_t bytes) {
    uint32_t words[3] = {};
    std::memcpy(words, key.data(), bytes);
    key = key.subspan(bytes);
    a += words[0];
    b += words[1];
    c += words[2];
  };
  while (key.size() > 12) {
    take(12);
    a -= c, turn(a, c, 4), c += b;
    b -= a, turn(b, a, 6), a += c;
    c -= b, turn(c, b, 8), b += a;
    a -= c, turn(a, c, 16), c += b;
    b -= a, turn(b, a, 19), a += c;
    c -= b, turn(c, b, 4), b += a;
  }
  if (key.empty()) return c;
  take(key.size());
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

}  // namespace skerry::filter
