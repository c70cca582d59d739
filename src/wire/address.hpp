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

  friend bool operator==(const MacAddress&, const MacAddress&) = default;
  bool is_multicast() const { return bytes[0] & 1; }  // broadcast included (IEEE 802.3 section 3.2.3)
  bool is_broadcast() const { return *this == MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
};

// IPv4 in host byte order: 192.0.2.1 is 0xc0000201.
using Ipv4Address = uint32_t;

struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static IpAddress v4(Ipv4Address address) {
    // In two words: who compares or hashes it right away reads words, and would wait for narrower stores.
    const uint64_t low = 0;
    const uint64_t high = 0xffff'0000 | uint64_t{__builtin_bswap32(address)} << 32;
    IpAddress result;
    std::memcpy(result.bytes.data(), &low, 8);
    std::memcpy(result.bytes.data() + 8, &high, 8);
    return result;
  }

  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), 16) == 0;
  }

  bool is_v4() const {
    static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes.data(), kPrefix, 12) == 0;
  }
  // Meaningful only if is_v4().
  Ipv4Address as_v4() const { return load_be32(bytes.data() + 12); }
  // 0.0.0.0 or ::
  bool is_unspecified() const { return *this == IpAddress{} || (is_v4() && as_v4() == 0); }
  bool is_loopback() const { return is_v4() && (as_v4() >> 24) == 127; }
};

// An address and a port, both as the socket interface means them; the port in host byte order.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace skerry
