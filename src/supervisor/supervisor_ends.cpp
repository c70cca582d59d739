// Supervisor: whom it ends, and what becomes of a process that has ended, or of all of them.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {
namespace {

constexpr DurationNs kComponentGrace = 1 * kSecond;  // between SIGTERM and SIGKILL

}  // namespace

void Supervisor::stop(Member& member, DurationNs grace_ns, const std::string& why) {
  if (!member.alive() || member.stopping) return;
  member.stopping = true;
  member.kill_at = host_.now() + grace_ns;
  member.linger_until = kNever;
  if (member.pidfd() >= 0)
    member.signal(SIGTERM);
  else
    member.tell({{"command", "end"}, {"error", why}});
}

void Supervisor::keep_deadlines(TimeNs now, TimeNs& next) {
  std::vector<std::string> late;
  for (auto& [name, member] : members_) {
    if (member->linger_until != kNever) {
      const bool drained = now >= member->tells_from && member->stats() != nullptr &&
                           member->stats()->value("sockets.in_use") == 0U;
      if (now >= member->linger_until || drained) {
        remove_port(name);  // first, or the vswitch would report a neighbour that hung up
        stop(*member, kComponentGrace);
      }
      // Its last bytes leave in milliseconds, usually.
      next = std::min({next, member->linger_until, now + 10 * kMillisecond});
    }
    if (now >= member->kill_at) late.push_back(name);
    next = std::min(next, member->kill_at);
  }
  for (const std::string& name : late) {
    Member& stubborn = *members_.at(name);
    stubborn.kill_at = kNever;
    stubborn.signal(SIGKILL);
    // Of a cell that is not our child we can only let go: it ends when its control socket does.
    if (stubborn.pidfd() < 0) on_end(name);
  }
}

void Supervisor::on_end(const std::string& name) {
  Member& dead = *members_.at(name);
  host_.waiter().unwatch(dead.control_fd());
  if (dead.pidfd() >= 0) host_.waiter().unwatch(dead.pidfd());
  const DurationNs lived = host_.now() - dead.started_at;
  const std::string clause = dead.reap();
  if (dead.kind() == ProcessKind::program)
    program_ended(dead, clause, lived);
  else
    component_ended(dead, clause, lived);
  look_if_all_serve();
}

void Supervisor::component_ended(Member& member, const std::string& clause, DurationNs lived) {
  const Process& process = *plan_.process(member.name());
  if (going_down_) {
    member.state = MemberState::ended;
    return;
  }
  remove_port(process.name);  // first, or the vswitch would report the end of the old link
  if (process.kind == ProcessKind::stack && stack_ended(member, clause)) return;
  if (serves_nobody(process)) return let_go(process);
  renew(process);
  relink_neighbours(process);
  if (!member.stopping) return start_again(member, clause, lived);
  // It was stopped to come back: a driver with a new link, a stack with a new listener.
  member.state = MemberState::waiting;
  member.due = 0;
}

void Supervisor::give_up_start(Member& member, const std::string& clause) {
  member.state = MemberState::failed;
  member.why = clause;
  report_start(Error{fmt::format("{} {}", member.name(), clause)});
  go_down();
}

void Supervisor::start_again(Member& member, const std::string& clause, DurationNs lived) {
  if (starting() && member.kind() != ProcessKind::program) return give_up_start(member, clause);
  member.why = clause;
  const TimeNs now = host_.now();
  const std::optional<DurationNs> delay = member.budget.died(now, lived);
  if (delay) {
    member.state = MemberState::waiting;
    member.due = now + *delay;
    ++member.restarts;
    say(fmt::format("{} {}; it starts again in {} ms", member.name(), clause, *delay / kMillisecond));
    return;
  }
  const std::string verdict = fmt::format("{}; it died {} times within {} s and is given up", clause,
                                          RestartBudget::kYoungDeaths + 1, RestartBudget::kWindow / kSecond);
  if (starting()) return give_up_start(member, verdict);
  member.state = MemberState::failed;
  say(fmt::format("{} {}", member.name(), verdict));
  // A program without its stack would wait for ever.
  if (member.kind() == ProcessKind::stack) {
    Member* const cell = this->member(plan_.process(member.name())->program);
    if (cell != nullptr) stop(*cell, kProgramGrace, "its stack could not be started");
  }
}

void Supervisor::go_down() {
  if (going_down_) return;
  going_down_ = true;
  report_start(Error{"it was told to end before everything had started"});
  for (auto& [name, member] : members_) {
    if (!member->alive() && member->state == MemberState::waiting) member->state = MemberState::ended;
    member->linger_until = kNever;
    if (member->kind() == ProcessKind::program) stop(*member, kProgramGrace);
  }
  advance_down();
}

void Supervisor::advance_down() {
  const bool programs = std::ranges::any_of(members_, [](const auto& entry) {
    return entry.second->alive() && entry.second->kind() == ProcessKind::program;
  });
  if (programs) return;
  for (auto& [name, member] : members_) stop(*member, kComponentGrace);
}

}  // namespace skerry::supervisor
