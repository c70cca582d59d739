// What a stack's Ip is told when it is made, and what it counts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stack/routes.hpp"

namespace skerry::stack {

struct IpSettings {
  std::span<const InterfaceAddress> addresses;  // at most Routes::kMaxAddresses
  std::optional<Ipv4Address> gateway;
  uint32_t gateway_holds = 0;     // bytes on the way from it before some are lost; 0: it waits (tcp::Path)
  uint32_t neighbours = 1024;     // entries of the neighbour cache
  uint32_t loopback_frames = 64;  // up to 64 KiB each, touched as used
};

// Shown by `skerry top`, never decided upon.
struct IpCounters {
  uint64_t packets_in = 0, packets_out = 0;  // IPv4, the loopback included
  uint64_t looped = 0;
  uint64_t fragments_in = 0, reassembled = 0, fragments_out = 0;
  uint64_t arp_in = 0, arp_out = 0;
  uint64_t icmp_in = 0, icmp_out = 0;
  uint64_t link_down = 0;   // 1 while what is behind the link is not there
  uint64_t link_flaps = 0;  // times that it went away
};

}  // namespace skerry::stack
