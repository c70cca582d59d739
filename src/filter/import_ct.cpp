// What a rule asks of connection tracking, and what it tells it.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

// Who asks for one side must say which, and for the others must not (nft_ct_get_init()).
bool has_sides(CtKey key) {
  switch (key) {
    case CtKey::source:
    case CtKey::destination:
    case CtKey::source_port:
    case CtKey::destination_port:
    case CtKey::source_v4:
    case CtKey::destination_v4:
    case CtKey::source_v6:
    case CtKey::destination_v6:
      return true;
    default:
      return false;
  }
}

// Who asks for one direction may say which.
bool counts(CtKey key) {
  return key == CtKey::packets || key == CtKey::bytes || key == CtKey::packet_bytes;
}

bool is_known(CtKey key) {
  switch (key) {
    case CtKey::state:
    case CtKey::direction:
    case CtKey::status:
    case CtKey::mark:
    case CtKey::expiration:
    case CtKey::l3protocol:
    case CtKey::protocol:
    case CtKey::labels:
    case CtKey::zone:
    case CtKey::helper:
      return true;
    default:
      return has_sides(key) || counts(key);
  }
}

}  // namespace

bool Import::ct(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t number = 0;
  if (!reader_.need(nest, {kCtKey}, "ct") || !reader_.number(nest, kCtKey, number)) return false;
  if (nest.has(kCtFrom) == nest.has(kCtTo))
    return reader_.refuse(nest.at, EINVAL, "ct reads or sets, one of both");
  const auto key = static_cast<CtKey>(number);
  if (number > UINT8_MAX || !is_known(key))
    return reader_.refuse(nest[kCtKey].at, EOPNOTSUPP,
                          "this key of ct is not supported (docs/filter.md lists what is)");
  if (nest.has(kCtFrom)) return ct_set(nest, key, action);
  LoadCt load{.to = 0, .key = key, .reply = false, .both = !nest.has(kCtDirection)};
  if (!register_number(nest, kCtTo, load.to)) return false;
  if (nest.has(kCtDirection)) {
    const ConstBytes direction = nest[kCtDirection].bytes;
    const bool any = key == CtKey::l3protocol || key == CtKey::protocol || key == CtKey::zone;
    if (direction.size() != 1 || direction[0] > 1 || !(any || counts(key) || has_sides(key)))
      return reader_.refuse(nest[kCtDirection].at, EINVAL, "this has no original and no reply side");
    load.reply = direction[0] == 1;
  } else if (has_sides(key)) {
    return reader_.refuse(nest.at, EINVAL, "ct is asked for one side, but not for which");
  }
  const bool any_family = key == CtKey::source || key == CtKey::destination;
  if (any_family && ruleset_.tables[table].family == Family::inet)
    return reader_.refuse(nest[kCtKey].at, EOPNOTSUPP, "write ct original ip saddr, or ip6 saddr");
  action = load;
  return true;
}

bool Import::ct_set(const Nest& nest, CtKey key, Action& action) {
  using namespace nft;
  StoreCt store{.from = 0, .key = key};
  if (key != CtKey::mark && key != CtKey::labels && key != CtKey::zone)
    return reader_.refuse(nest[kCtKey].at, EOPNOTSUPP, "of ct only mark, label and zone can be set");
  if (nest.has(kCtDirection) && key == CtKey::zone)
    return reader_.refuse(nest[kCtDirection].at, EOPNOTSUPP,
                          "a zone is that of both directions: write ct zone set");
  if (nest.has(kCtDirection))
    return reader_.refuse(nest[kCtDirection].at, EINVAL, "this has no original and no reply side");
  if (!register_number(nest, kCtFrom, store.from)) return false;
  action = store;
  return true;
}

// What has a name and reads the lines of connections (nft_ct_helper_obj_init()).
bool Import::helper(Family family, const Nest& nest, Stateful& into) {
  using namespace nft;
  constexpr uint8_t kTcp = 6;
  std::string name;
  if (!reader_.need(nest, {kHelperName, kHelperProtocol}, "a ct helper") ||
      !reader_.text(nest, kHelperName, name))
    return false;
  const ConstBytes protocol = nest[kHelperProtocol].bytes;
  const ConstBytes of = nest.has(kHelperFamily) ? nest[kHelperFamily].bytes : ConstBytes();
  if (protocol.size() != 1 || (nest.has(kHelperFamily) && of.size() != 2))
    return reader_.refuse(nest.at, EINVAL, "a ct helper has a protocol of 8 and a family of 16 bits");
  if (!knows_flows(family))
    return reader_.refuse(nest.at, EOPNOTSUPP,
                          "there are no connections in tables of this family: write inet, ip or ip6");
  const uint16_t number = of.empty() ? static_cast<uint16_t>(family) : load_be16(of.data());
  const auto wanted = static_cast<Family>(number);
  if (number > UINT8_MAX || (wanted != Family::inet && wanted != Family::ip && wanted != Family::ip6))
    return reader_.refuse(nest[kHelperFamily].at, EAFNOSUPPORT, "a ct helper is for ip, ip6 or inet");
  if (wanted != family && wanted != Family::inet && family != Family::inet)
    return reader_.refuse(nest[kHelperFamily].at, EINVAL, "the table of this ct helper is of another family");
  if (name != "ftp" || protocol[0] != kTcp)
    return reader_.refuse(nest[kHelperName].at, EOPNOTSUPP,
                          "the one ct helper that is supported is type \"ftp\" protocol tcp");
  into.kind = StatefulKind::helper;
  into.helps = {wanted != Family::ip6, wanted != Family::ip};
  return true;
}

bool Import::notrack(uint32_t, const Nest&, Action& action) {
  action = Untrack{};
  return true;
}

}  // namespace skerry::filter
