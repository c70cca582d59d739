#include "supervisor/supervisor.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

namespace skerry::supervisor {
namespace {

constexpr DurationNs kLookEvery = 1 * kSecond;
constexpr DurationNs kAlonePatience =
    10 * kSecond;  // for the first program of a network that ends with its last

}  // namespace

Supervisor::Supervisor(Plan plan, Host& host, Surroundings surroundings, Started started)
    : plan_(std::move(plan)),
      host_(host),
      surroundings_(std::move(surroundings)),
      started_(std::move(started)),
      objects_(surroundings_.log_fd) {
  alone_since_ = host_.now();
  for (const Process& process : plan_.processes)
    members_.emplace(process.name, std::make_unique<Member>(process.name, process.kind));
}

Supervisor::~Supervisor() {
  for (auto& [name, member] : members_) {
    if (!member->alive()) continue;
    host_.waiter().unwatch(member->control_fd());
    host_.waiter().unwatch(member->pidfd());
    member->signal(SIGKILL);
    member->reap();
  }
}

Result<void> Supervisor::create() {
  for (const Object& object : plan_.objects) {
    Result<void> made = objects_.create(object);
    if (!made) return made;
  }
  return {};
}

Member* Supervisor::member(const std::string& name) const {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : found->second.get();
}

TimeNs Supervisor::tick(TimeNs now) {
  TimeNs next = kNever;
  if (host_.stop_requested()) go_down();
  keep_deadlines(now, next);
  if (going_down_) {
    advance_down();
    return std::min(next, now + kLookEvery);
  }
  start_due(now, next);
  watch_hearts(now, next);
  if (plan_.ends_with_last && plan_.programs.empty()) {
    if (now >= alone_since_ + kAlonePatience) go_down();
    next = std::min(next, alone_since_ + kAlonePatience);
  }
  return next;
}

void Supervisor::start_due(TimeNs now, TimeNs& next) {
  for (const Process& process : plan_.processes) {
    Member& candidate = *members_.at(process.name);
    if (candidate.state != MemberState::waiting || !can_start(process)) continue;
    if (candidate.due > now) {
      next = std::min(next, candidate.due);
      continue;
    }
    start(process, candidate, now);
    if (going_down_) return;
  }
}

bool Supervisor::can_start(const Process& process) const {
  if (process.kind == ProcessKind::program) {
    // A new cell means a new listener, so the stack of the last one must have gone first.
    const Member* stack = stack_of(process.program);
    return !plan_.program(process.program)->attached && !stack->alive();
  }
  // All else can be made when it is missing; this one comes from the cell.
  return std::ranges::all_of(process.grants, [&](const Grant& grant) {
    return plan_.object(grant.object)->kind != ObjectKind::listener || objects_.has(grant.object);
  });
}

// What could not be made when it was due, such as a passt whose port was taken, is tried with each start.
Result<void> Supervisor::make_missing(const Process& process) {
  for (const Grant& grant : process.grants) {
    const Object& object = *plan_.object(grant.object);
    if (objects_.has(grant.object) || object.kind == ObjectKind::rules)
      continue;  // rules are given, never made
    Result<void> made = objects_.create(object);
    if (!made) return made;
  }
  return {};
}

void Supervisor::start(const Process& process, Member& member, TimeNs now) {
  const Program* program = process.program.empty() ? nullptr : plan_.program(process.program);
  Result<void> started = make_missing(process);
  if (started) started = member.start(process, program, objects_, surroundings_, now);
  if (!started) {
    const std::string clause = "could not be started: " + started.error().message;
    return starting() ? give_up_start(member, clause) : start_again(member, clause, 0);
  }
  watch(process.name);
  if (process.kind == ProcessKind::program) return;
  // Whatever it answers, it answers from its loop: from then on it serves.
  member.ask({{"command", "ping"}}, {},
             [this, name = process.name](const Result<ControlMessage>&) { on_answer(name); });
}

void Supervisor::watch(const std::string& name) {
  const Member& watched = *members_.at(name);
  Waiter& waiter = host_.waiter();
  Result<void> added = waiter.watch(watched.control_fd(), [this, name](uint32_t) { on_messages(name); });
  if (added && watched.pidfd() >= 0)
    added = waiter.watch(watched.pidfd(), [this, name](uint32_t) { on_end(name); });
  CHECK(added);
}

void Supervisor::on_answer(const std::string& name) {
  Member* const answered = member(name);
  if (answered == nullptr || !answered->alive()) return;
  answered->serving = true;
  if (answered->kind() == ProcessKind::stack) begin_program(name);
  look_if_all_serve();
}

void Supervisor::look_if_all_serve() {
  // A program may have done its work before its neighbour began.
  const bool all = std::ranges::all_of(members_, [](const auto& entry) {
    return entry.second->serving || entry.second->state == MemberState::ended;
  });
  if (!all || ready_ || going_down_) return;
  ready_ = true;
  report_start({});
}

void Supervisor::report_start(Result<void> result) {
  if (!started_) return;
  const Started started = std::move(started_);
  started_ = nullptr;
  started(std::move(result));
}

void Supervisor::watch_hearts(TimeNs now, TimeNs& next) {
  if (now >= next_look_) {
    next_look_ = now + kLookEvery;
    for (auto& [name, looked_at] : members_) {
      if (looked_at->stats() == nullptr || looked_at->stopping) continue;
      if (!looked_at->heart.hung(now, looked_at->counter("breaths"), looked_at->counter("asleep") != 0,
                                 cpu_ns_of(looked_at->pid())))
        continue;
      say(fmt::format("{} hangs: no breath for {} s", name, Heartbeat::kPatience / kSecond));
      looked_at->heart.begin(now);
      looked_at->signal(SIGKILL);
    }
  }
  next = std::min(next, next_look_);
}

void Supervisor::on_messages(const std::string& name) {
  Member* const speaker = member(name);
  if (speaker == nullptr) return;
  const int control_fd = speaker->control_fd();
  std::vector<ControlMessage> unasked;
  const bool open = speaker->take_messages(unasked);
  for (ControlMessage& message : unasked) on_event(*speaker, message);
  if (open) return;
  host_.waiter().unwatch(control_fd);
  if (speaker->pidfd() < 0) on_end(name);
}

bool Supervisor::anybody_alive() const {
  return std::ranges::any_of(members_, [](const auto& entry) { return entry.second->alive(); });
}

void Supervisor::say(const std::string& sentence) const {
  ::dprintf(surroundings_.log_fd, "skerry: %s\n", sentence.c_str());
}

}  // namespace skerry::supervisor
