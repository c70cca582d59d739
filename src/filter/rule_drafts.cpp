#include "filter/rule_drafts.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

namespace skerry::filter {

namespace {

constexpr size_t kRulesForOne = 8;  // that is found by less than what it compares

Shape shape_of(const Conditions& conditions) {
  Shape shape;
  for (const Condition& condition : conditions.all)
    if (shape.size() < RuleDrafts::kMostParts) shape.push_back({condition.place, condition.mask});
  return shape;
}

Shape shared(const Shape& one, const Shape& other) {
  Shape both;
  for (const Bits& bits : one) {
    const auto there =
        std::find_if(other.begin(), other.end(), [&](const Bits& its) { return its.place == bits.place; });
    const uint64_t mask = there != other.end() ? bits.mask & there->mask : 0;
    if (mask != 0) both.push_back({bits.place, mask});
  }
  return both;
}

int count_bits(const Shape& shape) {
  int sum = 0;
  for (const Bits& bits : shape) sum += std::popcount(bits.mask);
  return sum;
}

// Whether packets differ there. Nearly all are alike in the first words of the IP header up to the addresses,
// and in facts.
bool tells_apart(const Shape& shape) {
  constexpr int kEnough = 8;
  static constexpr uint8_t kSource[8] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
  uint64_t source_address;
  std::memcpy(&source_address, kSource, sizeof kSource);
  int sum = 0;
  for (const Bits& bits : shape) {
    if (bits.place.source > Source::link || bits.place == WordPlace{Source::network, 0}) continue;
    sum +=
        std::popcount(bits.place == WordPlace{Source::network, 1} ? bits.mask & source_address : bits.mask);
  }
  return sum >= kEnough;
}

// What a rule wants there, as one number: two that are the same by accident only spoil a little order.
uint64_t key_of(const Conditions& conditions, const Shape& shape) {
  uint64_t sum = 0;
  for (const Bits& bits : shape)
    for (const Condition& condition : conditions.all)
      if (condition.place == bits.place)
        sum = (std::rotl(sum, 29) ^ (condition.value & bits.mask)) * 0x9e3779b97f4a7c15;
  return sum;
}

// Where most of its rules are found by one key that is less than what they compare, a comparison of each
// tells more.
bool divides(const RuleDraft& draft, const Pause& pause) {
  size_t most = 0;
  for (const auto& [key, rules] : draft.relaxed) {
    most = std::max(most, rules);
    pause();
  }
  return most * 2 <= draft.rules.size();
}

}  // namespace

RuleDrafts::RuleDrafts(const std::vector<Conditions>& conditions, const Pause& pause)
    : conditions_(conditions),
      pause_(pause),
      most_relaxed_(std::clamp<size_t>(conditions.size() / kRulesForOne, 1, kMostRelaxed)),
      most_work_(conditions.size() * kWork) {
  std::map<Shape, std::vector<uint32_t>> groups;
  for (uint32_t rule = 0; rule < conditions.size(); ++rule) {
    pause_.push_back(shapes_, shape_of(conditions[rule]));
    if (!shapes_[rule].empty()) groups[shapes_[rule]].push_back(rule);
    pause_();
  }
  // From the weakest on, so that those which come later find tables that they can stand in.
  std::vector<RuleDraft> order;
  for (auto& [shape, rules] : groups) pause_.push_back(order, {shape, std::move(rules), {}});
  pause_.clear(groups);
  std::stable_sort(order.begin(), order.end(), [this](const RuleDraft& one, const RuleDraft& other) {
    pause_();
    return count_bits(one.shape) < count_bits(other.shape);
  });
  for (RuleDraft& group : order)
    if (tired() || std::none_of(all.begin(), all.end(), [&](RuleDraft& draft) { return join(draft, group); }))
      all.push_back(std::move(group));
  pause_.clear(order);
  std::erase_if(
      all, [&](const RuleDraft& draft) { return draft.rules.size() < kFewest || !divides(draft, pause_); });
  std::stable_sort(all.begin(), all.end(), [this](const RuleDraft& one, const RuleDraft& other) {
    pause_();
    return one.rules.size() > other.rules.size();
  });
  if (all.size() > kMostTables) all.resize(kMostTables);
  for (RuleDraft& draft : all) lighten(draft);
}

void RuleDrafts::take_apart() {
  pause_.clear(shapes_);
  for (RuleDraft& draft : all) pause_.clear(draft.relaxed);
}

// The rules of both, by the bits that both compare.
bool RuleDrafts::join(RuleDraft& draft, const RuleDraft& group) {
  if (!may_work()) return false;
  Shape both = shared(draft.shape, group.shape);
  if (!tells_apart(both)) return false;
  // What is too few for a table would be run one after the other.
  const bool alone = draft.rules.size() < kFewest || group.rules.size() < kFewest;
  const size_t most = alone ? kMostRelaxed : most_relaxed_;
  if (both == draft.shape) {
    for (size_t i = 0; i < group.rules.size(); ++i) {
      if (add(draft, group.rules[i], most)) continue;
      for (size_t back = 0; back <= i; ++back) remove(draft, group.rules[back]);
      return false;
    }
  } else {
    RuleDraft weaker{std::move(both), {}, {}};
    if (!add_all(weaker, draft.rules, most) || !add_all(weaker, group.rules, most)) return false;
    draft.shape = std::move(weaker.shape);
    draft.relaxed = std::move(weaker.relaxed);
  }
  draft.rules.insert(draft.rules.end(), group.rules.begin(), group.rules.end());
  return true;
}

// Words that tell none of its rules from another are not compared.
void RuleDrafts::lighten(RuleDraft& draft) {
  const size_t keys = keys_of(draft.rules, draft.shape);
  for (size_t i = draft.shape.size(); i-- > 0 && !tired();) {
    RuleDraft lighter{draft.shape, {}, {}};
    lighter.shape.erase(lighter.shape.begin() + static_cast<ptrdiff_t>(i));
    if (tells_apart(lighter.shape) && keys_of(draft.rules, lighter.shape) == keys &&
        add_all(lighter, draft.rules, most_relaxed_))
      draft.shape = std::move(lighter.shape);
  }
}

// How many there are. Sorted, as a table of them would be freed all at once.
size_t RuleDrafts::keys_of(const std::vector<uint32_t>& rules, const Shape& shape) const {
  std::vector<uint64_t> keys;
  keys.reserve(rules.size());
  for (const uint32_t rule : rules) {
    keys.push_back(key_of(conditions_[rule], shape));
    pause_();
  }
  std::sort(keys.begin(), keys.end(), [&](uint64_t one, uint64_t other) {
    pause_();
    return one < other;
  });
  return static_cast<size_t>(std::unique(keys.begin(), keys.end()) - keys.begin());
}

// Work is looking for one rule's place, or at one table for a group's, once; when it is used up, what is
// left stands by itself.
bool RuleDrafts::may_work() {
  pause_();
  return ++work_ <= most_work_;
}

// False: too many are found by one key.
bool RuleDrafts::add(RuleDraft& draft, uint32_t rule, size_t most) {
  pause_();
  if (shapes_[rule] == draft.shape) return true;
  return ++draft.relaxed[key_of(conditions_[rule], draft.shape)] <= most && may_work();
}

bool RuleDrafts::add_all(RuleDraft& draft, const std::vector<uint32_t>& rules, size_t most) {
  return std::all_of(rules.begin(), rules.end(), [&](uint32_t rule) { return add(draft, rule, most); });
}

void RuleDrafts::remove(RuleDraft& draft, uint32_t rule) const {
  if (shapes_[rule] != draft.shape) --draft.relaxed[key_of(conditions_[rule], draft.shape)];
}

}  // namespace skerry::filter
