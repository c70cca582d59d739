// The Internet checksum (RFC 1071), summed on 64-bit words.
//
// The ones' complement sum does not depend on byte order (RFC 1071 section 2 B), so words are added as the
// machine loads them and only the folded result is turned round. A sum may be gathered from pieces of any
// length: after an odd piece the next one sits one byte further, which the swap in add() makes up for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"
#include "wire/address.hpp"

namespace skerry {

class InternetChecksum {
 public:
  // Appends bytes to what is summed.
  void add(ConstBytes bytes) {
    uint64_t sum = sum_of(bytes.data(), bytes.size());
    if (odd_) sum = __builtin_bswap16(fold(sum));
    accumulate(sum);
    odd_ ^= (bytes.size() & 1) != 0;
  }

  // Appends one field given in host order. Only at an even place, as all header fields are.
  void add_be16(uint16_t value) { accumulate(__builtin_bswap16(value)); }
  void add_be32(uint32_t value) { accumulate(__builtin_bswap32(value)); }

  // The sum so far, in host order: what a field holds whose checksum is left to the link (kChecksumNeeded).
  uint16_t sum() const { return __builtin_bswap16(fold(sum_)); }
  // The checksum, in host order: what belongs into the field, given that the field was 0 or left out.
  uint16_t finish() const { return static_cast<uint16_t>(~sum()); }
  // With the field included in what was summed: true if the bytes are intact.
  bool intact() const { return sum() == 0xffff; }

 private:
  static uint16_t fold(uint64_t sum) {
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<uint16_t>(sum);
  }

  // Halves of 64-bit words go to 64-bit sums that cannot overflow below 16 GiB: no carry to look after.
  static uint64_t sum_of(const uint8_t* from, size_t length) {
    uint64_t low = 0;
    uint64_t high = 0;
    size_t at = 0;
    for (; at + 32 <= length; at += 32) {
      uint64_t words[4];
      std::memcpy(words, from + at, sizeof words);
      for (const uint64_t word : words) {
        low += word & 0xffffffff;
        high += word >> 32;
      }
    }
    for (; at + 4 <= length; at += 4) {
      uint32_t word;
      std::memcpy(&word, from + at, sizeof word);
      low += word;
    }
    if (length - at >= 2) {
      uint16_t word;
      std::memcpy(&word, from + at, sizeof word);
      high += word;
      at += 2;
    }
    if (length - at == 1) low += from[at];  // padded with a zero byte on the right (RFC 1071 section 1)
    return fold(low) + static_cast<uint64_t>(fold(high));
  }

  void accumulate(uint64_t value) { sum_ += value; }

  uint64_t sum_ = 0;  // every addend is below 2^32: no overflow for 2^32 pieces
  bool odd_ = false;
};

// The sum of the TCP and UDP pseudo-header (RFC 9293 section 3.1), to which the segment is added.
inline InternetChecksum ipv4_pseudo_header(Ipv4Address source, Ipv4Address destination, uint8_t protocol,
                                           uint16_t segment_bytes) {
  InternetChecksum sum;
  sum.add_be32(source);
  sum.add_be32(destination);
  sum.add_be16(protocol);
  sum.add_be16(segment_bytes);
  return sum;
}

}  // namespace skerry
