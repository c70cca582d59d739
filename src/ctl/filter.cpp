// `skerry filter`: rules looked at and tried without a network.
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <memory>

#include "ctl/command.hpp"
#include "ctl/compile.hpp"
#include "ctl/filter_elements.hpp"
#include "ctl/filter_rules.hpp"
#include "ctl/filter_test.hpp"
#include "filter/dead_rules.hpp"
#include "filter/words.hpp"

namespace skerry::ctl {

namespace {

using filter::Chain;
using filter::Ruleset;

std::string plural(size_t count, const char* one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

std::string describe(const Chain& chain) {
  std::string words;
  if (chain.is_base)
    words =
        fmt::format("{}hook {}, priority {}, policy {}, ",
                    chain.type == filter::ChainType::nat ? "type nat, " : "", filter::hook_name(chain.hook),
                    chain.priority, chain.policy == filter::Policy::accept ? "accept" : "drop");
  return words + plural(chain.rules.size(), "rule");
}

void print_understood(const Ruleset& ruleset) {
  size_t rules = 0;
  for (uint32_t table = 0; table < ruleset.tables.size(); ++table) {
    const filter::Table& each = ruleset.tables[table];
    fmt::print("table {}{}\n", filter::table_name(ruleset, table), each.dormant ? " (dormant)" : "");
    for (const Chain& chain : ruleset.chains) {
      if (chain.table != table) continue;
      rules += chain.rules.size();
      if (!chain.name.empty()) fmt::print("  chain {}: {}\n", chain.name, describe(chain));
    }
    for (const filter::Set& set : ruleset.sets) {
      if (set.table == table && !set.anonymous)
        fmt::print("  {} {}: {}\n", set.maps ? "map" : "set", set.name, plural(set.size(), "element"));
    }
    for (const filter::NamedObject& object : ruleset.objects) {
      if (object.table != table) continue;
      fmt::print("  {} {}\n", filter::kind_name(ruleset.stateful[object.stateful].kind), object.name);
    }
  }
  fmt::print("understood: {}, {}, {}, {}\n", plural(ruleset.tables.size(), "table"),
             plural(ruleset.chains.size(), "chain"), plural(rules, "rule"),
             plural(ruleset.sets.size(), "set"));
}

// Rules that are there in vain, each with its line if that is known.
void print_dead(const CompiledRules& rules, const std::string& file) {
  using Why = filter::DeadRule::Why;
  const Ruleset& ruleset = rules.ruleset;
  const auto place = [&](uint32_t chain, uint32_t rule) {
    return place_of_rule(ruleset, rules.lines, file, chain, rule);
  };
  for (const filter::DeadRule& dead : filter::find_dead_rules(ruleset)) {
    if (dead.why == Why::unreachable)
      fmt::print(stderr, "{}: warning: no packet comes to chain {} of table {}\n", file,
                 filter::chain_name(ruleset, dead.chain),
                 filter::table_name(ruleset, ruleset.chains[dead.chain].table));
    else if (dead.why == Why::contradiction)
      fmt::print(stderr, "{}: warning: no packet is what this rule asks for\n", place(dead.chain, dead.rule));
    else
      fmt::print(stderr, "{}: warning: no packet comes so far: {} decides about all {}\n",
                 place(dead.chain, dead.rule), place(dead.chain, dead.by),
                 dead.why == Why::decided ? "packets" : "that this rule asks for");
  }
}

// `vswitch`: the name of the switch that they are for; empty: they are for a stack.
Outcome check(const std::string& file, const std::string& vswitch) {
  const RulesPlace place =
      vswitch.empty() ? RulesPlace{} : RulesPlace{filter::Place::vswitch, {vswitch.substr(0, IFNAMSIZ - 1)}};
  const Result<CompiledRules> rules = compile_first_rules(file, "", place);
  if (!rules) return failed(rules.error());
  print_understood(rules->ruleset);
  std::fflush(stdout);
  print_dead(*rules, called(file));
  return {};
}

void add_check(CLI::App& filter, Outcome& outcome) {
  CLI::App* command = filter.add_subcommand(
      "check", "Say what is understood of a file of nftables rules, or what is wrong with it");
  auto file = std::make_shared<std::string>(), vswitch = std::make_shared<std::string>();
  command->add_option("file", *file, "rules as `nft -f` reads them; - for standard input")->required();
  command->add_option("--switch", *vswitch, "rules for the switch of that network; it need not run");
  command->footer(
      "Warns of rules that no packet can ever come to, with their lines. Needs no privilege and asks no "
      "kernel.\n"
      "Example: skerry filter check web.nft");
  command->callback([&outcome, file, vswitch] { outcome = check(*file, *vswitch); });
}

}  // namespace

void add_filter(CLI::App& app, Outcome& outcome) {
  CLI::App* filter = app.add_subcommand(
      "filter", "Rules: check them, try them on a capture, give them to a stack or switch");
  filter->require_subcommand(1);
  filter->footer(
      "A program has rules from its beginning with `skerry run --filter FILE`. Example: skerry filter check "
      "web.nft");
  add_check(*filter, outcome);
  add_filter_test(*filter, outcome);
  add_filter_diff(*filter, outcome);
  add_filter_load(*filter, outcome);
  add_filter_list(*filter, outcome);
  add_filter_elements(*filter, outcome);
  add_filter_reset(*filter, outcome);
  add_filter_trace(*filter, outcome);
}

}  // namespace skerry::ctl
