// Rules on their way from who compiled them to the stack. The supervisor keeps the memory that they lie in,
// so that a stack that comes back has them again before its first frame; it never looks into it.
#include <fmt/format.h>

#include <cerrno>

#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

Result<void> Supervisor::give_rules(const std::string& program, Fd rules) {
  return objects_.adopt_rules(program + ".stack.rules", std::move(rules));
}

void Supervisor::ask_filter(const std::string& program, const nlohmann::json& question, Member::Answer answer,
                            std::span<const int> fds) {
  Member* const stack = plan_.program(program) == nullptr ? nullptr : stack_of(program);
  if (stack == nullptr || !stack->serving)
    return answer(Error{fmt::format("{} has no stack that runs", program)});
  stack->ask(question, fds, [answer = std::move(answer)](Result<ControlMessage> reply) {
    if (!reply && reply.error().system_error == EMSGSIZE)
      return answer(Error{"this is more than fits into one message: give elements some hundred at a time"});
    answer(std::move(reply));
  });
}

void Supervisor::load_rules(const Request& request, Fd rules, std::function<void(Result<void>)> answer) {
  Member* const stack = plan_.program(request.program) == nullptr ? nullptr : stack_of(request.program);
  if (stack == nullptr || !stack->serving)
    return answer(Error{fmt::format("{} has no stack that runs", request.program)});
  const auto kept = std::make_shared<Fd>(std::move(rules));
  const int fds[] = {kept->get()};
  stack->ask({{"command", "load_rules"}}, fds,
             [this, request, kept, answer = std::move(answer)](const Result<ControlMessage>& reply) {
               if (!reply) return answer(reply.error());
               for (Program& known : plan_.programs) {
                 if (known.name != request.program) continue;
                 known.filter = request.filter;
                 known.filter_lines = request.filter_lines;
                 return answer(give_rules(request.program, std::move(*kept)));
               }
               answer(Error{fmt::format("{} has ended", request.program)});
             });
}

}  // namespace skerry::supervisor
