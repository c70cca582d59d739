// TCP resets that a rule asked for: noted where the packet was refused, sent by tx. The stack's own TCP knows
// nothing of the connection, because its segment never got there.
//
// Read first: RFC 9293 section 3.10.7.1; nf_reject_ip_tcphdr_put().
#pragma once

#include <array>
#include <optional>
#include <span>

#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {

struct TcpReset {
  Ipv4Address from = 0, to = 0;
  TcpHeader header;
};

// The answer to a segment; `transport` begins with its header. Nothing: it is none, or a reset itself.
inline std::optional<TcpReset> reset_for(const Ipv4Header& ip, ConstBytes transport) {
  const auto refused = TcpHeader::parse(transport);
  if (ip.protocol != IpProtocol::kTcp || ip.is_fragment() || !refused || refused->has(kTcpRst))
    return std::nullopt;
  TcpReset reset{.from = ip.destination, .to = ip.source, .header = {}};
  reset.header.source_port = refused->destination_port;
  reset.header.destination_port = refused->source_port;
  reset.header.flags = kTcpRst;
  if (refused->has(kTcpAck)) {
    reset.header.seq = refused->ack;
  } else {
    reset.header.flags |= kTcpAck;
    reset.header.ack = refused->seq + ip.payload_bytes() - refused->header_bytes +
                       (refused->has(kTcpSyn) ? 1 : 0) + (refused->has(kTcpFin) ? 1 : 0);
  }
  return reset;
}

class TcpResets {
 public:
  static constexpr uint32_t kCapacity = 32;  // in one breath; who gets none asks again

  void promise(const TcpReset& reset) {
    if (count_ < kCapacity) resets_[count_++] = reset;
  }
  std::span<const TcpReset> view() const { return {resets_.data(), count_}; }
  void clear() { count_ = 0; }

 private:
  std::array<TcpReset, kCapacity> resets_;
  uint32_t count_ = 0;
};

}  // namespace skerry::stack
