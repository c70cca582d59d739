// Statements that write into packets, as libnftables sends them.
#pragma once

#include "filter/batch.hpp"

namespace skerry::filter {

inline Octets number(uint16_t type, uint32_t value) {
  return attribute(type, be32(value));
}
struct Sums {
  uint32_t type = 0, offset = 0, flags = 0;
};
inline Octets write(uint32_t base, uint32_t offset, const Octets& bytes, const Sums& sums = {}) {
  return join(expression("immediate", join(number(nft::kImmediateTo, 1), value(nft::kImmediateData, bytes))),
              expression("payload", join(number(nft::kPayloadFrom, 1), number(nft::kPayloadBase, base),
                                         number(nft::kPayloadOffset, offset),
                                         number(nft::kPayloadLength, static_cast<uint32_t>(bytes.size())),
                                         number(nft::kPayloadSumType, sums.type),
                                         number(nft::kPayloadSumOffset, sums.offset),
                                         number(nft::kPayloadSumFlags, sums.flags))));
}
// Which checksum changes: of that header, and of the transport whose pseudo-header this is.
inline constexpr Sums kTcpSum{.type = 1, .offset = 16}, kUdpSum{.type = 1, .offset = 6},
    kHeaderSum{.type = 1, .offset = 10}, kAddressSums{.type = 1, .offset = 10, .flags = 1};

}  // namespace skerry::filter
