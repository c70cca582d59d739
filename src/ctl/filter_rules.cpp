// `skerry filter load` and `list`: rules for a stack or a switch that runs, and what they have done so far.
#include "ctl/filter_rules.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "ctl/compile.hpp"
#include "ctl/rules_asked.hpp"
#include "ctl/running.hpp"
#include "ctl/table.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

struct RulesOptions {
  WhoseRules whose;
  std::string file;
  std::vector<std::string> named;
  bool as_json = false;
};

Outcome load(const RulesOptions& options) {
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  const Result<CompiledRules> rules = compile_rules(options.file, asked->allow_rules, asked->place);
  if (!rules) return failed(rules.error());
  // Of what was to write rules and did not work, say; everything would pass.
  if (rules->says_nothing)
    return failed(Error{fmt::format("{} says nothing, so {} keeps its rules: `flush ruleset` takes all away",
                                    called(options.file), asked->name())});
  supervisor::Request request = asked->request(supervisor::Command::load_rules);
  request.filter = absolute_name(options.file);
  request.filter_lines = rules->lines;
  const int fds[] = {rules->batch.get()};
  const Result<supervisor::ControlLine> line = asked->client.call(supervisor::format_request(request), fds);
  if (!line) return failed(line.error());
  const Result<json> reply = supervisor::parse_reply(line->line);
  return reply ? Outcome{} : failed(reply.error());
}

std::string tally_text(const json& tally) {
  if (tally.contains("counter"))
    return fmt::format("counter packets {} bytes {}", number_of(tally["counter"], "packets"),
                       number_of(tally["counter"], "bytes"));
  if (tally.contains("quota"))
    return fmt::format("quota {} of {} bytes", number_of(tally["quota"], "used"),
                       number_of(tally["quota"], "bytes"));
  return "";
}

// What a row counts besides packets, and what its author wrote.
std::string details(const json& row) {
  std::vector<std::string> words;
  if (row.contains("hook"))
    words.push_back(fmt::format("hook {} priority {}", text_of(row, "hook"), text_of(row, "priority")));
  if (const uint64_t elements = number_of(row, "elements"); row.contains("elements"))
    words.push_back(fmt::format("{} {}", elements, elements == 1 ? "element" : "elements"));
  for (const json& tally : row.value("tallies", json::array()))
    if (tally.is_object()) words.push_back(tally_text(tally));
  if (row.contains("tally") && row["tally"].is_object()) words.push_back(tally_text(row["tally"]));
  if (row.contains("comment")) words.push_back(fmt::format("\"{}\"", text_of(row, "comment")));
  return fmt::format("{}", fmt::join(words, " "));
}

std::string subject(const json& row) {
  if (row.contains("line"))
    return fmt::format("handle {}, line {}", text_of(row, "handle"), text_of(row, "line"));
  if (row.contains("handle")) return "handle " + text_of(row, "handle");
  if (row.contains("policy")) return "policy " + text_of(row, "policy");
  if (row.contains("set")) return "set " + text_of(row, "set");
  if (row.contains("kind")) return text_of(row, "kind") + " " + text_of(row, "name");
  return "-";
}

Outcome list(const RulesOptions& options) {
  if (!options.named.empty()) return list_set(options.whose, options.named, options.as_json);
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  const Result<json> answer = ask(asked->client, asked->request(supervisor::Command::rules));
  if (!answer) return failed(answer.error());
  const Result<json> rows = rows_of(*answer, "rows");
  if (!rows) return failed(rows.error());
  const std::string file = answer->value("filter", "");
  if (options.as_json) {
    const json all{
        {asked->program.empty() ? "switch" : "program", asked->name()}, {"filter", file}, {"rows", *rows}};
    fmt::print("{}\n", all.dump(2, ' ', false, json::error_handler_t::replace));
    return {};
  }
  if (rows->empty()) {
    fmt::print("{} has no rules{}: everything passes\n", asked->name(), file.empty() ? "" : " in " + file);
    return {};
  }
  std::vector<std::vector<std::string>> cells;
  for (const json& row : *rows) {
    if (!row.is_object()) continue;
    cells.push_back({text_of(row, "table"), text_of(row, "chain"), subject(row), text_of(row, "packets"),
                     row.contains("ago_ms") ? format_duration(number_of(row, "ago_ms")) : "-", details(row)});
  }
  fmt::print(
      "{}",
      format_table({{"TABLE"}, {"CHAIN"}, {"WHAT"}, {"PACKETS", true}, {"AGO", true}, {"DETAILS"}}, cells));
  return {};
}

}  // namespace

void add_filter_load(CLI::App& filter, Outcome& outcome) {
  CLI::App* command = filter.add_subcommand("load", "Give a stack or switch that runs other rules");
  auto options = std::make_shared<RulesOptions>();
  add_whose_rules(*command, options->whose);
  command->add_option("file", options->file, "rules as `nft -f` reads them; - for standard input")
      ->required();
  command->footer(
      "All of them change between one packet and the next. If they are refused, or the file says nothing, "
      "the\n"
      "old ones stay; `flush ruleset` alone takes all away.\n"
      "Example: skerry filter load redis web.nft; skerry filter load --switch lan ports.nft");
  command->callback([&outcome, options] { outcome = load(*options); });
}

void add_filter_list(CLI::App& filter, Outcome& outcome) {
  CLI::App* command =
      filter.add_subcommand("list", "Say which rules a stack or switch has and what they have counted");
  auto options = std::make_shared<RulesOptions>();
  add_whose_rules(*command, options->whose);
  command->add_option("named", options->named, "only a set with its elements: set FAMILY TABLE NAME");
  command->add_flag("--json", options->as_json, "the same as JSON");
  command->footer(
      "A rule's packets are those that it held for, counter or not; a policy's those that it decided on.\n"
      "Example: skerry filter list redis; skerry filter list redis set inet mine friends");
  command->callback([&outcome, options] { outcome = list(*options); });
}

}  // namespace skerry::ctl
