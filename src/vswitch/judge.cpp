#include "vswitch/judge.hpp"

#include "wire/arp.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"

namespace skerry::vswitch {
namespace {

constexpr uint8_t kTcpChecksumOffset = 16;  // RFC 9293 section 3.1
constexpr uint8_t kUdpChecksumOffset = 6;   // RFC 768
constexpr uint32_t kIpv6HeaderBytes = 40;

bool has(std::span<const Ipv4Address> addresses, Ipv4Address address) {
  for (const Ipv4Address own : addresses) {
    if (own == address) return true;
  }
  return false;
}

}  // namespace

bool marks_fit(const Frame& frame, const Ipv4Header& ip) {
  if ((frame.flags & (kChecksumNeeded | kSegmentTcp4)) == 0) return true;
  if (ip.is_fragment() || (frame.flags & kChecksumNeeded) == 0) return false;
  if (frame.checksum_start != EthernetHeader::kBytes + ip.header_bytes) return false;
  const bool tcp = ip.protocol == IpProtocol::kTcp && frame.checksum_offset == kTcpChecksumOffset;
  const bool udp = ip.protocol == IpProtocol::kUdp && frame.checksum_offset == kUdpChecksumOffset;
  return tcp || (udp && (frame.flags & kSegmentTcp4) == 0);
}

bool AddressTable::add(Ipv4Address address, PortId port) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), address, before);
  if (at != entries_.end() && at->address == address) return false;
  CHECK(entries_.size() < entries_.capacity());
  entries_.insert(at, {address, port});
  return true;
}

void AddressTable::forget_port(PortId port) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.port == port; });
}

Drop judge(ConstBytes head, const Frame& frame, const Sender& sender, const MacTable& macs,
           const AddressTable& addresses, TimeNs now) {
  if (head.size() < EthernetHeader::kBytes) return Drop::kRunt;
  const auto is_own_mac = [&](MacKey mac) {
    if (!sender.uplink) return mac == sender.mac;
    const MacTable::Entry* const known = macs.find(mac, now);
    return mac != 0 && !is_multicast(mac) && (!known || !known->is_static);
  };
  const auto is_own_address = [&](Ipv4Address address) {
    return sender.uplink ? !addresses.is_foreign(address, sender.port) : has(sender.addresses, address);
  };

  if (!is_own_mac(load_mac_key(head.data() + 6))) return Drop::kSourceMac;

  switch (static_cast<EtherType>(load_be16(head.data() + 12))) {
    case EtherType::kIpv4: {
      const auto ip = Ipv4Header::parse(head.subspan(EthernetHeader::kBytes));
      if (!ip || EthernetHeader::kBytes + ip->total_bytes > frame.length) return Drop::kMalformed;
      if (!is_own_address(ip->source)) return Drop::kSourceAddress;
      return marks_fit(frame, *ip) ? Drop::kNone : Drop::kBadMarks;
    }
    case EtherType::kArp: {
      const auto arp = ArpPacket::parse(head.subspan(EthernetHeader::kBytes));
      if (!arp) return Drop::kMalformed;
      if (!is_own_mac(mac_key(arp->sender_mac)) || (arp->sender != 0 && !is_own_address(arp->sender)))
        return Drop::kArpSender;
      return (frame.flags & ~kChecksumVouched) == 0 ? Drop::kNone : Drop::kBadMarks;
    }
    default:
      if (!sender.uplink) return Drop::kUnjudgedType;
      if ((frame.flags & kSegmentTcp4) != 0) return Drop::kBadMarks;
      // IPv6 of the host: its transport checksum lies behind a longer header.
      if ((frame.flags & kChecksumNeeded) != 0 &&
          frame.checksum_start < EthernetHeader::kBytes + kIpv6HeaderBytes)
        return Drop::kBadMarks;
      return Drop::kNone;
  }
}

}  // namespace skerry::vswitch
