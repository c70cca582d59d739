// What a rule is made of: each expression's attributes to a value, with the defaults that the kernel fills
// in.
//
// Here an expression is checked by itself; what it reads and what may stand where is for verify.cpp.
#include <cerrno>
#include <cstring>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kMostRegisterBytes = kRegisters * 4;

}  // namespace

bool Import::expressions(uint32_t table, const Attribute& list, std::vector<Expression>& into) {
  size_t position = 0;
  Attribute item;
  while (reader_.next(list.bytes, list.at + 4, position, item)) {
    if (item.type != nft::kListElement)
      return reader_.refuse(item.at, EINVAL, "a list holds something else than its elements");
    if (into.size() >= limits_.expressions_of_a_rule)
      return reader_.refuse(item.at, E2BIG, "a rule has too many expressions");
    if (!expression(table, item, into)) return false;
  }
  return !reader_.refused();
}

bool Import::expression(uint32_t table, const Attribute& attribute, std::vector<Expression>& into) {
  Nest outer, nest;
  std::string name;
  if (!reader_.nest(attribute, known({nft::kExpressionName, nft::kExpressionData}), outer) ||
      !reader_.need(outer, {nft::kExpressionName}, "an expression") ||
      !reader_.text(outer, nft::kExpressionName, name))
    return false;
  nest.at = attribute.at;
  if (outer.has(nft::kExpressionData)) {
    const auto every_type = UINT32_MAX;  // each expression says which it has
    if (!reader_.nest(outer[nft::kExpressionData], every_type, nest)) return false;
  }
  into.push_back({.attribute = attribute.at});
  return read(table, name, nest, into.back().action);
}

bool Import::read(uint32_t table, const std::string& name, const Nest& nest, Action& action) {
  using namespace nft;
  struct Known {
    const char* name;
    uint32_t attributes;
    bool (Import::*read)(uint32_t table, const Nest&, Action&);
  };
  static constexpr Known kAll[] = {
      {"immediate", known({kImmediateTo, kImmediateData}), &Import::immediate},
      {"cmp", known({kCmpFrom, kCmpOperation, kCmpData}), &Import::compare},
      {"range", known({kRangeFrom, kRangeOperation, kRangeLow, kRangeHigh}), &Import::range},
      {"payload",
       known({kPayloadTo, kPayloadBase, kPayloadOffset, kPayloadLength, kPayloadFrom, kPayloadSumType,
              kPayloadSumOffset, kPayloadSumFlags}),
       &Import::payload},
      {"numgen", known({kNumgenTo, kNumgenModulus, kNumgenType, kNumgenOffset}), &Import::numgen},
      {"hash", known({kHashFrom, kHashTo, kHashLength, kHashModulus, kHashSeed, kHashOffset, kHashType}),
       &Import::hash},
      {"socket", UINT32_MAX, &Import::socket},
      {"exthdr",
       known({kExthdrTo, kExthdrType, kExthdrOffset, kExthdrLength, kExthdrFlags, kExthdrOperation}),
       &Import::extension},
      {"meta", known({kMetaTo, kMetaKey, kMetaFrom}), &Import::meta},
      {"ct", known({kCtTo, kCtKey, kCtDirection, kCtFrom}), &Import::ct},
      {"notrack", 0, &Import::notrack},
      {"nat",
       known({kNatType, kNatFamily, kNatAddressLow, kNatAddressHigh, kNatPortLow, kNatPortHigh, kNatFlags}),
       &Import::nat},
      {"masq", known({kMasqueradeFlags, kMasqueradePortLow, kMasqueradePortHigh}), &Import::masquerade},
      {"redir", known({kRedirectPortLow, kRedirectPortHigh, kRedirectFlags}), &Import::redirect},
      {"bitwise",
       known({kBitwiseFrom, kBitwiseTo, kBitwiseLength, kBitwiseMask, kBitwiseXor, kBitwiseOperation,
              kBitwiseData}),
       &Import::bitwise},
      {"byteorder",
       known({kByteorderFrom, kByteorderTo, kByteorderOperation, kByteorderLength, kByteorderSize}),
       &Import::byteorder},
      {"lookup", known({kLookupSet, kLookupFrom, kLookupTo, kLookupSetId, kLookupFlags}), &Import::lookup},
      {"counter", known({kCounterBytes, kCounterPackets}), &Import::touch<StatefulKind::counter>},
      {"limit", known({kLimitRate, kLimitUnit, kLimitBurst, kLimitType, kLimitFlags}),
       &Import::touch<StatefulKind::limit>},
      {"quota", known({kQuotaBytes, kQuotaFlags, kQuotaConsumed}), &Import::touch<StatefulKind::quota>},
      {"connlimit", known({kConnlimitCount, kConnlimitFlags}), &Import::touch<StatefulKind::connections>},
      {"dynset",
       known({kDynsetName, kDynsetId, kDynsetOperation, kDynsetKey, kDynsetData, kDynsetTimeout,
              kDynsetExpression, kDynsetFlags, kDynsetExpressions}),
       &Import::dynset},
      {"log", known({kLogGroup, kLogPrefix, kLogSnaplen, kLogThreshold, kLogLevel, nft::kLogFlags}),
       &Import::log},
      {"reject", known({kRejectType, kRejectCode}), &Import::reject},
      {"objref", known({kObjrefType, kObjrefName, kObjrefFrom, kObjrefSetName, kObjrefSetId}),
       &Import::object_reference},
  };
  for (const Known& each : kAll) {
    if (name == each.name)
      return reader_.only(nest, each.attributes, each.name) && (this->*each.read)(table, nest, action);
  }
  return reader_.refuse(nest.at, EOPNOTSUPP,
                        "the expression " + name + " is not supported (docs/filter.md lists what is)");
}

bool Import::register_number(const Nest& nest, uint16_t type, Register& into) {
  uint32_t number = 0;
  if (!reader_.number(nest, type, number)) return false;
  if (number >= 1 && number <= 4) {
    into = static_cast<Register>((number - 1) * 4);
  } else if (number >= 8 && number < 8 + kRegisters) {
    into = static_cast<Register>(number - 8);
  } else {
    return reader_.refuse(nest[type].at, ERANGE, "there is no register " + std::to_string(number));
  }
  return true;
}

bool Import::value(const Nest& nest, uint16_t type, Value& into) {
  Nest data;
  if (!reader_.nest(nest[type], known({nft::kDataValue, nft::kDataVerdict}), data) ||
      !reader_.need(data, {nft::kDataValue}, "a value"))
    return false;
  const ConstBytes bytes = data[nft::kDataValue].bytes;
  if (bytes.empty() || bytes.size() > into.bytes.size())
    return reader_.refuse(nest[type].at, EINVAL, "a value has 1 to 16 bytes");
  std::memcpy(into.bytes.data(), bytes.data(), bytes.size());
  into.length = static_cast<uint8_t>(bytes.size());
  return true;
}

bool Import::compare(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  Compare compare{};
  uint32_t operation = 0;
  if (!reader_.need(nest, {kCmpFrom, kCmpOperation, kCmpData}, "cmp") ||
      !register_number(nest, kCmpFrom, compare.from) || !reader_.number(nest, kCmpOperation, operation) ||
      !value(nest, kCmpData, compare.value))
    return false;
  if (operation > 5) return reader_.refuse(nest[kCmpOperation].at, EINVAL, "there is no such comparison");
  compare.comparison = static_cast<Comparison>(operation);
  action = compare;
  return true;
}

bool Import::range(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  InRange range{};
  uint32_t operation = 0;
  if (!reader_.need(nest, {kRangeFrom, kRangeOperation, kRangeLow, kRangeHigh}, "range") ||
      !register_number(nest, kRangeFrom, range.from) || !reader_.number(nest, kRangeOperation, operation) ||
      !value(nest, kRangeLow, range.low) || !value(nest, kRangeHigh, range.high))
    return false;
  if (operation > 1 || range.low.length != range.high.length)
    return reader_.refuse(nest.at, EINVAL, "a range has ends of two lengths, or is of an unknown kind");
  range.inverted = operation == 1;
  action = range;
  return true;
}

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
  if (length == 0 || length > kMostRegisterBytes || offset > UINT16_MAX)
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
  if (offset > UINT8_MAX || length > kMostRegisterBytes || flags > 1 || (length == 0 && flags == 0))
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

bool Import::meta(uint32_t, const Nest& nest, Action& action) {
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
  load.key = static_cast<MetaKey>(key);
  switch (load.key) {
    case MetaKey::length:
    case MetaKey::protocol:
    case MetaKey::mark:
    case MetaKey::iif:
    case MetaKey::oif:
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

bool Import::bitwise(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t length = 0, operation = 0;
  Register from = 0, to = 0;
  if (!reader_.need(nest, {kBitwiseFrom, kBitwiseTo, kBitwiseLength}, "bitwise") ||
      !register_number(nest, kBitwiseFrom, from) || !register_number(nest, kBitwiseTo, to) ||
      !reader_.number(nest, kBitwiseLength, length) || !reader_.number(nest, kBitwiseOperation, operation))
    return false;
  if (operation > 2) return reader_.refuse(nest.at, EOPNOTSUPP, "this operation on bits is not supported");
  if (length == 0 || length > 16)
    return reader_.refuse(nest[kBitwiseLength].at, EOPNOTSUPP, "operations on bits take 1 to 16 bytes");
  if (operation == 0) {
    Mask mask{from, to, {}, {}};
    if (!reader_.need(nest, {kBitwiseMask, kBitwiseXor}, "bitwise") || nest.has(kBitwiseData) ||
        !value(nest, kBitwiseMask, mask.mask) || !value(nest, kBitwiseXor, mask.flip))
      return reader_.refuse(nest.at, EINVAL, "a mask is given and shifted at once");
    if (mask.mask.length != length || mask.flip.length != length)
      return reader_.refuse(nest.at, EINVAL, "a mask has another length than what it masks");
    action = mask;
    return true;
  }
  Value amount;
  if (!reader_.need(nest, {kBitwiseData}, "a shift") || !value(nest, kBitwiseData, amount)) return false;
  uint32_t bits = 0;  // of the machine's order, as libnftables gives it
  std::memcpy(&bits, amount.bytes.data(), sizeof bits);
  if (amount.length != sizeof bits || bits >= 32 || nest.has(kBitwiseMask) || nest.has(kBitwiseXor))
    return reader_.refuse(nest[kBitwiseData].at, EINVAL, "a shift is by less than 32 bits");
  action = Shift{from, to, static_cast<uint8_t>(length), static_cast<uint8_t>(bits), operation == 1};
  return true;
}

bool Import::byteorder(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t operation = 0, length = 0, size = 0;
  SwapBytes swap{};
  if (!reader_.need(nest,
                    {kByteorderFrom, kByteorderTo, kByteorderOperation, kByteorderLength, kByteorderSize},
                    "byteorder") ||
      !register_number(nest, kByteorderFrom, swap.from) || !register_number(nest, kByteorderTo, swap.to) ||
      !reader_.number(nest, kByteorderOperation, operation) ||
      !reader_.number(nest, kByteorderLength, length) || !reader_.number(nest, kByteorderSize, size))
    return false;
  if (operation > 1 || (size != 2 && size != 4 && size != 8) || length == 0 || length > kMostRegisterBytes)
    return reader_.refuse(nest.at, EINVAL, "bytes change places in groups of 2, 4 or 8");
  swap.length = static_cast<uint8_t>(length);
  swap.size = static_cast<uint8_t>(size);
  action = swap;
  return true;
}

bool Import::lookup(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  filter::Lookup lookup{};
  uint32_t flags = 0, to = 0;
  if (!reader_.need(nest, {kLookupSet, kLookupFrom}, "lookup") ||
      !find_set(table, nest, kLookupSet, kLookupSetId, lookup.set) ||
      !register_number(nest, kLookupFrom, lookup.from) || !reader_.number(nest, kLookupFlags, flags) ||
      !reader_.number(nest, kLookupTo, to))
    return false;
  if (flags > 1) return reader_.refuse(nest[kLookupFlags].at, EINVAL, "a flag of lookup is not known here");
  lookup.inverted = flags == 1;
  if (nest.has(kLookupTo)) {
    lookup.to_verdict = to == 0;
    lookup.to_register = to != 0;
    if (lookup.to_register && !register_number(nest, kLookupTo, lookup.to)) return false;
  }
  action = lookup;
  return true;
}

}  // namespace skerry::filter
