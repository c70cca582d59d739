// The elements of a set of concatenated ranges, by what they enclose: a binary tree of boxes, one range a
// field, each enclosing those below it. A search passes over whatever lies in a box that its key is not in.
//
// Read first: sets.hpp, whose find_element() gives the same answer, element after element. Invariant: made
// from the set alone; a search looks at each box at most once, and takes of memory nothing.
#pragma once

#include <vector>

#include "base/pause.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class RangeTree {
 public:
  RangeTree() = default;
  // `set` is one of concatenated ranges, and does not change while the tree is used.
  explicit RangeTree(const Set& set, const Pause& pause = {});

  // As find_element() of the same set: the first that was added of those that the key is in.
  // `looked`: at how many boxes.
  const Element* find(const Set& set, const uint8_t* key, size_t* looked = nullptr) const;

 private:
  static constexpr size_t kMostFields = 4;  // two boxes an element: at most 152 bytes
  // Of a field the first eight bytes, as a number. What is longer, and more fields, is looked at in the
  // element.
  struct Range {
    uint64_t low, span;
  };
  struct Node {
    uint32_t element;  // kNone: two nodes stand below
    uint32_t first;    // of all elements below, the one that was added first
    uint32_t behind;   // the node that follows all below this one
  };
  struct Field {
    uint8_t at, bytes;  // in the key
  };

  void build(const Set& set, uint32_t* begin, uint32_t* end, const Pause& pause);
  static uint64_t number(const uint8_t* bytes, size_t length);

  std::vector<Field> fields_;
  std::vector<Node> nodes_;    // each before what stands below it
  std::vector<Range> ranges_;  // of each node: one a field
  uint32_t otherwise_ = kNone;
};

}  // namespace skerry::filter
