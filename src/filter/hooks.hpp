// Where rules stand and what passes there: the families of tables, the hooks of their chains, and what each
// hook shows to which family.
//
// Read first: docs/filter.md; uapi/linux/netfilter.h, whose names and numbers these are.
#pragma once

#include <cstdint>

namespace skerry::filter {

enum class Family : uint8_t { inet = 1, ip = 2, arp = 3, netdev = 5, bridge = 7, ip6 = 10 };  // NFPROTO_*
// NF_INET_*, which those of ARP and of a switch share, and behind them those of a link.
enum class Hook : uint8_t { prerouting, input, forward, output, postrouting, ingress, egress };
inline constexpr unsigned kHooks = 7;
// What a hook shows to chains: packets of one protocol, or whatever passes the link, or a switch.
enum class Realm : uint8_t { ipv4, ipv6, arp, link, bridge };
inline constexpr unsigned kRealms = 5;
constexpr bool is_ip(Realm realm) {
  return realm <= Realm::ipv6;
}
constexpr Realm realm_of(bool v6) {
  return v6 ? Realm::ipv6 : Realm::ipv4;
}
// Whether chains of such a table see what passes there.
constexpr bool sees(Family family, Realm realm) {
  switch (family) {
    case Family::inet:
      return is_ip(realm);
    case Family::ip:
      return realm == Realm::ipv4;
    case Family::ip6:
      return realm == Realm::ipv6;
    case Family::arp:
      return realm == Realm::arp;
    case Family::netdev:
      return realm == Realm::link;
    case Family::bridge:
      return realm == Realm::bridge;
  }
  return false;
}
// Whether connections are known where chains of such a table stand: they see packets of IP and nothing else.
constexpr bool knows_flows(Family family) {
  return sees(family, Realm::ipv4) || sees(family, Realm::ipv6);
}

}  // namespace skerry::filter
