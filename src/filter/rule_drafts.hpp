// Which rules of a chain share a table of its index, and which bits of a packet the table compares: those
// that all of its rules do.
//
// Read first: rule_index.hpp, which they are for. Invariant: looking for them takes at most kWork + 1 steps
// for each rule.
#pragma once

#include <unordered_map>
#include <vector>

#include "filter/conditions.hpp"

namespace skerry::filter {

// The bits that a rule or a table compares.
struct Bits {
  WordPlace place;
  uint64_t mask;

  friend auto operator<=>(const Bits&, const Bits&) = default;
};
using Shape = std::vector<Bits>;

// A table to be.
struct RuleDraft {
  Shape shape;
  std::vector<uint32_t> rules;
  std::unordered_map<uint64_t, size_t> relaxed;  // by key: rules that compare more than the table does
};

class RuleDrafts {
 public:
  static constexpr size_t kFewest = 4;  // rules that make a table worth its lookup
  static constexpr size_t kMostTables = 64;
  static constexpr size_t kMostParts = 8;    // words that a table compares
  static constexpr size_t kMostRelaxed = 8;  // rules found by less than what they compare, of one key
  static constexpr size_t kWork = 8;         // steps of making them, for each rule

  // `conditions`, by rule, and `pause` must outlive it.
  RuleDrafts(const std::vector<Conditions>& conditions, const Pause& pause);

  size_t work() const { return work_; }
  // What the destructor would do, in pieces.
  void take_apart();

  std::vector<RuleDraft> all;

 private:
  bool join(RuleDraft& draft, const RuleDraft& group);
  void lighten(RuleDraft& draft);
  size_t keys_of(const std::vector<uint32_t>& rules, const Shape& shape) const;
  bool may_work();
  bool tired() const { return work_ >= most_work_; }
  bool add(RuleDraft& draft, uint32_t rule, size_t most);
  bool add_all(RuleDraft& draft, const std::vector<uint32_t>& rules, size_t most);
  void remove(RuleDraft& draft, uint32_t rule) const;

  const std::vector<Conditions>& conditions_;
  const Pause& pause_;
  std::vector<Shape> shapes_;  // by rule
  size_t most_relaxed_, most_work_, work_ = 0;
};

}  // namespace skerry::filter
