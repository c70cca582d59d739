// Addresses as values. An IpAddress is always 16 bytes in network order; IPv4 is held as ::ffff:a.b.c.d (RFC
// 4291 section 2.5.5.2), so a connection key, a listener and a dual-stack socket have one shape for both
// versions.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"

namespace skerry {

struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  // In two numbers: as an array of bytes it became a call, one for each frame.
  friend bool operator==(const MacAddress& a, const MacAddress& b) {
    return ((a.number<uint32_t, 0>() ^ b.number<uint32_t, 0>()) |
            (a.number<uint16_t, 4>() ^ b.number<uint16_t, 4>())) == 0;
  }
  bool is_multicast() const { return bytes[0] & 1; }  // broadcast included (IEEE 802.3 section 3.2.3)
  bool is_broadcast() const { return *this == MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }

 private:
  template <typename Number, size_t kAt>
  Number number() const {
    Number result;
    std::memcpy(&result, bytes.data() + kAt, sizeof result);
    return result;
  }
};

// IPv4 in host byte order: 192.0.2.1 is 0xc0000201.
using Ipv4Address = uint32_t;

struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static IpAddress v4(Ipv4Address address) {
    // In two words: who compares or hashes it right away reads words, and would wait for narrower stores.
    const uint64_t low = 0;
    const uint64_t high = kMapped | uint64_t{__builtin_bswap32(address)} << 32;
    IpAddress result;
    std::memcpy(result.bytes.data(), &low, 8);
    std::memcpy(result.bytes.data() + 8, &high, 8);
    return result;
  }

  // By words, here and below: memcmp() of twelve or sixteen bytes became a call, several for each packet.
  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return ((a.word(0) ^ b.word(0)) | (a.word(1) ^ b.word(1))) == 0;
  }

  bool is_v4() const { return word(0) == 0 && static_cast<uint32_t>(word(1)) == kMapped; }
  // Meaningful only if is_v4().
  Ipv4Address as_v4() const { return load_be32(bytes.data() + 12); }
  // 0.0.0.0 or ::
  bool is_unspecified() const { return word(0) == 0 && (word(1) == 0 || word(1) == kMapped); }
  bool is_loopback() const { return is_v4() && (as_v4() >> 24) == 127; }

 private:
  static constexpr uint32_t kMapped =
      0xffff'0000;  // ::ffff:0:0/96: the third word of four, as it is in memory

  uint64_t word(size_t half) const {
    uint64_t result;
    std::memcpy(&result, bytes.data() + 8 * half, 8);
    return result;
  }
};

// An address and a port, both as the socket interface means them; the port in host byte order.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace skerry
