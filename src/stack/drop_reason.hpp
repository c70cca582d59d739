// Why the stack did not carry a packet on. Every unwanted packet ends in exactly one of these, counted in one
// place (DropCounters), so that "where did it go?" always has an answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace skerry::stack {

enum class DropReason : uint8_t {
  // Ethernet
  short_frame,        // no whole header
  other_mac,          // unicast to somebody else, or a multicast group: we joined none
  unknown_ethertype,  // neither IPv4 nor ARP
  // ARP
  malformed_arp,
  unwanted_arp,    // from ourselves, from an impossible or off-link sender, or about nobody we know
  arp_queue_full,  // more requests in a breath than we answer
  // IPv4
  malformed_ipv4,
  ipv4_checksum,
  truncated,            // the frame ends before the packet does
  martian_source,       // loopback, ours, broadcast, multicast or reserved
  martian_destination,  // loopback or 0.0.0.0/8, from the wire
  not_our_address,
  unicast_in_broadcast,  // our address in a broadcast frame (RFC 1122 section 3.3.6)
  source_route,
  fragment,           // overlaps another, or is none that can be; takes its whole packet along
  fragments_missing,  // a packet of which not all came in time, or while others came
  unknown_protocol,
  queue_full,  // the transport did not take what we had for it
  // ICMP
  malformed_icmp,
  icmp_checksum,
  unwanted_icmp,      // a type or an embedded packet that means nothing to us
  icmp_rate_limited,  // an answer that we did not owe at this rate
  // transports
  malformed_tcp,
  tcp_checksum,
  tcp_to_broadcast,
  malformed_udp,
  udp_checksum,
  udp_no_socket,
  udp_socket_full,
  // towards the wire
  unresolved,  // the neighbour did not answer, or too many wait for it
  no_memory,   // an answer of our own (ICMP, ARP), or what rules translated, found no frame
  too_long,    // rules sent it from the loopback to a link where it does not fit
  // rules, at the hook that they stand at
  filter_ingress,
  filter_egress,
  filter_arp,
  filter_prerouting,
  filter_input,
  filter_output,
  filter_postrouting,
  kCount,
};

inline constexpr size_t kDropReasons = static_cast<size_t>(DropReason::kCount);

// The name as `skerry top` shows it: the enumerator, with spaces.
const char* drop_reason_name(DropReason reason);

class DropCounters {
 public:
  void count(DropReason reason) { ++counts_[static_cast<size_t>(reason)]; }
  const uint64_t& operator[](DropReason reason) const { return counts_[static_cast<size_t>(reason)]; }
  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t count : counts_) sum += count;
    return sum;
  }

 private:
  std::array<uint64_t, kDropReasons> counts_{};
};

}  // namespace skerry::stack
