// What packets, and who changes a set, look for in its tree.
#include <cstring>

#include "filter/range_tree.hpp"
#include "filter/sets.hpp"

namespace skerry::filter {

template <class Enters, class Look>
size_t RangeTree::walk(Enters enters, Look look) const {
  std::array<uint32_t, kMostHeight> waiting;
  size_t depth = 0, looked = 0;
  for (uint32_t at = root_; at != kNone;) {
    ++looked;
    const Node& node = nodes_[at];
    const bool inside = enters(node, ranges(at));
    if (inside && node.element == kNone) {
      waiting[depth++] = node.below[1];
      at = node.below[0];
      continue;
    }
    if (inside && !look(node.element)) break;
    at = depth > 0 ? waiting[--depth] : kNone;
  }
  return looked;
}

uint32_t RangeTree::find(const Set& set, const uint8_t* key, size_t* looked) const {
  const Numbers wanted = numbers(key);
  uint32_t best = kNone;
  const auto enters = [&](const Node& node, const Range* range) {
    bool inside = node.first < best;
    for (size_t i = 0; inside && i < fields_.size(); ++i) inside = wanted[i] - range[i].low <= range[i].span;
    return inside;
  };
  const auto look = [&](uint32_t element) {
    if (in_ranges(set, set.elements[element], key)) best = element;
    return true;
  };
  const size_t looks = walk(enters, look);
  if (looked != nullptr) *looked = looks;
  return best;
}

uint32_t RangeTree::find_same(const Set& set, const uint8_t* low, const uint8_t* high) const {
  const Numbers wanted = numbers(low);
  uint32_t found = kNone;
  const auto enters = [&](const Node& node, const Range* range) {
    bool inside = node.first < found;
    for (size_t i = 0; inside && i < fields_.size(); ++i) inside = wanted[i] - range[i].low <= range[i].span;
    return inside;
  };
  walk(enters, [&](uint32_t element) {
    const Element& each = set.elements[element];
    if (std::memcmp(&set.keys[each.key], low, set.key_bytes) == 0 &&
        std::memcmp(&set.keys[each.key_end], high, set.key_bytes) == 0)
      found = element;
    return true;
  });
  return found;
}

uint32_t RangeTree::overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const {
  const Numbers from = numbers(low), to = numbers(high);
  uint32_t found = kNone;
  const auto enters = [&](const Node&, const Range* range) {
    bool meets = true;
    for (size_t i = 0; meets && i < fields_.size(); ++i)
      meets = range[i].low <= to[i] && from[i] <= range[i].low + range[i].span;
    return meets;
  };
  walk(enters, [&](uint32_t element) {
    if (share_keys(set, set.elements[element], low, high)) found = element;
    return found == kNone;
  });
  return found;
}

}  // namespace skerry::filter
