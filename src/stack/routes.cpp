#include "stack/routes.hpp"

#include "base/check.hpp"

namespace skerry::stack {

Routes::Routes(std::span<const InterfaceAddress> addresses, std::optional<Ipv4Address> gateway)
    : gateway_(gateway) {
  CHECK(addresses.size() <= kMaxAddresses);
  for (const InterfaceAddress& one : addresses) {
    CHECK(one.prefix_bits <= 32);
    Net& net = nets_[count_];
    net.address = one.address;
    net.mask = one.prefix_bits == 0 ? 0 : ~Ipv4Address{0} << (32 - one.prefix_bits);
    net.has_broadcast = one.prefix_bits <= 30;
    addresses_[count_++] = one;
  }
}

bool Routes::is_broadcast(Ipv4Address address) const {
  if (address == kLimitedBroadcast) return true;
  for (size_t i = 0; i < count_; ++i)
    if (nets_[i].has_broadcast && nets_[i].broadcast() == address) return true;
  return false;
}

bool Routes::is_neighbour(Ipv4Address address) const {
  if (gateway_ == address) return true;
  for (size_t i = 0; i < count_; ++i) {
    const Net& net = nets_[i];
    if (!net.contains(address)) continue;
    return !net.has_broadcast || (address != net.broadcast() && address != net.network());
  }
  return false;
}

Ipv4Address Routes::source_for(Ipv4Address next_hop) const {
  for (size_t i = 0; i < count_; ++i)
    if (nets_[i].contains(next_hop)) return nets_[i].address;
  return nets_[0].address;
}

Route Routes::lookup(Ipv4Address destination, Ipv4Address source) const {
  if (is_local(destination)) return {Route::Kind::loopback, source != 0 ? source : destination, destination};
  // What is bound to the loopback address cannot leave the host; the rest needs an address to speak from.
  if (count_ == 0 || is_loopback(source)) return {};
  if (is_broadcast(destination))
    return {Route::Kind::broadcast, source != 0 ? source : source_for(destination), destination};
  if (destination >> 24 == 0 || destination >= kMulticast) return {};
  for (size_t i = 0; i < count_; ++i) {
    if (!nets_[i].contains(destination)) continue;
    if (!is_neighbour(destination)) return {};
    return {Route::Kind::neighbour, source != 0 ? source : nets_[i].address, destination};
  }
  if (!gateway_) return {};
  return {Route::Kind::neighbour, source != 0 ? source : source_for(*gateway_), *gateway_};
}

}  // namespace skerry::stack
