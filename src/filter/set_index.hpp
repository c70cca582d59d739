// The elements of a set by their keys, in what fits its shape: a table, a list in blocks, a tree of boxes. In
// each an element is found, comes and goes without a look at all others.
//
// Read first: ruleset.hpp, "Set"; sets.hpp, whose find_element() gives the same answer.
#pragma once

#include <variant>

#include "filter/interval_list.hpp"
#include "filter/key_table.hpp"
#include "filter/range_tree.hpp"

namespace skerry::filter {

class SetIndex {
 public:
  // `set` is one that rules only ask. Whoever changes it says so by add() and remove(). `secret` keeps
  // strangers from choosing keys that meet.
  SetIndex(const Set& set, const SipKey& secret, const Pause& pause = {});

  // Null if no element has the key, not even the one for all others.
  const Element* find(const Set& set, const uint8_t* key) const {
    uint32_t element = std::visit([&](const auto& index) { return index.find(set, key); }, index_);
    if (element == kNone) element = otherwise_;
    return element == kNone ? nullptr : &set.elements[element];
  }
  // The element for all other keys; kNone if there is none.
  uint32_t otherwise() const { return otherwise_; }
  // That of just these keys.
  uint32_t find_same(const Set& set, const uint8_t* low, const uint8_t* high) const;
  // One that has a key of those from `low` to `high`.
  uint32_t overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const;

  // An element of the set that is not here, and has no key of another.
  void add(const Set& set, uint32_t element);
  // One that is here; its keys are still there.
  void remove(const Set& set, uint32_t element);
  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause) {
    std::visit([&](auto& index) { index.take_apart(pause); }, index_);
  }

 private:
  using Index = std::variant<KeyTable, IntervalList, RangeTree>;
  static Index make(const Set& set, const SipKey& secret, const Pause& pause);

  Index index_;
  uint32_t otherwise_ = kNone;
};

}  // namespace skerry::filter
