// Programs and their cells: how one joins, when it begins, and what its end means for its stack.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "supervisor/attach.hpp"
#include "supervisor/machine.hpp"
#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {
namespace {

// How long a stack may take to deliver what its program left behind.
constexpr DurationNs kLinger = 2 * kSecond;
constexpr DurationNs kCountersAge =
    100 * kMillisecond;  // a stack shows its counters every 10 ms, if it has the processor

// What its cell says of a program that it could not run (cell.hpp).
bool never_ran(int exit_status) {
  return exit_status >= 125 && exit_status <= 127;
}

}  // namespace

const Program* Supervisor::program_of(const Member& member) const {
  return plan_.program(plan_.process(member.name())->program);
}

std::string Supervisor::listener_of(const std::string& program) const {
  for (const Grant& grant : plan_.process(program + ".stack")->grants) {
    if (plan_.object(grant.object)->kind == ObjectKind::listener) return grant.object;
  }
  return {};
}

void Supervisor::on_event(Member& member, ControlMessage& message) {
  const nlohmann::json& body = message.body;
  if (member.kind() == ProcessKind::vswitch && body["event"] == "port_closed" && !going_down_) {
    const auto port = body.find("name");
    if (port != body.end() && port->is_string()) port_closed(member.name(), port->get<std::string>());
    return;
  }
  if (member.kind() != ProcessKind::program || body["event"] != "listener" || message.fds.size() != 1 ||
      going_down_)
    return;
  const std::string program = program_of(member)->name;
  const auto launcher = body.find("launcher");
  if (member.pidfd() < 0 && launcher != body.end() && launcher->is_number_integer())
    member.set_pid(launcher->get<pid_t>());
  objects_.adopt_listener(listener_of(program), std::move(message.fds.front()));
  Member& stack = *stack_of(program);
  if (stack.state == MemberState::ended) stack.state = MemberState::waiting;
  stack.due = 0;
}

void Supervisor::begin_program(const std::string& stack) {
  Member* const cell = member(plan_.process(stack)->program);
  if (!cell->alive() || cell->serving) return;
  cell->serving = true;
  cell->tell({{"command", "start"}});
}

void Supervisor::program_ended(Member& member, const std::string& clause, DurationNs lived) {
  const Program& program = *program_of(member);
  Member& stack = *stack_of(program.name);
  objects_.drop(listener_of(program.name));
  const bool wanted = going_down_ || (member.stopping && !member.lost_stack) || program.attached;
  const bool failed = member.exit_status() != 0 || member.lost_stack;
  const bool again =
      !wanted && (program.restart == Restart::always || (program.restart == Restart::on_failure && failed));
  member.state = MemberState::ended;
  if (starting() && !wanted && never_ran(member.exit_status())) return give_up_start(member, clause);
  if (again) start_again(member, member.lost_stack ? "ended without its stack" : clause, lived);
  if (!wanted && !again) say(fmt::format("{} {}", member.name(), clause));
  if (stack.alive()) {
    stack.tells_from = host_.now() + kCountersAge;
    stack.linger_until = host_.now() + (member.state == MemberState::waiting ? 0 : kLinger);
    return;
  }
  if (member.lost_stack && member.state == MemberState::waiting) {
    ++stack.restarts;
    const Process& process = *plan_.process(stack.name());
    renew(process);
    relink_neighbours(process);
  }
  if (stack.state == MemberState::waiting && member.state != MemberState::waiting)
    stack.state = MemberState::ended;
  if (program.attached && !going_down_) {
    remove_attached(program.name);
    end_if_alone();
  } else {
    end_servants_of(program.name);
  }
}

bool Supervisor::serves_nobody(const Process& process) const {
  if (!serves_one_program(process)) return false;
  const MemberState state = member(process.program)->state;
  return state == MemberState::ended || state == MemberState::failed;
}

// Of a program that stays in the plan, after its stack, which may have had bytes to deliver.
void Supervisor::end_servants_of(const std::string& program) {
  for (const Process& process : plan_.processes) {
    if (process.program != program || !serves_nobody(process)) continue;
    if (member(process.name)->alive())
      stop(*member(process.name), kDriverGrace);
    else
      let_go(process);
  }
}

void Supervisor::let_go(const Process& servant) {
  member(servant.name)->state = MemberState::ended;
  for (const Grant& grant : servant.grants) {
    if (plan_.object(grant.object)->kind == ObjectKind::passt) objects_.drop(grant.object);
  }
}

bool Supervisor::stack_ended(Member& stack, const std::string& clause) {
  const std::string program = plan_.process(stack.name())->program;
  Member& cell = *member(program);
  // One that died while it delivered its program's last bytes has nobody to come back for either.
  stack.stopping = stack.stopping || !cell.alive();
  if (stack.stopping) {
    if (program_comes_back(program)) return false;
    stack.state = MemberState::ended;
    if (plan_.program(program)->attached) {
      remove_attached(program);
      end_if_alone();
    } else {
      end_servants_of(program);
    }
    return true;
  }
  // A program that has not begun yet can wait for the next one.
  if (!cell.serving || starting()) return false;
  stack.state = MemberState::ended;
  stack.why = clause;
  cell.lost_stack = true;
  say(fmt::format("{} {}: {} cannot go on without it and is told to end", stack.name(), clause, program));
  stop(cell, kProgramGrace, fmt::format("its stack {}, so it is told to end", clause));
  return true;
}

bool Supervisor::program_comes_back(const std::string& program) const {
  return member(program)->state == MemberState::waiting && !plan_.program(program)->attached;
}

void Supervisor::join(const RunRequest& request, Fd rules, JoinAnswer answer) {
  CHECK(!going_down_);
  if ((request.filter.empty() && request.allow.empty()) == static_cast<bool>(rules))
    return answer(Error{"a filter or an allow-list, and its compiled rules, come together"});
  if (request.filter.empty() && !request.allow.empty() && default_rules_)
    return answer(
        Error{fmt::format("\"{}\" has rules for everybody in {}, and an allow-list comes with the rules "
                          "that shall hold beside it: name them with --filter",
                          plan_.name, plan_.filter)});
  // Name and address are free as soon as their program has ended, whatever its stack still has to deliver.
  std::vector<std::string> in_the_way;
  for (const Program& last : plan_.programs) {
    if (!last.attached || member(last.name)->state != MemberState::ended) continue;
    if (last.name == request.name || last.address == request.address) in_the_way.push_back(last.name);
  }
  for (const std::string& name : in_the_way) remove_attached(name);
  const Machine machine = this_machine();
  Result<Program> admitted = admit(request, plan_, machine);
  if (!admitted) {
    end_if_alone();
    return answer(admitted.error());
  }
  if (!rules && default_rules_) {
    rules = Fd(::fcntl(default_rules_.get(), F_DUPFD_CLOEXEC, 0));
    admitted->filter = plan_.filter;
    admitted->filter_lines = plan_.filter_lines;
    if (!rules) return answer(Error{"no descriptors are left for the rules"});
  }
  Result<Addition> added = add_program(plan_, std::move(*admitted));
  if (!added) return answer(added.error());
  place(plan_, machine.cores);
  for (const Process& process : plan_.processes) {
    if (process.program != added->program) continue;
    members_.emplace(process.name, std::make_unique<Member>(process.name, process.kind));
  }
  for (const Process& process : plan_.processes) {
    if (process.program != added->program) continue;
    for (const Grant& grant : process.grants) {
      const Result<void> made = objects_.create(*plan_.object(grant.object));
      if (made) continue;
      remove_attached(added->program);
      return answer(made.error());
    }
  }
  if (rules) {
    if (Result<void> given = give_rules(added->stack, std::move(rules)); !given) {
      remove_attached(added->program);
      return answer(given.error());
    }
  }
  Member& vswitch = *member(added->vswitch);
  if (!vswitch.alive()) return answer_join(added->program, answer);  // it gets the port when it starts
  // Both are answered in order, so the second answer is for both.
  const auto failure = std::make_shared<std::optional<Error>>();
  if (!added->uplink_port.is_null()) {
    const std::string uplink_end = added->uplink_port.at("end");
    vswitch.ask({{"command", "add_port"}, {"port", added->uplink_port}}, link_fds(added->vswitch, uplink_end),
                [failure](const Result<ControlMessage>& reply) {
                  if (!reply) *failure = reply.error();
                });
  }
  const std::string end = added->port.at("end");
  vswitch.ask({{"command", "add_port"}, {"port", added->port}}, link_fds(added->vswitch, end),
              [this, program = added->program, failure, answer](const Result<ControlMessage>& reply) {
                Member* const switched = member(plan_.process(program)->network + ".vswitch");
                if (!reply) *failure = reply.error();
                if (!*failure || !switched->alive()) return answer_join(program, answer);
                remove_attached(program);
                answer(**failure);
              });
}

void Supervisor::answer_join(const std::string& program, const JoinAnswer& answer) {
  // Asked before the end began: a cell made now would be told of it by nobody.
  if (going_down_) return answer(Error{"the network is ending: try again in a moment"});
  Member& cell = *member(program);
  const Process& process = *plan_.process(program);
  Result<std::vector<Fd>> fds = cell.prepare(process, host_.now());
  if (!fds) {
    remove_attached(program);
    return answer(fds.error());
  }
  watch(program);
  Joined joined;
  joined.reply.name = program;
  joined.reply.address = process.settings.value("address", "");
  joined.reply.executable =
      fmt::format("{}/{}", surroundings_.executables, executable_of(ProcessKind::program));
  joined.reply.fds = {kEnvironmentFd, kFirstGrant};
  joined.fds = std::move(*fds);
  answer(std::move(joined));
}

void Supervisor::remove_attached(const std::string& program) {
  std::vector<std::string> names;
  for (const Process& process : plan_.processes) {
    if (process.program == program) names.push_back(process.name);
  }
  for (const std::string& name : names) {
    remove_port(name);
    Member& leaving = *members_.at(name);
    if (leaving.alive()) {
      host_.waiter().unwatch(leaving.control_fd());
      host_.waiter().unwatch(leaving.pidfd());
      leaving.signal(SIGKILL);
      leaving.reap();
    }
    for (const Grant& grant : plan_.process(name)->grants) objects_.drop(grant.object);
    members_.erase(name);
  }
  const std::string name = program;  // the argument may be the plan's own string
  remove_program(plan_, name);
  alone_since_ = host_.now();
}

bool Supervisor::is_leaving() const {
  return plan_.ends_with_last && !plan_.programs.empty() &&
         std::ranges::all_of(plan_.programs, [this](const Program& program) {
           return member(program.name)->state == MemberState::ended;
         });
}

void Supervisor::end_if_alone() {
  if (plan_.ends_with_last && plan_.programs.empty()) go_down();
}

}  // namespace skerry::supervisor
