#include "filter/set_change.hpp"

#include <algorithm>

namespace skerry::filter {

namespace {

uint32_t keep_key(Set& set, const std::vector<uint8_t>& key) {
  if (set.free_keys.empty()) {
    const auto at = static_cast<uint32_t>(set.keys.size());
    set.keys.insert(set.keys.end(), key.begin(), key.end());
    return at;
  }
  const uint32_t at = set.free_keys.back();
  set.free_keys.pop_back();
  std::copy(key.begin(), key.end(), set.keys.begin() + at);
  return at;
}

// Where an element of a verdict map leads to: one more leads there, or one less.
void lead(Set& set, uint32_t target) {
  if (target == kNone) return;
  const auto place = std::lower_bound(set.targets.begin(), set.targets.end(), target);
  const auto number = place - set.targets.begin();
  if (place == set.targets.end() || *place != target) {
    set.targets.insert(place, target);
    set.leading.insert(set.leading.begin() + number, 0);
  }
  ++set.leading[static_cast<size_t>(number)];
}
void lead_no_more(Set& set, uint32_t target) {
  if (target == kNone) return;
  const auto place = std::lower_bound(set.targets.begin(), set.targets.end(), target);
  const auto number = place - set.targets.begin();
  if (--set.leading[static_cast<size_t>(number)] > 0) return;
  set.targets.erase(place);
  set.leading.erase(set.leading.begin() + number);
}

}  // namespace

bool same_target(const Element& element, const GivenElement& given) {
  return element.data.length == given.data.length && element.data.bytes == given.data.bytes &&
         element.verdict.code == given.verdict.code && element.verdict.chain == given.verdict.chain &&
         element.stateful == given.stateful;
}

uint32_t find_given(const Set& set, const SetIndex& index, const GivenElement& given) {
  if (given.key.empty()) return index.otherwise();
  return index.find_same(set, given.key.data(), given.end().data());
}

bool overlaps(const Set& set, const SetIndex& index, const GivenElement& given) {
  return !given.key.empty() && index.overlapping(set, given.key.data(), given.end().data()) != kNone;
}

uint32_t put_in(Set& set, SetIndex& index, const GivenElement& given, const OwnCounters& counters) {
  auto at = static_cast<uint32_t>(set.elements.size());
  if (set.free.empty()) {
    set.elements.emplace_back();
  } else {
    at = set.free.back();
    set.free.pop_back();
  }
  Element& element = set.elements[at] = {};
  element.added = true;
  element.catchall = given.key.empty();
  if (!element.catchall) {
    element.key = element.key_end = keep_key(set, given.key);
    if (given.end() != given.key) element.key_end = keep_key(set, given.last);
  }
  element.data = given.data;
  element.verdict = given.verdict;
  element.stateful = given.stateful;
  element.counters = counters;
  element.counts = !element.counters.empty();
  lead(set, given.verdict.chain);
  index.add(set, at);
  return at;
}

void take_out(Set& set, SetIndex& index, uint32_t at) {
  index.remove(set, at);
  Element& element = set.elements[at];
  lead_no_more(set, element.verdict.chain);
  if (!element.counters.empty()) set.spare_counters.push_back(element.counters);
  if (!element.catchall) {
    set.free_keys.push_back(element.key);
    if (element.key_end != element.key) set.free_keys.push_back(element.key_end);
  }
  element = {};
  element.gone = true;
  set.free.push_back(at);
}

void for_each_element(const Set& set, const std::function<bool(const GivenElement&, const Element&)>& visit,
                      size_t first) {
  if (first >= set.size()) return;
  size_t number = 0;
  for (const Element& element : set.elements) {
    if (element.gone || number++ < first) continue;
    const auto bytes = [&](uint32_t at) {
      return std::vector<uint8_t>(set.keys.begin() + at, set.keys.begin() + at + set.key_bytes);
    };
    GivenElement given;
    given.data = element.data;
    given.verdict = element.verdict;
    given.stateful = element.stateful;
    given.timeout_ns = element.timeout_ns;
    given.expires_ns = element.expires_ns;
    if (!element.catchall) {
      given.key = bytes(element.key);
      if (set.shape != SetShape::exact) given.last = bytes(element.key_end);
    }
    if (!visit(given, element)) return;
  }
}

}  // namespace skerry::filter
