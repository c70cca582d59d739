// Addresses and networks as people write them: what wire/address_text.hpp leaves to those who talk to people.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "supervisor/plan.hpp"
#include "wire/address_text.hpp"

namespace skerry::supervisor {

std::string format_ipv4(Ipv4Address address);     // "10.77.0.2"
std::string format_subnet(const Subnet& subnet);  // "10.77.0.0/24"
std::string format_mac(const MacAddress& mac);    // "02:5b:0a:4d:00:02"

// Nothing if it is no network: bits below the prefix must be zero.
std::optional<Subnet> parse_subnet(std::string_view text);

// A locally administered address (IEEE 802 section 8.4) that differs wherever the IPv4 address does.
MacAddress mac_of(Ipv4Address address);

}  // namespace skerry::supervisor
