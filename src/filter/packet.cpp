#include "filter/packet.hpp"

#include <algorithm>
#include <cstring>

namespace skerry::filter {

namespace {

constexpr size_t kV4Bytes = 20, kV6Bytes = 40;
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kNoNext = 59,
                  kDestination = 60;

bool is_extension(uint8_t type) {
  return type == kHopByHop || type == kRouting || type == kFragment || type == kAuthentication ||
         type == kNoNext || type == kDestination;
}

Interface interface(uint32_t index, const char* name, uint16_t type) {
  Interface result{.index = index, .type = type};
  std::memcpy(result.name.data(), name, std::strlen(name));
  return result;
}

}  // namespace

Interface loopback_interface() {
  constexpr uint16_t kLoopback = 772;  // ARPHRD_LOOPBACK
  return interface(1, kLoopbackName, kLoopback);
}

Interface network_interface() {
  constexpr uint16_t kEther = 1;  // ARPHRD_ETHER
  return interface(2, kNetworkName, kEther);
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
  v6 = false;
  has_transport = true;
  protocol = seen[9];
  transport = static_cast<uint16_t>(header);
  fragment = load_be16(seen.data() + 6) & 0x1fff;
  return true;
}

// nft_set_pktinfo_ipv6(): where the headers cannot be followed, nothing is known of the transport.
bool Packet::read_v6(Bytes seen, size_t whole) {
  const size_t total = kV6Bytes + load_be16(seen.data() + 4);
  if (total > whole) return false;
  bytes = seen.first(std::min(total, seen.size()));
  length = static_cast<uint32_t>(total);
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

void Packet::read_again() {
  if (v6) return find_transport_v6();
  protocol = bytes[9];
  transport = static_cast<uint16_t>((bytes[0] & 15) * 4);
  fragment = load_be16(bytes.data() + 6) & 0x1fff;
}

bool Packet::read(Bytes seen, size_t whole) {
  if (seen.size() >= kV4Bytes && seen[0] >> 4 == 4) return read_v4(seen, whole);
  if (seen.size() >= kV6Bytes && seen[0] >> 4 == 6) return read_v6(seen, whole);
  return false;
}

}  // namespace skerry::filter
