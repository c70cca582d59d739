// Which rules of a chain a packet can hold for. Most rules begin with comparisons of the packet's fields with
// values; those of a chain that compare the same fields share a table from values to rules, so that one
// lookup stands for all of them. What it finds is run like any rule: the index only passes over rules that
// would have ended at a comparison, which does nothing else.
//
// Read first: docs/filter.md, "What it costs". Invariant: made from the rules alone, so that no stranger's
// packet can make it slower; a walk meets every rule of its chain that holds, in order.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <variant>
#include <vector>

#include "filter/ruleset.hpp"

namespace skerry::filter {

class RuleIndex {
 public:
  static constexpr size_t kFewest = 4;  // rules that make a table worth its lookup
  static constexpr size_t kMostTables = 64;
  static constexpr size_t kMostKeyBytes = 64;

  RuleIndex() = default;

  explicit RuleIndex(const std::vector<Rule>& rules);
  bool is_useful() const { return !tables_.empty(); }

  // A packet's way through the chain.
  struct Walk {
    std::array<uint32_t, kMostTables> next;  // of each table: a rule that may hold, kNone if there is no more
    size_t other;                            // the same in others_
  };

  // Looks up what `run` loads from its packet.
  template <class Run>
  void enter(Run& run, Walk& walk) const {
    walk.other = 0;
    for (size_t i = 0; i < tables_.size(); ++i) walk.next[i] = find(run, tables_[i]);
    run.verdict = {};
  }
  // The first rule from `from` on that may hold; the number of rules if none does. `from` only grows.
  uint32_t next(Walk& walk, uint32_t from) const {
    while (walk.other < others_.size() && others_[walk.other] < from) ++walk.other;
    uint32_t first = walk.other < others_.size() ? others_[walk.other] : rules_;
    for (size_t i = 0; i < tables_.size(); ++i) {
      uint32_t& rule = walk.next[i];
      while (rule < from) rule = alike_[rule];
      first = std::min(first, rule);
    }
    return first;
  }

 private:
  struct Table {
    std::vector<Expression> tests;  // of one of its rules: loads, and the comparisons that stand for all
    size_t key_bytes = 0;
    std::vector<uint32_t> slots;  // first rule of a key; open addressing, a power of two
    std::vector<uint8_t> keys;    // by slot
  };

  static uint64_t hash(std::span<const uint8_t> key);
  void add(Table& table, std::span<const uint8_t> key, uint32_t rule, std::vector<uint32_t>& last);
  uint32_t find(const Table& table, std::span<const uint8_t> key) const;

  template <class Run>
  uint32_t find(Run& run, const Table& table) const {
    uint8_t key[kMostKeyBytes];
    size_t filled = 0;
    run.verdict = {};
    for (const Expression& test : table.tests) {
      if (const auto* compare = std::get_if<Compare>(&test.action)) {
        std::memcpy(key + filled, run.at(compare->from), compare->value.length);
        filled += compare->value.length;
        continue;
      }
      std::visit(run, test.action);
      if (run.verdict.code != Code::next) return kNone;  // the field is not there
    }
    return find(table, {key, filled});
  }

  std::vector<Table> tables_;
  std::vector<uint32_t> others_;  // rules that are in no table
  std::vector<uint32_t> alike_;   // by rule: the next one of the same key; kNone: there is none
  uint32_t rules_ = 0;
};

}  // namespace skerry::filter
