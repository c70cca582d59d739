// ICMP for IPv4 (RFC 792, RFC 1191 for the MTU of "fragmentation needed"), and the packet that an error
// carries.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "wire/ipv4.hpp"

namespace skerry {

enum class IcmpType : uint8_t {
  kEchoReply = 0,
  kDestinationUnreachable = 3,
  kRedirect = 5,
  kEcho = 8,
  kTimeExceeded = 11,
  kParameterProblem = 12,
};

// Codes of kDestinationUnreachable that mean something to a transport (RFC 1122 section 3.2.2.1).
enum IcmpUnreachableCode : uint8_t {
  kNetUnreachable = 0,
  kHostUnreachable = 1,
  kProtocolUnreachable = 2,
  kPortUnreachable = 3,
  kFragmentationNeeded = 4,
  kSourceRouteFailed = 5,
};

inline constexpr uint8_t kReassemblyTimeExceeded = 1;  // code of kTimeExceeded

struct IcmpHeader {
  static constexpr size_t kBytes = 8;

  IcmpType type{};  // any value may come from the wire
  uint8_t code = 0;
  uint16_t checksum = 0;    // over the whole message
  uint16_t identifier = 0;  // echo; else unused
  uint16_t sequence = 0;    // echo; with kFragmentationNeeded the MTU of the next hop

  friend bool operator==(const IcmpHeader&, const IcmpHeader&) = default;

  uint16_t next_hop_mtu() const { return sequence; }

  bool is_error() const {
    return type == IcmpType::kDestinationUnreachable || type == IcmpType::kTimeExceeded ||
           type == IcmpType::kParameterProblem;
  }

  static std::optional<IcmpHeader> parse(ConstBytes message) {
    if (message.size() < kBytes) return std::nullopt;
    const uint8_t* p = message.data();
    IcmpHeader header;
    header.type = static_cast<IcmpType>(p[0]);
    header.code = p[1];
    header.checksum = load_be16(p + 2);
    header.identifier = load_be16(p + 4);
    header.sequence = load_be16(p + 6);
    return header;
  }

  // Writes kBytes at `to`, with `checksum` as it is: it covers what follows too, so the caller sums.
  void emit(uint8_t* to) const {
    to[0] = static_cast<uint8_t>(type);
    to[1] = code;
    store_be16(to + 2, checksum);
    store_be16(to + 4, identifier);
    store_be16(to + 6, sequence);
  }
};

// The beginning of the packet that an ICMP error is about: at least its IP header and 8 bytes more (RFC 792).
// It is a packet that we sent, so `source` is ours.
struct IcmpEmbedded {
  Ipv4Header ip;
  uint16_t source_port = 0;       // for TCP and UDP
  uint16_t destination_port = 0;  // for TCP and UDP
  uint32_t tcp_seq = 0;  // for TCP: a transport believes an error only about data in flight (RFC 5927)

  // `body` follows the ICMP header. Later fragments do not parse: their first bytes are not ports.
  static std::optional<IcmpEmbedded> parse(ConstBytes body) {
    const auto ip = Ipv4Header::parse(body);
    if (!ip || ip->fragment_offset != 0 || body.size() < ip->header_bytes + size_t{8}) return std::nullopt;
    const uint8_t* transport = body.data() + ip->header_bytes;
    IcmpEmbedded embedded;
    embedded.ip = *ip;
    embedded.source_port = load_be16(transport);
    embedded.destination_port = load_be16(transport + 2);
    embedded.tcp_seq = load_be32(transport + 4);
    return embedded;
  }
};

}  // namespace skerry
