#include "filter/dead_rules.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "filter/demand.hpp"

namespace skerry::filter {

namespace {

using Why = DeadRule::Why;

// Between two rules of a chain a packet and what tracking says of it stay as they are, if no rule anywhere is
// made of anything else than these; translation ends its chain.
template <class... Known>
bool is_one_of(const Action& action) {
  return (std::holds_alternative<Known>(action) || ...);
}
bool sets_zone(const Action& action) {
  const auto* const store = std::get_if<StoreCt>(&action);
  return store != nullptr && store->key == CtKey::zone;
}
bool leaves_packets_alone(const Ruleset& ruleset) {
  for (const Chain& chain : ruleset.chains)
    for (const Rule& rule : chain.rules)
      for (const Expression& each : rule.expressions)
        if (sets_zone(each.action) ||
            !is_one_of<LoadImmediate, Decide, Compare, InRange, LoadPayload, LoadExtension, LoadMeta,
                       LoadSocket, NextNumber, HashRegisters, HashFlow, StoreMark, LoadCt, StoreCt, Translate,
                       Mask, Shift, SwapBytes, Lookup, Touch, TouchMapped, UpdateSet, Log, Reject>(
                each.action))
          return false;
  return true;
}

// The rules of one chain, one after the other, and which of those before it end the chain for a rule.
class Chainwalk {
 public:
  explicit Chainwalk(const Ruleset& ruleset, bool compares) : ruleset_(ruleset), compares_(compares) {}

  std::optional<DeadRule> next(uint32_t chain, uint32_t index) {
    if (decided_by_ != kNone) return DeadRule{Why::decided, chain, index, decided_by_};
    const Family family = ruleset_.tables[ruleset_.chains[chain].table].family;
    Demand demand = demand_of(ruleset_, family, ruleset_.chains[chain].rules[index]);
    if (demand.contradicts_itself()) return DeadRule{Why::contradiction, chain, index};
    const uint32_t by = compares_ ? shadow_of(demand) : kNone;
    if (by != kNone) return DeadRule{Why::shadowed, chain, index, by};
    if (!demand.exact || !demand.ends) return std::nullopt;
    if (demand.tests.empty())
      decided_by_ = index;
    else
      keep(std::move(demand), index);
    return std::nullopt;
  }

 private:
  struct Earlier {
    Demand demand;
    uint32_t index;
  };

  // Most rules ask for one value of some field: then only a rule that asks for the same value of it can be in
  // its shadow, and is found by it.
  void keep(Demand demand, uint32_t index) {
    for (const Demand::Test& test : demand.tests) {
      if (const KeyRanges::Number* only = test.values.only()) {
        by_value_[test.field][*only].push_back({std::move(demand), index});
        return;
      }
    }
    others_.push_back({std::move(demand), index});
  }

  uint32_t shadow_of(const Demand& demand) {
    for (const auto& [field, by_value] : by_value_) {
      const std::optional<KeyRanges> said = demand.says_of(field);
      const KeyRanges::Number* const only = said ? said->only() : nullptr;
      if (only == nullptr) continue;
      const auto found = by_value.find(*only);
      if (found == by_value.end()) continue;
      if (const uint32_t by = first_implied(demand, found->second); by != kNone) return by;
    }
    return first_implied(demand, others_);
  }

  // It costs what it costs, up to here; then nothing more is said.
  uint32_t first_implied(const Demand& demand, const std::vector<Earlier>& all) {
    constexpr uint64_t kMostComparisons = 20'000'000;
    for (const Earlier& each : all) {
      if (++comparisons_ > kMostComparisons) return kNone;
      if (demand.implies(each.demand)) return each.index;
    }
    return kNone;
  }

  const Ruleset& ruleset_;
  const bool compares_;
  uint32_t decided_by_ = kNone;
  std::map<Field, std::map<KeyRanges::Number, std::vector<Earlier>>> by_value_;
  std::vector<Earlier> others_;
  uint64_t comparisons_ = 0;
};

// Chains that a packet can get into. Elements may come to a map that has a name, so one leads everywhere in
// its table.
class Reach {
 public:
  Reach(const Ruleset& ruleset, const std::vector<std::vector<bool>>& dead)
      : ruleset_(ruleset), dead_(dead), reached_(ruleset.chains.size()) {
    for (uint32_t chain = 0; chain < ruleset.chains.size(); ++chain)
      if (ruleset.chains[chain].is_base) visit(chain);
  }
  bool reached(uint32_t chain) const { return reached_[chain]; }

 private:
  void visit(uint32_t first) {
    std::vector<uint32_t> waiting{first};
    while (!waiting.empty()) {
      const uint32_t chain = waiting.back();
      waiting.pop_back();
      if (reached_[chain]) continue;
      reached_[chain] = true;
      const std::vector<Rule>& rules = ruleset_.chains[chain].rules;
      for (size_t rule = 0; rule < rules.size(); ++rule)
        if (!dead_[chain][rule]) follow(chain, rules[rule], waiting);
    }
  }
  void follow(uint32_t chain, const Rule& rule, std::vector<uint32_t>& waiting) const {
    for (const Expression& expression : rule.expressions) {
      if (const auto* decide = std::get_if<Decide>(&expression.action);
          decide && decide->verdict.chain != kNone)
        waiting.push_back(decide->verdict.chain);
      const auto* lookup = std::get_if<Lookup>(&expression.action);
      if (lookup == nullptr || !lookup->to_verdict) continue;
      const Set& set = ruleset_.sets[lookup->set];
      waiting.insert(waiting.end(), set.targets.begin(), set.targets.end());
      if (set.anonymous || set.constant) continue;
      for (uint32_t other = 0; other < ruleset_.chains.size(); ++other)
        if (ruleset_.chains[other].table == ruleset_.chains[chain].table && !ruleset_.chains[other].is_base)
          waiting.push_back(other);
    }
  }

  const Ruleset& ruleset_;
  const std::vector<std::vector<bool>>& dead_;
  std::vector<bool> reached_;
};

}  // namespace

std::vector<DeadRule> find_dead_rules(const Ruleset& ruleset) {
  const bool compares = leaves_packets_alone(ruleset);
  std::vector<std::vector<DeadRule>> found(ruleset.chains.size());
  std::vector<std::vector<bool>> dead(ruleset.chains.size());
  for (uint32_t chain = 0; chain < ruleset.chains.size(); ++chain) {
    Chainwalk walk(ruleset, compares);
    for (uint32_t rule = 0; rule < ruleset.chains[chain].rules.size(); ++rule) {
      const std::optional<DeadRule> one = walk.next(chain, rule);
      dead[chain].push_back(one.has_value());
      if (one) found[chain].push_back(*one);
    }
  }
  const Reach reach(ruleset, dead);
  std::vector<DeadRule> all;
  for (uint32_t chain = 0; chain < ruleset.chains.size(); ++chain) {
    if (!reach.reached(chain))
      all.push_back({Why::unreachable, chain});
    else
      all.insert(all.end(), found[chain].begin(), found[chain].end());
  }
  return all;
}

}  // namespace skerry::filter
