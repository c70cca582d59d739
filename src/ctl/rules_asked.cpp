#include "ctl/rules_asked.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <set>

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
  command.add_option("--net", whose.net, "composition or network (default: the one that has it)");
}

namespace {

// Looks in one composition after the other, and keeps what there is instead.
class Search {
 public:
  explicit Search(const WhoseRules& whose) : whose_(whose), at_switch_(!whose.vswitch.empty()) {}

  Result<void> look_in(const std::string& composition) {
    Result<supervisor::ControlClient> client = connect(composition);
    if (!client) return client.error();
    const Result<nlohmann::json> answer = ask(*client, {.command = supervisor::Command::plan});
    if (!answer) return answer.error();
    const Result<supervisor::Plan> plan =
        supervisor::plan_from_json(answer->value("plan", nlohmann::json()).dump());
    if (!plan) return plan.error();
    if (at_switch_ ? find_switch(*client, *plan) : find_stack(*client, *plan)) where_.push_back(composition);
    return {};
  }
  Result<RulesAsked> result() && {
    const char* const what = at_switch_ ? "switch of a network" : "stack of a program";
    const std::string& name = at_switch_ ? whose_.vswitch : whose_.stack;
    if (found_.empty()) {
      const std::vector<std::string> names(names_.begin(), names_.end());
      return Error{fmt::format("there is no {} \"{}\"{}", what, name, supervisor::suggestion(name, names))};
    }
    if (found_.size() > 1) {
      return Error{fmt::format("several have a {} \"{}\": say whose with --net and one of {}", what, name,
                               fmt::join(where_, ", "))};
    }
    return std::move(found_.front());
  }

 private:
  bool find_switch(supervisor::ControlClient& client, const supervisor::Plan& plan) {
    for (const supervisor::Network& network : plan.networks) {
      names_.insert(network.name);
      if (whose_.vswitch != network.name && whose_.vswitch != network.name + ".vswitch") continue;
      found_.push_back({std::move(client), "", network.name, "", place_at_switch(plan, network.name)});
      return true;
    }
    return false;
  }
  bool find_stack(supervisor::ControlClient& client, const supervisor::Plan& plan) {
    for (const supervisor::Program& program : plan.programs) {
      names_.insert(program.name);
      if (whose_.stack != program.name && whose_.stack != program.name + ".stack") continue;
      found_.push_back({std::move(client), program.name, "", allow_rules(program), {}});
      return true;
    }
    return false;
  }

  const WhoseRules& whose_;
  const bool at_switch_;
  std::vector<RulesAsked> found_;
  std::vector<std::string> where_;  // compositions that have it
  std::set<std::string> names_;     // what all of them have
};

}  // namespace

Result<RulesAsked> find_rules(const WhoseRules& whose) {
  const Result<std::vector<std::string>> compositions = select_running(whose.net);
  if (!compositions) return compositions.error();
  Search search(whose);
  for (const std::string& composition : *compositions) {
    const Result<void> looked = search.look_in(composition);
    if (looked) continue;
    const int number = looked.error().system_error;
    if (compositions->size() == 1) return looked.error();
    // One of several has ended meanwhile. Of any other it is not known whether it is meant too.
    if (number == ENOENT || number == ECONNREFUSED) continue;
    return Error{fmt::format("\"{}\" cannot be asked ({}): say whose with --net NAME", composition,
                             looked.error().message)};
  }
  return std::move(search).result();
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
