// The elements of sets and maps: what each is, and that they lie in order and do not contradict each other.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

bool same_data(const Element& a, const Element& b) {
  return a.verdict.code == b.verdict.code && a.verdict.chain == b.verdict.chain &&
         a.data.bytes == b.data.bytes && a.stateful == b.stateful;
}

}  // namespace

bool Import::new_elements(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  uint32_t table = 0, set = 0;
  if (!reader_.nest(attributes, kMessageHead,
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
    pause_();
  }
  return !reader_.refused();
}

// `flush set`: allowed where there is nothing yet, for files that begin so.
bool Import::flush_set(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  uint32_t table = 0, set = 0;
  if (!reader_.nest(attributes, kMessageHead,
                    known({kElementsTable, kElementsSet, kElementsElements, kElementsSetId}), nest) ||
      !find_table(family, nest, kElementsTable, table) ||
      !find_set(table, nest, kElementsSet, kElementsSetId, set))
    return false;
  return (!nest.has(kElementsElements) && ruleset_.sets[set].elements.empty()) ||
         reader_.refuse(0, EOPNOTSUPP, "this deletes elements that the same file made");
}

bool Import::element_data(const Nest& nest, Set& set, bool ends, Element& element) {
  using namespace nft;
  const bool holds = set.maps && !ends;
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

bool Import::element_time(const Nest& nest, const Set& set, Element& element) {
  using namespace nft;
  uint64_t timeout = 0, expires = 0;
  if (!reader_.number(nest, kElementTimeout, timeout) || !reader_.number(nest, kElementExpiration, expires))
    return false;
  if ((nest.has(kElementTimeout) || nest.has(kElementExpiration)) && !set.has_timeout)
    return reader_.refuse(nest.at, EINVAL,
                          "an element has a time, but set " + set.name + " has not the flag timeout");
  if (timeout > kMostMilliseconds || expires > kMostMilliseconds)
    return reader_.refuse(nest.at, ERANGE, "the time of an element is too long");
  element.timeout_ns = timeout != 0 ? timeout * 1'000'000 : set.timeout_ns;
  element.expires_ns = expires * 1'000'000;
  if (set.dynamic && element.catchall)
    return reader_.refuse(nest.at, EOPNOTSUPP,
                          "an element for all others is not supported in a set that changes");
  return true;
}

bool Import::expressions_of_elements(const Nest& nest, uint16_t one, uint16_t several,
                                     std::vector<Stateful>& into) {
  if (nest.has(one) && !element_expression(nest[one], into)) return false;
  if (!nest.has(several)) return true;
  size_t position = 0;
  Attribute item;
  while (reader_.next(nest[several].bytes, nest[several].at + 4, position, item)) {
    if (!element_expression(item, into)) return false;
  }
  return !reader_.refused();
}

bool Import::element(uint32_t index, const Attribute& attribute) {
  using namespace nft;
  Set& set = ruleset_.sets[index];
  Nest nest;
  Element element;
  uint32_t flags = 0;
  if (!reader_.nest(attribute,
                    known({kElementKey, kElementData, kElementFlags, kElementUserdata,
                           nft::kElementExpression, kElementTimeout, kElementExpiration, nft::kElementObject,
                           kElementKeyEnd, kElementExpressions}),
                    nest) ||
      !reader_.number(nest, kElementFlags, flags))
    return false;
  const bool ends = (flags & kElementIntervalEnd) != 0;
  element.catchall = (flags & kElementCatchall) != 0;
  if ((flags & ~(kElementIntervalEnd | kElementCatchall)) != 0 || (ends && set.shape != SetShape::interval) ||
      (ends && element.catchall))
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
    pause_.append(set.keys, bytes);
  }
  if (!element_data(nest, set, ends, element)) return false;

  std::vector<Stateful> own;
  if (!expressions_of_elements(nest, nft::kElementExpression, kElementExpressions, own)) return false;
  const std::vector<Stateful> none;
  const std::vector<Stateful>& usual = set.declares_expressions ? set.element_expressions : none;
  const auto same_kind = [](const Stateful& a, const Stateful& b) { return a.kind == b.kind; };
  if (!own.empty() && (set.dynamic || !usual.empty()) &&
      !std::equal(own.begin(), own.end(), usual.begin(), usual.end(), same_kind))
    return reader_.refuse(attribute.at, EOPNOTSUPP, "an element has other expressions than its set");
  element.counts = !own.empty() || !usual.empty();
  if (!ends) {
    for (const Stateful& each : own.empty() ? usual : own) {
      uint32_t kept = kNone;
      if (!keep(each, attribute.at, kept)) return false;
      element.counters.push_back(kept);
    }
  }
  if (!element_time(nest, set, element)) return false;
  if (element.catchall) {
    const auto [there, fresh] = others_.try_emplace(index, static_cast<uint32_t>(set.elements.size()));
    if (!fresh)
      return same_data(set.elements[there->second], element) ||
             reader_.refuse(attribute.at, EEXIST, "set " + set.name + " maps all other keys to two things");
  }
  set.elements.push_back(std::move(element));
  if (set.shape == SetShape::interval) ends_[index].push_back(ends);
  return true;
}

// Up to the next element or to the last key that there is.
void Import::bound(Set& set, Element& element, const Element* next, bool next_ends) {
  const auto new_key = [&](auto begin, auto end) {
    const std::vector<uint8_t> key(begin, end);
    const auto at = static_cast<uint32_t>(set.keys.size());
    pause_.append(set.keys, key);
    return at;
  };
  if (next == nullptr) {
    const std::vector<uint8_t> last(set.key_bytes, 0xff);
    element.key_end = new_key(last.begin(), last.end());
    return;
  }
  const auto key = set.keys.begin() + next->key;
  element.key_end = next_ends ? next->key : new_key(key, key + set.key_bytes);
  for (size_t i = set.key_bytes; i-- > 0;)
    if (set.keys[element.key_end + i]-- != 0) break;
}

// Exact and interval sets lie in order of their keys, an end before the start at the same place; the same
// element twice is there once. What overlaps is refused. `ends`: which elements only end an interval; they
// are no elements any more.
bool Import::sort(Set& set, const std::vector<bool>& ends) {
  std::deque<Element>& given = set.elements;
  const auto compare = [&](uint32_t a, uint32_t b) {
    return std::memcmp(&set.keys[given[a].key], &set.keys[given[b].key], set.key_bytes);
  };
  const auto is_end = [&](uint32_t index) { return !ends.empty() && ends[index]; };
  std::vector<uint32_t> order;
  order.reserve(given.size());
  for (uint32_t i = 0; i < given.size(); ++i, pause_()) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    pause_();
    if (given[a].catchall || given[b].catchall) return given[b].catchall && !given[a].catchall;
    const int order_of_keys = compare(a, b);
    return order_of_keys != 0 ? order_of_keys < 0 : is_end(a) && !is_end(b);
  });
  std::vector<uint32_t> kept;
  kept.reserve(order.size());
  for (const uint32_t index : order) {
    pause_();
    if (!kept.empty() && !given[index].catchall && compare(kept.back(), index) == 0 &&
        is_end(kept.back()) == is_end(index)) {
      if (!same_data(given[kept.back()], given[index]))
        return reader_.refuse(0, EBUSY, "set " + set.name + " maps one key to two things");
      continue;
    }
    // The end of an interval is left out where the next begins; two ends in a row are of intervals that
    // overlap.
    if (is_end(index) && !kept.empty() && is_end(kept.back()))
      return reader_.refuse(0, EEXIST, "intervals of set " + set.name + " overlap");
    kept.push_back(index);
  }
  std::deque<Element> sorted;
  for (size_t i = 0; i < kept.size(); ++i, pause_()) {
    if (is_end(kept[i])) continue;
    Element& element = sorted.emplace_back(std::move(given[kept[i]]));
    if (set.shape != SetShape::interval || element.catchall) continue;
    const bool is_last = i + 1 == kept.size() || given[kept[i + 1]].catchall;
    bound(set, element, is_last ? nullptr : &given[kept[i + 1]], !is_last && is_end(kept[i + 1]));
  }
  pause_.clear(set.elements);
  set.elements = std::move(sorted);
  return true;
}

bool Import::sort_elements() {
  for (uint32_t index = 0; index < ruleset_.sets.size(); ++index, pause_())
    if (!settle(index)) return false;
  return true;
}

// A set whose elements are all there.
bool Import::settle(uint32_t index) {
  Set& set = ruleset_.sets[index];
  reader_.begin_message(set.origin.sequence);
  if (set.shape != SetShape::concatenated_ranges && !sort(set, ends_[index])) return false;
  if (set.most_elements != 0 && set.size() - others_.count(index) > set.most_elements)
    return reader_.refuse(0, ENFILE, "set " + set.name + " has more elements than its size allows");
  if (const auto later = later_.find(index); later != later_.end()) {
    set.timeout_ns = later->second.timeout_ns;
    set.most_elements = later->second.most_elements;
  }
  if (set.dynamic && !make_room(set)) return false;
  // Room for as many again: to move them all when an element comes takes long.
  if (!set.anonymous) pause_.reserve(set.keys, 2 * set.keys.size());
  find_targets(set);
  return true;
}

// All room of a set that changes while packets pass is taken at the beginning; for its own elements too where
// it was declared again for fewer.
bool Import::make_room(Set& set) {
  constexpr uint32_t kUsualSize = 65535;  // nft's own, of sets that are declared dynamic without a size
  if (set.most_elements == 0) set.most_elements = kUsualSize;
  set.most_elements = std::max(set.most_elements, static_cast<uint32_t>(set.size()));
  dynamic_elements_ += set.most_elements;
  return dynamic_elements_ <= limits_.dynamic_elements ||
         reader_.refuse(0, E2BIG,
                        "sets that change have room for too many elements: give them a smaller size");
}

// Where a verdict map leads to, and how often.
void Import::find_targets(Set& set) {
  if (!set.maps_verdict) return;
  std::map<uint32_t, uint32_t> leading;
  for (const Element& element : set.elements) {
    if (element.verdict.chain != kNone) ++leading[element.verdict.chain];
    pause_();
  }
  for (const auto& [target, elements] : leading) {
    set.targets.push_back(target);
    set.leading.push_back(elements);
    pause_();
  }
  pause_.clear(leading);
}

}  // namespace skerry::filter
