#include "filter/key_ranges.hpp"

#include <algorithm>

namespace skerry::filter {

KeyRanges KeyRanges::between(unsigned bytes, Number low, Number high) {
  return low <= high ? KeyRanges(bytes, {{low, high}}) : none(bytes);
}

void KeyRanges::add(std::vector<Range> ranges) {
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
  settle();
}

void KeyRanges::settle() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
  std::vector<Range> settled;
  for (const Range& range : ranges_) {
    const bool joins =
        !settled.empty() && (range.low <= settled.back().high || range.low - 1 == settled.back().high);
    if (joins)
      settled.back().high = std::max(settled.back().high, range.high);
    else
      settled.push_back(range);
  }
  ranges_ = std::move(settled);
}

KeyRanges KeyRanges::others() const {
  KeyRanges rest(bytes_);
  Number next = 0;
  for (const Range& range : ranges_) {
    if (range.low > next) rest.ranges_.push_back({next, range.low - 1});
    if (range.high == greatest(bytes_)) return rest;
    next = range.high + 1;
  }
  rest.ranges_.push_back({next, greatest(bytes_)});
  return rest;
}

KeyRanges KeyRanges::both(const KeyRanges& other) const {
  KeyRanges shared(bytes_);
  auto one = ranges_.begin();
  auto two = other.ranges_.begin();
  while (one != ranges_.end() && two != other.ranges_.end()) {
    const Number low = std::max(one->low, two->low), high = std::min(one->high, two->high);
    if (low <= high) shared.ranges_.push_back({low, high});
    ++(one->high < two->high ? one : two);
  }
  return shared;
}

bool KeyRanges::is_within(const KeyRanges& other) const {
  auto wide = other.ranges_.begin();
  for (const Range& range : ranges_) {
    while (wide != other.ranges_.end() && wide->high < range.low) ++wide;
    if (wide == other.ranges_.end() || wide->low > range.low || wide->high < range.high) return false;
  }
  return true;
}

KeyRanges KeyRanges::part(unsigned first, unsigned count) const {
  KeyRanges parts(count);
  const unsigned behind = 8 * (bytes_ - first - count);
  for (const Range& range : ranges_) {
    const Number low = range.low >> behind, high = range.high >> behind;
    const bool same_before = first == 0 || low >> (8 * count) == high >> (8 * count);
    if (!same_before) return all(count);
    parts.ranges_.push_back({low & greatest(count), high & greatest(count)});
  }
  parts.settle();
  return parts;
}

}  // namespace skerry::filter
