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
