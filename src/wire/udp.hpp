// UDP headers (RFC 768).
#pragma once

#include <optional>

#include "base/bytes.hpp"

namespace skerry {

struct UdpHeader {
  static constexpr size_t kBytes = 8;
  static constexpr size_t kChecksumOffset = 6;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t length_bytes = 0;  // header and payload
  uint16_t checksum = 0;      // 0: the sender did not compute one

  friend bool operator==(const UdpHeader&, const UdpHeader&) = default;

  // Nothing if the datagram is shorter than its own header says it may be. Whether length_bytes are there is
  // for the caller to see: `datagram` may be a copy of the header alone.
  static std::optional<UdpHeader> parse(ConstBytes datagram) {
    if (datagram.size() < kBytes) return std::nullopt;
    const uint8_t* p = datagram.data();
    UdpHeader header{load_be16(p), load_be16(p + 2), load_be16(p + 4), load_be16(p + 6)};
    if (header.length_bytes < kBytes) return std::nullopt;
    return header;
  }

  // Writes kBytes at `to`, with `checksum` as it is: it covers the payload too, so the caller sums.
  void emit(uint8_t* to) const {
    store_be16(to, source_port);
    store_be16(to + 2, destination_port);
    store_be16(to + 4, length_bytes);
    store_be16(to + 6, checksum);
  }
};

}  // namespace skerry
