// Which rules of a chain a packet can hold for. Most rules begin with comparisons of the packet's fields with
// values; those that compare the same bits share a table from values to rules, so that one lookup stands for
// all of them. Rules that compare more bits than others may stand in a table with those, by the bits that all
// of it compare. Of what a lookup finds, and of rules in no table, the two comparisons that tell most are
// looked at before the interpreter is asked. What is left is run like any rule: the index only passes over
// rules that would have ended at a comparison, which does nothing else.
//
// Read first: conditions.hpp; docs/filter.md, "What it costs". Invariants: made from the rules alone; beside
// rules whose comparisons for equality all hold, and those in no table, a packet meets at most
// RuleDrafts::kMostRelaxed in each table, so that the worst that a stranger's packet can meet is kMostTables
// times that many rules that do not hold. A walk meets every rule of its chain that holds, in order.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "filter/conditions.hpp"
#include "filter/rule_drafts.hpp"

namespace skerry::filter {

class RuleIndex {
 public:
  static constexpr size_t kMostTables = RuleDrafts::kMostTables;
  static constexpr size_t kMostWords = 32;  // of a packet that the rules of a chain compare

  RuleIndex() = default;
  RuleIndex(const std::vector<Rule>& rules, const ConditionReader& reader, const Pause& pause = {});

  bool is_useful() const { return !words_.empty(); }
  size_t tables() const { return tables_.size(); }
  // Steps that finding tables for the rules took: at most RuleDrafts::kWork + 1 for each.
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
    std::array<uint64_t, kMostWords> words;  // of the packet, as words_ says
  };

  void enter(const Packet& packet, Walk& walk) const {
    const Fields fields(packet, beyond_);
    for (size_t i = 0; i < words_.size(); ++i) walk.words[i] = load(words_[i], fields);
    walk.other = walk.found = 0;
    walk.least = kNone;
    for (const Table& table : tables_) {
      const uint32_t rule = from(find(table, walk), 0, walk);
      if (rule == kNone) continue;
      walk.next[walk.found++] = rule;
      walk.least = std::min(walk.least, rule);
    }
  }
  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause);
  // The first rule from `from` on that may hold; the number of rules if none does. `from` only grows.
  uint32_t next(Walk& walk, uint32_t from) const {
    if (walk.least < from) pass(walk, from);
    while (walk.other < others_.size() &&
           (others_[walk.other] < from || !may_hold(checks_[others_[walk.other]], walk)))
      ++walk.other;
    return std::min(walk.least, walk.other < others_.size() ? others_[walk.other] : rules_);
  }

 private:
  // Only when a rule that was found has been run: those in no table may be many.
  void pass(Walk& walk, uint32_t from) const {
    walk.least = kNone;
    for (size_t i = 0; i < walk.found; ++i) {
      walk.next[i] = this->from(walk.next[i], from, walk);
      walk.least = std::min(walk.least, walk.next[i]);
    }
  }

  // The first rule of a key's from `rule` on that is not before `least` and may hold.
  uint32_t from(uint32_t rule, uint32_t least, const Walk& walk) const {
    while (rule != kNone && (rule < least || !may_hold(checks_[rule], walk))) rule = alike_[rule];
    return rule;
  }

  struct Part {
    uint64_t mask = 0;
    uint32_t word = 0;  // of Walk::words
  };
  // Two of a rule's comparisons; where it has fewer, masks and values are 0.
  struct Check {
    std::array<Part, 2> parts;
    std::array<uint64_t, 2> values{};
  };
  static bool may_hold(const Check& check, const Walk& walk) {
    const uint64_t one = (walk.words[check.parts[0].word] & check.parts[0].mask) ^ check.values[0];
    const uint64_t other = (walk.words[check.parts[1].word] & check.parts[1].mask) ^ check.values[1];
    return (one | other) == 0;
  }
  // What the packet does not have is 0: a rule that wants 0 there is run, and ends where it looks.
  static uint64_t load(const WordPlace& place, const Fields& fields) {
    constexpr size_t kBytes = sizeof(uint64_t);
    const ConstBytes source = fields[place.source];
    const size_t begin = place.word * kBytes;
    uint64_t word = 0;
    if (begin + kBytes <= source.size())
      std::memcpy(&word, source.data() + begin, kBytes);
    else if (begin < source.size())
      std::memcpy(&word, source.data() + begin, source.size() - begin);
    return word;
  }

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
    static constexpr std::array<uint64_t, RuleDrafts::kMostParts> kOdd = {
        0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0xff51afd7ed558ccd, 0xd6e8feb86659fd93,
        0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xa0761d6478bd642f, 0xe7037ed1a0b428db};
    uint64_t sum_ = 0;
    size_t part_ = 0;
  };
  static size_t place_of(const Table& table, uint32_t tag) { return (tag * 0x9e3779b1U) >> table.shift; }

  static uint32_t find(const Table& table, const Walk& walk) {
    Tag tag;
    for (const Part& part : table.parts) tag.add(walk.words[part.word] & part.mask);
    const size_t last = table.slots.size() - 1;
    for (size_t at = place_of(table, tag.get());; at = (at + 1) & last) {
      const Slot& slot = table.slots[at];
      if (slot.tag == tag.get() || slot.rule == kNone) return slot.rule;
    }
  }

  void fill(const RuleDraft& draft, const std::vector<Conditions>& conditions, const Pause& pause);
  Check check_of(const Conditions& conditions);
  uint32_t word_of(const WordPlace& place);

  std::vector<WordPlace> words_;  // that tables and checks compare
  std::vector<Table> tables_;
  std::vector<Check> checks_;     // by rule
  std::vector<uint32_t> others_;  // rules that are in no table
  std::vector<uint32_t> alike_;   // by rule: the next one of the same key; kNone: there is none
  uint32_t rules_ = 0;
  size_t work_ = 0;
  bool of_flow_ = true, beyond_ = false;
};

}  // namespace skerry::filter
