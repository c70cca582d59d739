// What crosses the border of TCP: segments as values. TCP never sees a frame, a link or a checksum; what
// carries the segment (stack/) parses headers into these values and emits bytes from them.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "wire/address.hpp"
#include "wire/tcp.hpp"

namespace skerry::tcp {

// A segment that arrived. The checksum is already known to be right. `payload` may lie in memory that a
// neighbour can still write: it is copied exactly once, into the stream, and never interpreted.
struct SegmentIn {
  IpAddress source;
  IpAddress destination;
  TcpHeader header;                     // parsed values, options included
  ConstBytes payload;                   // up to 65495 bytes (a super-frame), or empty
  bool congestion_experienced = false;  // ECN CE (RFC 3168); carried, not acted upon yet
};

// A segment to send. The payload stays in the connection's stream ring, in at most two pieces, valid until
// the next call into Tcp: copy it out at once.
struct SegmentOut {
  IpAddress source;
  IpAddress destination;
  TcpHeader header;
  ConstBytes payload[2];
  uint16_t gso_size =
      0;  // if not 0: the payload is longer than this and is to be cut into pieces of this size
  uint8_t ttl = 64;
  uint8_t type_of_service = 0;

  uint32_t payload_bytes() const { return static_cast<uint32_t>(payload[0].size() + payload[1].size()); }
};

}  // namespace skerry::tcp
