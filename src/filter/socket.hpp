// Sockets as rules ask about them. The filter has none: whoever owns them answers, and a packet is judged
// with what they are at that moment.
//
// Read first: nft_socket.c, nf_socket_ipv4.c.
#pragma once

#include <optional>

#include "filter/conntrack.hpp"

namespace skerry::filter {

struct Socket {
  // False: a connection that waits in TIME-WAIT, or whose handshake with a listener is under way. On Linux
  // these are no whole sockets: they have neither mark nor an address that they were bound to.
  bool whole = true;
  bool any_address = false;  // it is bound to none in particular (0.0.0.0 or ::)
};

// Of a packet of TCP or UDP that has this tuple: the socket that it is for. None: there is none.
using SocketLookup = std::optional<Socket> (*)(const void* context, const Tuple& tuple);

}  // namespace skerry::filter
