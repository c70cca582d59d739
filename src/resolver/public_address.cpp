#include "resolver/public_address.hpp"

#include <algorithm>

namespace skerry::resolver {
namespace {

constexpr Ipv4Address address(uint8_t a, uint8_t b, uint8_t c = 0) {
  return Ipv4Address{a} << 24 | Ipv4Address{b} << 16 | Ipv4Address{c} << 8;
}

bool contains(const Ipv4Prefix& prefix, Ipv4Address wanted) {
  return prefix.bits == 0 || (wanted ^ prefix.address) >> (32 - prefix.bits) == 0;
}

// IANA IPv4 Special-Purpose Address Registry.
constexpr Ipv4Prefix kSpecial[] = {
    {address(0, 0), 8},                // this network
    {address(10, 0), 8},               // private (RFC 1918)
    {address(100, 64), 10},            // shared by a provider's customers (RFC 6598)
    {address(127, 0), 8},              // loopback
    {address(168, 63, 129) | 16, 32},  // a cloud's own service to its machines (Azure)
    {address(169, 254), 16},           // link-local (RFC 3927), the clouds' metadata among them
    {address(172, 16), 12},            // private
    {address(192, 0, 0), 24},          // IETF protocol assignments
    {address(192, 0, 2), 24},          // documentation (RFC 5737)
    {address(192, 88, 99), 24},        // 6to4 relays, no more (RFC 7526)
    {address(192, 168), 16},           // private
    {address(198, 18), 15},            // benchmarks (RFC 2544)
    {address(198, 51, 100), 24},
    {address(203, 0, 113), 24},
    {address(224, 0), 4},  // multicast
    {address(240, 0), 4},  // reserved, and broadcast
};

}  // namespace

bool is_public(Ipv4Address wanted, std::span<const Ipv4Prefix> own) {
  const auto holds = [&](const Ipv4Prefix& prefix) { return contains(prefix, wanted); };
  return std::none_of(std::begin(kSpecial), std::end(kSpecial), holds) &&
         std::none_of(own.begin(), own.end(), holds);
}

}  // namespace skerry::resolver
