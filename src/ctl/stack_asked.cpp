#include "ctl/stack_asked.hpp"

#include <fmt/format.h>

#include "ctl/running.hpp"
#include "ctl/table.hpp"
#include "supervisor/mistakes.hpp"

namespace skerry::ctl {

Result<StackAsked> find_stack(const std::string& name, const std::string& net) {
  const Result<std::string> composition = choose_running(net);
  if (!composition) return composition.error();
  Result<supervisor::ControlClient> client = connect(*composition);
  if (!client) return client.error();
  const Result<nlohmann::json> answer = ask(*client, {.command = supervisor::Command::plan});
  if (!answer) return answer.error();
  const Result<supervisor::Plan> plan =
      supervisor::plan_from_json(answer->value("plan", nlohmann::json()).dump());
  if (!plan) return plan.error();
  std::vector<std::string> names;
  for (const supervisor::Program& program : plan->programs) {
    names.push_back(program.name);
    if (name == program.name || name == program.name + ".stack")
      return StackAsked{std::move(*client), program.name, allow_rules(program)};
  }
  return Error{
      fmt::format("there is no stack of a program \"{}\"{}", name, supervisor::suggestion(name, names))};
}

namespace {

Result<supervisor::ControlLine> ask_line(StackAsked& asked, nlohmann::json question,
                                         std::span<const int> fds = {}) {
  supervisor::Request request{.command = supervisor::Command::filter};
  request.program = asked.program;
  request.question = std::move(question);
  return asked.client.call(supervisor::format_request(request), fds);
}

// Why it refuses is the stack's own sentence, and one at most.
Result<nlohmann::json> parse(const supervisor::ControlLine& line) {
  Result<nlohmann::json> answer = supervisor::parse_reply(line.line);
  if (answer) return answer;
  return Error{printable(answer.error().message), answer.error().system_error};
}

}  // namespace

Result<nlohmann::json> ask_filter(StackAsked& asked, nlohmann::json question, std::span<const int> fds) {
  const Result<supervisor::ControlLine> line = ask_line(asked, std::move(question), fds);
  if (!line) return line.error();
  return parse(*line);
}

// A stack is not believed without bounds: of rows, which may be tiny, and of bytes.
Result<nlohmann::json> ask_for_all(StackAsked& asked, nlohmann::json question) {
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
    if (bytes > kMostBytes || all.size() > kMostRows)
      return Error{"the stack answers with more than there can be"};
    if (answer->value("more", nlohmann::json()) == true && !rows->empty()) continue;
    (*answer)["rows"] = std::move(all);
    return answer;
  }
}

}  // namespace skerry::ctl
