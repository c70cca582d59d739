// ICMP errors that arrive, as word for the transport whose segment they are about (RFC 1122 section 3.2.2).
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "stack/segment_queue.hpp"
#include "wire/icmp.hpp"

namespace skerry::stack {

struct IcmpNotice {
  IpProtocol protocol{};
  TransportError error;
  uint16_t packet_bytes = 0;    // of the packet that it is about
  uint16_t payload_begins = 0;  // in that packet, if it is UDP's

  // Who says so, and the packet as far as it was quoted: of what programs sent something is kept for them.
  // Not a private copy: the bytes mean nothing to us.
  void note_quote(Ipv4Address offender, ConstBytes packet);
};

// `header` is an error; `body`, a private copy, follows it. Nothing if the embedded packet does not parse or
// is of no transport of ours. That it was we who sent it is for the caller to see (error.local). Of a packet
// of ours that could not leave we tell ourselves in the same way.
std::optional<IcmpNotice> read_icmp_error(const IcmpHeader& header, ConstBytes body);

}  // namespace skerry::stack
