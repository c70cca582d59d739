// A member: one process of the plan as it runs now. It starts it, asks it things over its control socket,
// reads its stats page and reaps it; when to do what is the supervisor's.
//
// Invariants: every request gets exactly one answer, in order, be it that the process died, or has answered a
// later one and this one's answer is lost; a member that is not alive has no descriptor of the process left.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "run/control.hpp"
#include "run/stats.hpp"
#include "supervisor/objects.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/restart.hpp"
#include "supervisor/spawn.hpp"

namespace skerry::supervisor {

enum class MemberState {
  waiting,  // for its time, or for what it needs
  running,
  ended,   // as it was asked to, or with nothing left to do
  failed,  // given up
};

std::string_view to_string(MemberState state);  // as `skerry ps` shows it

// What a process has used in all its life; 0 if there is none.
uint64_t cpu_ns_of(pid_t pid);

// Where executables lie, and where output goes that has no file of its own.
struct Surroundings {
  std::string executables;  // directory
  int log_fd = 2;
  int output_fd = 1;
};

class Member {
 public:
  using Answer = std::function<void(Result<ControlMessage>)>;

  Member(std::string name, ProcessKind kind) : name_(std::move(name)), kind_(kind) {}

  // Starts the process with what the plan grants it; the objects must be there.
  Result<void> start(const Process& process, const Program* program, const Objects& objects,
                     const Surroundings& surroundings, TimeNs now);
  // The same for a program that somebody else starts: returns what he needs, in the order 3, 4.
  Result<std::vector<Fd>> prepare(const Process& process, TimeNs now);

  // Sends a request. The answer comes later, from take_answers() or from ended().
  void ask(nlohmann::json body, std::span<const int> fds, Answer answer);
  // Sends what needs no answer.
  void tell(const nlohmann::json& body) const;
  // Reads what the process sent: answers are delivered; what it says unasked is returned. False: it hung up.
  bool take_messages(std::vector<ControlMessage>& unasked);
  // Only to a child of ours.
  void signal(int number) const;
  // Reaps the process, which pidfd() has said is dead, or whose control socket hung up if it is not our
  // child. Returns a clause for people: "was killed by signal 9 (Killed)".
  std::string reap();

  const std::string& name() const { return name_; }
  ProcessKind kind() const { return kind_; }
  bool alive() const { return static_cast<bool>(control_); }
  int control_fd() const { return control_.get(); }
  int pidfd() const { return child_.pidfd.get(); }
  // Our child's, or what the launcher of an attached program said of itself; -1 if unknown.
  pid_t pid() const { return child_.pid; }
  void set_pid(pid_t pid) { child_.pid = pid; }
  int exit_status() const { return exit_status_; }
  const StatsReader* stats() const { return stats_ ? &*stats_ : nullptr; }
  uint64_t counter(std::string_view name) const { return stats_ ? stats_->value(name).value_or(0) : 0; }
  // Inodes of what only this start had: its log, environment and end of the control socket.
  uint64_t own_inode(std::string_view fd) const;

  // The supervisor's notes.
  MemberState state = MemberState::waiting;
  bool serving = false;     // has answered since it started; of a program: was told to begin
  bool stopping = false;    // its end is our wish
  bool lost_stack = false;  // of a program: it was stopped because its stack died
  TimeNs due = 0;           // while waiting: not before
  TimeNs started_at = 0;
  TimeNs kill_at = kNever;       // while stopping
  TimeNs linger_until = kNever;  // of a stack whose program has ended
  TimeNs tells_from = 0;         // its counters are those of before that end until then
  uint32_t restarts = 0;
  RestartBudget budget;
  Heartbeat heart;
  std::string why;  // it died the last time, or does not run

 private:
  void begin(Fd control, TimeNs now);
  void deliver(Result<ControlMessage> message);

  std::string name_;
  ProcessKind kind_;
  Child child_;
  Fd control_;
  std::optional<StatsReader> stats_;
  struct Asked {
    uint64_t id;
    Answer answer;
  };
  std::deque<Asked> asked_;  // and not answered yet
  uint64_t last_id_ = 0;
  std::vector<std::pair<std::string, uint64_t>> own_inodes_;
  int exit_status_ = 0;
};

}  // namespace skerry::supervisor
