// Addresses as people write them, read strictly: "10.77.0.2" has four decimal parts without leading zeros
// (RFC 6943 section 3.1.1 says why looser forms are a trap), "10.77.0.2/24" adds a prefix length,
// "02:5b:0a:4d:00:02" is a MAC.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

#include "wire/address.hpp"

namespace skerry {

// An address and the length of its network's prefix in bits.
struct Ipv4Prefix {
  Ipv4Address address = 0;
  uint8_t bits = 0;

  friend bool operator==(const Ipv4Prefix&, const Ipv4Prefix&) = default;
};

// The whole text as one number up to `largest`, without sign, space or, in decimal, leading zero.
inline std::optional<uint32_t> parse_number(std::string_view text, uint32_t largest, int base = 10) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || value > largest) return std::nullopt;
  if (base == 10 && text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

inline std::optional<Ipv4Address> parse_ipv4(std::string_view text) {
  Ipv4Address address = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = part < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const std::optional<uint32_t> value = parse_number(text.substr(0, dot), 255);
    if (!value) return std::nullopt;
    address = address << 8 | *value;
    text.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return address;
}

inline std::optional<Ipv4Prefix> parse_ipv4_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<Ipv4Address> address = parse_ipv4(text.substr(0, slash));
  const std::optional<uint32_t> bits = parse_number(text.substr(slash + 1), 32);
  if (!address || !bits) return std::nullopt;
  return Ipv4Prefix{*address, static_cast<uint8_t>(*bits)};
}

inline std::optional<MacAddress> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (size_t i = 0; i < 6; ++i) {
    const std::optional<uint32_t> value = parse_number(text.substr(i * 3, 2), 255, 16);
    if (!value || (i < 5 && text[i * 3 + 2] != ':')) return std::nullopt;
    mac.bytes[i] = static_cast<uint8_t>(*value);
  }
  return mac;
}

}  // namespace skerry
