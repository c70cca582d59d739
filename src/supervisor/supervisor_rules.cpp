// Rules on their way from who compiled them to the stack. The supervisor keeps the memory that they lie in,
// so that a stack that comes back has them again before its first frame; it never looks into it.
#include <fmt/format.h>

#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

Result<void> Supervisor::give_rules(const std::string& program, Fd rules) {
  return objects_.adopt_rules(program + ".stack.rules", std::move(rules));
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
