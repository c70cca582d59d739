#include "filter/range_tree.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "filter/sets.hpp"

namespace skerry::filter {

// The upper bytes of it, so that fields of different length are as wide.
uint64_t RangeTree::number(const uint8_t* bytes, size_t length) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, length);
  return __builtin_bswap64(word);
}

RangeTree::RangeTree(const Set& set, const Pause& pause) {
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (fields_.size() == kMostFields) break;
    fields_.push_back({static_cast<uint8_t>(at), std::min<uint8_t>(length, 8)});
    at += (length + size_t{3}) & ~size_t{3};
  }
  std::vector<uint32_t> order;
  order.reserve(set.elements.size());
  for (uint32_t i = 0; i < set.elements.size(); ++i) {
    pause();
    if (set.elements[i].catchall)
      otherwise_ = i;
    else
      order.push_back(i);
  }
  nodes_.reserve(2 * order.size());
  ranges_.reserve(nodes_.capacity() * fields_.size());
  if (!order.empty()) build(set, order.data(), order.data() + order.size(), pause);
}

// Halves, by the field in which the fewest of the lower half reach into the upper one, so that few keys are
// in both; of equal ones that in which the elements lie farthest apart.
void RangeTree::build(const Set& set, uint32_t* begin, uint32_t* end, const Pause& pause) {
  const auto node = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back(
      {.element = end - begin == 1 ? *begin : kNone, .first = *std::min_element(begin, end), .behind = 0});
  const auto low = [&](uint32_t element, const Field& field) {
    return number(&set.keys[set.elements[element].key + field.at], field.bytes);
  };
  const auto high = [&](uint32_t element, const Field& field) {
    return number(&set.keys[set.elements[element].key_end + field.at], field.bytes);
  };
  const auto halve = [&](const Field& field) {
    uint32_t* const middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, [&](uint32_t one, uint32_t other) {
      pause();
      return low(one, field) < low(other, field);
    });
    return middle;
  };
  Field best = fields_.front();
  ptrdiff_t fewest = end - begin;
  uint64_t farthest = 0;
  for (const Field& field : fields_) {
    uint64_t lowest = UINT64_MAX, last_low = 0, highest = 0;
    for (const uint32_t* element = begin; element != end; ++element) {
      pause();
      lowest = std::min(lowest, low(*element, field));
      last_low = std::max(last_low, low(*element, field));
      highest = std::max(highest, high(*element, field));
    }
    ranges_.push_back({lowest, highest - lowest});
    if (end - begin == 1) continue;
    uint32_t* const middle = halve(field);
    const uint64_t behind = low(*middle, field);
    const ptrdiff_t reach = std::count_if(begin, middle, [&](uint32_t element) {
      pause();
      return high(element, field) >= behind;
    });
    if (reach < fewest || (reach == fewest && last_low - lowest >= farthest)) {
      fewest = reach;
      farthest = last_low - lowest;
      best = field;
    }
  }
  if (end - begin > 1) {
    uint32_t* const middle = halve(best);
    build(set, begin, middle, pause);
    build(set, middle, end, pause);
  }
  nodes_[node].behind = static_cast<uint32_t>(nodes_.size());
}

const Element* RangeTree::find(const Set& set, const uint8_t* key, size_t* looked) const {
  std::array<uint64_t, kMostFields> numbers;
  for (size_t i = 0; i < fields_.size(); ++i) numbers[i] = number(key + fields_[i].at, fields_[i].bytes);
  uint32_t best = otherwise_;
  bool found = false;
  size_t looks = 0;
  for (uint32_t at = 0; at < nodes_.size(); ++looks) {
    const Node& node = nodes_[at];
    const Range* const range = &ranges_[at * fields_.size()];
    bool inside = !found || node.first < best;
    for (size_t i = 0; inside && i < fields_.size(); ++i) inside = numbers[i] - range[i].low <= range[i].span;
    if (inside && node.element != kNone && in_ranges(set, set.elements[node.element], key)) {
      best = node.element;
      found = true;
    }
    at = inside ? at + 1 : node.behind;
  }
  if (looked != nullptr) *looked = looks;
  return best == kNone ? nullptr : &set.elements[best];
}

}  // namespace skerry::filter
