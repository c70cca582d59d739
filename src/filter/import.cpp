#include "filter/import.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace skerry::filter {

namespace {

struct Head {
  uint32_t length = 0;
  uint16_t type = 0, flags = 0;
  uint32_t sequence = 0, port = 0;
  uint8_t family = 0, version = 0;
  uint16_t resource = 0;
};
static_assert(sizeof(Head) == kMessageHead);

bool is_known(uint8_t family) {
  constexpr Family kAll[] = {Family::inet,   Family::ip,     Family::arp,
                             Family::netdev, Family::bridge, Family::ip6};
  return std::any_of(std::begin(kAll), std::end(kAll),
                     [&](Family each) { return static_cast<uint8_t>(each) == family; });
}

// The comment of a rule: a record of type 0 among those of libnftables; nothing else in there has a meaning
// here.
std::string comment_of(ConstBytes userdata) {
  while (userdata.size() >= 2) {
    const uint8_t type = userdata[0], length = userdata[1];
    if (size_t{2} + length > userdata.size()) break;
    if (type == 0) {
      std::string comment(reinterpret_cast<const char*>(userdata.data() + 2), length);
      while (!comment.empty() && comment.back() == '\0') comment.pop_back();
      for (char& c : comment)
        if (c < 0x20 || c > 0x7e) c = '?';
      return comment;
    }
    userdata = userdata.subspan(size_t{2} + length);
  }
  return {};
}

}  // namespace

bool Import::batch(ConstBytes bytes) {
  bool open = false, closed = false;
  if (bytes.size() > limits_.batch_bytes)
    return reader_.refuse(0, E2BIG, "the ruleset is larger than is allowed");
  while (!bytes.empty()) {
    Head head;
    if (bytes.size() < sizeof head) return reader_.refuse(0, EINVAL, "the batch is cut off");
    std::memcpy(&head, bytes.data(), sizeof head);
    reader_.begin_message(head.sequence);
    if (head.length < sizeof head || head.length > bytes.size())
      return reader_.refuse(0, EINVAL, "a message is longer than its batch");
    if (head.type == nft::kBatchBegin || head.type == nft::kBatchEnd) {
      if (closed || open == (head.type == nft::kBatchBegin))
        return reader_.refuse(0, EINVAL, "there is more than one batch");
      (open ? closed : open) = true;
    } else {
      if (!open || closed || head.type >> 8 != nft::kSubsystem)
        return reader_.refuse(0, EINVAL, "a message is none of nf_tables' or stands outside of the batch");
      if (!message(static_cast<uint8_t>(head.type), head.flags, head.family,
                   bytes.subspan(kMessageHead, head.length - kMessageHead)))
        return false;
    }
    bytes = bytes.subspan(std::min(bytes.size(), (size_t{head.length} + 3) & ~size_t{3}));
    pause_();
  }
  if (open && !closed) return reader_.refuse(0, EINVAL, "the batch does not end");
  for (auto& [chain, rules] : inserted_) {
    std::vector<Rule>& behind = ruleset_.chains[chain].rules;
    std::vector<Rule> all;
    all.reserve(rules.size() + behind.size());
    const auto take = [&](Rule& rule) {
      all.push_back(std::move(rule));
      pause_();
    };
    std::for_each(rules.rbegin(), rules.rend(), take);
    std::for_each(behind.begin(), behind.end(), take);
    pause_.clear(behind);
    behind = std::move(all);
  }
  return sort_elements();
}

// Each looks at all there is, so there cannot be many.
bool Import::count_deletion() {
  constexpr size_t kMost = 1000;
  return ++deletions_ <= kMost || reader_.refuse(0, E2BIG, "there are too many deletions");
}

bool Import::may_have(uint8_t family) const {
  const bool bridge = family == static_cast<uint8_t>(Family::bridge);
  return limits_.place == Place::vswitch ? bridge : is_known(family) && !bridge;
}

bool Import::message(uint8_t message, uint16_t flags, uint8_t family, ConstBytes attributes) {
  if (!may_have(family) && !(family == nft::kUnspecified && message == nft::kDelTable))
    return reader_.refuse(0, EAFNOSUPPORT,
                          limits_.place == Place::vswitch
                              ? "a switch sees frames on their way between its ports: write bridge"
                          : family == nft::kBridge
                              ? "a stack bridges nothing: write inet, ip, ip6, arp or netdev, or give these "
                                "rules to a switch (--switch)"
                              : "such tables are not supported: write inet, ip, ip6, arp or netdev");
  if ((flags & nft::kFlagReplace) != 0)
    return reader_.refuse(0, EOPNOTSUPP, "nothing can be replaced in a new ruleset");
  exclusive_ = (flags & nft::kFlagExclusive) != 0;
  switch (message) {
    case nft::kNewTable:
      return new_table(family, attributes);
    case nft::kDelTable:
      return delete_table(family, attributes);
    case nft::kNewChain:
      return new_chain(family, attributes);
    case nft::kNewRule:
      return new_rule(family, flags, attributes);
    case nft::kDelRule:
      return flush_rules(family, attributes);
    case nft::kNewSet:
      return new_set(family, attributes);
    case nft::kNewSetElement:
      return new_elements(family, attributes);
    case nft::kDelSetElement:
      return flush_set(family, attributes);
    case nft::kNewObject:
      return new_object(family, attributes);
    case nft::kNewFlowtable:
      return reader_.refuse(0, EOPNOTSUPP, "flowtables are not supported: a stack forwards nothing");
    default:
      return reader_.refuse(
          0, EOPNOTSUPP, "only what makes a ruleset can stand in its file, nothing that changes or deletes");
  }
}

bool Import::may_be_there(const Nest& nest, uint16_t name, const std::string& what) {
  return !exclusive_ || reader_.refuse(nest[name].at, EEXIST, what + " is there already: write add");
}

bool Import::find_table(uint8_t family, const Nest& nest, uint16_t name, uint32_t& table) {
  std::string text;
  if (!reader_.need(nest, {name}, "a message") || !reader_.text(nest, name, text)) return false;
  for (table = 0; table < ruleset_.tables.size(); ++table) {
    const Table& each = ruleset_.tables[table];
    if (each.family == static_cast<Family>(family) && each.name == text) return true;
  }
  return reader_.refuse(nest[name].at, ENOENT, "there is no table " + text);
}

bool Import::new_table(uint8_t family, ConstBytes attributes) {
  Nest nest;
  Table table{.family = static_cast<Family>(family)};
  uint32_t flags = 0;
  using namespace nft;
  if (!reader_.nest(attributes, kMessageHead, known({kTableName, kTableFlags, kTableUserdata}), nest) ||
      !reader_.need(nest, {kTableName}, "a table") || !reader_.text(nest, kTableName, table.name) ||
      !reader_.number(nest, kTableFlags, flags))
    return false;
  if ((flags & ~kTableDormant) != 0)
    return reader_.refuse(nest[kTableFlags].at, EOPNOTSUPP, "a table can be dormant, nothing else");
  table.dormant = flags != 0;
  for (Table& old : ruleset_.tables) {
    if (old.family != table.family || old.name != table.name) continue;
    if (!may_be_there(nest, kTableName, "table " + table.name)) return false;
    old.dormant = table.dormant;
    return true;
  }
  if (ruleset_.tables.size() >= limits_.tables) return reader_.refuse(0, E2BIG, "there are too many tables");
  table.handle = ruleset_.tables.size() + 1;
  ruleset_.tables.push_back(std::move(table));
  handles_.push_back(0);
  return true;
}

// `flush ruleset` and `delete table` at the beginning of a file mean the old ruleset, which is gone anyhow.
bool Import::delete_table(uint8_t family, ConstBytes attributes) {
  Nest nest;
  uint32_t table = 0;
  if (!count_deletion() || !reader_.nest(attributes, kMessageHead, known({nft::kTableName}), nest))
    return false;
  if (!nest.has(nft::kTableName)) {
    if (ruleset_.tables.empty()) return true;
    return reader_.refuse(0, EOPNOTSUPP, "write `flush ruleset` before the first table, or not at all");
  }
  if (!find_table(family, nest, nft::kTableName, table)) return false;
  const auto in_it = [&](const auto& each) { return each.table == table; };
  if (std::any_of(ruleset_.chains.begin(), ruleset_.chains.end(), in_it) ||
      std::any_of(ruleset_.sets.begin(), ruleset_.sets.end(), in_it) ||
      std::any_of(ruleset_.objects.begin(), ruleset_.objects.end(), in_it) ||
      table + 1 != ruleset_.tables.size())
    return reader_.refuse(nest[nft::kTableName].at, EOPNOTSUPP,
                          "this deletes a table that the same file filled");
  ruleset_.tables.pop_back();
  handles_.pop_back();
  return true;
}

bool Import::new_rule(uint8_t family, uint16_t flags, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  uint32_t table = 0, id = 0, chain = kNone;
  std::string name;
  if (!reader_.nest(attributes, kMessageHead,
                    known({kRuleTable, kRuleChain, kRuleExpressions, kRuleUserdata, kRuleId, kRuleChainId,
                           kRulePosition, kRulePositionId}),
                    nest) ||
      !find_table(family, nest, kRuleTable, table) || !reader_.text(nest, kRuleChain, name) ||
      !reader_.number(nest, kRuleChainId, id))
    return false;
  if (nest.has(kRulePosition) || nest.has(kRulePositionId))
    return reader_.refuse(0, EOPNOTSUPP, "give rules no index or position: write insert or add");
  if (nest.has(kRuleChain)) {
    chain = chain_named(table, name);
  } else if (const auto found = chain_ids_.find({table, id});
             nest.has(kRuleChainId) && found != chain_ids_.end()) {
    chain = found->second;
  }
  if (chain == kNone)
    return reader_.refuse(nest.has(kRuleChain) ? nest[kRuleChain].at : 0, ENOENT,
                          "there is no chain " + name);
  if (++rules_ > limits_.rules) return reader_.refuse(0, E2BIG, "there are too many rules");
  Rule rule{.origin = reader_.origin(0)};
  if (nest.has(kRuleExpressions) && !expressions(table, nest[kRuleExpressions], rule.expressions))
    return false;
  if (nest.has(kRuleUserdata)) {
    if (nest[kRuleUserdata].bytes.size() > 256)
      return reader_.refuse(nest[kRuleUserdata].at, EINVAL, "a comment is too long");
    rule.comment = comment_of(nest[kRuleUserdata].bytes);
  }
  rule.handle = new_handle(table);
  // Those that are inserted come to their places at the end, because each would move all others.
  pause_.push_back((flags & nft::kFlagAppend) != 0 ? ruleset_.chains[chain].rules : inserted_[chain],
                   std::move(rule));
  return true;
}

// `flush table` and `flush chain`: allowed where there is nothing yet, for files that begin so.
bool Import::flush_rules(uint8_t family, ConstBytes attributes) {
  Nest nest;
  uint32_t table = 0;
  std::string name;
  if (!count_deletion() ||
      !reader_.nest(attributes, kMessageHead, known({nft::kRuleTable, nft::kRuleChain}), nest) ||
      !find_table(family, nest, nft::kRuleTable, table) || !reader_.text(nest, nft::kRuleChain, name))
    return false;
  if (nest.has(nft::kRuleChain) && chain_named(table, name) == kNone)
    return reader_.refuse(nest[nft::kRuleChain].at, ENOENT, "there is no chain " + name);
  for (uint32_t i = 0; i < ruleset_.chains.size(); ++i) {
    const Chain& chain = ruleset_.chains[i];
    if (chain.table == table && (name.empty() || chain.name == name) &&
        (!chain.rules.empty() || inserted_.contains(i)))
      return reader_.refuse(0, EOPNOTSUPP, "this deletes rules that the same file made");
  }
  return true;
}

void Import::take_apart() {
  pause_.clear(chain_ids_);
  pause_.clear(set_ids_);
  pause_.clear(chain_names_);
  pause_.clear(set_names_);
  pause_.clear(object_names_);
  for (auto& [chain, rules] : inserted_) pause_.clear(rules);
  pause_.clear(ends_);
  pause_.clear(others_);
  pause_.clear(meters_);
  pause_.clear(later_);
}

}  // namespace skerry::filter
