#include "ctl/rules_asked.hpp"

#include <fmt/format.h>

#include "ctl/running.hpp"
#include "ctl/table.hpp"
#include "supervisor/mistakes.hpp"

namespace skerry::ctl {

void add_whose_rules(CLI::App& command, WhoseRules& whose) {
  CLI::Option* const stack =
      command.add_option("stack", whose.stack, "whose stack, by the program's name")->required();
  // In time: from then on no word is the stack's.
  command
      .add_option_function<std::string>(
          "--switch",
          [&whose, stack](const std::string& name) {
            if (stack->count() > 0)
              throw CLI::ParseError("--switch NAME stands in the place of a stack, before all other words",
                                    CLI::ExitCodes::ValidationError);
            whose.vswitch = name;
            stack->required(false)->expected(0);
          },
          "the switch of that network instead of a stack")
      ->trigger_on_parse();
  command.add_option("--net", whose.net, "composition or network (default: the only one that runs)");
}

namespace {

Result<RulesAsked> find_switch(supervisor::ControlClient client, const supervisor::Plan& plan,
                               const std::string& name) {
  std::vector<std::string> names;
  for (const supervisor::Network& network : plan.networks) {
    names.push_back(network.name);
    if (name == network.name || name == network.name + ".vswitch")
      return RulesAsked{std::move(client), "", network.name, "", place_at_switch(plan, network.name)};
  }
  return Error{
      fmt::format("there is no switch of a network \"{}\"{}", name, supervisor::suggestion(name, names))};
}

Result<RulesAsked> find_stack(supervisor::ControlClient client, const supervisor::Plan& plan,
                              const std::string& name) {
  std::vector<std::string> names;
  for (const supervisor::Program& program : plan.programs) {
    names.push_back(program.name);
    if (name == program.name || name == program.name + ".stack")
      return RulesAsked{std::move(client), program.name, "", allow_rules(program), {}};
  }
  return Error{
      fmt::format("there is no stack of a program \"{}\"{}", name, supervisor::suggestion(name, names))};
}

}  // namespace

Result<RulesAsked> find_rules(const WhoseRules& whose) {
  const Result<std::string> composition = choose_running(whose.net);
  if (!composition) return composition.error();
  Result<supervisor::ControlClient> client = connect(*composition);
  if (!client) return client.error();
  const Result<nlohmann::json> answer = ask(*client, {.command = supervisor::Command::plan});
  if (!answer) return answer.error();
  const Result<supervisor::Plan> plan =
      supervisor::plan_from_json(answer->value("plan", nlohmann::json()).dump());
  if (!plan) return plan.error();
  return whose.vswitch.empty() ? find_stack(std::move(*client), *plan, whose.stack)
                               : find_switch(std::move(*client), *plan, whose.vswitch);
}

namespace {

Result<supervisor::ControlLine> ask_line(RulesAsked& asked, nlohmann::json question,
                                         std::span<const int> fds = {}) {
  supervisor::Request request = asked.request(supervisor::Command::filter);
  request.question = std::move(question);
  return asked.client.call(supervisor::format_request(request), fds);
}

// Why it refuses is the process's own sentence, and one at most.
Result<nlohmann::json> parse(const supervisor::ControlLine& line) {
  Result<nlohmann::json> answer = supervisor::parse_reply(line.line);
  if (answer) return answer;
  return Error{printable(answer.error().message), answer.error().system_error};
}

}  // namespace

Result<nlohmann::json> ask_filter(RulesAsked& asked, nlohmann::json question, std::span<const int> fds) {
  const Result<supervisor::ControlLine> line = ask_line(asked, std::move(question), fds);
  if (!line) return line.error();
  return parse(*line);
}

// It is not believed without bounds: of rows, which may be tiny, and of bytes.
Result<nlohmann::json> ask_for_all(RulesAsked& asked, nlohmann::json question) {
  constexpr size_t kMostRows = 2'000'000, kMostBytes = size_t{512} << 20;
  nlohmann::json all = nlohmann::json::array();
  for (size_t bytes = 0;;) {
    question["first"] = all.size();
    const Result<supervisor::ControlLine> line = ask_line(asked, question);
    if (!line) return line.error();
    Result<nlohmann::json> answer = parse(*line);
    if (!answer) return answer.error();
    const Result<nlohmann::json> rows = rows_of(*answer, "rows");
    if (!rows) return rows.error();
    for (const nlohmann::json& row : *rows) all.push_back(row);
    bytes += line->line.size();
    if (bytes > kMostBytes || all.size() > kMostRows) return Error{"the answer has more than there can be"};
    if (answer->value("more", nlohmann::json()) == true && !rows->empty()) continue;
    (*answer)["rows"] = std::move(all);
    return answer;
  }
}

}  // namespace skerry::ctl
