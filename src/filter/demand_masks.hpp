// What comparing a part of a field says of the field: its first bytes, or what a mask leaves of it.
//
// Invariant: a field whose part is among the values is among those that are returned, and no other.
#pragma once

#include <utility>
#include <vector>

#include "filter/demand.hpp"

namespace skerry::filter {

// All values of `bytes` that begin so.
inline KeyRanges widened(const KeyRanges& values, unsigned bytes) {
  const unsigned bits = 8 * (bytes - values.bytes());
  std::vector<KeyRanges::Range> ranges;
  for (const KeyRanges::Range& range : values.ranges())
    ranges.push_back({range.low << bits, range.high << bits | ((KeyRanges::Number{1} << bits) - 1)});
  KeyRanges all = KeyRanges::none(bytes);
  all.add(std::move(ranges));
  return all;
}

// Without those single values that no masked one is.
inline KeyRanges behind_mask(const Field& field, const KeyRanges& values) {
  std::vector<KeyRanges::Range> ranges;
  for (const KeyRanges::Range& range : values.ranges())
    if (range.low != range.high || ((range.low ^ field.flip) & ~field.mask) == 0) ranges.push_back(range);
  KeyRanges possible = KeyRanges::none(values.bytes());
  possible.add(std::move(ranges));
  return possible;
}

// A mask of the first bits is a range of the field itself, which others compare too.
inline KeyRanges without_mask(Field& field, const KeyRanges& values) {
  const KeyRanges::Number most = KeyRanges::greatest(field.bytes), rest = ~field.mask & most;
  if ((rest & (rest + 1)) != 0 || field.flip != 0) return values;
  std::vector<KeyRanges::Range> ranges;
  for (const KeyRanges::Range& range : values.ranges()) {
    // Of the masked values in the range: the first and the last.
    const bool up = (range.low & rest) != 0;
    if (up && most - (range.low | rest) == 0) continue;
    const KeyRanges::Number low = up ? (range.low | rest) + 1 : range.low;
    const KeyRanges::Number high = range.high | rest;
    if (low <= high && low <= range.high) ranges.push_back({low, high});
  }
  KeyRanges plain = KeyRanges::none(field.bytes);
  plain.add(std::move(ranges));
  field.mask = 0;
  return plain;
}

}  // namespace skerry::filter
