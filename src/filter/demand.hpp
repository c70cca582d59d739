// What must be true of a packet for a rule to hold: of each field that it compares, the values. For questions
// about rules, never for packets.
//
// Invariant: every packet for which the rule holds meets the demand. If it is exact, the rule holds for
// every packet that meets it and has the fields.
#pragma once

#include <optional>

#include "filter/key_ranges.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

// What a rule looks at. Two that are equal have the same value for one packet, wherever in a chain they are
// read.
struct Field {
  enum class Kind : uint8_t { payload, meta, ct, extension } kind{};
  uint8_t base = 0;    // HeaderBase, MetaKey, CtKey, or ExtensionKind
  uint16_t place = 0;  // offset of a payload, or whatever else says which it is
  uint16_t more = 0;
  uint8_t bytes = 0;
  KeyRanges::Number mask = 0, flip = 0;  // what is compared is (value & mask) ^ flip; mask 0: the value

  friend auto operator<=>(const Field&, const Field&) = default;
};

struct Demand {
  struct Test {
    Field field;
    KeyRanges values;
  };
  std::vector<Test> tests;  // of each field one
  bool exact = true;
  // The verdict that it ends with wherever it holds, if it does not go on to the next rule.
  std::optional<Code> ends;

  // No packet meets it.
  bool contradicts_itself() const;
  // Every packet that meets this one meets `wider`, which is exact, and has its fields.
  bool implies(const Demand& wider) const;
  // What this one says of a field; none if it does not say that a packet has it.
  std::optional<KeyRanges> says_of(const Field& field) const;
};

// The rule stands in a table of that family.
Demand demand_of(const Ruleset& ruleset, Family family, const Rule& rule);

}  // namespace skerry::filter
