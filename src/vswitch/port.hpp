// A port of the switch: who is behind it, what it counts, and why a frame was not forwarded.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/address.hpp"

namespace skerry::vswitch {

inline constexpr uint32_t kMaxPorts = 64;
inline constexpr uint32_t kMaxAddressesPerPort = 16;

using PortId = uint8_t;

// Who is behind a port. One that is no uplink is bound: what it sends carries its MAC and one of its
// addresses.
struct PortSettings {
  MacAddress mac;                      // unicast; of an uplink it is not used
  std::vector<Ipv4Address> addresses;  // of an uplink: the host's own, which other uplinks must not use
  bool uplink = false;                 // may carry any source that is not bound to another port
  std::string name;                    // by which rules know the port, its first 15 bytes
};

enum class Drop : uint8_t {
  kNone,
  // Judged, counted at the port that the frame came from.
  kRunt,           // shorter than an Ethernet header
  kSourceMac,      // not the port's MAC; from an uplink: no unicast address, or one of another port
  kSourceAddress,  // an IPv4 source that is not the port's own; from an uplink: another port's
  kArpSender,      // the same for the sender of an ARP packet
  kMalformed,      // no well-formed IPv4 header or ARP packet
  kUnjudgedType,   // a bound port sends neither IPv4 nor ARP: it cannot be judged, so it does not leave
  kBadMarks,       // offload marks that do not fit the headers
  kHairpin,        // the destination is behind the port that the frame came from
  kIsolated,       // the composition does not join the two ports
  kUnknown,        // nobody has that address, and no uplink is joined
  kFilter,         // rules refuse it; the copy for a port, behind prerouting, counts at that port
  // Not taken, counted at the port that the frame was for.
  kNoMemory,  // the receiver has no free slot
  kTooLong,   // longer than the receiver's link carries
};
inline constexpr size_t kDropReasons = static_cast<size_t>(Drop::kTooLong) + 1;

std::string_view to_string(Drop reason);  // "source_mac", as in the names of counters

// rx is from the port into the switch's memory and tx the other way, as the port's link sees it.
struct PortCounters {
  uint64_t rx_frames = 0, rx_bytes = 0;
  uint64_t tx_frames = 0, tx_bytes = 0;
  uint64_t not_learned = 0;  // an uplink showed a new MAC when the table had no room for it
  std::array<uint64_t, kDropReasons> drops{};
};

}  // namespace skerry::vswitch
