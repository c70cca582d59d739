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

}  // namespace skerry::filter
