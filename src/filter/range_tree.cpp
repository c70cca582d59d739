#include "filter/range_tree.hpp"

#include <algorithm>
#include <bit>

namespace skerry::filter {

namespace {

// 256 times the logarithm of a number above 0, by straight lines between powers of two.
uint64_t logarithm(uint64_t number) {
  const auto whole = static_cast<uint64_t>(std::bit_width(number)) - 1;
  const uint64_t rest = whole < 8 ? number << (8 - whole) : number >> (whole - 8);
  return whole * 256 + (rest & 255);
}

}  // namespace

RangeTree::RangeTree(const Set& set, const Pause& pause) {
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (fields_.size() == kMostFields) break;
    fields_.push_back({static_cast<uint8_t>(at), std::min<uint8_t>(length, 8)});
    at += (length + size_t{3}) & ~size_t{3};
  }
  std::vector<uint32_t> order;
  order.reserve(set.elements.size());
  for (uint32_t i = 0; i < set.elements.size(); ++i, pause())
    if (!set.elements[i].catchall && !set.elements[i].gone) order.push_back(i);
  // Room for as many again: to move them all when one comes takes long.
  nodes_.reserve(4 * order.size());
  ranges_.reserve(nodes_.capacity() * fields_.size());
  leaf_of_.reserve(2 * set.elements.size());
  pause.resize(leaf_of_, set.elements.size(), kNone);
  if (!order.empty()) root_ = build(set, order.data(), order.data() + order.size(), pause);
  pause.clear(order);
}

void RangeTree::take_apart(const Pause& pause) {
  pause.clear(nodes_);
  pause.clear(ranges_);
  pause.clear(leaf_of_);
  pause.clear(free_);
}

uint32_t RangeTree::new_node() {
  if (!free_.empty()) {
    const uint32_t node = free_.back();
    free_.pop_back();
    nodes_[node] = {};
    return node;
  }
  nodes_.emplace_back();
  ranges_.resize(nodes_.size() * fields_.size());
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t RangeTree::new_leaf(const Set& set, uint32_t element) {
  const uint32_t node = new_node();
  nodes_[node].element = nodes_[node].first = element;
  const Numbers low = numbers(&set.keys[set.elements[element].key]),
                high = numbers(&set.keys[set.elements[element].key_end]);
  for (size_t i = 0; i < fields_.size(); ++i) ranges(node)[i] = {low[i], high[i] - low[i]};
  if (leaf_of_.size() <= element) leaf_of_.resize(element + size_t{1}, kNone);
  leaf_of_[element] = node;
  return node;
}

// Halves, by the field in which the fewest of the lower half reach into the upper one, so that few keys are
// in both; of equal ones that in which the elements lie farthest apart.
uint32_t RangeTree::build(const Set& set, uint32_t* begin, uint32_t* end, const Pause& pause) {
  if (end - begin == 1) return new_leaf(set, *begin);
  const uint32_t node = new_node();  // before those below it, which lie close to it
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
    uint64_t lowest = UINT64_MAX, last_low = 0;
    for (const uint32_t* element = begin; element != end; ++element) {
      pause();
      lowest = std::min(lowest, low(*element, field));
      last_low = std::max(last_low, low(*element, field));
    }
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
  uint32_t* const middle = halve(best);
  const uint32_t lower = build(set, begin, middle, pause);
  join(node, lower, build(set, middle, end, pause));
  return node;
}

// What lies directly below it has changed.
void RangeTree::refresh(uint32_t node) {
  const auto [one, other] = nodes_[node].below;
  nodes_[node].first = std::min(nodes_[one].first, nodes_[other].first);
  nodes_[node].height = static_cast<uint8_t>(std::max(nodes_[one].height, nodes_[other].height) + 1);
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Range a = ranges(one)[i], b = ranges(other)[i];
    const uint64_t low = std::min(a.low, b.low);
    ranges(node)[i] = {low, std::max(a.low + a.span, b.low + b.span) - low};
  }
}

void RangeTree::join(uint32_t node, uint32_t one, uint32_t other) {
  nodes_[node].below = {one, other};
  nodes_[one].parent = nodes_[other].parent = node;
  refresh(node);
}

// How many keys lie in the box that encloses both, as a logarithm.
uint64_t RangeTree::size_of(uint32_t node, const Range* with) const {
  uint64_t size = 0;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Range a = ranges(node)[i], b = with[i];
    const uint64_t span = std::max(a.low + a.span, b.low + b.span) - std::min(a.low, b.low);
    size += logarithm(span | uint64_t{1} << (64 - 8 * fields_[i].bytes));
  }
  return size;
}

// Puts `by` where the node stands.
void RangeTree::replace(uint32_t node, uint32_t by) {
  const uint32_t parent = nodes_[node].parent;
  nodes_[by].parent = parent;
  if (parent == kNone)
    root_ = by;
  else
    nodes_[parent].below[nodes_[parent].below[1] == node] = by;
}

void RangeTree::add(const Set& set, uint32_t element) {
  const uint32_t leaf = new_leaf(set, element);
  if (root_ == kNone) {
    root_ = leaf;
    return;
  }
  uint32_t beside = root_;
  while (nodes_[beside].element == kNone) {
    const auto cost = [&](uint32_t node) {
      const uint64_t grown = size_of(node, ranges(leaf)), size = size_of(node, ranges(node));
      return std::array<uint64_t, 3>{grown - size, size, nodes_[node].height};
    };
    const auto [one, other] = nodes_[beside].below;
    beside = cost(other) < cost(one) ? other : one;
  }
  const uint32_t above = new_node();
  replace(beside, above);
  join(above, beside, leaf);
  settle(nodes_[above].parent);
}

void RangeTree::remove(uint32_t element) {
  const uint32_t leaf = leaf_of_[element], above = nodes_[leaf].parent;
  leaf_of_[element] = kNone;
  free_.push_back(leaf);
  if (above == kNone) {
    root_ = kNone;
    return;
  }
  const uint32_t beside = nodes_[above].below[nodes_[above].below[0] == leaf];
  replace(above, beside);
  free_.push_back(above);
  settle(nodes_[beside].parent);
}

// From a node below which something has changed up to the root.
void RangeTree::settle(uint32_t node) {
  while (node != kNone) {
    refresh(node);
    node = nodes_[balance(node)].parent;
  }
}

// If one half is deeper by two, its upper node takes the place of this one, and gives it the less deep of its
// own halves. Returns what stands there then.
uint32_t RangeTree::balance(uint32_t node) {
  const auto height = [&](uint32_t of) { return nodes_[of].height; };
  for (const unsigned side : {0U, 1U}) {
    const uint32_t deep = nodes_[node].below[side], shallow = nodes_[node].below[1 - side];
    if (height(deep) <= height(shallow) + 1) continue;
    const auto [one, other] = nodes_[deep].below;
    const auto [stays, moves] = height(one) > height(other) ? std::pair(one, other) : std::pair(other, one);
    replace(node, deep);
    join(node, moves, shallow);
    join(deep, stays, node);
    return deep;
  }
  return node;
}

}  // namespace skerry::filter
