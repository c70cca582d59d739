// `skerry filter add element` and `delete element`: nft's own compiler reads them, against a declaration of
// the set as it is in force, so that the text means what it would mean in a file.
#include "ctl/filter_elements.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "base/time.hpp"
#include "ctl/compile.hpp"
#include "ctl/rules_asked.hpp"
#include "ctl/running.hpp"
#include "ctl/set_words.hpp"
#include "filter/set_change.hpp"
#include "filter/words.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

struct ElementOptions {
  WhoseRules whose;
  std::string family, table, set;
  std::vector<std::string> words;
};

std::string digits_of(const uint8_t* bytes, size_t count) {
  std::string digits;
  for (size_t i = 0; i < count; ++i) digits += fmt::format("{:02x}", bytes[i]);
  return digits;
}

const char* verdict_word(filter::Code code) {
  switch (code) {
    case filter::Code::accept:
      return "accept";
    case filter::Code::drop:
      return "drop";
    case filter::Code::next:
      return "continue";
    case filter::Code::back:
      return "return";
    case filter::Code::jump:
      return "jump";
    default:
      return "goto";
  }
}

// As the stack reads it (rules/rules.hpp).
json row_of(const filter::Ruleset& ruleset, const filter::Set& set, const filter::GivenElement& element) {
  json row{{"key", element.key.empty() ? "*" : digits_of(element.key.data(), element.key.size())}};
  if (element.end() != element.key) row["last"] = digits_of(element.last.data(), element.last.size());
  if (element.timeout_ns != 0) row["timeout_ms"] = element.timeout_ns / kMillisecond;
  if (element.expires_ns != 0) row["expires_ms"] = element.expires_ns / kMillisecond;
  if (element.data.length != 0) row["data"] = digits_of(element.data.bytes.data(), element.data.length);
  if (set.maps_verdict) row["verdict"] = verdict_word(element.verdict.code);
  if (element.verdict.chain != filter::kNone) row["chain"] = ruleset.chains[element.verdict.chain].name;
  for (const filter::NamedObject& object : ruleset.objects)
    if (element.stateful != filter::kNone && object.stateful == element.stateful) row["object"] = object.name;
  return row;
}

// The elements of the one set that the text declares.
Result<json> rows_of_text(const std::string& text, const RulesPlace& place) {
  const Result<CompiledRules> compiled = compile_text(text, "the command", Complaints::printed, place);
  if (!compiled) return compiled.error();
  const filter::Ruleset& ruleset = compiled->ruleset;
  json rows = json::array();
  if (ruleset.sets.size() != 1 || ruleset.tables.size() != 1)
    return Error{
        "only elements can stand here: skerry filter add element redis inet mine friends '{ 10.0.0.1 }'"};
  bool counted = false;
  filter::for_each_element(ruleset.sets[0],
                           [&](const filter::GivenElement& given, const filter::Element& element) {
                             counted = counted || !element.counters.empty();
                             rows.push_back(row_of(ruleset, ruleset.sets[0], given));
                             return true;
                           });
  if (counted) return Error{"an element counts as its set declares: leave its counter, limit or quota out"};
  return rows;
}

Outcome change(const ElementOptions& options, const std::string& what) {
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  const std::string table = options.family + " " + options.table;
  json question{{"command", "elements"}, {"table", table}, {"set", options.set}};
  question["first"] = UINT64_MAX;  // what it is, none of what it holds
  const Result<json> known = ask_filter(*asked, question);
  if (!known) return failed(known.error());
  const json declared = known->value("declared", json::object());
  const bool maps = declared.contains("map") && what == "add";
  const Result<std::string> body = set_body(declared, maps);
  if (!body) return failed(body.error());
  std::string words = fmt::format("{}", fmt::join(options.words, " "));
  if (!words.starts_with('{')) words = "{ " + words + " }";
  const std::string name = options.family + " " + options.table + " " + options.set;
  const Result<json> rows =
      rows_of_text(fmt::format("table {} {{ {}{} {} {{ {} }}; }}\nadd element {} {}\n", table,
                               companions(declared), maps ? "map" : "set", options.set, *body, name, words),
                   asked->place);
  if (!rows) return failed(rows.error());
  question.update({{"command", "change_elements"}, {"change", what}, {"elements", *rows}});
  const Result<json> done = ask_filter(*asked, question);
  return done ? Outcome{} : failed(done.error());
}

void add_change(CLI::App& filter, Outcome& outcome, const std::string& what, const char* description,
                const char* footer) {
  CLI::App* verb = filter.add_subcommand(what, description);
  verb->require_subcommand(1);
  verb->footer(footer);
  CLI::App* command = verb->add_subcommand("element", description);
  auto options = std::make_shared<ElementOptions>();
  add_whose_rules(*command, options->whose);
  command->add_option("family", options->family, "of the table: inet, ip, ip6, arp, netdev or bridge")
      ->required()
      ->check(CLI::IsMember({"inet", "ip", "ip6", "arp", "netdev", "bridge"}));
  command->add_option("table", options->table, "where the set is")->required();
  command->add_option("set", options->set, "set or map")->required();
  command->add_option("elements", options->words, "as nft writes them: '{ 10.0.0.1, 10.0.0.7 timeout 5m }'")
      ->required();
  command->footer(footer);
  command->callback([&outcome, options, what] { outcome = change(*options, what); });
}

}  // namespace

void add_filter_elements(CLI::App& filter, Outcome& outcome) {
  add_change(
      filter, outcome, "add", "Put elements into a set of a stack or switch that runs",
      "All of them between two packets, or none. They outlive `skerry filter load`, and end with the stack.\n"
      "Example: skerry filter add element redis inet mine friends '{ 10.77.0.9 timeout 5m }'");
  add_change(
      filter, outcome, "delete", "Take elements out of a set of a stack or switch that runs",
      "All of them between two packets, or none. What the file gives comes back with `skerry filter load`.\n"
      "Example: skerry filter delete element redis inet mine friends '{ 10.77.0.9 }'");
}

}  // namespace skerry::ctl
