#include "filter/translation.hpp"

#include <algorithm>
#include <cstring>

#include "filter/checksum_change.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

namespace {

// What a transport's checksum covers and where it lies.
enum class Sum : uint8_t { whole, pseudo_header_alone, none };

bool has_identifier(bool v6, uint8_t icmp_type) {
  if (v6) return icmp_type == 128 || icmp_type == 129;
  return icmp_type == 0 || icmp_type == 8 || (icmp_type >= 13 && icmp_type <= 18);
}

// One side of the packet that begins at `packet`, of the flow that `to` is from.
class Change {
 public:
  Change(Bytes packet, bool v6, const Tuple& to, NatSide side, Sum sum)
      : packet_(packet),
        v6_(v6),
        side_(side),
        sum_(sum),
        size_(v6 ? 16 : 4),
        address_(packet.data() + (v6 ? 8 : 12) + (side == NatSide::destination ? size_ : 0)),
        new_address_(side == NatSide::source ? to.source.data() : to.destination.data()),
        new_port_(side == NatSide::source ? to.source_port.data() : to.destination_port.data()),
        new_identifier_(to.source_port.data()),
        before_(sum_of({address_, size_})),
        after_(sum_of({new_address_, size_})) {}

  bool apply(uint8_t protocol, const std::optional<Transport>& transport) {
    if (transport && !change_transport(protocol, transport->offset)) return false;
    if (!v6_) adjust(packet_.data() + kV4Checksum, before_, after_);
    std::memcpy(address_, new_address_, size_);
    return true;
  }

 private:
  static constexpr size_t kV4Checksum = 10, kPorts = 8;  // bytes of a transport header that there must be

  bool change_transport(uint8_t protocol, size_t offset) {
    switch (protocol) {
      case kProtocolTcp:
        return change_ports(protocol, offset, 16, 20);
      case kProtocolUdp:
      case kProtocolUdpLite:
        return change_ports(protocol, offset, 6, kPorts);
      case kProtocolDccp:
        return change_ports(protocol, offset, 6, 12);
      case kProtocolSctp:
        return false;
      case kProtocolIcmp:
      case kProtocolIcmp6:
        return change_identifier(protocol, offset);
      default:
        return true;
    }
  }

  // The checksum is changed if `header` bytes are there: of a packet that is quoted there may be fewer.
  bool change_ports(uint8_t protocol, size_t offset, size_t checksum, size_t header) {
    if (offset + kPorts > packet_.size()) return false;
    uint8_t* const port = packet_.data() + offset + (side_ == NatSide::source ? 0 : 2);
    uint8_t* const field = packet_.data() + offset + checksum;
    const uint32_t port_before = load_be16(port);
    std::memcpy(port, new_port_, 2);
    if (offset + header > packet_.size() || sum_ == Sum::none) return true;
    if (sum_ == Sum::pseudo_header_alone) {
      adjust_unfinished(field, before_, after_);
      return true;
    }
    if (protocol == kProtocolUdp && load_be16(field) == 0) return true;  // it has none (RFC 768)
    adjust(field, before_ + port_before, after_ + load_be16(port));
    const bool never_zero = protocol == kProtocolUdp || protocol == kProtocolUdpLite;
    if (never_zero && load_be16(field) == 0) store_be16(field, 0xffff);
    return true;
  }

  bool change_identifier(uint8_t protocol, size_t offset) {
    if (offset + kPorts > packet_.size()) return false;
    const bool icmp6 = protocol == kProtocolIcmp6;
    uint8_t* const icmp = packet_.data() + offset;
    uint32_t before = icmp6 ? before_ : 0, after = icmp6 ? after_ : 0;  // its pseudo-header
    if (has_identifier(icmp6, icmp[0])) {
      before += load_be16(icmp + 4);
      std::memcpy(icmp + 4, new_identifier_, 2);
      after += load_be16(icmp + 4);
    }
    if (before != after) adjust(icmp + 2, before, after);
    return true;
  }

  Bytes packet_;
  bool v6_;
  NatSide side_;
  Sum sum_;
  size_t size_;
  uint8_t* address_;
  const uint8_t *new_address_, *new_port_, *new_identifier_;
  uint32_t before_, after_;  // of the address
};

// In the other direction it is the other side that was translated.
bool is_translated(const Flow& flow, bool reply, NatSide side) {
  const bool source = (side == NatSide::source) != reply;
  return (flow.status & (source ? Flow::kSourceNat : Flow::kDestinationNat)) != 0;
}

NatSide opposite(NatSide side) {
  return side == NatSide::source ? NatSide::destination : NatSide::source;
}

}  // namespace

bool translate(Packet& packet, NatSide side) {
  const Tracked& tracked = packet.tracked;
  if (!is_translated(*tracked.flow, tracked.reply, side)) return true;
  packet.translated = true;
  const Sum sum = packet.unsummed ? Sum::none : packet.unfinished ? Sum::pseudo_header_alone : Sum::whole;
  const Tuple to = *tracked.flow->tuples[!tracked.reply].inverse();
  return Change(packet.bytes, packet.v6, to, side, sum)
      .apply(to.protocol, find_transport(packet.bytes, packet.v6));
}

bool translate_error(Packet& packet, NatSide side) {
  constexpr uint8_t kRedirect = 5, kRedirect6 = 137;
  constexpr size_t kIcmpBytes = 8, kCovered = 20;  // of a quoted transport header: what can change
  constexpr uint32_t kDone = Flow::kSourceDone | Flow::kDestinationDone;
  const Flow& flow = *packet.tracked.flow;
  const bool reply = packet.tracked.reply;
  const auto outer = find_transport(packet.bytes, packet.v6);
  if (!outer || outer->offset + kIcmpBytes > packet.bytes.size()) return false;
  uint8_t* const icmp = packet.bytes.data() + outer->offset;
  if (icmp[0] == (packet.v6 ? kRedirect6 : kRedirect) &&
      ((flow.status & kDone) != kDone || (flow.status & Flow::kTranslated) != 0))
    return false;
  if (!is_translated(flow, reply, side)) return true;
  packet.translated = true;
  const Tuple& quoted_as = flow.tuples[!reply];
  const Bytes quoted = packet.bytes.subspan(outer->offset + kIcmpBytes);
  const auto inner = find_transport(quoted, packet.v6);
  if (!inner) return false;
  const ConstBytes changing = quoted.first(std::min(quoted.size(), inner->offset + kCovered));
  const uint32_t before = sum_of(changing);
  if (!Change(quoted, packet.v6, quoted_as, opposite(side), Sum::whole).apply(quoted_as.protocol, inner))
    return false;
  adjust(icmp + 2, before, sum_of(changing));
  const Tuple to = *quoted_as.inverse();
  return Change(packet.bytes, packet.v6, to, side, Sum::whole).apply(outer->protocol, outer);
}

void translate_back(Bytes quoted, bool v6, const Tuple& sent) {
  const auto transport = find_transport(quoted, v6);
  for (const NatSide side : {NatSide::source, NatSide::destination})
    Change(quoted, v6, sent, side, Sum::whole).apply(sent.protocol, transport);
}

}  // namespace skerry::filter
