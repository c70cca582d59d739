// The walls around the supervisor's own processes: which limits each kind starts with, and whether a running
// process has put up the walls that it puts up itself (run/confine.hpp).
//
// Read first: docs/security.md, "What is enforced where".
#pragma once

#include <sys/types.h>

#include "supervisor/plan.hpp"
#include "supervisor/spawn.hpp"

namespace skerry::supervisor {

Limits limits_of(ProcessKind kind);

// What the kernel says about a process.
struct Walls {
  bool no_new_privileges = false;
  bool system_calls_filtered = false;
  bool without_capabilities = false;

  bool complete() const { return no_new_privileges && system_calls_filtered && without_capabilities; }
};

// From /proc/PID/status; all false if the process is gone.
Walls walls_of(pid_t pid);

// One sentence if this machine cannot run Skerry: too old a kernel, no Landlock, no user namespaces.
Result<void> check_kernel();

}  // namespace skerry::supervisor
