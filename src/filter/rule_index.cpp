#include "filter/rule_index.hpp"

#include <bit>
#include <map>
#include <unordered_map>

namespace skerry::filter {

namespace {

// The bits that a rule or a table compares.
struct Bits {
  WordPlace place;
  uint64_t mask;

  friend auto operator<=>(const Bits&, const Bits&) = default;
};
using Shape = std::vector<Bits>;

Shape shape_of(const Conditions& conditions) {
  Shape shape;
  for (const Condition& condition : conditions.all)
    if (shape.size() < RuleIndex::kMostParts) shape.push_back({condition.place, condition.mask});
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

}  // namespace

// A table to be.
struct RuleIndex::Draft {
  Shape shape;
  std::vector<uint32_t> rules;
  std::unordered_map<uint64_t, size_t> relaxed;  // by key: rules that compare more than the table does
};

class RuleIndex::Drafts {
 public:
  Drafts(const std::vector<Conditions>& conditions, const Pause& pause)
      : conditions_(conditions),
        pause_(pause),
        most_relaxed_(std::clamp<size_t>(conditions.size() / kRulesForOne, 1, kMostRelaxed)),
        most_work_(conditions.size() * kWork) {
    std::map<Shape, std::vector<uint32_t>> groups;
    for (uint32_t rule = 0; rule < conditions.size(); ++rule) {
      shapes_.push_back(shape_of(conditions[rule]));
      if (!shapes_[rule].empty()) groups[shapes_[rule]].push_back(rule);
      pause_();
    }
    // From the weakest on, so that those which come later find tables that they can stand in.
    std::vector<Draft> order;
    for (auto& [shape, rules] : groups) {
      order.push_back({shape, std::move(rules), {}});
      pause_();
    }
    std::stable_sort(order.begin(), order.end(), [this](const Draft& one, const Draft& other) {
      pause_();
      return count_bits(one.shape) < count_bits(other.shape);
    });
    for (Draft& group : order)
      if (tired() || std::none_of(all.begin(), all.end(), [&](Draft& draft) { return join(draft, group); }))
        all.push_back(std::move(group));
    std::erase_if(all, [](const Draft& draft) { return draft.rules.size() < kFewest; });
    std::stable_sort(all.begin(), all.end(), [this](const Draft& one, const Draft& other) {
      pause_();
      return one.rules.size() > other.rules.size();
    });
    if (all.size() > kMostTables) all.resize(kMostTables);
    for (Draft& draft : all) lighten(draft);
  }

  size_t work() const { return work_; }

  std::vector<Draft> all;

 private:
  static constexpr size_t kRulesForOne = 8;

  // The rules of both, by the bits that both compare.
  bool join(Draft& draft, const Draft& group) {
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
      Draft weaker{std::move(both), {}, {}};
      if (!add_all(weaker, draft.rules, most) || !add_all(weaker, group.rules, most)) return false;
      draft.shape = std::move(weaker.shape);
      draft.relaxed = std::move(weaker.relaxed);
    }
    draft.rules.insert(draft.rules.end(), group.rules.begin(), group.rules.end());
    return true;
  }
  // Words that tell none of its rules from another are not compared.
  void lighten(Draft& draft) {
    const size_t keys = keys_of(draft.rules, draft.shape);
    for (size_t i = draft.shape.size(); i-- > 0 && !tired();) {
      Draft lighter{draft.shape, {}, {}};
      lighter.shape.erase(lighter.shape.begin() + static_cast<ptrdiff_t>(i));
      if (tells_apart(lighter.shape) && keys_of(draft.rules, lighter.shape) == keys &&
          add_all(lighter, draft.rules, most_relaxed_))
        draft.shape = std::move(lighter.shape);
    }
  }
  // How many there are. Sorted, as a table of them would be freed all at once.
  size_t keys_of(const std::vector<uint32_t>& rules, const Shape& shape) const {
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
  bool may_work() {
    pause_();
    return ++work_ <= most_work_;
  }
  bool tired() const { return work_ >= most_work_; }
  // False: too many are found by one key.
  bool add(Draft& draft, uint32_t rule, size_t most) {
    pause_();
    if (shapes_[rule] == draft.shape) return true;
    return ++draft.relaxed[key_of(conditions_[rule], draft.shape)] <= most && may_work();
  }
  bool add_all(Draft& draft, const std::vector<uint32_t>& rules, size_t most) {
    return std::all_of(rules.begin(), rules.end(), [&](uint32_t rule) { return add(draft, rule, most); });
  }
  void remove(Draft& draft, uint32_t rule) const {
    if (shapes_[rule] != draft.shape) --draft.relaxed[key_of(conditions_[rule], draft.shape)];
  }

  const std::vector<Conditions>& conditions_;
  const Pause& pause_;
  std::vector<Shape> shapes_;  // by rule
  size_t most_relaxed_, most_work_, work_ = 0;
};

RuleIndex::RuleIndex(const std::vector<Rule>& rules, const ConditionReader& reader, const Pause& pause)
    : alike_(rules.size(), kNone), rules_(static_cast<uint32_t>(rules.size())) {
  if (rules.size() < kFewest) return;
  std::vector<Conditions> conditions;
  for (const Rule& rule : rules) {
    pause.push_back(conditions, reader.conditions_of(rule));
    pause();
  }
  Drafts drafts(conditions, pause);
  work_ = drafts.work();

  std::vector<bool> found(rules_);
  for (Draft& draft : drafts.all) {
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
  for (uint32_t rule = 0; rule < rules_; ++rule)
    if (!found[rule]) others_.push_back(rule);
  pause.clear(conditions);
}

void RuleIndex::fill(const Draft& draft, const std::vector<Conditions>& conditions, const Pause& pause) {
  Table& table = tables_.emplace_back();
  for (const Bits& bits : draft.shape) {
    uint8_t mask[kWordBytes];
    std::memcpy(mask, &bits.mask, kWordBytes);
    uint8_t bytes = kWordBytes;
    while (mask[bytes - 1] == 0) --bytes;
    table.parts.push_back({bits.place, bytes, bits.mask});
    beyond_ = beyond_ || bits.place.source > Source::transport;
  }
  table.slots.resize(std::bit_ceil(draft.rules.size() * 2));
  table.shift = 32U - static_cast<unsigned>(std::countr_zero(table.slots.size()));
  const size_t end = table.slots.size() - 1;
  std::vector<uint32_t> last(table.slots.size());  // by slot: the last rule so far
  for (const uint32_t rule : draft.rules) {
    pause();
    Tag tag;
    for (const Part& part : table.parts)
      for (const Condition& condition : conditions[rule].all)
        if (condition.place == part.place) tag.add(condition.value & part.mask);
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
