// A ruleset as values: what a netlink batch says, with every name resolved to an index. Made by import,
// judged by verify, run by the engine; immutable once loaded.
//
// Read first: docs/filter.md; expressions.hpp, of which rules are made; hooks.hpp, where chains stand. Words
// are nf_tables' own (nft(8)).
//
// Invariant: after verify() every index lies within the vector that it points into.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "base/pause.hpp"
#include "filter/expressions.hpp"
#include "filter/hooks.hpp"

namespace skerry::filter {

// No chain: what rules have written into a packet; what it announces (`ct helper`).
inline constexpr uint32_t kWritten = kNone - 1, kAnnouncement = kNone - 2;

// Where something stands in the batch, for sentences.
struct Origin {
  uint32_t sequence = 0;   // of its message
  uint32_t attribute = 0;  // bytes from the message's head to the attribute
};

// What a counter, limit, quota or number of connections begins with and is given.
// connections: how many flows that are open have met it; helper: reads what they announce (FTP).
enum class StatefulKind : uint8_t { counter, limit, quota, connections, helper };
struct Stateful {
  StatefulKind kind = StatefulKind::counter;
  bool inverted = false;
  bool in_bytes = false;  // a limit's
  uint32_t burst = 0;     // a limit's
  uint64_t rate = 0;      // a limit's, in packets or bytes for each period
  uint64_t period_ns = 0;
  uint64_t bytes = 0;           // counted so far, or a quota's
  uint64_t packets = 0;         // counted so far
  uint64_t consumed = 0;        // of a quota
  uint32_t connections = 0;     // that are allowed
  std::array<bool, 2> helps{};  // by v6: whose connections a helper reads

  friend bool operator==(const Stateful&, const Stateful&) = default;
};
inline bool counts_connections(const Stateful& stateful) {
  return stateful.kind == StatefulKind::connections;
}
inline bool count_connections(const std::vector<Stateful>& all) {
  return std::any_of(all.begin(), all.end(), counts_connections);
}

struct LogText {
  std::string prefix;
  uint32_t level = 4;  // LOG_WARNING, as the kernel fills in
  uint32_t group = kNone;
};

struct Rule {
  std::vector<Expression> expressions;
  std::string comment;
  uint64_t handle = 0;
  Origin origin;
};

enum class Policy : uint8_t { drop, accept };
enum class ChainType : uint8_t { filter, nat };
struct Chain {
  std::string name;  // empty: one that belongs to the one rule that jumps to it
  uint32_t table = kNone;
  uint64_t handle = 0;
  bool is_base = false;
  ChainType type{};
  Hook hook{};
  int32_t priority = 0;
  Policy policy = Policy::accept;
  bool counted = false;  // of a base chain: how often its policy decided
  uint32_t stateful = kNone;
  std::vector<Rule> rules;
  Origin origin;
};

// Stateful of an element's own, in order. Without memory of their own: what a hundred thousand elements had
// in small pieces the allocator would put together again all at once.
class OwnCounters {
 public:
  static constexpr size_t kMost = 2;

  void push_back(uint32_t stateful) {
    CHECK(count_ < kMost);
    all_[count_++] = stateful;
  }
  const uint32_t* begin() const { return all_.data(); }
  const uint32_t* end() const { return all_.data() + count_; }
  uint32_t operator[](size_t index) const { return all_[index]; }
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }

 private:
  std::array<uint32_t, kMost> all_{};
  uint32_t count_ = 0;
};

struct Element {
  uint32_t key = 0;      // bytes into Set::keys
  uint32_t key_end = 0;  // of a range its last key, which is one of it
  bool catchall = false;
  bool gone = false;          // it was taken out; its place is in Set::free
  bool added = false;         // by the control side, not by the text
  Verdict verdict;            // of a verdict map
  Value data;                 // of a map
  uint32_t stateful = kNone;  // of an object map
  OwnCounters counters;
  bool counts = true;       // false: it has none, although others of its set have
  uint64_t timeout_ns = 0;  // 0: it stays
  uint64_t expires_ns = 0;  // how much of that is left at the beginning; 0: all
};

enum class SetShape : uint8_t { exact, interval, concatenated_ranges };
struct Set {
  Set() = default;
  Set(const Set&) = default;
  Set(Set&&) noexcept = default;  // a deque does not promise it, and a vector that grows would copy them
  Set& operator=(const Set&) = default;
  Set& operator=(Set&&) = default;

  std::string name;
  uint32_t table = kNone;
  uint64_t handle = 0;
  bool anonymous = false;
  bool constant = false;
  bool maps = false, maps_verdict = false, maps_object = false;
  SetShape shape = SetShape::exact;
  uint8_t key_bytes = 0;
  uint8_t data_bytes = 0;                // of a map to values
  uint32_t key_type = 0, data_type = 0;  // nft's numbers of types: for people, nothing here believes them
  StatefulKind object_kind{};
  uint32_t most_elements = 0;  // 0: no limit but ours
  bool dynamic = false;        // rules may add to it, or its elements have a time
  bool has_timeout = false;
  bool takes_expressions = false;  // rules may give an element a counter, a limit or a quota
  uint64_t timeout_ns = 0;         // of an element that is given none; 0: it stays
  std::vector<uint8_t> fields;     // bytes of each, of a concatenation
  // Each element stays where it is. In the text's order; but those of sets without concatenations are sorted.
  // What comes later takes the places and keys of those that have gone first.
  std::deque<Element> elements;
  std::vector<uint8_t> keys;
  std::vector<uint32_t> free, free_keys;
  std::vector<uint32_t> targets;              // chains that a verdict map leads to; sorted
  std::vector<uint32_t> leading;              // how many elements lead to each of them
  std::vector<Stateful> element_expressions;  // what each element gets one of
  bool declares_expressions = false;          // by the set itself, else by the rules that add to it
  bool added_to = false;                      // by a rule so far
  std::vector<OwnCounters> spare_counters;    // of elements that were taken out
  Origin origin;

  size_t size() const { return elements.size() - free.size(); }
};

struct NamedObject {
  std::string name;
  uint32_t table = kNone;
  uint64_t handle = 0;
  uint32_t stateful = kNone;
};

struct Table {
  std::string name;
  Family family{};
  bool dormant = false;
  uint64_t handle = 0;
};

// Chains, sets and objects name their table by index. A base chain's place among equals is its index.
struct Ruleset {
  std::vector<Table> tables;
  std::vector<Chain> chains;
  std::vector<Set> sets;
  std::vector<NamedObject> objects;  // in the order of their `stateful`
  std::vector<Stateful> stateful;
  std::vector<LogText> logs;
  uint32_t number_states = 0;
};

// What the destructor would do, in pieces; nothing is in it then.
void take_apart(Ruleset& ruleset, const Pause& pause);

}  // namespace skerry::filter
