// Recognises a checksum that its sender left unfinished, on a wire that cannot carry the mark that says so.
//
// A Linux that sends over veth leaves the TCP or UDP checksum to the other end (CHECKSUM_PARTIAL), and an
// AF_XDP socket gets the bytes without the mark. What such a field holds is the sum of the pseudo-header
// (skbuff.h, "CHECKSUM_PARTIAL"), which costs a look at the headers to recompute, whatever the payload.
//
// A finished field has that value once in 65536 frames. Nothing is lost then: finishing it gives the same
// value again. But whoever takes the mark for a promise that the bytes are intact believes one damaged frame
// in 65536 that he need not believe; so this is for wires in memory, where nothing is damaged.
#pragma once

#include "base/bytes.hpp"
#include "link/frame.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"
#include "wire/udp.hpp"

namespace skerry {

// Sets kChecksumNeeded and its fields if the checksum of TCP or UDP over IPv4 is unfinished, and cuts off
// what lies behind the packet, which nobody summed. `data` is the frame's bytes. True if it is.
inline bool mark_unfinished_checksum(Frame& frame, ConstBytes data) {
  const std::optional<EthernetHeader> ethernet = EthernetHeader::parse(data);
  if (!ethernet || ethernet->type != EtherType::kIpv4) return false;
  const ConstBytes packet = data.subspan(EthernetHeader::kBytes);
  Ipv4Header ip;
  if (!ip.read(packet) || ip.total_bytes > packet.size() || ip.is_fragment()) return false;
  const bool tcp = ip.protocol == IpProtocol::kTcp;
  if (!tcp && ip.protocol != IpProtocol::kUdp) return false;
  const size_t field = tcp ? TcpHeader::kChecksumOffset : UdpHeader::kChecksumOffset;
  if (ip.payload_bytes() < field + 2) return false;
  const uint16_t found = load_be16(packet.data() + ip.header_bytes + field);
  const uint16_t unfinished =
      ipv4_pseudo_header(ip.source, ip.destination, static_cast<uint8_t>(ip.protocol), ip.payload_bytes())
          .sum();
  if (found != unfinished) return false;
  frame.flags = static_cast<uint8_t>(frame.flags | kChecksumNeeded);
  frame.checksum_start = static_cast<uint16_t>(EthernetHeader::kBytes + ip.header_bytes);
  frame.checksum_offset = static_cast<uint8_t>(field);
  frame.length = static_cast<uint32_t>(EthernetHeader::kBytes + ip.total_bytes);
  return true;
}

}  // namespace skerry
