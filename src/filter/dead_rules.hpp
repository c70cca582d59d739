// Rules that no packet can ever hold for, and chains that none can get into: mistakes of who wrote them.
//
// Invariant: what is named here is never met, whatever comes; what is not named may be dead all the same.
#pragma once

#include <vector>

#include "filter/ruleset.hpp"

namespace skerry::filter {

struct DeadRule {
  enum class Why : uint8_t {
    contradiction,  // it asks for what cannot be together
    decided,        // `by` ends the chain for every packet
    shadowed,       // `by` ends the chain for every packet that it would hold for
    unreachable,    // of a chain, `rule` is kNone: nothing leads to it
  } why{};
  uint32_t chain = kNone, rule = kNone;
  uint32_t by = kNone;  // a rule of the same chain
};

// In the order of chains and rules; of a chain that nothing leads to only that.
std::vector<DeadRule> find_dead_rules(const Ruleset& ruleset);

}  // namespace skerry::filter
