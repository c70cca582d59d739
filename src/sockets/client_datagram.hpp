// Datagrams: records in the same rings as streams, see DatagramHeader.
#pragma once

#include "sockets/client_ancillary.hpp"
#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {

inline constexpr uint32_t kMaxDatagramPayload = 65507;  // 65535 - 20 (IPv4) - 8 (UDP)

struct Received {
  ssize_t result = 0;  // bytes copied (with MSG_TRUNC in the flags: bytes there were), or -errno
  int flags = 0;       // MSG_TRUNC if the buffers were too small
  DatagramHeader header;
};

Received receive_datagram(uint32_t socket, Pieces& to, int flags);

// The next one, without waiting; the result may be kPipeWaits, and then it is still there.
Received take_datagram(uint32_t socket, IntoPipe& to);

// One datagram of all that the source has; `to` is null for the connected peer. Nothing is taken from the
// source if nothing is sent.
template <class Source>  // of client_transfer.hpp
ssize_t send_datagram(uint32_t socket, Source& from, const Endpoint* to, const Outfit& outfit, int flags);
// Linux has given a socket a port before it looks at what to send and to whom, or with whom to connect
// (inet_send_prepare(), inet_dgram_connect()).
void take_any_port(uint32_t socket);
// UDP_CORK was switched off.
void send_what_is_kept_back(uint32_t socket);
// connect() has named another peer, or has failed on its way to one (Endpoint{}): then it is lost.
void redirect_what_is_kept_back(uint32_t socket, const Endpoint& peer);
// MSG_MORE or UDP_CORK keeps the beginning of a datagram back: where the rest goes is decided.
bool keeps_something(uint32_t socket);

// Payload bytes of the next one, 0 if there is none: FIONREAD.
uint32_t next_datagram_bytes(uint32_t socket);

}  // namespace skerry::sockets::client
