// A packet that came in, as it is handed on while it is looked at.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "link/frame.hpp"
#include "link/link.hpp"

namespace skerry::stack {

struct Arrival {
  const Frame& frame;       // what it lies in
  ConstBytes packet;        // from its IP header on; a neighbour may be writing to it
  const uint8_t* ethernet;  // a private copy of its link header; null: it looped, or its pieces did
  bool broadcast;           // that header's destination
  bool in_loopback;         // the frame is the loopback's
  bool intact;              // somebody vouches for it: no checksum to verify

  bool looped() const { return ethernet == nullptr; }
};

// Somebody vouches for its checksums, or it has none yet: then it has not met a wire.
inline bool is_intact(const Frame& frame, const LinkFacts& facts) {
  return (frame.flags & (kChecksumVouched | kChecksumNeeded)) != 0 || facts.vouches;
}

}  // namespace skerry::stack
