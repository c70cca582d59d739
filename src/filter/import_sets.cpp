// Sets, their elements, and named counters, quotas and limits.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kHead = 20;
constexpr uint32_t kMostKeyBytes = 64;
constexpr uint32_t kSupportedFlags = nft::kSetAnonymous | nft::kSetConstant | nft::kSetInterval |
                                     nft::kSetMap | nft::kSetObject | nft::kSetConcat | nft::kSetExpr;

std::optional<StatefulKind> kind_of(uint32_t object_type) {
  switch (object_type) {
    case nft::kObjectCounter:
      return StatefulKind::counter;
    case nft::kObjectQuota:
      return StatefulKind::quota;
    case nft::kObjectLimit:
      return StatefulKind::limit;
    default:
      return std::nullopt;
  }
}

bool same_data(const Element& a, const Element& b) {
  return a.interval_end == b.interval_end && a.verdict.code == b.verdict.code &&
         a.verdict.chain == b.verdict.chain && a.data.bytes == b.data.bytes && a.stateful == b.stateful;
}

}  // namespace

uint32_t Import::set_named(uint32_t table, const std::string& name) const {
  const auto found = set_names_.find({table, name});
  return found == set_names_.end() ? kNone : found->second;
}

uint32_t Import::object_named(uint32_t table, const std::string& name, StatefulKind kind) const {
  for (const NamedObject& each : ruleset_.objects) {
    if (each.table == table && each.name == name && ruleset_.stateful[each.stateful].kind == kind)
      return each.stateful;
  }
  return kNone;
}

bool Import::find_set(uint32_t table, const Nest& nest, uint16_t name, uint16_t id, uint32_t& set) {
  std::string text;
  uint32_t number = 0;
  if (!reader_.need(nest, {name}, "a reference to a set") || !reader_.text(nest, name, text) ||
      !reader_.number(nest, id, number))
    return false;
  set = set_named(table, text);
  if (set != kNone) return true;
  const auto found = set_ids_.find({table, number});
  if (!nest.has(id) || found == set_ids_.end())
    return reader_.refuse(nest[name].at, ENOENT, "there is no set " + text);
  set = found->second;
  return true;
}

bool Import::set_description(const Nest& nest, Set& set) {
  using namespace nft;
  Nest description;
  if (!nest.has(kSetDescription)) return true;
  if (!reader_.nest(nest[kSetDescription], known({kDescriptionSize, kDescriptionConcat}), description) ||
      !reader_.number(description, kDescriptionSize, set.most_elements))
    return false;
  if (!description.has(kDescriptionConcat)) return true;
  const Attribute& list = description[kDescriptionConcat];
  size_t position = 0, words = 0;
  Attribute item;
  while (reader_.next(list.bytes, list.at + 4, position, item)) {
    Nest field;
    uint32_t length = 0;
    if (item.type != kListElement)
      return reader_.refuse(item.at, EINVAL, "a list holds something else than its elements");
    if (!reader_.nest(item, known({kFieldLength}), field) ||
        !reader_.need(field, {kFieldLength}, "a field") || !reader_.number(field, kFieldLength, length))
      return false;
    if (length == 0 || length > kMostKeyBytes || set.fields.size() >= 16)
      return reader_.refuse(item.at, E2BIG,
                            "a field of a concatenation has no length, or there are too many");
    set.fields.push_back(static_cast<uint8_t>(length));
    words += (length + 3) / 4;
  }
  if (reader_.refused()) return false;
  if (words * 4 != set.key_bytes)
    return reader_.refuse(list.at, EINVAL, "the fields of a concatenation are not as long as its key");
  return true;
}

bool Import::set_data(const Nest& nest, uint32_t flags, Set& set) {
  using namespace nft;
  uint32_t type = 0, length = 0, object = 0;
  set.maps = (flags & (kSetMap | kSetObject)) != 0;
  set.maps_object = (flags & kSetObject) != 0;
  if ((flags & kSetMap) != 0 && (flags & kSetObject) != 0)
    return reader_.refuse(nest[kSetFlags].at, EINVAL, "a map is to values or to objects, not to both");
  if (nest.has(kSetDataType) != ((flags & kSetMap) != 0) || nest.has(kSetObjectType) != set.maps_object)
    return reader_.refuse(nest.at, EINVAL, "the type of what a map holds is missing, or there is no map");
  if (!reader_.number(nest, kSetDataType, type) || !reader_.number(nest, kSetDataLength, length) ||
      !reader_.number(nest, kSetObjectType, object))
    return false;
  set.maps_verdict = set.maps && !set.maps_object && type == kDataTypeVerdict;
  if (set.maps_object) {
    const auto kind = kind_of(object);
    if (!kind)
      return reader_.refuse(nest[kSetObjectType].at, EOPNOTSUPP,
                            "maps to objects of this kind are not supported");
    set.object_kind = *kind;
  } else if (set.maps && !set.maps_verdict) {
    if ((type & kDataTypeVerdict) == kDataTypeVerdict)
      return reader_.refuse(nest[kSetDataType].at, EINVAL, "a map's type is reserved");
    if (length == 0) return reader_.refuse(nest.at, EINVAL, "a map has values without a length");
    if (length > 16)
      return reader_.refuse(nest[kSetDataLength].at, EOPNOTSUPP,
                            "maps to more than 16 bytes are not supported");
    set.data_bytes = static_cast<uint8_t>(length);
  }
  return true;
}

bool Import::new_set(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  Set set;
  uint32_t flags = 0, key_bytes = 0, id = 0, policy = 0, key_type = 0;
  if (!reader_.nest(attributes, kHead,
                    known({kSetTable, kSetName, kSetFlags, kSetKeyType, kSetKeyLength, kSetDataType,
                           kSetDataLength, kSetPolicy, nft::kSetDescription, kSetId, kSetTimeout,
                           kSetGcInterval, kSetUserdata, kSetObjectType, kSetExpression, kSetExpressions}),
                    nest) ||
      !find_table(family, nest, kSetTable, set.table) ||
      !reader_.need(nest, {kSetName, kSetKeyLength, kSetId}, "a set") ||
      !reader_.text(nest, kSetName, set.name) || !reader_.number(nest, kSetFlags, flags) ||
      !reader_.number(nest, kSetKeyLength, key_bytes) || !reader_.number(nest, kSetId, id) ||
      !reader_.number(nest, kSetPolicy, policy) || !reader_.number(nest, kSetKeyType, key_type))
    return false;
  if ((flags & (kSetHasTimeout | kSetEval)) != 0 || nest.has(kSetTimeout) || nest.has(kSetGcInterval))
    return reader_.refuse(nest[kSetFlags].at, EOPNOTSUPP,
                          "sets with timeouts or that rules add to are not supported");
  if ((flags & ~kSupportedFlags) != 0)
    return reader_.refuse(nest[kSetFlags].at, EOPNOTSUPP, "a flag of this set is not known here");
  if (key_bytes == 0 || key_bytes > kMostKeyBytes)
    return reader_.refuse(nest[kSetKeyLength].at, EINVAL, "the key of a set has 1 to 64 bytes");
  if (policy > 1)
    return reader_.refuse(nest[kSetPolicy].at, EINVAL, "the policy of a set is performance or memory");
  set.key_bytes = static_cast<uint8_t>(key_bytes);
  set.anonymous = (flags & kSetAnonymous) != 0;
  set.constant = (flags & kSetConstant) != 0;
  if (!set_description(nest, set) || !set_data(nest, flags, set)) return false;
  const bool ranges = (flags & kSetInterval) != 0;
  if (ranges && set.fields.size() > 1) {
    if ((flags & kSetConcat) == 0)
      return reader_.refuse(nest[kSetFlags].at, EOPNOTSUPP, "a concatenation lacks its flag");
    set.shape = SetShape::concatenated_ranges;
  } else if (ranges) {
    set.shape = SetShape::interval;
  }
  if (nest.has(kSetExpression) && !element_expression(nest[kSetExpression], set.element_expressions))
    return false;
  if (nest.has(kSetExpressions)) {
    size_t position = 0;
    Attribute item;
    while (reader_.next(nest[kSetExpressions].bytes, nest[kSetExpressions].at + 4, position, item)) {
      if (!element_expression(item, set.element_expressions)) return false;
    }
    if (reader_.refused()) return false;
  }

  const uint32_t old = set.anonymous ? kNone : set_named(set.table, set.name);
  const auto index = static_cast<uint32_t>(ruleset_.sets.size());
  if (old != kNone) {
    const Set& there = ruleset_.sets[old];
    if (there.key_bytes != set.key_bytes || there.shape != set.shape || there.maps != set.maps ||
        there.maps_verdict != set.maps_verdict || there.maps_object != set.maps_object ||
        there.data_bytes != set.data_bytes || there.fields != set.fields)
      return reader_.refuse(nest[kSetName].at, EEXIST,
                            "set " + set.name + " is there already, of another type");
  } else if (ruleset_.sets.size() >= limits_.sets) {
    return reader_.refuse(0, E2BIG, "there are too many sets");
  }
  if (!set_ids_.emplace(std::pair{set.table, id}, old != kNone ? old : index).second)
    return reader_.refuse(nest[kSetId].at, EINVAL, "two sets have one number");
  if (old != kNone) return true;
  if (!set.anonymous) set_names_.emplace(std::pair{set.table, set.name}, index);
  set.handle = new_handle(set.table);
  set.origin = reader_.origin(0);
  ruleset_.sets.push_back(std::move(set));
  return true;
}

bool Import::new_elements(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  uint32_t table = 0, set = 0;
  if (!reader_.nest(attributes, kHead,
                    known({kElementsTable, kElementsSet, kElementsElements, kElementsSetId}), nest) ||
      !find_table(family, nest, kElementsTable, table) ||
      !find_set(table, nest, kElementsSet, kElementsSetId, set) ||
      !reader_.need(nest, {kElementsElements}, "a list of elements"))
    return false;
  const Attribute& list = nest[kElementsElements];
  size_t position = 0;
  Attribute item;
  while (reader_.next(list.bytes, list.at + 4, position, item)) {  // their types are 1, 2, 3, … or all 1
    if (!element(set, item)) return false;
  }
  return !reader_.refused();
}

bool Import::element_data(const Nest& nest, Set& set, Element& element) {
  using namespace nft;
  const bool holds = set.maps && !element.interval_end;
  if (nest.has(kElementData) != (holds && !set.maps_object) ||
      nest.has(nft::kElementObject) != (holds && set.maps_object))
    return reader_.refuse(nest.at, EINVAL,
                          "an element maps to nothing, or to something in a set that is no map");
  if (!holds) return true;
  if (set.maps_object) {
    std::string name;
    if (!reader_.text(nest, nft::kElementObject, name)) return false;
    element.stateful = object_named(set.table, name, set.object_kind);
    if (element.stateful == kNone)
      return reader_.refuse(nest[nft::kElementObject].at, ENOENT, "there is no object " + name);
    return true;
  }
  Nest data;
  if (!reader_.nest(nest[kElementData], known({kDataValue, kDataVerdict}), data)) return false;
  if (data.has(kDataVerdict) == data.has(kDataValue) || data.has(kDataVerdict) != set.maps_verdict)
    return reader_.refuse(data.at, EINVAL, "an element maps to something of another type than its map");
  if (set.maps_verdict) return verdict(set.table, data[kDataVerdict], element.verdict);
  if (!value(nest, kElementData, element.data)) return false;
  if (element.data.length != set.data_bytes)
    return reader_.refuse(data.at, EINVAL, "a value of a map has another length than the others");
  return true;
}

bool Import::element(uint32_t index, const Attribute& attribute) {
  using namespace nft;
  Set& set = ruleset_.sets[index];
  Nest nest;
  Element element;
  uint32_t flags = 0;
  if (!reader_.nest(
          attribute,
          known({kElementKey, kElementData, kElementFlags, kElementUserdata, nft::kElementExpression,
                 nft::kElementObject, kElementKeyEnd, kElementExpressions}),
          nest) ||
      !reader_.number(nest, kElementFlags, flags))
    return false;
  element.interval_end = (flags & kElementIntervalEnd) != 0;
  element.catchall = (flags & kElementCatchall) != 0;
  if ((flags & ~(kElementIntervalEnd | kElementCatchall)) != 0 ||
      (element.interval_end && set.shape != SetShape::interval) || (element.interval_end && element.catchall))
    return reader_.refuse(attribute.at, EINVAL, "an element has flags that its set cannot have");
  if (nest.has(kElementKey) == element.catchall)
    return reader_.refuse(attribute.at, EINVAL, "an element has no key, or one where all are meant");
  if (++elements_ > limits_.elements)
    return reader_.refuse(attribute.at, E2BIG, "the sets have too many elements");
  for (const uint16_t type : {static_cast<uint16_t>(kElementKey), static_cast<uint16_t>(kElementKeyEnd)}) {
    (type == kElementKey ? element.key : element.key_end) = static_cast<uint32_t>(set.keys.size());
    if (!nest.has(type)) {
      if (type == kElementKeyEnd) element.key_end = element.key;
      continue;
    }
    if (type == kElementKeyEnd && set.shape != SetShape::concatenated_ranges)
      return reader_.refuse(nest[type].at, EINVAL, "only elements of concatenated ranges have a last key");
    Nest key;
    if (!reader_.nest(nest[type], known({kDataValue}), key) || !reader_.need(key, {kDataValue}, "a key"))
      return false;
    const ConstBytes bytes = key[kDataValue].bytes;
    if (bytes.size() != set.key_bytes)
      return reader_.refuse(nest[type].at, EINVAL, "a key has another length than its set's");
    set.keys.insert(set.keys.end(), bytes.begin(), bytes.end());
  }
  if (!element_data(nest, set, element)) return false;

  std::vector<Stateful> own;
  if (nest.has(nft::kElementExpression) && !element_expression(nest[nft::kElementExpression], own))
    return false;
  if (nest.has(kElementExpressions)) {
    size_t position = 0;
    Attribute item;
    while (reader_.next(nest[kElementExpressions].bytes, nest[kElementExpressions].at + 4, position, item)) {
      if (!element_expression(item, own)) return false;
    }
    if (reader_.refused()) return false;
  }
  const auto same_kind = [](const Stateful& a, const Stateful& b) { return a.kind == b.kind; };
  if (!own.empty() && !set.element_expressions.empty() &&
      !std::equal(own.begin(), own.end(), set.element_expressions.begin(), set.element_expressions.end(),
                  same_kind))
    return reader_.refuse(attribute.at, EOPNOTSUPP, "an element has other expressions than its set");
  if (!element.interval_end) {
    for (const Stateful& each : own.empty() ? set.element_expressions : own) {
      uint32_t kept = kNone;
      if (!keep(each, attribute.at, kept)) return false;
      element.counters.push_back(kept);
    }
  }
  set.elements.push_back(std::move(element));
  return true;
}

bool Import::new_object(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest, data;
  NamedObject object;
  uint32_t type = 0;
  if (!reader_.nest(attributes, kHead,
                    known({kObjectTable, kObjectName, nft::kObjectType, kObjectData, kObjectUserdata}),
                    nest) ||
      !find_table(family, nest, kObjectTable, object.table) ||
      !reader_.need(nest, {kObjectName, nft::kObjectType, kObjectData}, "an object") ||
      !reader_.text(nest, kObjectName, object.name) || !reader_.number(nest, nft::kObjectType, type))
    return false;
  const auto kind = kind_of(type);
  if (!kind)
    return reader_.refuse(nest[nft::kObjectType].at, EOPNOTSUPP,
                          "only counters, quotas and limits can be named, " + object.name + " is neither");
  Stateful begins;
  const uint32_t attributes_of_all = known({1, 2, 3, 4, 5});
  if (!reader_.nest(nest[kObjectData], attributes_of_all, data) || !stateful(*kind, data, begins))
    return false;
  if (object_named(object.table, object.name, *kind) != kNone)
    return reader_.refuse(nest[kObjectName].at, EEXIST, "there are two objects " + object.name);
  if (!keep(begins, nest.at, object.stateful)) return false;
  object.handle = new_handle(object.table);
  ruleset_.objects.push_back(std::move(object));
  return true;
}

// Exact and interval sets lie in order of their keys, an end before the start at the same place; the same
// element twice is there once. What overlaps is refused.
bool Import::sort(Set& set) {
  const auto compare = [&](const Element& a, const Element& b) {
    return std::memcmp(&set.keys[a.key], &set.keys[b.key], set.key_bytes);
  };
  std::stable_sort(set.elements.begin(), set.elements.end(), [&](const Element& a, const Element& b) {
    if (a.catchall || b.catchall) return b.catchall && !a.catchall;
    const int order = compare(a, b);
    return order != 0 ? order < 0 : a.interval_end && !b.interval_end;
  });
  std::vector<Element> kept;
  for (Element& element : set.elements) {
    if (!kept.empty() && !element.catchall && compare(kept.back(), element) == 0 &&
        kept.back().interval_end == element.interval_end) {
      if (!same_data(kept.back(), element))
        return reader_.refuse(0, EBUSY, "set " + set.name + " maps one key to two things");
      continue;
    }
    // The end of an interval is left out where the next begins; two ends in a row are of intervals that
    // overlap.
    if (element.interval_end && !kept.empty() && kept.back().interval_end)
      return reader_.refuse(0, EEXIST, "intervals of set " + set.name + " overlap");
    kept.push_back(std::move(element));
  }
  set.elements = std::move(kept);
  return true;
}

bool Import::sort_elements() {
  for (Set& set : ruleset_.sets) {
    reader_.begin_message(set.origin.sequence);
    const auto catchalls =
        std::count_if(set.elements.begin(), set.elements.end(), [](const Element& e) { return e.catchall; });
    if (catchalls > 1)
      return reader_.refuse(0, EEXIST, "set " + set.name + " has two elements for all other keys");
    if (set.shape != SetShape::concatenated_ranges && !sort(set)) return false;
    const auto starts = std::count_if(set.elements.begin(), set.elements.end(),
                                      [](const Element& e) { return !e.interval_end; });
    if (set.most_elements != 0 && static_cast<size_t>(starts) > set.most_elements)
      return reader_.refuse(0, ENFILE, "set " + set.name + " has more elements than its size allows");
  }
  return true;
}

}  // namespace skerry::filter
