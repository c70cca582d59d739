// What a rule reads of a packet, and of what is known beside it, into a register.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

bool Import::payload(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t base = 0, offset = 0, length = 0;
  LoadPayload load{};
  if (nest.has(kPayloadFrom)) return write_payload(nest, action);
  if (!reader_.only(nest, known({kPayloadTo, kPayloadBase, kPayloadOffset, kPayloadLength}), "payload") ||
      !reader_.need(nest, {kPayloadTo, kPayloadBase, kPayloadOffset, kPayloadLength}, "payload") ||
      !register_number(nest, kPayloadTo, load.to) || !reader_.number(nest, kPayloadBase, base) ||
      !reader_.number(nest, kPayloadOffset, offset) || !reader_.number(nest, kPayloadLength, length))
    return false;
  if (base > 3) return reader_.refuse(nest[kPayloadBase].at, EOPNOTSUPP, "there is no such header");
  if (length == 0 || length > kRegisterBytes || offset > UINT16_MAX)
    return reader_.refuse(nest[kPayloadLength].at, ERANGE, "this part of a header is too long or too far in");
  load.base = static_cast<HeaderBase>(base);
  load.offset = static_cast<uint16_t>(offset);
  load.length = static_cast<uint8_t>(length);
  if (load.base == HeaderBase::inner)
    return reader_.refuse(nest[kPayloadBase].at, EOPNOTSUPP,
                          "matching behind the transport header (@ih) is not supported");
  action = load;
  return true;
}

bool Import::extension(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t offset = 0, length = 0, flags = 0, operation = 0;
  LoadExtension load{};
  if (!nest.has(kExthdrTo))
    return reader_.refuse(nest.at, EOPNOTSUPP, "changing or removing options of a header is not supported");
  if (!reader_.need(nest, {kExthdrTo, kExthdrType, kExthdrOffset, kExthdrLength}, "exthdr") ||
      !register_number(nest, kExthdrTo, load.to) || !reader_.number(nest, kExthdrOffset, offset) ||
      !reader_.number(nest, kExthdrLength, length) || !reader_.number(nest, kExthdrFlags, flags) ||
      !reader_.number(nest, kExthdrOperation, operation))
    return false;
  if (nest[kExthdrType].bytes.size() != 1)
    return reader_.refuse(nest[kExthdrType].at, EINVAL, "a header's type has one byte");
  if (operation > 2) return reader_.refuse(nest.at, EOPNOTSUPP, "options of SCTP and DCCP are not supported");
  if (offset > UINT8_MAX || length > kRegisterBytes || flags > 1 || (length == 0 && flags == 0))
    return reader_.refuse(nest.at, ERANGE, "this part of an option is too long or too far in");
  load.kind = static_cast<ExtensionKind>(operation);
  if (load.kind == ExtensionKind::ipv4)
    return reader_.refuse(nest.at, EOPNOTSUPP, "matching on options of IPv4 is not supported");
  load.type = nest[kExthdrType].bytes[0];
  load.offset = static_cast<uint8_t>(offset);
  load.only_present = flags == 1;
  // What is there or not is one byte, whatever length nft asks for.
  load.length = load.only_present ? 1 : static_cast<uint8_t>(length);
  action = load;
  return true;
}

bool Import::meta(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t key = 0;
  if (!reader_.need(nest, {kMetaKey}, "meta") || !reader_.number(nest, kMetaKey, key)) return false;
  if (nest.has(kMetaFrom) == nest.has(kMetaTo))
    return reader_.refuse(nest.at, EINVAL, "meta reads or sets, one of both");
  if (nest.has(kMetaFrom)) {
    StoreMark store{};
    if (key != static_cast<uint32_t>(MetaKey::mark))
      return reader_.refuse(nest[kMetaKey].at, EOPNOTSUPP, "of meta only the mark can be set");
    if (!register_number(nest, kMetaFrom, store.from)) return false;
    action = store;
    return true;
  }
  LoadMeta load{};
  if (!register_number(nest, kMetaTo, load.to)) return false;
  constexpr auto kNoKey = static_cast<MetaKey>(UINT8_MAX);
  load.key = key < UINT8_MAX ? static_cast<MetaKey>(key) : kNoKey;
  const bool at_switch = ruleset_.tables[table].family == Family::bridge;
  switch (load.key) {
    case MetaKey::iif:
    case MetaKey::oif:
      if (!at_switch) break;
      return reader_.refuse(nest[kMetaKey].at, EOPNOTSUPP,
                            "the number of a port is another's once it has left: write iifname or oifname");
    case MetaKey::ibrname:
    case MetaKey::obrname:
      if (at_switch) break;
      return reader_.refuse(nest[kMetaKey].at, EOPNOTSUPP,
                            "only frames at a switch have that: tables of family bridge know it");
    case MetaKey::length:
    case MetaKey::protocol:
    case MetaKey::mark:
    case MetaKey::iifname:
    case MetaKey::oifname:
    case MetaKey::iiftype:
    case MetaKey::oiftype:
    case MetaKey::nfproto:
    case MetaKey::l4proto:
    case MetaKey::pkttype:
      break;
    default:
      return reader_.refuse(nest[kMetaKey].at, EOPNOTSUPP,
                            "this key of meta is not supported (docs/filter.md lists what is)");
  }
  action = load;
  return true;
}

bool Import::socket(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  constexpr uint32_t kCgroup = 3;
  uint32_t key = 0;
  LoadSocket load{};
  if (!reader_.need(nest, {kSocketKey, kSocketTo}, "socket") || !reader_.number(nest, kSocketKey, key) ||
      !register_number(nest, kSocketTo, load.to))
    return false;
  if (key == kCgroup)
    return reader_.refuse(nest[kSocketKey].at, EOPNOTSUPP,
                          "a stack has no cgroups, and all of its sockets are of one program");
  if (key > kCgroup)
    return reader_.refuse(nest[kSocketKey].at, EOPNOTSUPP, "this of a socket cannot be asked for");
  load.key = static_cast<SocketKey>(key);
  action = load;
  return true;
}

}  // namespace skerry::filter
