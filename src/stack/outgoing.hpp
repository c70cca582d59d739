// What a transport holds while it sends: the way to a peer, with the headers that every packet on it begins
// with, and the frame that it fills.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "filter/transport_seen.hpp"
#include "link/frame.hpp"
#include "stack/neighbours.hpp"
#include "stack/routes.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"

namespace skerry::stack {

inline constexpr uint32_t kHeaderBytes = EthernetHeader::kBytes + Ipv4Header::kMinBytes;
inline constexpr uint32_t kIpv4ChecksumOffset = 10, kIpv4SourceOffset = 12, kIpv4DestinationOffset = 16;

// What a program has its packets say beside where they go (IP_TTL, IP_TOS), and what it hears of those that
// came.
struct Marks {
  uint8_t ttl = 64;
  uint8_t type_of_service = 0;

  friend bool operator==(const Marks&, const Marks&) = default;
};

// A one-entry route cache in the caller's hand: Ip fills it, and as long as the caller speaks to the same
// peer a packet costs a copy of `headers` and the few fields that differ.
struct Way {
  IpProtocol protocol{};  // set once by its owner
  Route route;            // kind none: no way, or nothing looked up yet
  Ipv4Address destination = 0;
  Ipv4Address asked_source = 0;
  Marks marks;
  uint32_t neighbour = Neighbours::kNone;
  std::array<uint8_t, kHeaderBytes> headers{};  // without destination MAC, total length and checksum
  InternetChecksum sum;                         // of the IPv4 header in `headers`

  explicit Way(IpProtocol of) : protocol(of) {}
  bool leads_to(Ipv4Address to, Ipv4Address from, const Marks& with) const {
    return destination == to && asked_source == from && marks == with && route.kind != Route::Kind::none;
  }
  bool loops() const { return route.kind == Route::Kind::loopback; }
};

// A frame being filled: `transport` points to where the transport header goes, with room for what was asked.
struct Outgoing {
  Frame* frame = nullptr;  // in Ip's queue, where it stays: marks are set in place
  uint8_t* transport = nullptr;
  uint32_t transport_bytes = 0;
  bool looped = false;
  // What rules see of the segment, from who wrote it: its frame is better not read yet. None: it is read.
  std::optional<filter::TransportSeen> seen;

  uint8_t* ethernet() const { return transport - kHeaderBytes; }
};

}  // namespace skerry::stack
