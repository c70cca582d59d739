// Ethernet II frames (RFC 894, IEEE 802.3 section 3). Frames with a length instead of a type carry nothing
// for us.
#pragma once

#include <cstring>
#include <optional>

#include "base/bytes.hpp"
#include "wire/address.hpp"

namespace skerry {

enum class EtherType : uint16_t { kIpv4 = 0x0800, kArp = 0x0806, kIpv6 = 0x86dd };

struct EthernetHeader {
  static constexpr size_t kBytes = 14;

  MacAddress destination;
  MacAddress source;
  EtherType type{};  // any value may come from the wire

  friend bool operator==(const EthernetHeader&, const EthernetHeader&) = default;

  static std::optional<EthernetHeader> parse(ConstBytes frame) {
    EthernetHeader header;
    if (!header.read(frame)) return std::nullopt;
    return header;
  }
  // The same in place, for where every nanosecond counts. False: not a header; the values then mean nothing.
  bool read(ConstBytes frame) {
    if (frame.size() < kBytes) return false;
    std::memcpy(destination.bytes.data(), frame.data(), 6);
    std::memcpy(source.bytes.data(), frame.data() + 6, 6);
    type = static_cast<EtherType>(load_be16(frame.data() + 12));
    return true;
  }

  // Writes kBytes at `to`.
  void emit(uint8_t* to) const {
    std::memcpy(to, destination.bytes.data(), 6);
    std::memcpy(to + 6, source.bytes.data(), 6);
    store_be16(to + 12, static_cast<uint16_t>(type));
  }
};

}  // namespace skerry
