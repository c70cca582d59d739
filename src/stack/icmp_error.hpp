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
  uint16_t packet_bytes = 0;  // of the packet that it is about
};

// `header` is an error; `body`, a private copy, follows it. Nothing if the embedded packet does not parse or
// is of no transport of ours. That it was we who sent it is for the caller to see (error.local).
std::optional<IcmpNotice> read_icmp_error(const IcmpHeader& header, ConstBytes body);

// A packet of ours (from its IP header on) that could not leave, as the same kind of word.
std::optional<IcmpNotice> notice_about(ConstBytes packet, int error);

}  // namespace skerry::stack
