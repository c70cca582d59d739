// Which rules of a chain a packet can hold for. Most rules begin with comparisons of the packet's fields with
// values; those that compare the same bits share a table from values to rules, so that one lookup stands for
// all of them. Rules that compare more bits than others may stand in a table with those, by the bits that all
// of it compare. What a lookup finds is run like any rule: the index only passes over rules that would have
// ended at a comparison, which does nothing else.
//
// Read first: conditions.hpp; docs/filter.md, "What it costs". Invariants: made from the rules alone; beside
// rules whose comparisons for equality all hold, and those in no table, a packet meets at most kMostRelaxed
// in each table, so that the worst that a stranger's packet can meet is kMostTables * kMostRelaxed rules that
// do not hold. A walk meets every rule of its chain that holds, in order.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "filter/conditions.hpp"

namespace skerry::filter {

class RuleIndex {
 public:
  static constexpr size_t kFewest = 4;  // rules that make a table worth its lookup
  static constexpr size_t kMostTables = 64;
  static constexpr size_t kMostParts = 8;    // words that a table compares
  static constexpr size_t kMostRelaxed = 8;  // rules found by less than what they compare, of one key
  static constexpr size_t kWork = 8;         // steps of making it, for each rule

  RuleIndex() = default;
  RuleIndex(const std::vector<Rule>& rules, const ConditionReader& reader, const Pause& pause = {});

  bool is_useful() const { return !tables_.empty(); }
  size_t tables() const { return tables_.size(); }
  // Steps that finding tables for the rules took: at most kWork + 1 for each.
  size_t work() const { return work_; }
  // What is looked up may be another for the next packet of a flow.
  bool is_of_flow() const { return of_flow_; }

  // A packet's way through the chain.
  struct Walk {
    size_t other;                            // into others_: the next rule that is in no table
    uint32_t least;                          // of what `next` says; kNone: nothing
    size_t found;                            // how many of `next` count
    uint32_t writes;                         // how much had been written into the packet
    std::array<uint32_t, kMostTables> next;  // of each table that has one: a rule that may hold, then kNone
  };

  void enter(const Packet& packet, Walk& walk) const {
    walk.other = walk.found = 0;
    walk.least = kNone;
    const Fields fields(packet, beyond_);
    for (const Table& table : tables_) {
      const uint32_t rule = find(table, fields);
      if (rule == kNone) continue;
      walk.next[walk.found++] = rule;
      walk.least = std::min(walk.least, rule);
    }
  }
  // The first rule from `from` on that may hold; the number of rules if none does. `from` only grows.
  uint32_t next(Walk& walk, uint32_t from) const {
    if (walk.least < from) pass(walk, from);
    while (walk.other < others_.size() && others_[walk.other] < from) ++walk.other;
    return std::min(walk.least, walk.other < others_.size() ? others_[walk.other] : rules_);
  }

 private:
  // Only when a rule that was found has been run: those in no table may be many.
  void pass(Walk& walk, uint32_t from) const {
    walk.least = kNone;
    for (size_t i = 0; i < walk.found; ++i) {
      uint32_t& rule = walk.next[i];
      while (rule < from) rule = alike_[rule];
      walk.least = std::min(walk.least, rule);
    }
  }

  static constexpr size_t kWordBytes = 8;
  struct Part {
    WordPlace place;
    uint8_t bytes;  // of the word, up to the last that the mask looks at
    uint64_t mask;
  };
  // Two keys with one tag are one key: what it finds is run anyway.
  struct Slot {
    uint32_t tag = 0, rule = kNone;  // the first rule of a key
  };
  struct Table {
    std::vector<Part> parts;
    unsigned shift = 0;       // 32 less the bits of a place in slots
    std::vector<Slot> slots;  // open addressing, a power of two
  };
  class Tag {
   public:
    void add(uint64_t word) { sum_ += word * kOdd[part_++]; }
    uint32_t get() const { return static_cast<uint32_t>(sum_ >> 32); }

   private:
    static constexpr std::array<uint64_t, kMostParts> kOdd = {
        0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0xff51afd7ed558ccd, 0xd6e8feb86659fd93,
        0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xa0761d6478bd642f, 0xe7037ed1a0b428db};
    uint64_t sum_ = 0;
    size_t part_ = 0;
  };
  static size_t place_of(const Table& table, uint32_t tag) { return (tag * 0x9e3779b1U) >> table.shift; }

  static uint32_t find(const Table& table, const Fields& fields) {
    Tag tag;
    for (const Part& part : table.parts) {
      const ConstBytes source = fields[part.place.source];
      const size_t begin = part.place.word * kWordBytes;
      uint64_t word = 0;
      if (begin + kWordBytes <= source.size()) {
        std::memcpy(&word, source.data() + begin, kWordBytes);
      } else {
        if (begin + part.bytes > source.size()) return kNone;  // the field is not there
        std::memcpy(&word, source.data() + begin, source.size() - begin);
      }
      tag.add(word & part.mask);
    }
    const size_t last = table.slots.size() - 1;
    for (size_t at = place_of(table, tag.get());; at = (at + 1) & last) {
      const Slot& slot = table.slots[at];
      if (slot.tag == tag.get() || slot.rule == kNone) return slot.rule;
    }
  }

  struct Draft;
  class Drafts;
  void fill(const Draft& draft, const std::vector<Conditions>& conditions, const Pause& pause);

  std::vector<Table> tables_;
  std::vector<uint32_t> others_;  // rules that are in no table
  std::vector<uint32_t> alike_;   // by rule: the next one of the same key; kNone: there is none
  uint32_t rules_ = 0;
  size_t work_ = 0;
  bool of_flow_ = true, beyond_ = false;
};

}  // namespace skerry::filter
