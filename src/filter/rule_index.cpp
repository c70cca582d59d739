#include "filter/rule_index.hpp"

#include <bit>
#include <map>

namespace skerry::filter {

namespace {

// How much a comparison tells: more than all others those of headers beyond the first word, in which most
// packets are alike.
int telling(const Condition& condition) {
  constexpr int kBits = 64;
  const bool in_header =
      condition.place.source <= Source::link && condition.place != WordPlace{Source::network, 0};
  return std::popcount(condition.mask) + (in_header ? kBits : 0);
}

// Of more words than a walk holds those that the fewest rules compare are left out.
void keep_frequent(std::vector<Conditions>& all, const Pause& pause) {
  std::map<WordPlace, size_t> times;
  for (const Conditions& each : all) {
    for (const Condition& condition : each.all) ++times[condition.place];
    pause();
  }
  if (times.size() <= RuleIndex::kMostWords) return;
  std::vector<std::pair<size_t, WordPlace>> order;
  for (const auto& [place, count] : times) order.emplace_back(count, place);
  std::sort(order.rbegin(), order.rend());
  for (size_t i = RuleIndex::kMostWords; i < order.size(); ++i) times.erase(order[i].second);
  for (Conditions& each : all) {
    std::erase_if(each.all, [&](const Condition& condition) { return !times.contains(condition.place); });
    pause();
  }
}

}  // namespace

RuleIndex::RuleIndex(const std::vector<Rule>& rules, const ConditionReader& reader, const Pause& pause)
    : alike_(rules.size(), kNone), rules_(static_cast<uint32_t>(rules.size())) {
  if (rules.size() < RuleDrafts::kFewest) return;
  std::vector<Conditions> conditions;
  for (const Rule& rule : rules) {
    pause.push_back(conditions, reader.conditions_of(rule));
    pause();
  }
  keep_frequent(conditions, pause);
  RuleDrafts drafts(conditions, pause);
  work_ = drafts.work();

  std::vector<bool> found(rules_);
  for (RuleDraft& draft : drafts.all) {
    std::sort(draft.rules.begin(), draft.rules.end(), [&](uint32_t one, uint32_t other) {
      pause();
      return one < other;
    });
    fill(draft, conditions, pause);
    for (const uint32_t rule : draft.rules) {
      pause();
      found[rule] = true;
      of_flow_ = of_flow_ && conditions[rule].of_flow;
    }
  }
  for (uint32_t rule = 0; rule < rules_; ++rule) {
    if (!found[rule]) others_.push_back(rule);
    pause.push_back(checks_, check_of(conditions[rule]));
    pause();
  }
  drafts.take_apart();
  pause.clear(conditions);
}

void RuleIndex::take_apart(const Pause& pause) {
  for (Table& table : tables_) pause.clear(table.slots);
  pause.clear(tables_);
  pause.clear(checks_);
  pause.clear(others_);
  pause.clear(alike_);
}

uint32_t RuleIndex::word_of(const WordPlace& place) {
  beyond_ = beyond_ || place.source > Source::transport;
  const auto there = std::find(words_.begin(), words_.end(), place);
  if (there != words_.end()) return static_cast<uint32_t>(there - words_.begin());
  words_.push_back(place);
  return static_cast<uint32_t>(words_.size() - 1);
}

// Whoever passes over a rule passes over it for all packets of a flow that is remembered, so none of those
// with bits that differ among them is looked at.
RuleIndex::Check RuleIndex::check_of(const Conditions& conditions) {
  Check check;
  if (!conditions.of_flow) return check;
  std::vector<Condition> order = conditions.all;
  std::stable_sort(order.begin(), order.end(), [](const Condition& one, const Condition& other) {
    return telling(one) > telling(other);
  });
  for (size_t i = 0; i < std::min(order.size(), check.parts.size()); ++i) {
    check.parts[i] = {order[i].mask, word_of(order[i].place)};
    check.values[i] = order[i].value;
  }
  return check;
}

void RuleIndex::fill(const RuleDraft& draft, const std::vector<Conditions>& conditions, const Pause& pause) {
  Table& table = tables_.emplace_back();
  for (const Bits& bits : draft.shape) table.parts.push_back({bits.mask, word_of(bits.place)});
  pause.resize(table.slots, std::bit_ceil(draft.rules.size() * 2));
  table.shift = 32U - static_cast<unsigned>(std::countr_zero(table.slots.size()));
  const size_t end = table.slots.size() - 1;
  std::vector<uint32_t> last(table.slots.size());  // by slot: the last rule so far
  for (const uint32_t rule : draft.rules) {
    pause();
    Tag tag;
    for (const Bits& bits : draft.shape)
      for (const Condition& condition : conditions[rule].all)
        if (condition.place == bits.place) tag.add(condition.value & bits.mask);
    size_t at = place_of(table, tag.get());
    while (table.slots[at].rule != kNone && table.slots[at].tag != tag.get()) at = (at + 1) & end;
    if (table.slots[at].rule == kNone)
      table.slots[at] = {tag.get(), rule};
    else
      alike_[last[at]] = rule;
    last[at] = rule;
  }
}

}  // namespace skerry::filter
