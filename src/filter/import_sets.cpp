// Sets as they are declared, and named counters, quotas, limits and helpers.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kMostKeyBytes = 64;
constexpr uint32_t kSupportedFlags = nft::kSetAnonymous | nft::kSetConstant | nft::kSetInterval |
                                     nft::kSetMap | nft::kSetObject | nft::kSetConcat | nft::kSetExpr |
                                     nft::kSetEval | nft::kSetHasTimeout;

std::optional<StatefulKind> kind_of(uint32_t object_type) {
  switch (object_type) {
    case nft::kObjectCounter:
      return StatefulKind::counter;
    case nft::kObjectQuota:
      return StatefulKind::quota;
    case nft::kObjectLimit:
      return StatefulKind::limit;
    case nft::kObjectHelper:
      return StatefulKind::helper;
    default:
      return std::nullopt;
  }
}

// What a file may say twice (nft_set_is_same()).
bool same_declaration(const Set& one, const Set& other) {
  const auto kinds = [](const Set& set) {
    std::vector<StatefulKind> all;
    if (!set.declares_expressions) return all;
    for (const Stateful& each : set.element_expressions) all.push_back(each.kind);
    return all;
  };
  return one.key_type == other.key_type && one.key_bytes == other.key_bytes && one.fields == other.fields &&
         one.shape == other.shape && one.constant == other.constant && one.maps == other.maps &&
         one.maps_verdict == other.maps_verdict && one.maps_object == other.maps_object &&
         one.data_type == other.data_type && one.data_bytes == other.data_bytes &&
         one.has_timeout == other.has_timeout && one.takes_expressions == other.takes_expressions &&
         kinds(one) == kinds(other);
}

}  // namespace

uint32_t Import::set_named(uint32_t table, const std::string& name) const {
  const auto found = set_names_.find({table, name});
  return found == set_names_.end() ? kNone : found->second;
}

uint32_t Import::object_named(uint32_t table, const std::string& name, StatefulKind kind) const {
  const auto found = object_names_.find({table, kind, name});
  return found == object_names_.end() ? kNone : found->second;
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
  set.data_type = type;
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
  uint32_t flags = 0, key_bytes = 0, id = 0, policy = 0;
  if (!reader_.nest(attributes, kMessageHead,
                    known({kSetTable, kSetName, kSetFlags, kSetKeyType, kSetKeyLength, kSetDataType,
                           kSetDataLength, kSetPolicy, nft::kSetDescription, kSetId, kSetTimeout,
                           kSetGcInterval, kSetUserdata, kSetObjectType, kSetExpression, kSetExpressions}),
                    nest) ||
      !find_table(family, nest, kSetTable, set.table) ||
      !reader_.need(nest, {kSetName, kSetKeyLength, kSetId}, "a set") ||
      !reader_.text(nest, kSetName, set.name) || !reader_.number(nest, kSetFlags, flags) ||
      !reader_.number(nest, kSetKeyLength, key_bytes) || !reader_.number(nest, kSetId, id) ||
      !reader_.number(nest, kSetPolicy, policy) || !reader_.number(nest, kSetKeyType, set.key_type))
    return false;
  if ((flags & ~kSupportedFlags) != 0)
    return reader_.refuse(nest[kSetFlags].at, EOPNOTSUPP, "a flag of this set is not known here");
  if (key_bytes == 0 || key_bytes > kMostKeyBytes)
    return reader_.refuse(nest[kSetKeyLength].at, EINVAL, "the key of a set has 1 to 64 bytes");
  if (policy > 1)
    return reader_.refuse(nest[kSetPolicy].at, EINVAL, "the policy of a set is performance or memory");
  set.key_bytes = static_cast<uint8_t>(key_bytes);
  // A meter's set has the name that it was given, and Linux lists it by that.
  const bool is_meter = (flags & kSetAnonymous) != 0 && (flags & kSetEval) != 0;
  set.anonymous = (flags & kSetAnonymous) != 0 && !is_meter;
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
  if (!expressions_of_elements(nest, kSetExpression, kSetExpressions, set.element_expressions)) return false;
  set.declares_expressions = !set.element_expressions.empty();
  if (!set_dynamics(nest, flags, set)) return false;

  const uint32_t old = set.anonymous ? kNone : set_named(set.table, set.name);
  const auto index = static_cast<uint32_t>(ruleset_.sets.size());
  if (old != kNone && (is_meter || meters_.contains(old)))
    return reader_.refuse(nest[kSetName].at, EEXIST,
                          "there is another set called " + set.name + ", a meter needs a name of its own");
  if (old != kNone) {
    if (!declare_again(nest, old, set)) return false;
  } else if (ruleset_.sets.size() >= limits_.sets) {
    return reader_.refuse(0, E2BIG, "there are too many sets");
  }
  if (!set_ids_.emplace(std::pair{set.table, id}, old != kNone ? old : index).second)
    return reader_.refuse(nest[kSetId].at, EINVAL, "two sets have one number");
  if (old != kNone) return true;
  if (!set.anonymous) set_names_.emplace(std::pair{set.table, set.name}, index);
  if (is_meter) meters_.insert(index);
  set.handle = new_handle(set.table);
  set.origin = reader_.origin(0);
  pause_.push_back(ruleset_.sets, std::move(set));
  return true;
}

// Its elements are as the first says, and what rules add to it as the last does: Linux changes the time and
// the size of a set when a transaction ends.
bool Import::declare_again(const Nest& nest, uint32_t old, const Set& set) {
  const Set& there = ruleset_.sets[old];
  if (!may_be_there(nest, nft::kSetName, "set " + set.name)) return false;
  if (!same_declaration(there, set))
    return reader_.refuse(nest[nft::kSetName].at, EEXIST,
                          "set " + set.name + " is there already, of another type or with other flags");
  Later& later = later_.try_emplace(old, Later{0, there.most_elements}).first->second;
  later.timeout_ns = set.timeout_ns;
  if (set.most_elements != 0) later.most_elements = set.most_elements;
  return true;
}

// What a set needs that changes while packets pass.
bool Import::set_dynamics(const Nest& nest, uint32_t flags, Set& set) {
  using namespace nft;
  uint64_t timeout = 0;
  set.has_timeout = (flags & kSetHasTimeout) != 0;
  set.takes_expressions = (flags & kSetEval) != 0;
  set.dynamic = set.has_timeout || set.takes_expressions;
  if (!reader_.number(nest, kSetTimeout, timeout)) return false;
  if ((nest.has(kSetTimeout) || nest.has(kSetGcInterval)) && !set.has_timeout)
    return reader_.refuse(nest[kSetFlags].at, EINVAL, "a set has a time, but not the flag timeout");
  if (timeout > kMostMilliseconds)
    return reader_.refuse(nest[kSetTimeout].at, ERANGE, "the time of a set is too long");
  set.timeout_ns = timeout * 1'000'000;
  if (!may_count(set, set.element_expressions, nest[kSetFlags].at)) return false;
  if (!set.dynamic) return true;
  if (set.shape != SetShape::exact || set.maps_object || set.maps_verdict || set.anonymous || set.constant)
    return reader_.refuse(
        nest[kSetFlags].at, EOPNOTSUPP,
        "only named sets and maps to values, without intervals, can change or have timeouts");
  return true;
}

// As in Linux (nft_set_elem_expr_alloc()).
bool Import::may_count(const Set& set, const std::vector<Stateful>& elements, uint32_t at) {
  return !set.has_timeout || !count_connections(elements) ||
         reader_.refuse(at, EOPNOTSUPP,
                        "set " + set.name + " has the flag timeout, its elements cannot have ct count");
}

bool Import::new_object(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest, data;
  NamedObject object;
  uint32_t type = 0;
  if (!reader_.nest(attributes, kMessageHead,
                    known({kObjectTable, kObjectName, nft::kObjectType, kObjectData, kObjectUserdata}),
                    nest) ||
      !find_table(family, nest, kObjectTable, object.table) ||
      !reader_.need(nest, {kObjectName, nft::kObjectType, kObjectData}, "an object") ||
      !reader_.text(nest, kObjectName, object.name) || !reader_.number(nest, nft::kObjectType, type))
    return false;
  const auto kind = kind_of(type);
  if (!kind)
    return reader_.refuse(
        nest[nft::kObjectType].at, EOPNOTSUPP,
        "only counters, quotas, limits and ct helpers can be named, " + object.name + " is neither");
  Stateful begins;
  if (!reader_.nest(nest[kObjectData], attributes_of(*kind), data) ||
      !(kind == StatefulKind::helper ? helper(ruleset_.tables[object.table].family, data, begins)
                                     : stateful(*kind, data, begins)))
    return false;
  if (const uint32_t old = object_named(object.table, object.name, *kind); old != kNone) {
    if (!may_be_there(nest, kObjectName, object.name)) return false;
    if (*kind != StatefulKind::quota) return true;  // as the first says it (nft_quota_obj_update())
    ruleset_.stateful[old].bytes = begins.bytes;
    ruleset_.stateful[old].inverted = begins.inverted;
    return true;
  }
  if (ruleset_.objects.size() >= limits_.objects)
    return reader_.refuse(nest.at, E2BIG, "there are too many counters, limits and quotas with a name");
  if (!keep(begins, nest.at, object.stateful)) return false;
  object_names_.emplace(std::tuple{object.table, *kind, object.name}, object.stateful);
  object.handle = new_handle(object.table);
  pause_.push_back(ruleset_.objects, std::move(object));
  return true;
}

}  // namespace skerry::filter
