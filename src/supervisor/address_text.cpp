#include "supervisor/address_text.hpp"

#include <fmt/format.h>

namespace skerry::supervisor {

std::string format_ipv4(Ipv4Address address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

std::string format_subnet(const Subnet& subnet) {
  return fmt::format("{}/{}", format_ipv4(subnet.base), subnet.prefix_bits);
}

std::string format_mac(const MacAddress& mac) {
  return fmt::format("{:02x}", fmt::join(mac.bytes, ":"));
}

std::optional<Subnet> parse_subnet(std::string_view text) {
  const std::optional<Ipv4Prefix> prefix = parse_ipv4_prefix(text);
  if (!prefix) return std::nullopt;
  const Subnet subnet{prefix->address, prefix->bits};
  if ((subnet.base & ~subnet.mask()) != 0) return std::nullopt;
  return subnet;
}

MacAddress mac_of(Ipv4Address address) {
  MacAddress mac{{0x02, 0x5b}};
  store_be32(mac.bytes.data() + 2, address);
  return mac;
}

}  // namespace skerry::supervisor
