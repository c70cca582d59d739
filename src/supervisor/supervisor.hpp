// The supervisor: makes what the plan says, starts every process with exactly its grants, starts again what
// died, and cleans up. No frame ever passes through it, and it parses nothing that a frame carries.
//
// One loop, no thread: Host (run/host.hpp) wakes it for a dead process (pidfd), a word on a control socket,
// the wish to stop, or the next point in time that tick() named.
//
// Order of starting: a stack needs the listener of its program's cell, so the cell comes first, waits, and
// lets its program begin when the stack has answered.
//
// A program whose stack died is ended, and started again with a new one if the plan says so: what its library
// holds is the dead one's memory, and nothing would ever move in it again.
//
// Invariants: a process that died is reaped, and everything that it could have written to is made anew before
// its successor or a neighbour gets it; after run() no process of ours is left.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "run/host.hpp"
#include "supervisor/control_protocol.hpp"
#include "supervisor/member.hpp"
#include "supervisor/objects.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

// Between SIGTERM and SIGKILL.
inline constexpr DurationNs kProgramGrace = 5 * kSecond;
inline constexpr DurationNs kDriverGrace = 100 * kMillisecond;

class Supervisor {
 public:
  using Started = std::function<void(Result<void>)>;

  // `started` is called once: when everything that the plan names serves, or with the sentence why it does
  // not.
  Supervisor(Plan plan, Host& host, Surroundings surroundings, Started started);
  ~Supervisor();

  // Makes all objects. Errors: one sentence; nothing was started.
  Result<void> create();
  // What is due now; returns when to be called again at the latest.
  TimeNs tick(TimeNs now);
  // True when it is down and every process has ended.
  bool finished() const { return going_down_ && !anybody_alive(); }

  // Ends everything in order: programs, then what served them.
  void go_down();
  bool going_down() const { return going_down_; }

  // Adds a program whose launcher the caller will start. Not while going down. `answer` gets what the
  // launcher needs, or a sentence.
  struct Joined {
    RunReply reply;
    std::vector<Fd> fds;
  };
  using JoinAnswer = std::function<void(Result<Joined>)>;
  // `rules`: compiled, if the request names a filter.
  void join(const RunRequest& request, Fd rules, JoinAnswer answer);
  // A network that nobody wrote down, whose programs have all ended: only their stacks still deliver.
  bool is_leaving() const;

  // Before the first tick(): the compiled rules of a stack or vswitch whose plan names a filter, and those of
  // the plan.
  Result<void> give_rules(const std::string& process, Fd rules);
  void set_default_rules(Fd rules) { default_rules_ = std::move(rules); }
  // To a process that runs. `answer` hears when they are in force, or why the old ones still are.
  void load_rules(const Request& request, Fd rules, std::function<void(Result<void>)> answer);
  // What a process says of its rules, or changes in them (rules/rules.hpp).
  void ask_filter(const std::string& process, const nlohmann::json& question, Member::Answer answer,
                  std::span<const int> fds = {});
  // Of a stack or vswitch: where its rules' text is, and the lines of that they stand in.
  struct RulesText {
    std::string* file;
    std::vector<uint32_t>* lines;
  };
  std::optional<RulesText> rules_text(const std::string& process);

  const Plan& plan() const { return plan_; }
  const Objects& objects() const { return objects_; }
  Member* member(const std::string& name) const;

 private:
  // supervisor.cpp: life and death
  void start_due(TimeNs now, TimeNs& next);
  bool can_start(const Process& process) const;
  Result<void> make_missing(const Process& process);
  void start(const Process& process, Member& member, TimeNs now);
  void watch(const std::string& name);
  void watch_hearts(TimeNs now, TimeNs& next);
  void keep_deadlines(TimeNs now, TimeNs& next);
  void on_messages(const std::string& name);
  void on_end(const std::string& name);
  void component_ended(Member& member, const std::string& clause, DurationNs lived);
  void start_again(Member& member, const std::string& clause, DurationNs lived);
  // Before everything serves: a start of which a part cannot succeed is no start.
  bool starting() const { return !ready_ && started_; }
  void give_up_start(Member& member, const std::string& clause);
  void on_answer(const std::string& name);
  void look_if_all_serve();
  void report_start(Result<void> result);
  // `why`, if not empty, is printed on the program's own terminal.
  void stop(Member& member, DurationNs grace_ns, const std::string& why = "");
  void advance_down();
  bool anybody_alive() const;
  void say(const std::string& sentence) const;

  // supervisor_links.cpp: what neighbours share
  void renew(const Process& process);
  void remove_port(const std::string& process);
  void relink_neighbours(const Process& process);
  void port_closed(const std::string& vswitch, const std::string& port);
  std::vector<int> link_fds(const std::string& process, const std::string& end) const;
  const nlohmann::json* port_of(const std::string& vswitch, const std::string& end) const;

  // supervisor_programs.cpp: programs and their cells
  void on_event(Member& member, ControlMessage& message);
  void begin_program(const std::string& stack);
  void program_ended(Member& member, const std::string& clause, DurationNs lived);
  // True if that is all: the stack starts again with its program's next start, or never.
  bool stack_ended(Member& stack, const std::string& clause);
  bool program_comes_back(const std::string& program) const;
  void remove_attached(const std::string& program);
  // A driver or resolver of one program's own, which ended for good; and with a driver goes its device.
  bool serves_nobody(const Process& process) const;
  void end_servants_of(const std::string& program);
  void let_go(const Process& servant);
  void end_if_alone();  // a network that nobody wrote down ends with its last program
  void answer_join(const std::string& program, const JoinAnswer& answer);
  const Program* program_of(const Member& member) const;
  Member* stack_of(const std::string& program) const { return member(program + ".stack"); }
  std::string listener_of(const std::string& program) const;

  Plan plan_;
  Host& host_;
  const Surroundings surroundings_;
  Started started_;
  Objects objects_;
  Fd default_rules_;                                        // of who joins with none, where the plan has some
  std::map<std::string, std::unique_ptr<Member>> members_;  // by Process::name
  bool ready_ = false;
  std::set<std::string>
      joining_;  // whose new port its vswitch has not answered for: what it says is old news
  bool going_down_ = false;
  TimeNs next_look_ = 0;
  TimeNs alone_since_ = 0;  // of a network that ends with its last program
};

}  // namespace skerry::supervisor
