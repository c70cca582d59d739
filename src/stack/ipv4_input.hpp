// Whether an IPv4 packet that arrived is ours to look at (RFC 1122 section 3.2.1). Pure judgement on parsed
// values.
#pragma once

#include <optional>

#include "stack/drop_reason.hpp"
#include "stack/routes.hpp"
#include "wire/ipv4.hpp"

namespace skerry::stack {

// Nothing: the packet is for us. `broadcast_frame`: the Ethernet destination was the broadcast address.
// Packets of our own loopback do not come here: they may carry loopback addresses. The TTL is not looked at:
// a host takes whatever reached it (RFC 1122 section 3.2.1.7).
inline std::optional<DropReason> judge_ipv4(const Ipv4Header& ip, const Routes& routes,
                                            bool broadcast_frame) {
  if (routes.is_martian_source(ip.source)) return DropReason::martian_source;
  const Audience audience = routes.audience(ip.destination);
  if (audience == Audience::others) [[unlikely]] {
    const bool martian = Routes::is_loopback(ip.destination) || ip.destination >> 24 == 0;
    return martian ? DropReason::martian_destination : DropReason::not_our_address;
  }
  if (audience == Audience::us && broadcast_frame) return DropReason::unicast_in_broadcast;
  if (ip.source_route) return DropReason::source_route;
  return std::nullopt;
}

}  // namespace skerry::stack
