// Frames for the tests of the switch, built byte by byte so that they can also be wrong.
#pragma once

#include <vector>

#include "base/random.hpp"
#include "link/frame.hpp"
#include "wire/arp.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"

namespace skerry::vswitch {

using Octets = std::vector<uint8_t>;

inline constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// 02:00:00:00:00:NN and 10.0.0.NN
inline MacAddress mac_of(uint8_t number) {
  return {{2, 0, 0, 0, 0, number}};
}
inline Ipv4Address address_of(uint8_t number) {
  return 0x0a000000u | number;
}

inline Octets ethernet(const MacAddress& destination, const MacAddress& source, EtherType type,
                       size_t payload_bytes) {
  Octets frame(EthernetHeader::kBytes + payload_bytes);
  EthernetHeader{destination, source, type}.emit(frame.data());
  return frame;
}

// An IPv4 packet with `payload_bytes` behind its header, which count up from 0.
inline Octets ipv4(const MacAddress& destination_mac, const MacAddress& source_mac, Ipv4Address source,
                   Ipv4Address destination, size_t payload_bytes = 32,
                   IpProtocol protocol = IpProtocol::kUdp) {
  Octets frame =
      ethernet(destination_mac, source_mac, EtherType::kIpv4, Ipv4Header::kMinBytes + payload_bytes);
  Ipv4Header header;
  header.source = source;
  header.destination = destination;
  header.total_bytes = static_cast<uint16_t>(Ipv4Header::kMinBytes + payload_bytes);
  header.ttl = 64;
  header.protocol = protocol;
  header.emit(frame.data() + EthernetHeader::kBytes);
  for (size_t i = 0; i < payload_bytes; ++i)
    frame[EthernetHeader::kBytes + Ipv4Header::kMinBytes + i] = static_cast<uint8_t>(i);
  return frame;
}

inline Octets arp(const MacAddress& destination_mac, const MacAddress& source_mac, const ArpPacket& packet) {
  Octets frame = ethernet(destination_mac, source_mac, EtherType::kArp, ArpPacket::kBytes);
  packet.emit(frame.data() + EthernetHeader::kBytes);
  return frame;
}

// Marks that leave the TCP (or UDP) checksum behind an IPv4 header without options to others.
inline Frame unfinished(uint8_t checksum_offset) {
  Frame marks;
  marks.flags = kChecksumNeeded;
  marks.checksum_start = EthernetHeader::kBytes + Ipv4Header::kMinBytes;
  marks.checksum_offset = checksum_offset;
  return marks;
}
inline Frame super_frame(uint16_t gso_size) {
  Frame marks = unfinished(16);
  marks.flags |= kSegmentTcp4;
  marks.gso_size = gso_size;
  return marks;
}

}  // namespace skerry::vswitch
