// ARP for IPv4 over Ethernet (RFC 826). Packets for other hardware or protocols do not parse.
#pragma once

#include <cstring>
#include <optional>

#include "base/bytes.hpp"
#include "wire/address.hpp"

namespace skerry {

enum class ArpOperation : uint16_t { kRequest = 1, kReply = 2 };

struct ArpPacket {
  static constexpr size_t kBytes = 28;

  ArpOperation operation{};  // only the two above parse
  MacAddress sender_mac;
  Ipv4Address sender = 0;
  MacAddress target_mac;
  Ipv4Address target = 0;

  friend bool operator==(const ArpPacket&, const ArpPacket&) = default;

  static std::optional<ArpPacket> parse(ConstBytes packet) {
    if (packet.size() < kBytes || std::memcmp(packet.data(), kPrefix, sizeof kPrefix) != 0)
      return std::nullopt;
    const uint8_t* p = packet.data();
    const uint16_t operation = load_be16(p + 6);
    if (operation != 1 && operation != 2) return std::nullopt;
    ArpPacket arp;
    arp.operation = static_cast<ArpOperation>(operation);
    std::memcpy(arp.sender_mac.bytes.data(), p + 8, 6);
    arp.sender = load_be32(p + 14);
    std::memcpy(arp.target_mac.bytes.data(), p + 18, 6);
    arp.target = load_be32(p + 24);
    return arp;
  }

  // Writes kBytes at `to`.
  void emit(uint8_t* to) const {
    std::memcpy(to, kPrefix, sizeof kPrefix);
    store_be16(to + 6, static_cast<uint16_t>(operation));
    std::memcpy(to + 8, sender_mac.bytes.data(), 6);
    store_be32(to + 14, sender);
    std::memcpy(to + 18, target_mac.bytes.data(), 6);
    store_be32(to + 24, target);
  }

 private:
  // Hardware Ethernet (1), protocol IPv4 (0x0800), address lengths 6 and 4.
  static constexpr uint8_t kPrefix[6] = {0, 1, 8, 0, 6, 4};
};

}  // namespace skerry
