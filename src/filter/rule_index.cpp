#include "filter/rule_index.hpp"

#include <bit>
#include <map>
#include <string>

namespace skerry::filter {

namespace {

// What a rule does before anything that lasts, as text that is the same for rules that do the same but for
// the values that they compare with.
class Beginning {
 public:
  explicit Beginning(const Rule& rule) {
    size_t taken = 0;
    for (const Expression& expression : rule.expressions) {
      if (!std::visit([&](const auto& action) { return take(action); }, expression.action)) break;
      ++taken;
      if (!std::holds_alternative<Compare>(expression.action)) continue;
      tests = taken;
      shape = text_;
    }
  }

  size_t tests = 0;  // expressions up to the last comparison
  std::string shape;
  std::vector<uint8_t> key;  // the values, one after the other

 private:
  template <class... Numbers>
  bool put(char kind, Numbers... numbers) {
    text_ += kind;
    ((text_ += std::to_string(static_cast<unsigned>(numbers)) + ","), ...);
    return true;
  }
  bool put(const Value& value) {
    text_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
    return true;
  }

  bool take(const LoadPayload& load) { return put('p', load.to, load.base, load.length, load.offset); }
  // A rule may change the mark between two others.
  bool take(const LoadMeta& load) { return load.key != MetaKey::mark && put('m', load.to, load.key); }
  bool take(const LoadExtension& load) {
    return put('e', load.to, load.kind, load.type, load.offset, load.length, load.only_present);
  }
  bool take(const Mask& mask) {
    return put('k', mask.from, mask.to, mask.mask.length) && put(mask.mask) && put(mask.flip);
  }
  bool take(const Shift& shift) {
    return put('s', shift.from, shift.to, shift.length, shift.bits, shift.left);
  }
  bool take(const SwapBytes& swap) { return put('b', swap.from, swap.to, swap.length, swap.size); }
  bool take(const Compare& compare) {
    const Value& value = compare.value;
    if (compare.comparison != Comparison::equal || key.size() + value.length > RuleIndex::kMostKeyBytes)
      return false;
    key.insert(key.end(), value.bytes.begin(), value.bytes.begin() + value.length);
    return put('c', compare.from, value.length);
  }
  template <class Other>
  bool take(const Other&) {
    return false;
  }

  std::string text_;
};

}  // namespace

RuleIndex::RuleIndex(const std::vector<Rule>& rules)
    : alike_(rules.size(), kNone), rules_(static_cast<uint32_t>(rules.size())) {
  std::vector<Beginning> beginnings;
  std::map<std::string, std::vector<uint32_t>> groups;
  for (uint32_t rule = 0; rule < rules_; ++rule) {
    beginnings.emplace_back(rules[rule]);
    if (!beginnings[rule].key.empty()) groups[beginnings[rule].shape].push_back(rule);
  }
  std::vector<const std::vector<uint32_t>*> largest;
  for (const auto& [shape, members] : groups)
    if (members.size() >= kFewest) largest.push_back(&members);
  std::stable_sort(largest.begin(), largest.end(),
                   [](const auto* one, const auto* other) { return one->size() > other->size(); });
  if (largest.size() > kMostTables) largest.resize(kMostTables);

  std::vector<bool> found(rules_);
  std::vector<uint32_t> last(rules_);  // by the first rule of a key: the last one so far
  for (const std::vector<uint32_t>* members : largest) {
    const Beginning& model = beginnings[members->front()];
    const std::vector<Expression>& tests = rules[members->front()].expressions;
    Table table;
    table.tests.assign(tests.begin(), tests.begin() + static_cast<ptrdiff_t>(model.tests));
    table.key_bytes = model.key.size();
    table.slots.resize(std::bit_ceil(members->size() * 2), kNone);
    table.keys.resize(table.slots.size() * table.key_bytes);
    for (const uint32_t rule : *members) {
      add(table, beginnings[rule].key, rule, last);
      found[rule] = true;
    }
    tables_.push_back(std::move(table));
  }
  for (uint32_t rule = 0; rule < rules_; ++rule)
    if (!found[rule]) others_.push_back(rule);
}

uint64_t RuleIndex::hash(std::span<const uint8_t> key) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  uint64_t sum = key.size();
  for (size_t at = 0; at < key.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, key.data() + at, std::min<size_t>(8, key.size() - at));
    sum = (sum ^ word) * kOdd;
    sum ^= sum >> 29;
  }
  return sum * kOdd >> 20;
}

void RuleIndex::add(Table& table, std::span<const uint8_t> key, uint32_t rule, std::vector<uint32_t>& last) {
  const size_t mask = table.slots.size() - 1;
  size_t slot = hash(key) & mask;
  while (table.slots[slot] != kNone) {
    const uint32_t first = table.slots[slot];
    if (std::equal(key.begin(), key.end(), &table.keys[slot * table.key_bytes])) {
      alike_[last[first]] = rule;
      last[first] = rule;
      return;
    }
    slot = (slot + 1) & mask;
  }
  table.slots[slot] = rule;
  std::copy(key.begin(), key.end(), &table.keys[slot * table.key_bytes]);
  last[rule] = rule;
}

uint32_t RuleIndex::find(const Table& table, std::span<const uint8_t> key) const {
  const size_t mask = table.slots.size() - 1;
  for (size_t slot = hash(key) & mask; table.slots[slot] != kNone; slot = (slot + 1) & mask) {
    if (std::memcmp(key.data(), &table.keys[slot * table.key_bytes], key.size()) == 0)
      return table.slots[slot];
  }
  return kNone;
}

}  // namespace skerry::filter
