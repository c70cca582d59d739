// Addresses and ports in a packet changed to those that its flow is translated to, with every checksum that
// covers them. Of ICMP errors also in the packet that they quote, so that whoever sent that knows it again.
//
// Read first: RFC 3022; conntrack.hpp for what a flow is translated to.
#pragma once

#include "filter/conntrack.hpp"

namespace skerry::filter {

// One side of a packet that belongs to a flow; nothing if that side of the flow is not translated. False: it
// cannot be changed, because it is cut off or of a protocol whose checksum needs all of it (SCTP).
bool translate(Packet& packet, NatSide side);

// The same of an ICMP error about a flow. A redirect is refused where something is translated.
bool translate_error(Packet& packet, NatSide side);

// The beginning of a packet that left translated becomes what its sender knows: `sent` is from
// Conntrack::before().
void translate_back(Bytes quoted, bool v6, const Tuple& sent);

}  // namespace skerry::filter
