// IPv4 headers (RFC 791 section 3.1). Options are checked and stepped over, never obeyed; what we emit has
// none.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "wire/address.hpp"
#include "wire/checksum.hpp"

namespace skerry {

enum class IpProtocol : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17 };

struct Ipv4Header {
  static constexpr size_t kMinBytes = 20;
  static constexpr size_t kMaxBytes = 60;

  Ipv4Address source = 0;
  Ipv4Address destination = 0;
  uint16_t total_bytes = 0;      // header and payload
  uint16_t identification = 0;   // RFC 6864: means nothing unless the packet is a fragment
  uint16_t fragment_offset = 0;  // in bytes, a multiple of 8
  bool dont_fragment = false;
  bool more_fragments = false;
  bool source_route = false;  // a loose or strict source route option is there
  uint8_t type_of_service = 0;
  uint8_t ttl = 0;
  IpProtocol protocol{};             // any value may come from the wire
  uint8_t header_bytes = kMinBytes;  // set by parse; emit writes kMinBytes

  friend bool operator==(const Ipv4Header&, const Ipv4Header&) = default;

  bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  uint16_t payload_bytes() const { return static_cast<uint16_t>(total_bytes - header_bytes); }

  // Nothing if this is not a well-formed header that lies wholly within `packet`. Does not look at the
  // checksum, nor whether total_bytes are there: `packet` may be a copy of the headers alone.
  static std::optional<Ipv4Header> parse(ConstBytes packet) {
    Ipv4Header header;
    if (!header.read(packet)) return std::nullopt;
    return header;
  }
  // The same in place, for where every nanosecond counts. False: not a header; the values then mean nothing.
  bool read(ConstBytes packet) {
    if (packet.size() < kMinBytes) return false;
    const uint8_t* p = packet.data();
    header_bytes = static_cast<uint8_t>((p[0] & 15) * 4);
    total_bytes = load_be16(p + 2);
    if (p[0] >> 4 != 4 || header_bytes < kMinBytes || header_bytes > packet.size() ||
        total_bytes < header_bytes)
      return false;
    type_of_service = p[1];
    identification = load_be16(p + 4);
    const uint16_t fragment = load_be16(p + 6);
    dont_fragment = (fragment & kDontFragment) != 0;
    more_fragments = (fragment & kMoreFragments) != 0;
    fragment_offset = static_cast<uint16_t>((fragment & kOffsetMask) * 8);
    ttl = p[8];
    protocol = static_cast<IpProtocol>(p[9]);
    source = load_be32(p + 12);
    destination = load_be32(p + 16);
    source_route = false;
    return header_bytes == kMinBytes || check_options(packet.subspan(kMinBytes, header_bytes - kMinBytes));
  }

  // `packet` begins with a header that parsed.
  static bool checksum_intact(ConstBytes packet) {
    InternetChecksum sum;
    sum.add(packet.first((packet[0] & 15) * size_t{4}));
    return sum.intact();
  }

  // Writes kMinBytes at `to`, checksum included.
  void emit(uint8_t* to) const {
    to[0] = 0x45;
    to[1] = type_of_service;
    store_be16(to + 2, total_bytes);
    store_be16(to + 4, identification);
    store_be16(to + 6, static_cast<uint16_t>((dont_fragment ? kDontFragment : 0) |
                                             (more_fragments ? kMoreFragments : 0) | fragment_offset / 8));
    to[8] = ttl;
    to[9] = static_cast<uint8_t>(protocol);
    store_be16(to + 10, 0);
    store_be32(to + 12, source);
    store_be32(to + 16, destination);
    InternetChecksum sum;
    sum.add({to, kMinBytes});
    store_be16(to + 10, sum.finish());
  }

 private:
  static constexpr uint16_t kDontFragment = 0x4000;
  static constexpr uint16_t kMoreFragments = 0x2000;
  static constexpr uint16_t kOffsetMask = 0x1fff;
  static constexpr uint8_t kOptionEnd = 0, kOptionNoOperation = 1;
  static constexpr uint8_t kOptionLooseSourceRoute = 131, kOptionStrictSourceRoute = 137;

  // RFC 791 section 3.1 "Options": every length lies within the header.
  bool check_options(ConstBytes options) {
    for (size_t at = 0; at < options.size();) {
      const uint8_t kind = options[at];
      if (kind == kOptionEnd) return true;
      if (kind == kOptionNoOperation) {
        ++at;
        continue;
      }
      if (at + 1 >= options.size()) return false;
      const size_t length = options[at + 1];
      if (length < 2 || at + length > options.size()) return false;
      if (kind == kOptionLooseSourceRoute || kind == kOptionStrictSourceRoute) source_route = true;
      at += length;
    }
    return true;
  }
};

}  // namespace skerry
