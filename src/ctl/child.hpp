// One child process of the command line: started with chosen descriptors at chosen numbers, waited for while
// signals that come to us go on to it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry::ctl {

struct PlacedFd {
  int from = -1;  // ours
  int to = -1;    // its
};

// Where a process stands towards the terminal of who starts it.
enum class Place {
  terminal,    // keeps 0, 1, 2 and the process group: Ctrl-C reaches it
  background,  // /dev/null at 0, `log` at 1 and 2, a process group of its own; the same session, because the
               // kernel shares a core out by sessions (sched(7), autogroup): see spawn.hpp
  daemon,      // as background, in a session of its own: outlives the terminal
};

struct ChildSpec {
  std::string executable;                // absolute
  std::vector<std::string> argv;         // all of it
  std::vector<std::string> surrounding;  // environment variables besides ours, "KEY=VALUE"
  std::vector<PlacedFd> fds;             // besides 0, 1 and 2; everything else is closed
  Place place = Place::terminal;
  int log = -1;               // if it is not on the terminal
  int signal_on_our_end = 0;  // that it gets if we die first (prctl(2), PR_SET_PDEATHSIG)
};

class Child {
 public:
  // Blocks the signals that wait() passes on: they must not end us before it. What came while an earlier
  // child was waited for ends us now.
  static Result<Child> start(const ChildSpec& spec);

  // Those signals end us again, for who has waited and goes on.
  static void let_signals_end_us();

  pid_t pid() const { return pid_; }
  // Until it ends. What a person's terminal sent went to its whole process group and is not repeated. If
  // `watched`
  // (-1: none) becomes readable, `on_watched` is called; true ends the watching. Returns its exit status, or
  // 128 + the signal that ended it.
  int wait(int watched, const std::function<bool()>& on_watched);
  // For at most that long; true if it has ended.
  bool wait_for(int timeout_ms);
  void kill(int signal) const;

 private:
  Child(pid_t pid, Fd pidfd, Fd signals)
      : pid_(pid), pidfd_(std::move(pidfd)), signals_(std::move(signals)) {}
  void pass_signals_on();
  int reap();

  pid_t pid_;
  Fd pidfd_;
  Fd signals_;
};

// Where our own programs lie: beside this one.
std::string beside(const std::string& program);

}  // namespace skerry::ctl
