// Statements that translate: where to, within the chains that verify_chains.cpp lets them stand in.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

bool Import::nat(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  constexpr uint32_t kSource = 0, kDestination = 1;
  uint32_t type = 0, family = 0;
  Translate translate{};
  if (!reader_.need(nest, {kNatType, kNatFamily}, "nat") || !reader_.number(nest, kNatType, type) ||
      !reader_.number(nest, kNatFamily, family))
    return false;
  if (!nest.has(kNatAddressLow) && !nest.has(kNatPortLow))
    return reader_.refuse(nest.at, EINVAL, "it is not said what to translate to");
  if (type != kSource && type != kDestination)
    return reader_.refuse(nest[kNatType].at, EOPNOTSUPP, "there is no such way to translate");
  const Family of_table = ruleset_.tables[table].family;
  translate.kind = type == kSource ? NatKind::snat : NatKind::dnat;
  if (family != nft::kIpv4 && family != nft::kIpv6 && (family != nft::kInet || nest.has(kNatAddressLow)))
    return reader_.refuse(nest[kNatFamily].at, EAFNOSUPPORT, "addresses are of ip or of ip6");
  translate.family = static_cast<Family>(family);
  if (of_table != Family::inet && of_table != translate.family)
    return reader_.refuse(nest[kNatFamily].at, EOPNOTSUPP, "this table has no packets of that family");
  translate.has_address = nest.has(kNatAddressLow);
  if (translate.has_address) {
    if (!register_number(nest, kNatAddressLow, translate.address_low)) return false;
    translate.address_high = translate.address_low;
    if (nest.has(kNatAddressHigh) && !register_number(nest, kNatAddressHigh, translate.address_high))
      return false;
  }
  if (!nat_ports(nest, kNatPortLow, kNatPortHigh, translate) ||
      !nat_flags(nest, kNatFlags, translate.has_address, translate))
    return false;
  action = translate;
  return true;
}

bool Import::masquerade(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  Translate translate{.kind = NatKind::masquerade, .family = ruleset_.tables[table].family};
  if (!nat_ports(nest, kMasqueradePortLow, kMasqueradePortHigh, translate) ||
      !nat_flags(nest, kMasqueradeFlags, false, translate))
    return false;
  action = translate;
  return true;
}

bool Import::redirect(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  Translate translate{.kind = NatKind::redirect, .family = ruleset_.tables[table].family};
  if (!nat_ports(nest, kRedirectPortLow, kRedirectPortHigh, translate) ||
      !nat_flags(nest, kRedirectFlags, false, translate))
    return false;
  action = translate;
  return true;
}

bool Import::nat_ports(const Nest& nest, uint16_t low, uint16_t high, Translate& translate) {
  translate.has_port = nest.has(low);
  if (!translate.has_port) return true;
  if (!register_number(nest, low, translate.port_low)) return false;
  translate.port_high = translate.port_low;
  return !nest.has(high) || register_number(nest, high, translate.port_high);
}

bool Import::nat_flags(const Nest& nest, uint16_t type, bool has_address, Translate& translate) {
  using namespace nft;
  uint32_t flags = 0;
  if (!reader_.number(nest, type, flags)) return false;
  if ((flags & ~(kNatGiven | kNatRandom | kNatPersistent | kNatPrefix)) != 0 ||
      ((flags & kNatPrefix) != 0 && !has_address))
    return reader_.refuse(nest[type].at, EOPNOTSUPP, "a flag of this translation is not supported");
  translate.random = (flags & kNatRandom) != 0;
  translate.persistent = (flags & kNatPersistent) != 0;
  translate.prefix = (flags & kNatPrefix) != 0;
  return true;
}

}  // namespace skerry::filter
