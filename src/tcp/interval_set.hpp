// A bounded, sorted set of disjoint intervals of sequence space: what arrived out of order (RFC 9293 section
// 3.10.7.4). No allocation and no pointer, so it lives in the
// arena.
//
// Invariant: intervals ascend, none is empty, and no two touch.
#pragma once

#include <cstdint>

#include "base/check.hpp"
#include "tcp/sequence.hpp"

namespace skerry::tcp {

struct Interval {
  uint32_t left = 0;   // the first sequence number in it
  uint32_t right = 0;  // the first one after it

  uint32_t bytes() const { return right - left; }
};

template <uint32_t kCapacity>
class IntervalSet {
 public:
  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Interval& operator[](uint32_t i) const { return intervals_[i]; }
  const Interval* begin() const { return intervals_; }
  const Interval* end() const { return intervals_ + size_; }
  void clear() { size_ = 0; }

  // Adds [left, right), merging what it meets. Returns how many bytes are new; if the set is full and the
  // interval touches nothing, it is not taken over and the result is 0.
  uint32_t insert(uint32_t left, uint32_t right) {
    uint32_t first = 0;
    while (first < size_ && before(intervals_[first].right, left)) ++first;
    uint32_t last = first;  // [first, last) meet the new one
    uint32_t known = 0;
    Interval merged{left, right};
    while (last < size_ && at_or_before(intervals_[last].left, right)) {
      const uint32_t shared_left = later(intervals_[last].left, left);
      known += beyond(earlier(intervals_[last].right, right), shared_left);
      merged.left = earlier(merged.left, intervals_[last].left);
      merged.right = later(merged.right, intervals_[last].right);
      ++last;
    }
    if (first == last) {
      if (size_ == kCapacity) return 0;
      for (uint32_t i = size_; i > first; --i) intervals_[i] = intervals_[i - 1];
      ++size_;
    } else {
      const uint32_t removed = last - first - 1;
      if (removed > 0)
        for (uint32_t i = last; i < size_; ++i) intervals_[i - removed] = intervals_[i];
      size_ -= removed;
    }
    intervals_[first] = merged;
    return right - left - known;
  }

  // True if insert would take [left, right) over.
  bool has_room_for(uint32_t left, uint32_t right) const {
    if (size_ < kCapacity) return true;
    for (const Interval& interval : *this)
      if (at_or_before(interval.left, right) && at_or_before(left, interval.right)) return true;
    return false;
  }

  // Forgets everything before `edge`.
  void trim_before(uint32_t edge) {
    uint32_t gone = 0;
    while (gone < size_ && at_or_before(intervals_[gone].right, edge)) ++gone;
    if (gone > 0) {
      for (uint32_t i = gone; i < size_; ++i) intervals_[i - gone] = intervals_[i];
      size_ -= gone;
    }
    if (size_ > 0) intervals_[0].left = later(intervals_[0].left, edge);
  }

  uint32_t bytes() const {
    uint32_t sum = 0;
    for (const Interval& interval : *this) sum += interval.bytes();
    return sum;
  }

  // The interval that holds `sequence`, or null.
  const Interval* find(uint32_t sequence) const {
    for (const Interval& interval : *this)
      if (at_or_before(interval.left, sequence) && before(sequence, interval.right)) return &interval;
    return nullptr;
  }

 private:
  uint32_t size_ = 0;
  Interval intervals_[kCapacity];
};

}  // namespace skerry::tcp
