// The elements of a set of concatenated ranges, by what they enclose: a binary tree of boxes, one range a
// field, each enclosing those below it. A search passes over whatever lies in a box that its key is not in.
// It is made of all elements at once; one that comes later goes where it makes boxes grow least, and nodes
// turn about so that neither half of a box gets deeper than the other by more than one, as in an AVL tree.
//
// Read first: sets.hpp, whose find_element() gives the same answer, element after element. Invariant: made
// from the set alone; a search looks at each box at most once, and takes of memory nothing.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "base/pause.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class RangeTree {
 public:
  RangeTree() = default;
  // `set` is one of concatenated ranges. Whoever changes it says so by add() and remove().
  explicit RangeTree(const Set& set, const Pause& pause = {});

  // An element of the set that is not in the tree.
  void add(const Set& set, uint32_t element);
  void remove(uint32_t element);

  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause);

  // As find_element() of the same set: the first of those that the key is in; kNone if there is none.
  // `looked`: at how many boxes.
  uint32_t find(const Set& set, const uint8_t* key, size_t* looked = nullptr) const;
  // The first that has these for its first and last key.
  uint32_t find_same(const Set& set, const uint8_t* low, const uint8_t* high) const;
  // One that has a key in common with those from `low` to `high`; kNone if there is none.
  uint32_t overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const;

  unsigned height() const { return root_ == kNone ? 0 : nodes_[root_].height + 1U; }

 private:
  static constexpr size_t kMostFields = 4;
  static constexpr size_t kMostHeight = 64;  // of an AVL tree with 2^32 elements: 46
  // Of a field the first eight bytes, as a number. What is longer, and more fields, is looked at in the
  // element.
  struct Range {
    uint64_t low, span;
  };
  struct Node {
    uint32_t element = kNone;  // kNone: two nodes stand below
    uint32_t first = kNone;    // the least of all elements below
    uint32_t parent = kNone;
    std::array<uint32_t, 2> below{};
    uint8_t height = 0;  // of an element's node
  };
  struct Field {
    uint8_t at, bytes;  // in the key
  };
  using Numbers = std::array<uint64_t, kMostFields>;

  // The upper bytes of it, so that fields of different length are as wide.
  static uint64_t number(const uint8_t* bytes, size_t length) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, length);
    return __builtin_bswap64(word);
  }
  Numbers numbers(const uint8_t* key) const {
    Numbers all{};
    for (size_t i = 0; i < fields_.size(); ++i) all[i] = number(key + fields_[i].at, fields_[i].bytes);
    return all;
  }
  uint32_t build(const Set& set, uint32_t* begin, uint32_t* end, const Pause& pause);
  uint32_t new_node();
  uint32_t new_leaf(const Set& set, uint32_t element);
  Range* ranges(uint32_t node) { return &ranges_[node * fields_.size()]; }
  const Range* ranges(uint32_t node) const { return &ranges_[node * fields_.size()]; }
  uint64_t size_of(uint32_t node, const Range* with) const;
  void refresh(uint32_t node);
  void join(uint32_t node, uint32_t one, uint32_t other);
  void replace(uint32_t node, uint32_t by);
  void settle(uint32_t node);
  uint32_t balance(uint32_t node);
  // Calls look(element) for those in whose boxes enters() holds of all above; as long as it returns true.
  template <class Enters, class Look>
  size_t walk(Enters enters, Look look) const;

  std::vector<Field> fields_;
  std::vector<Node> nodes_;
  std::vector<Range> ranges_;      // of each node: one a field
  std::vector<uint32_t> leaf_of_;  // by element
  std::vector<uint32_t> free_;     // nodes
  uint32_t root_ = kNone;
};

}  // namespace skerry::filter
