// Chains and statements that translate, as libnftables sends them.
#pragma once

#include "filter/batch.hpp"

namespace skerry::filter {

inline constexpr uint32_t kSnat = 0, kDnat = 1;  // NFT_NAT_SNAT, NFT_NAT_DNAT

inline Octets nat_chain(const std::string& name, Hook at, int32_t priority = 0) {
  return chain(name,
               join(hook(static_cast<uint32_t>(at), priority), attribute(nft::kChainType, text("nat"))));
}
inline Octets immediate(uint32_t to, const Octets& bytes) {
  return expression("immediate",
                    join(attribute(nft::kImmediateTo, be32(to)), value(nft::kImmediateData, bytes)));
}
inline Octets port(uint16_t number) {
  Octets bytes(2);
  store_be16(bytes.data(), number);
  return bytes;
}
inline Octets nat(uint32_t type, uint32_t address, uint16_t low = 0, uint16_t high = 0, uint32_t flags = 0) {
  Octets before = immediate(1, be32(address));
  Octets words = join(attribute(nft::kNatType, be32(type)), attribute(nft::kNatFamily, be32(nft::kIpv4)),
                      attribute(nft::kNatAddressLow, be32(1)), attribute(nft::kNatFlags, be32(flags)));
  if (low != 0) {
    before = join(before, immediate(2, port(low)), immediate(3, port(high != 0 ? high : low)));
    words = join(words, attribute(nft::kNatPortLow, be32(2)), attribute(nft::kNatPortHigh, be32(3)));
  }
  return join(before, expression("nat", words));
}
inline Octets redirect(uint16_t to) {
  return join(immediate(1, port(to)), expression("redir", attribute(nft::kRedirectPortLow, be32(1))));
}
inline Octets masquerade() {
  return expression("masq", {});
}
inline Octets port_is(uint16_t number) {
  return join(payload(2, 2, 2), cmp(0, port(number)));
}

}  // namespace skerry::filter
