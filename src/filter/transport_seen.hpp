// What is seen of a packet's transport header without reading all of it.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace skerry::filter {

// As it lies in memory.
struct TransportSeen {
  static constexpr uint32_t kBytes = 14;  // that must be there

  uint32_t ports = 0;  // of who sent it, then of whom it is for
  uint16_t flags = 0;  // of TCP: header length and flags

  // Each byte once.
  //
  // Each load lies within what one store of the packet's writer wrote a moment ago. One that straddles two
  // waits until both have left for the cache, and behind them all that was written before.
  static TransportSeen read(const uint8_t* transport) {
    const uint32_t ports = load_once<uint16_t>(transport) | uint32_t{load_once<uint16_t>(transport + 2)}
                                                                << 16;
    return {ports, load_once<uint16_t>(transport + 12)};
  }
  // The same for both ways of a flow; neighbouring ports have neighbouring ones.
  uint16_t both_ports() const { return __builtin_bswap16(static_cast<uint16_t>(ports ^ ports >> 16)); }
};

}  // namespace skerry::filter
