// Starts one process with exactly the descriptors it is granted, and nothing else of the supervisor's.
//
// The process finds /dev/null at 0 and 1, the log at 2, its environment (run/env.hpp) at 3 and its grants
// from 4 on, in the order given. Everything above is closed by one close_range, so no descriptor has to be
// remembered for being closed.
//
// Invariant: what Child::table says is what /proc/PID/fd shows when the process begins to run.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry::supervisor {

// One granted descriptor: the caller keeps its own, the process gets a duplicate.
struct NamedFd {
  std::string name;  // in the environment: "link.region"
  int fd = -1;
};

// Limits that a process cannot raise again. Units as setrlimit(2).
struct Limits {
  std::optional<uint64_t> open_files;  // capped at the hard limit of the supervisor
  bool core_dumps = true;              // a dump would write a neighbour's bytes to a file
};

struct Launch {
  std::string executable;              // absolute path
  std::string name;                    // argv[1] and the environment's name
  std::vector<std::string> arguments;  // of one that is not ours: argv[1] and on, in place of the name
  std::string kind;                    // "vswitch", "stack", …
  nlohmann::json settings = nlohmann::json::object();
  std::vector<NamedFd> grants;
  std::vector<std::string> surrounding;  // environment variables, "KEY=VALUE"; ours need none
  int log_fd = 2;                        // becomes its descriptor 2
  int output_fd = -1;                    // becomes its descriptor 1; -1: /dev/null
  std::optional<unsigned> core;          // pinned there before its first instruction
  Limits limits;
  // For a program on a terminal: keeps 0, 1, 2 and the process group. Otherwise the process gets a group of
  // its own, so that Ctrl-C reaches the supervisor alone and everything ends in order. The session stays,
  // because the kernel shares a core out by sessions (sched(7), autogroup), and a yield to another session's
  // process hands nothing over.
  bool on_terminal = false;
};

struct Child {
  pid_t pid = -1;
  Fd pidfd;  // readable when the process has ended; the caller reaps it with waitid(P_PIDFD)
  std::vector<NamedFd>
      table;  // what it was given, by its own numbers: "stdin", …, "environment", then grants
};

// Starts the process. It is killed when the calling process dies. Must be called from a process with one
// thread. Errors: one sentence that names the executable, also if it cannot be executed.
Result<Child> spawn(const Launch& launch);

}  // namespace skerry::supervisor
