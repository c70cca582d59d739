// The elements of a set of intervals in the order of their keys: a list in blocks, so that one that comes or
// goes moves the others of its block alone.
//
// Read first: sets.hpp, whose find_element() gives the same answer. Invariant: no two intervals share a key;
// no block is empty, and none holds more than kMostOfBlock.
#pragma once

#include <vector>

#include "base/pause.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class IntervalList {
 public:
  // An element of the set that is not in the list.
  void add(const Set& set, uint32_t element);
  void remove(const Set& set, uint32_t element);
  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause) {
    pause.clear(blocks_);
    pause.clear(firsts_);
  }
  // The one that the key lies in; kNone if there is none.
  uint32_t find(const Set& set, const uint8_t* key) const;
  // One that shares a key with those from `low` to `high`; kNone if there is none.
  uint32_t overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const;

 private:
  static constexpr size_t kMostOfBlock = 256;
  struct Entry {
    uint64_t low;  // the first eight bytes of its first key, as a number
    uint32_t element;
  };
  using Block = std::vector<Entry>;
  struct Place {
    size_t block, entry;
  };

  // Where the last lies that does not begin behind the key. False: all begin behind it.
  bool last_before(const Set& set, const uint8_t* key, Place& place) const;

  std::vector<Block> blocks_;
  std::vector<Entry> firsts_;  // of each block
};

}  // namespace skerry::filter
