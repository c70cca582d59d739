#include "ctl/stack_asked.hpp"

#include <fmt/format.h>

#include "ctl/running.hpp"
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
      return StackAsked{std::move(*client), program.name};
  }
  return Error{
      fmt::format("there is no stack of a program \"{}\"{}", name, supervisor::suggestion(name, names))};
}

}  // namespace skerry::ctl
