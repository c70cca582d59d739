#include "filter/packet.hpp"

#include <algorithm>
#include <cstring>

namespace skerry::filter {

namespace {

constexpr size_t kV4Bytes = 20, kV6Bytes = 40;
constexpr uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86dd;
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kNoNext = 59,
                  kDestination = 60;

bool is_extension(uint8_t type) {
  return type == kHopByHop || type == kRouting || type == kFragment || type == kAuthentication ||
         type == kNoNext || type == kDestination;
}

// Where the link header of a frame ends, and what follows it, as Linux has it when a frame comes in: one VLAN
// tag belongs to the header, and what has no type is 802.3 or 802.2 (eth_type_trans(), skb_vlan_untag()). Of
// a frame that leaves the type is what its header says.
struct LinkHeader {
  size_t bytes = 14;
  uint16_t ether_type = 0;
};

LinkHeader read_link_header(ConstBytes frame, bool leaves) {
  constexpr uint16_t kVlan = 0x8100, kServiceVlan = 0x88a8, kLeastType = 0x600, k8023 = 1, k8022 = 4;
  LinkHeader header{.ether_type = load_be16(frame.data() + 12)};
  if (leaves) return header;
  const bool tagged = header.ether_type == kVlan || header.ether_type == kServiceVlan;
  if (tagged && frame.size() >= 18) header = {18, load_be16(frame.data() + 16)};
  if (header.ether_type >= kLeastType) return header;
  const bool raw = frame.size() >= header.bytes + 2 && load_be16(frame.data() + header.bytes) == 0xffff;
  header.ether_type = raw ? k8023 : k8022;
  return header;
}

Interface interface(uint32_t index, std::string_view name, uint16_t type) {
  Interface result{.index = index, .type = type};
  std::copy_n(name.begin(), std::min(name.size(), result.name.size() - 1), result.name.begin());
  return result;
}

}  // namespace

Interface loopback_interface() {
  constexpr uint16_t kLoopback = 772;  // ARPHRD_LOOPBACK
  return interface(kLoopbackIndex, kLoopbackName, kLoopback);
}

Interface network_interface() {
  return ethernet_interface(2, kNetworkName);
}

Interface ethernet_interface(uint32_t index, std::string_view name) {
  constexpr uint16_t kEther = 1;  // ARPHRD_ETHER
  return interface(index, name, kEther);
}

std::optional<ExtensionHeader> find_extension(ConstBytes packet, int wanted) {
  ExtensionHeader result{.offset = kV6Bytes};
  if (packet.size() < kV6Bytes) return std::nullopt;
  uint8_t next = packet[6];
  for (;;) {
    const bool here = next == wanted;
    if (!is_extension(next) || next == kNoNext) {
      if (wanted >= 0 && !here) return std::nullopt;
      break;
    }
    if (result.offset + 2 > packet.size()) return std::nullopt;
    const uint8_t* head = packet.data() + result.offset;
    size_t length = (size_t{head[1]} + 1) * 8;
    // Linux ipv6_find_hdr() reads four bytes of these two.
    if ((next == kRouting || next == kFragment) && result.offset + 4 > packet.size()) return std::nullopt;
    if (next == kFragment) {
      length = 8;
      const uint16_t fragment = load_be16(head + 2) & ~7;
      if (fragment != 0) {
        if (wanted < 0 && (!is_extension(head[0]) || head[0] == kNoNext))
          return ExtensionHeader{.offset = 0, .fragment = fragment, .found = head[0]};
        if (!here) return std::nullopt;
        result.fragment = fragment;
        break;
      }
    } else if (next == kAuthentication) {
      if (wanted < 0) break;
      length = (size_t{head[1]} + 2) * 4;
    }
    if (here) break;
    next = head[0];
    result.offset += static_cast<uint32_t>(length);
  }
  result.found = next;
  return result;
}

bool Packet::read_v4(Bytes seen, size_t whole) {
  const size_t header = (seen[0] & 15) * size_t{4}, total = load_be16(seen.data() + 2);
  if (header < kV4Bytes || total < header || total > whole) return false;
  bytes = seen.first(std::min(total, seen.size()));
  length = static_cast<uint32_t>(total);
  realm = Realm::ipv4;
  ether_type = kEtherIpv4;
  v6 = false;
  has_transport = true;
  find_transport_v4();
  return true;
}

// nft_set_pktinfo_ipv6(): where the headers cannot be followed, nothing is known of the transport.
bool Packet::read_v6(Bytes seen, size_t whole) {
  const size_t total = kV6Bytes + load_be16(seen.data() + 4);
  if (total > whole) return false;
  bytes = seen.first(std::min(total, seen.size()));
  length = static_cast<uint32_t>(total);
  realm = Realm::ipv6;
  ether_type = kEtherIpv6;
  v6 = true;
  find_transport_v6();
  return true;
}

void Packet::find_transport_v6() {
  const auto found = find_extension(bytes, -1);
  has_transport = found && found->offset <= UINT16_MAX;
  protocol = has_transport ? found->found : 0;
  transport = has_transport ? static_cast<uint16_t>(found->offset) : 0;
  fragment = has_transport ? found->fragment : 0;
}

void Packet::read_arp(Bytes seen, size_t whole, bool leaves) {
  constexpr size_t kLinkBytes = 14;
  if (leaves) link = {};
  bytes = seen;
  length = static_cast<uint32_t>(leaves ? kLinkBytes + whole : whole);
  realm = Realm::arp;
  ether_type = kEtherArp;
}

void Packet::read_frame(Bytes seen, size_t whole, bool leaves) {
  const LinkHeader header = read_link_header(seen, leaves);
  link = seen.first(header.bytes);
  bytes = seen.subspan(header.bytes);
  behind_link_ = static_cast<uint32_t>(whole - header.bytes);
  length = leaves ? static_cast<uint32_t>(whole) : behind_link_;
  ether_type = header.ether_type;
  realm = Realm::link;
  v6 = ether_type == kEtherIpv6;
  find_transport_of_frame();
}

void Packet::read_bridged(Bytes seen, size_t whole) {
  read_frame(seen, whole, false);
  realm = Realm::bridge;
}

// nft_set_pktinfo_ipv4_validate() and that of IPv6.
void Packet::find_transport_of_frame() {
  has_transport = false;
  protocol = 0;
  transport = fragment = 0;
  if (v6) {
    if (bytes.size() >= kV6Bytes && bytes[0] >> 4 == 6 &&
        kV6Bytes + load_be16(bytes.data() + 4) <= behind_link_)
      find_transport_v6();
    return;
  }
  if (ether_type != kEtherIpv4 || bytes.size() < kV4Bytes || bytes[0] >> 4 != 4) return;
  const size_t header = (bytes[0] & 15) * size_t{4}, total = load_be16(bytes.data() + 2);
  if (header < kV4Bytes || total < header || total > behind_link_) return;
  has_transport = true;
  find_transport_v4();
}

uint8_t Packet::nfproto() const {
  constexpr Family kFamilies[kRealms] = {Family::ip, Family::ip6, Family::arp, Family::netdev,
                                         Family::bridge};
  return static_cast<uint8_t>(kFamilies[static_cast<size_t>(realm)]);
}

void Packet::find_transport_v4() {
  protocol = bytes[9];
  transport = static_cast<uint16_t>((bytes[0] & 15) * 4);
  fragment = load_be16(bytes.data() + 6) & 0x1fff;
}

void Packet::read_again() {
  switch (realm) {
    case Realm::ipv4:
      return find_transport_v4();
    case Realm::ipv6:
      return find_transport_v6();
    case Realm::arp:
      return;
    case Realm::link:
    case Realm::bridge:
      return find_transport_of_frame();
  }
}

bool Packet::read(Bytes seen, size_t whole) {
  if (seen.size() >= kV4Bytes && seen[0] >> 4 == 4) return read_v4(seen, whole);
  if (seen.size() >= kV6Bytes && seen[0] >> 4 == 6) return read_v6(seen, whole);
  return false;
}

}  // namespace skerry::filter
