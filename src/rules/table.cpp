// The rules in force as a table: what each chain, rule, named object and set is and has counted so far.
#include <fmt/format.h>

#include <cerrno>

#include "filter/words.hpp"
#include "rules/rows.hpp"
#include "rules/rules.hpp"

namespace skerry {
namespace {

using nlohmann::json;

json chain_row(const filter::Engine& engine, uint32_t index) {
  const filter::Ruleset& ruleset = engine.ruleset();
  const filter::Chain& chain = ruleset.chains[index];
  json row{{"table", filter::table_name(ruleset, chain.table)},
           {"chain", filter::chain_name(ruleset, index)}};
  if (!chain.is_base) return row;
  row["hook"] = filter::hook_name(chain.hook);
  row["priority"] = chain.priority;
  row["policy"] = chain.policy == filter::Policy::accept ? "accept" : "drop";
  row["packets"] = engine.hits(index, filter::kNone).packets;
  return row;
}

json rule_row(const filter::Engine& engine, uint32_t chain, uint32_t index, TimeNs now) {
  const filter::Ruleset& ruleset = engine.ruleset();
  const filter::Rule& rule = ruleset.chains[chain].rules[index];
  const filter::Hits& hits = engine.hits(chain, index);
  json row{{"table", filter::table_name(ruleset, ruleset.chains[chain].table)},
           {"chain", filter::chain_name(ruleset, chain)},
           {"handle", rule.handle},
           {"index", rule_number(ruleset, chain, index)},
           {"packets", hits.packets}};
  if (hits.packets > 0) row["ago_ms"] = (now - hits.last) / kMillisecond;
  if (!rule.comment.empty()) row["comment"] = rule.comment;
  for (const filter::Expression& expression : rule.expressions) {
    const auto* touch = std::get_if<filter::Touch>(&expression.action);
    if (touch == nullptr) continue;
    if (json tally = tally_of(engine, touch->stateful); !tally.is_null())
      row["tallies"].push_back(std::move(tally));
  }
  return row;
}

json object_row(const filter::Engine& engine, const filter::NamedObject& object) {
  const filter::Ruleset& ruleset = engine.ruleset();
  return {{"table", filter::table_name(ruleset, object.table)},
          {"kind", filter::kind_name(ruleset.stateful[object.stateful].kind)},
          {"name", object.name},
          {"tally", tally_of(engine, object.stateful)}};
}

size_t elements_of(const filter::Engine& engine, uint32_t set, TimeNs now) {
  const filter::DynamicSet* const dynamic = engine.dynamic_set(set);
  if (dynamic == nullptr) return engine.ruleset().sets[set].size();
  size_t count = 0;
  dynamic->for_each(now, [&](const uint8_t*, const filter::Element&) { ++count; });
  return count;
}

}  // namespace

// The number of a rule among all, by chains and in each by rules.
size_t rule_number(const filter::Ruleset& ruleset, uint32_t chain, uint32_t rule) {
  size_t index = rule;
  for (uint32_t before = 0; before < chain; ++before) index += ruleset.chains[before].rules.size();
  return index;
}

json tally_of(const filter::Engine& engine, uint32_t stateful) {
  const filter::Tally& tally = engine.tally(stateful);
  const filter::Stateful& begins = engine.ruleset().stateful[stateful];
  switch (begins.kind) {
    case filter::StatefulKind::counter:
      return {{"counter", {{"packets", tally.packets}, {"bytes", tally.bytes}}}};
    case filter::StatefulKind::quota:
      return {{"quota", {{"used", tally.consumed}, {"bytes", begins.bytes}, {"over", begins.inverted}}}};
    case filter::StatefulKind::limit:
    case filter::StatefulKind::connections:
    case filter::StatefulKind::helper:
      break;
  }
  return nullptr;
}

json Rules::table(size_t first, TimeNs now) const {
  const filter::Engine& engine = in_force_.engine();
  const filter::Ruleset& ruleset = engine.ruleset();
  Rows rows(first);
  for (uint32_t chain = 0; chain < ruleset.chains.size(); ++chain) {
    rows.add([&] { return chain_row(engine, chain); });
    for (uint32_t rule = 0; rule < ruleset.chains[chain].rules.size(); ++rule)
      rows.add([&] { return rule_row(engine, chain, rule, now); });
  }
  for (const filter::NamedObject& object : ruleset.objects)
    rows.add([&] { return object_row(engine, object); });
  for (uint32_t set = 0; set < ruleset.sets.size(); ++set) {
    if (ruleset.sets[set].anonymous) continue;
    rows.add([&] {
      return json{{"table", filter::table_name(ruleset, ruleset.sets[set].table)},
                  {"set", ruleset.sets[set].name},
                  {"elements", elements_of(engine, set, now)}};
    });
  }
  return {{"ok", true}, {"rows", std::move(rows.rows)}, {"more", rows.more}};
}

Result<json> Rules::reset(const json& request) {
  const filter::Engine& engine = in_force_.engine();
  const filter::Ruleset& ruleset = engine.ruleset();
  const auto table = request.value("table", std::string()), name = request.value("name", std::string());
  const auto kind = request.at("kind").get<std::string>();
  if (kind != "counter" && kind != "quota") return Error{"only counters and quotas begin again", EINVAL};
  Rows rows(request.value("first", size_t{0}));
  bool found = name.empty();
  for (const filter::NamedObject& object : ruleset.objects) {
    if (filter::kind_name(ruleset.stateful[object.stateful].kind) != kind) continue;
    if (!table.empty() && filter::table_name(ruleset, object.table) != table) continue;
    if (!name.empty() && object.name != name) continue;
    found = true;
    rows.add([&] {
      json row = object_row(engine, object);
      in_force_.reset(object.stateful);
      return row;
    });
  }
  if (!found) return Error{fmt::format("there is no {} {} in {}", kind, name, table), ENOENT};
  return json{{"ok", true}, {"rows", std::move(rows.rows)}, {"more", rows.more}};
}

}  // namespace skerry
