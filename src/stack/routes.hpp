// Which addresses are ours, and where a packet to an address goes: out to a neighbour on the link, to the
// gateway, to everybody, or back to ourselves (RFC 1122 section 3.3.1). Written once, at creation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "wire/address.hpp"

namespace skerry::stack {

struct InterfaceAddress {
  Ipv4Address address = 0;
  uint8_t prefix_bits = 24;  // 0 to 32
};

struct Route {
  enum class Kind : uint8_t { none, loopback, neighbour, broadcast };

  Kind kind = Kind::none;
  Ipv4Address source = 0;    // the address we speak from
  Ipv4Address next_hop = 0;  // of a neighbour: whom to ask ARP for
};

// What a destination address of an arriving packet is to us.
enum class Audience : uint8_t { others, us, everybody };

class Routes {
 public:
  static constexpr size_t kMaxAddresses = 8;

  // At most kMaxAddresses are kept (CHECK). A gateway may lie outside every prefix: it is then on the link
  // all the same.
  Routes(std::span<const InterfaceAddress> addresses, std::optional<Ipv4Address> gateway);

  // `source` is what the socket is bound to, or 0 to have one chosen.
  Route lookup(Ipv4Address destination, Ipv4Address source) const;

  bool is_ours(Ipv4Address address) const {
    for (size_t i = 0; i < count_; ++i)
      if (nets_[i].address == address) return true;
    return false;
  }
  // One of ours, or 127.0.0.0/8: what a socket may be bound to and what loops back.
  bool is_local(Ipv4Address address) const { return is_loopback(address) || is_ours(address); }
  bool is_broadcast(Ipv4Address address) const;
  // Whether a neighbour with this address can exist: in a prefix of ours (not its ends), or the gateway.
  bool is_neighbour(Ipv4Address address) const;

  Audience audience(Ipv4Address destination) const {
    if (is_ours(destination)) return Audience::us;
    return is_broadcast(destination) ? Audience::everybody : Audience::others;
  }

  // Sources that no packet from the wire may carry (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7).
  bool is_martian_source(Ipv4Address source) const {
    return is_loopback(source) || source >> 24 == 0 || source >= kMulticast || is_ours(source) ||
           is_broadcast(source);
  }

  static bool is_loopback(Ipv4Address address) { return address >> 24 == 127; }

  // The first of our addresses; 0: there is none.
  Ipv4Address first() const { return count_ > 0 ? nets_[0].address : 0; }
  std::optional<Ipv4Address> gateway() const { return gateway_; }
  std::span<const InterfaceAddress> addresses() const { return {addresses_.data(), count_}; }

 private:
  static constexpr Ipv4Address kMulticast = 0xe0000000;         // 224.0.0.0, and all above it
  static constexpr Ipv4Address kLimitedBroadcast = 0xffffffff;  // 255.255.255.255

  struct Net {
    Ipv4Address address = 0;
    Ipv4Address mask = 0;
    bool has_broadcast = false;  // prefixes of 31 and 32 bits have none (RFC 3021)

    bool contains(Ipv4Address other) const { return ((address ^ other) & mask) == 0; }
    Ipv4Address broadcast() const { return address | ~mask; }
    Ipv4Address network() const { return address & mask; }
  };

  Ipv4Address source_for(Ipv4Address next_hop) const;

  std::array<Net, kMaxAddresses> nets_{};
  std::array<InterfaceAddress, kMaxAddresses> addresses_{};
  size_t count_ = 0;
  std::optional<Ipv4Address> gateway_;
};

}  // namespace skerry::stack
