// Rules on their way from who compiled them to the stack or vswitch that judges by them. The supervisor keeps
// the memory that they lie in, so that one that comes back has them again before its first frame; it never
// looks into it.
#include <fmt/format.h>

#include <cerrno>

#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

Result<void> Supervisor::give_rules(const std::string& process, Fd rules) {
  return objects_.adopt_rules(process + ".rules", std::move(rules));
}

std::optional<Supervisor::RulesText> Supervisor::rules_text(const std::string& process) {
  for (Program& program : plan_.programs)
    if (program.name + ".stack" == process) return RulesText{&program.filter, &program.filter_lines};
  for (Network& network : plan_.networks)
    if (network.name + ".vswitch" == process) return RulesText{&network.filter, &network.filter_lines};
  return std::nullopt;
}

void Supervisor::ask_filter(const std::string& process, const nlohmann::json& question, Member::Answer answer,
                            std::span<const int> fds) {
  Member* const asked = rules_text(process) ? member(process) : nullptr;
  if (asked == nullptr || !asked->serving) return answer(Error{fmt::format("{} does not run", process)});
  asked->ask(question, fds, [answer = std::move(answer)](Result<ControlMessage> reply) {
    if (!reply && reply.error().system_error == EMSGSIZE)
      return answer(Error{"this is more than fits into one message: give elements some hundred at a time"});
    answer(std::move(reply));
  });
}

void Supervisor::load_rules(const Request& request, Fd rules, std::function<void(Result<void>)> answer) {
  const auto kept = std::make_shared<Fd>(std::move(rules));
  const int fds[] = {kept->get()};
  ask_filter(
      request.whose_rules(), {{"command", "load_rules"}},
      [this, request, kept, answer = std::move(answer)](const Result<ControlMessage>& reply) {
        if (!reply) return answer(reply.error());
        const std::string process = request.whose_rules();
        const std::optional<RulesText> text = rules_text(process);
        if (!text) return answer(Error{fmt::format("{} has ended", process)});
        *text->file = request.filter;
        *text->lines = request.filter_lines;
        answer(give_rules(process, std::move(*kept)));
      },
      fds);
}

}  // namespace skerry::supervisor
