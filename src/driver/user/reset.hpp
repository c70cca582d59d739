// A mistake of Debian 12's passt (2023-03), put right: it refuses a connection by a RST that acknowledges the
// SYN but lacks the ACK flag, and who sent the SYN must ignore that (RFC 9293 section 3.10.7.3), so a refused
// connection would hang. Sections 3.5.2 and 3.10.7.1 say what should have come: <CTL=RST,ACK>.
#pragma once

#include "base/bytes.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"

namespace skerry {

// Sets the flag where a RST has an acknowledgment number without it, and mends the checksum (RFC 1624).
// Leaves every other frame alone. `frame` must be private memory.
inline void complete_reset(Bytes frame) {
  const auto ethernet = EthernetHeader::parse(frame);
  if (!ethernet || ethernet->type != EtherType::kIpv4) return;
  const Bytes packet = frame.subspan(EthernetHeader::kBytes);
  const auto ip = Ipv4Header::parse(packet);
  if (!ip || ip->protocol != IpProtocol::kTcp || ip->is_fragment() ||
      packet.size() < ip->header_bytes + TcpHeader::kMinBytes)
    return;
  uint8_t* const tcp = packet.data() + ip->header_bytes;
  constexpr int kAcknowledgmentAt = 8, kFlagsAt = 13;
  if ((tcp[kFlagsAt] & (kTcpRst | kTcpAck)) != kTcpRst || load_be32(tcp + kAcknowledgmentAt) == 0) return;
  tcp[kFlagsAt] |= kTcpAck;
  // The 16-bit word of the flags grew by kTcpAck, so the sum did, and the checksum is its complement.
  const uint32_t sum = (~load_be16(tcp + TcpHeader::kChecksumOffset) & 0xffffU) + kTcpAck;
  store_be16(tcp + TcpHeader::kChecksumOffset, static_cast<uint16_t>(~((sum & 0xffff) + (sum >> 16))));
}

}  // namespace skerry
