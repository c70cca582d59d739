#include "filter/set_change.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace skerry::filter {

namespace {

using Place = std::vector<Element>::const_iterator;

std::optional<Refusal> refused(int error, std::string sentence) {
  return Refusal{.error = error, .sentence = std::move(sentence)};
}
std::optional<Refusal> contradicts(const Set& set) {
  return refused(EEXIST, "set " + set.name + " has an element that this contradicts or overlaps");
}
std::optional<Refusal> full(const Set& set) {
  return refused(ENFILE,
                 "set " + set.name + " is full: it has room for " + std::to_string(set.most_elements));
}

bool same_target(const Element& element, const GivenElement& given) {
  return element.data.length == given.data.length && element.data.bytes == given.data.bytes &&
         element.verdict.code == given.verdict.code && element.verdict.chain == given.verdict.chain &&
         element.stateful == given.stateful;
}

int compare(const Set& set, uint32_t place, const std::vector<uint8_t>& key) {
  return std::memcmp(&set.keys[place], key.data(), set.key_bytes);
}

uint32_t keep_key(Set& set, const std::vector<uint8_t>& key) {
  const auto at = static_cast<uint32_t>(set.keys.size());
  set.keys.insert(set.keys.end(), key.begin(), key.end());
  return at;
}

// Keys of elements that are gone make room once they are more than the others.
void drop_old_keys(Set& set) {
  const size_t used = set.elements.size() * 2 * set.key_bytes;
  if (set.keys.size() <= 2 * used) return;
  std::vector<uint8_t> kept;
  const auto move = [&](uint32_t from) {
    const auto at = static_cast<uint32_t>(kept.size());
    kept.insert(kept.end(), set.keys.begin() + from, set.keys.begin() + from + set.key_bytes);
    return at;
  };
  for (Element& element : set.elements) {
    if (element.catchall) continue;
    const bool range = element.key_end != element.key;
    element.key = move(element.key);
    element.key_end = range ? move(element.key_end) : element.key;
  }
  set.keys = std::move(kept);
}

Element made_of(Set& set, const GivenElement& given) {
  Element element;
  element.added = true;
  element.catchall = given.key.empty();
  element.key = element.key_end = keep_key(set, given.key);
  if (!given.last.empty() && set.shape == SetShape::concatenated_ranges)
    element.key_end = keep_key(set, given.last);
  element.data = given.data;
  element.verdict = given.verdict;
  element.stateful = given.stateful;
  return element;
}

bool is_start(const Element& element) {
  return !element.interval_end && !element.catchall;
}

// The order of sets that are sorted: the element for all others is the last, an end lies before a start.
bool lies_before(const Set& set, const Element& a, const Element& b) {
  if (a.catchall || b.catchall) return b.catchall && !a.catchall;
  const int order = std::memcmp(&set.keys[a.key], &set.keys[b.key], set.key_bytes);
  return order != 0 ? order < 0 : a.interval_end && !b.interval_end;
}

Place end_of_keys(const Set& set) {
  return set.elements.end() - (!set.elements.empty() && set.elements.back().catchall ? 1 : 0);
}
Place first_behind(const Set& set, const std::vector<uint8_t>& key) {
  return std::upper_bound(
      set.elements.begin(), end_of_keys(set), key,
      [&](const auto& wanted, const Element& element) { return compare(set, element.key, wanted) > 0; });
}

// --- intervals
// The next key; empty behind the last one.
std::vector<uint8_t> successor(std::vector<uint8_t> key) {
  for (size_t i = key.size(); i-- > 0;)
    if (++key[i] != 0) return key;
  return {};
}
std::vector<uint8_t> predecessor(std::vector<uint8_t> key) {
  for (size_t i = key.size(); i-- > 0;)
    if (key[i]-- != 0) break;
  return key;
}

Element end_at(uint32_t key) {
  Element end;
  end.key = end.key_end = key;
  end.interval_end = true;
  return end;
}

// Where an interval is followed by another the text leaves its end out; with it, each can come and go alone.
void write_ends(Set& set) {
  const auto begin = set.elements.begin(), last = set.elements.end();
  if (std::adjacent_find(begin, last,
                         [](const auto& a, const auto& b) { return is_start(a) && is_start(b); }) == last)
    return;
  std::vector<Element> all;
  for (Element& element : set.elements) {
    if (!all.empty() && is_start(all.back()) && is_start(element)) all.push_back(end_at(element.key));
    all.push_back(std::move(element));
  }
  set.elements = std::move(all);
}

// Behind the last key of the interval that begins there; empty if it has no end.
std::vector<uint8_t> behind_interval(const Set& set, Place begin) {
  const Place end = begin + 1;
  if (end == set.elements.end() || end->catchall) return {};
  return {set.keys.begin() + end->key, set.keys.begin() + end->key + set.key_bytes};
}

// --- concatenated ranges
bool in_order(const Set& set, const uint8_t* a, const uint8_t* b) {
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (std::memcmp(a + at, b + at, length) > 0) return false;
    at += (length + size_t{3}) & ~size_t{3};
  }
  return true;
}

// Of two ranges each begins before the other ends, in every field.
bool overlap(const Set& set, const Element& a, const Element& b) {
  return !a.catchall && !b.catchall && in_order(set, &set.keys[a.key], &set.keys[b.key_end]) &&
         in_order(set, &set.keys[b.key], &set.keys[a.key_end]);
}

// Just like `given`, but for what it maps to.
Place find_given(const Set& set, const GivenElement& given) {
  const Place first = set.elements.begin(), last = set.elements.end();
  if (given.key.empty()) return std::find_if(first, last, [](const Element& e) { return e.catchall; });
  if (set.shape == SetShape::concatenated_ranges)
    return std::find_if(first, last, [&](const Element& element) {
      return !element.catchall && compare(set, element.key, given.key) == 0 &&
             compare(set, element.key_end, given.end()) == 0;
    });
  const Place behind = first_behind(set, given.key);
  if (behind == first || (behind - 1)->interval_end || compare(set, (behind - 1)->key, given.key) != 0)
    return last;
  const bool found =
      set.shape == SetShape::exact || behind_interval(set, behind - 1) == successor(given.end());
  return found ? behind - 1 : last;
}

// `given`, which is not in the set, has keys that another element has too.
bool overlaps(const Set& set, const GivenElement& given, const Element& made) {
  if (given.key.empty() || set.shape == SetShape::exact) return false;
  if (set.shape == SetShape::concatenated_ranges)
    return std::any_of(set.elements.begin(), set.elements.end(),
                       [&](const Element& element) { return overlap(set, element, made); });
  const Place behind = first_behind(set, given.key);
  if (behind != set.elements.begin() && !(behind - 1)->interval_end) return true;
  return behind != end_of_keys(set) && compare(set, behind->key, given.end()) <= 0;
}

// The same among those that are new; they are sorted where the set is.
bool overlap_each_other(const Set& set, const std::vector<Element>& fresh) {
  if (std::count_if(fresh.begin(), fresh.end(), [](const Element& e) { return e.catchall; }) > 1) return true;
  if (set.shape != SetShape::concatenated_ranges)
    return std::adjacent_find(fresh.begin(), fresh.end(), [&](const Element& a, const Element& b) {
             if (b.catchall) return false;
             return set.shape == SetShape::interval ? a.interval_end == b.interval_end
                                                    : !lies_before(set, a, b);
           }) != fresh.end();
  for (auto one = fresh.begin(); one != fresh.end(); ++one)
    if (std::any_of(one + 1, fresh.end(), [&](const Element& other) { return overlap(set, *one, other); }))
      return true;
  return false;
}

}  // namespace

std::optional<Refusal> add_elements(Set& set, std::span<const GivenElement> given,
                                    const std::function<std::vector<uint32_t>()>& counters,
                                    Conflict conflict) {
  if (set.shape == SetShape::interval) write_ends(set);
  const size_t keys = set.keys.size();
  const auto refuse = [&](std::optional<Refusal> why) {
    set.keys.resize(keys);
    return why;
  };
  auto room = set.most_elements == 0
                  ? SIZE_MAX
                  : set.most_elements - static_cast<size_t>(std::count_if(
                                            set.elements.begin(), set.elements.end(),
                                            [](const Element& element) { return !element.interval_end; }));
  std::vector<Element> fresh;
  for (const GivenElement& each : given) {
    const Place there = find_given(set, each);
    if (there != set.elements.end() && same_target(*there, each)) continue;
    Element made = made_of(set, each);
    const bool wrong = there != set.elements.end() || overlaps(set, each, made);
    if (wrong || room == 0) {
      if (conflict == Conflict::is_left_out) continue;
      return refuse(wrong ? contradicts(set) : full(set));
    }
    --room;
    fresh.push_back(std::move(made));
    if (set.shape != SetShape::interval || each.key.empty()) continue;
    if (const std::vector<uint8_t> behind = successor(each.end()); !behind.empty())
      fresh.push_back(end_at(keep_key(set, behind)));
  }
  const auto order = [&](const Element& a, const Element& b) { return lies_before(set, a, b); };
  const bool sorted = set.shape != SetShape::concatenated_ranges;
  if (sorted) std::sort(fresh.begin(), fresh.end(), order);
  if (conflict == Conflict::refuses && overlap_each_other(set, fresh)) return refuse(contradicts(set));
  const auto old = static_cast<ptrdiff_t>(set.elements.size());
  for (Element& element : fresh) {
    if (!element.interval_end) element.counters = counters();
    element.counts = !element.counters.empty();
    set.elements.push_back(std::move(element));
  }
  if (sorted) std::inplace_merge(set.elements.begin(), set.elements.begin() + old, set.elements.end(), order);
  drop_old_keys(set);
  return std::nullopt;
}

std::optional<Refusal> remove_elements(Set& set, std::span<const GivenElement> given) {
  if (set.shape == SetShape::interval) write_ends(set);
  std::vector<bool> gone(set.elements.size());
  for (const GivenElement& each : given) {
    const Place place = find_given(set, each);
    const auto index = static_cast<size_t>(place - set.elements.begin());
    if (place == set.elements.end() || gone[index])
      return refused(ENOENT, "set " + set.name + " has no such element");
    gone[index] = true;
    if (set.shape == SetShape::interval && is_start(*place) && !behind_interval(set, place).empty())
      gone[index + 1] = true;
  }
  std::vector<Element> left;
  left.reserve(set.elements.size());
  for (size_t i = 0; i < gone.size(); ++i) {
    Element& element = set.elements[i];
    if (!gone[i])
      left.push_back(std::move(element));
    else if (!element.counters.empty())
      set.spare_counters.push_back(std::move(element.counters));
  }
  set.elements = std::move(left);
  drop_old_keys(set);
  return std::nullopt;
}

void for_each_element(const Set& set, const std::function<void(const GivenElement&, const Element&)>& visit) {
  for (Place element = set.elements.begin(); element != set.elements.end(); ++element) {
    if (element->interval_end) continue;
    const auto bytes = [&](uint32_t at) {
      return std::vector<uint8_t>(set.keys.begin() + at, set.keys.begin() + at + set.key_bytes);
    };
    GivenElement given;
    given.data = element->data;
    given.verdict = element->verdict;
    given.stateful = element->stateful;
    given.timeout_ns = element->timeout_ns;
    given.expires_ns = element->expires_ns;
    if (!element->catchall) {
      given.key = bytes(element->key);
      if (set.shape == SetShape::concatenated_ranges) given.last = bytes(element->key_end);
      if (set.shape == SetShape::interval) {
        const std::vector<uint8_t> behind = behind_interval(set, element);
        given.last = behind.empty() ? std::vector<uint8_t>(set.key_bytes, 0xff) : predecessor(behind);
      }
    }
    visit(given, *element);
  }
}

}  // namespace skerry::filter
