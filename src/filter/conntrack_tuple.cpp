// What tells flows apart: the tuple of a packet, and that of its answer.
#include <cstring>

#include "filter/conntrack.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

namespace {

constexpr uint8_t kNoAnswer = 255;

// The type that answers a type of ICMP, or that it answers.
uint8_t opposite(bool v6, uint8_t type) {
  if (v6) {
    constexpr uint8_t kEcho = 128, kEchoReply = 129, kNodeQuery = 139, kNodeReply = 140;
    switch (type) {
      case kEcho:
        return kEchoReply;
      case kEchoReply:
        return kEcho;
      case kNodeQuery:
        return kNodeReply;
      case kNodeReply:
        return kNodeQuery;
      default:
        return kNoAnswer;
    }
  }
  switch (type) {
    case 0:  // echo
      return 8;
    case 8:
      return 0;
    case 13:  // timestamp
    case 15:  // information
    case 17:  // address mask
      return static_cast<uint8_t>(type + 1);
    case 14:
    case 16:
    case 18:
      return static_cast<uint8_t>(type - 1);
    default:
      return kNoAnswer;
  }
}

}  // namespace

std::optional<Transport> find_transport(ConstBytes ip, bool v6) {
  if (!v6) {
    if (ip.size() < 20 || ip[0] >> 4 != 4) return std::nullopt;
    const size_t header = (ip[0] & 15) * size_t{4};
    if (header < 20 || header > ip.size() || (load_be16(ip.data() + 6) & 0x1fff) != 0) return std::nullopt;
    return Transport{ip[9], header};
  }
  constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kNoNext = 59,
                    kDestination = 60;
  if (ip.size() < 40 || ip[0] >> 4 != 6) return std::nullopt;
  Transport found{ip[6], 40};
  while (found.protocol == kHopByHop || found.protocol == kRouting || found.protocol == kFragment ||
         found.protocol == kAuthentication || found.protocol == kDestination || found.protocol == kNoNext) {
    if (found.protocol == kNoNext || found.offset + 8 > ip.size()) return std::nullopt;
    const uint8_t* head = ip.data() + found.offset;
    size_t length = (size_t{head[1]} + 1) * 8;
    if (found.protocol == kFragment) {
      if ((load_be16(head + 2) & ~7) != 0) return std::nullopt;
      length = 8;
    } else if (found.protocol == kAuthentication) {
      length = (size_t{head[1]} + 2) * 4;
    }
    found = {head[0], found.offset + length};
  }
  if (found.offset > ip.size()) return std::nullopt;
  return found;
}

std::optional<Tuple> Tuple::read(ConstBytes ip, bool v6, uint8_t protocol, size_t transport) {
  constexpr size_t kPortBytes = 4, kIcmpBytes = 8;
  Tuple tuple{};
  const size_t size = v6 ? 16 : 4, from = v6 ? 8 : 12;
  if (ip.size() < from + 2 * size || transport > ip.size()) return std::nullopt;
  std::memcpy(tuple.source.data(), ip.data() + from, size);
  std::memcpy(tuple.destination.data(), ip.data() + from + size, size);
  tuple.protocol = protocol;
  tuple.v6 = v6;
  const ConstBytes header = ip.subspan(transport);
  if (has_ports(protocol)) {
    if (header.size() < kPortBytes) return std::nullopt;
    std::memcpy(tuple.source_port.data(), header.data(), 2);
    std::memcpy(tuple.destination_port.data(), header.data() + 2, 2);
  } else if (protocol == kProtocolIcmp || protocol == kProtocolIcmp6) {
    if (header.size() < kIcmpBytes) return std::nullopt;
    std::memcpy(tuple.source_port.data(), header.data() + 4, 2);
    std::memcpy(tuple.destination_port.data(), header.data(), 2);
  }
  return tuple;
}

std::optional<Tuple> Tuple::inverse() const {
  Tuple answer = *this;
  answer.source = destination;
  answer.destination = source;
  if (protocol == kProtocolIcmp || protocol == kProtocolIcmp6) {
    answer.destination_port[0] = opposite(protocol == kProtocolIcmp6, destination_port[0]);
    if (answer.destination_port[0] == kNoAnswer) return std::nullopt;
    return answer;
  }
  answer.source_port = destination_port;
  answer.destination_port = source_port;
  return answer;
}

}  // namespace skerry::filter
