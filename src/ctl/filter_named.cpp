// `skerry filter list STACK set …` and `reset counters`: what has a name in the rules of a stack, in nft's
// words, so that they can be read by nft again.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "ctl/filter_rules.hpp"
#include "ctl/rules_asked.hpp"
#include "ctl/running.hpp"
#include "ctl/set_words.hpp"
#include "ctl/table.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

struct ResetOptions {
  std::string kind;
  WhoseRules whose;
  std::vector<std::string> of;
  bool as_json = false;
};

// One statement a line, as nft writes it.
void print_set(const std::string& table, const std::string& name, const json& declared, const json& rows) {
  fmt::print("table {} {{\n\t{} {} {{\n", table, declared.contains("map") ? "map" : "set", name);
  const Result<std::string> body = set_body(declared);
  std::string lines = body ? *body : "# " + body.error().message + ";";
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find(';', at), lines.size());
    fmt::print("\t\t{}\n", printable(lines.substr(at, end - at)));
    at = std::min(lines.find_first_not_of("; ", end), lines.size());
  }
  if (const uint64_t timeout = number_of(declared, "timeout_ms"); timeout > 0)
    fmt::print("\t\ttimeout {}\n", nft_time(timeout));
  if (const uint64_t size = number_of(declared, "size"); size > 0) fmt::print("\t\tsize {}\n", size);
  for (const json& statement : declared.value("counts", json::array()))
    if (const std::string text = statement_text(statement); !text.empty()) fmt::print("\t\t{}\n", text);
  const char* separator = "\t\telements = { ";
  for (const json& row : rows) {
    if (!row.is_object()) continue;
    fmt::print("{}{}", separator, printable(element_text(declared, row)));
    separator = ",\n\t\t\t     ";
  }
  fmt::print("{}\t}}\n}}\n", rows.empty() ? "" : " }\n");
}

// What stands in the braces of an object of that name; empty: it is none that begins again.
std::string body_of(const json& tally) {
  if (!tally.is_object()) return "";
  const json counter = tally.value("counter", json()), quota = tally.value("quota", json());
  if (counter.is_object())
    return fmt::format("packets {} bytes {}", number_of(counter, "packets"), number_of(counter, "bytes"));
  if (quota.is_object())
    return fmt::format("{}{} bytes used {} bytes", quota.value("over", json()) == true ? "over " : "",
                       number_of(quota, "bytes"),
                       std::min(number_of(quota, "used"), number_of(quota, "bytes")));
  return "";
}

Outcome reset(const ResetOptions& options) {
  if (options.of.size() == 1) return {kWrongCommandLine, "a table has a family and a name: inet mine"};
  if (options.of.size() > 3)
    return {kWrongCommandLine, "after the stack stands nothing, or `inet mine`, or `inet mine hits`"};
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  json question{{"command", "reset"}, {"kind", options.kind}};
  if (options.of.size() >= 2) question["table"] = options.of[0] + " " + options.of[1];
  if (options.of.size() == 3) question["name"] = options.of[2];
  const Result<json> answer = ask_for_all(*asked, question);
  if (!answer) return failed(answer.error());
  const json& rows = (*answer)["rows"];
  if (options.as_json) {
    fmt::print("{}\n", rows.dump(2, ' ', false, json::error_handler_t::replace));
    return {};
  }
  std::map<std::string, std::string> tables;
  for (const json& row : rows) {
    const std::string was = row.is_object() ? body_of(row.value("tally", json())) : "";
    if (was.empty()) continue;
    tables[text_of(row, "table")] +=
        fmt::format("\t{} {} {{\n\t\t{}\n\t}}\n", options.kind, printable(text_of(row, "name")), was);
  }
  for (const auto& [table, objects] : tables) fmt::print("table {} {{\n{}}}\n", printable(table), objects);
  return {};
}

}  // namespace

Outcome list_set(const WhoseRules& whose, const std::vector<std::string>& named, bool as_json) {
  if (named.size() != 4 || (named[0] != "set" && named[0] != "map"))
    return {kWrongCommandLine, "after the stack stands nothing, or `set inet mine friends`"};
  Result<RulesAsked> asked = find_rules(whose);
  if (!asked) return failed(asked.error());
  const std::string table = named[1] + " " + named[2];
  const Result<json> answer =
      ask_for_all(*asked, {{"command", "elements"}, {"table", table}, {"set", named[3]}});
  if (!answer) return failed(answer.error());
  const json declared = answer->value("declared", json::object());
  if (!declared.is_object()) return failed(Error{"the stack's answer is malformed"});
  if (as_json) {
    const json all{{"declared", declared}, {"elements", (*answer)["rows"]}};
    fmt::print("{}\n", all.dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    print_set(table, named[3], declared, (*answer)["rows"]);
  }
  return {};
}

void add_filter_reset(CLI::App& filter, Outcome& outcome) {
  CLI::App* verb =
      filter.add_subcommand("reset", "Let what has a name in the rules of a stack or switch begin again");
  verb->require_subcommand(1);
  verb->footer("Example: skerry filter reset counters redis inet mine");
  for (const auto& [kind, what] :
       {std::pair{"counter", "Print what the named counters were, and set them to 0"},
        std::pair{"quota", "Print what the named quotas have used, and let them begin with nothing used"}}) {
    CLI::App* command = verb->add_subcommand(std::string(kind) + "s", what);
    auto options = std::make_shared<ResetOptions>();
    options->kind = kind;
    add_whose_rules(*command, options->whose);
    command->add_option("of", options->of, "FAMILY TABLE, or FAMILY TABLE NAME (default: all)");
    command->add_flag("--json", options->as_json, "the same as JSON");
    command->footer(
        fmt::format("No packet is counted twice, and none is lost between.\nExample: skerry filter reset {}s "
                    "redis inet mine",
                    kind));
    command->callback([&outcome, options] { outcome = reset(*options); });
  }
}

}  // namespace skerry::ctl
