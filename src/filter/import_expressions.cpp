// What a rule is made of: each expression's attributes to a value, with the defaults that the kernel fills
// in. Here how expressions are told apart, and what works on registers alone.
//
// Here an expression is checked by itself; what it reads and what may stand where is for verify.cpp.
#include <cerrno>
#include <cstring>

#include "filter/import.hpp"

namespace skerry::filter {

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
    bool in_elements = false;
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
      {"socket", known({kSocketKey, kSocketTo, kSocketLevel}), &Import::socket},
      {"exthdr",
       known({kExthdrTo, kExthdrType, kExthdrOffset, kExthdrLength, kExthdrFlags, kExthdrOperation,
              kExthdrFrom}),
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
      {"counter", attributes_of(StatefulKind::counter), &Import::touch<StatefulKind::counter>, true},
      {"limit", attributes_of(StatefulKind::limit), &Import::touch<StatefulKind::limit>, true},
      {"quota", attributes_of(StatefulKind::quota), &Import::touch<StatefulKind::quota>, true},
      {"connlimit", attributes_of(StatefulKind::connections), &Import::touch<StatefulKind::connections>,
       true},
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
    if (name != each.name) continue;
    // The others ask for their table, and an element has none.
    if (in_element_ && !each.in_elements) return reader_.refuse(nest.at, EOPNOTSUPP, kNotInElements);
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
  if (operation > 1 || (size != 2 && size != 4 && size != 8) || length == 0 || length > kRegisterBytes)
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
