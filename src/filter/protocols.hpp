// Transport protocols by number (IANA, Protocol Numbers), as rules and connection tracking tell them apart.
#pragma once

#include <cstdint>

namespace skerry::filter {

inline constexpr uint8_t kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolUdp = 17, kProtocolDccp = 33,
                         kProtocolIcmp6 = 58, kProtocolSctp = 132, kProtocolUdpLite = 136;

// Their headers begin with source and destination port.
constexpr bool has_ports(uint8_t protocol) {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolDccp ||
         protocol == kProtocolSctp || protocol == kProtocolUdpLite;
}

// A type of ICMP that quotes the packet which it is about.
constexpr bool is_icmp_error(bool v6, uint8_t type) {
  return v6 ? type < 128 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

}  // namespace skerry::filter
