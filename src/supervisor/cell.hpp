// The cell: where a program runs. Namespaces of its own (user, PID, mount, IPC, UTS, network), a view of the
// files without doors past the cell, a system call filter, and in its empty network namespace one listener,
// "@skerry", behind which its stack sits.
//
// Three processes: the launcher stays outside (it writes the user maps and passes on signals and stops), the
// cell's init is PID 1 inside (it reaps, and its end is everybody's), and the program is its child.
//
//   launcher ── init ── program
//
// With whoever granted the control socket (the supervisor) init speaks, one JSON packet each
// (run/control.hpp):
//
//   init → {"event":"listener","launcher":PID}     with the listening socket: the stack may be started
//   init ← {"command":"start"}                     the stack serves; the program begins
//   init ← {"command":"refuse","error":"why"}      it never will
//   init ← {"command":"end","error":"why"}         SIGTERM for the program; `why` may be empty
//
// What `why` says is printed on the program's descriptor 2.
//
// Invariants: the program begins only after the stack serves, so its first connect finds it. It ends with
// init, init with the launcher, the launcher with its parent; and all of them when the control socket's other
// end is gone, because nobody would restart the stack.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "supervisor/cell_view.hpp"

namespace skerry::supervisor {

// Exit statuses of our own, as env(1), nohup(1) and timeout(1) have them.
inline constexpr int kExitFailed = 125;         // the cell could not be made
inline constexpr int kExitNotExecutable = 126;  // the program is there but cannot be run
inline constexpr int kExitNotFound = 127;

struct CellSpec {
  std::string name;
  std::string executable;  // absolute
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;  // added to the launcher's
  std::string preload;                             // absolute path of the library; empty: none
  std::optional<unsigned> core;                    // where the program runs, beside its stack
  bool strict = false;                             // a socket past the preload library stops it
  CellView view;
};

// From the settings of a process of kind "program" (plan.hpp). `preload` is used unless the settings name
// another.
Result<CellSpec> parse_cell(const std::string& name, const nlohmann::json& settings,
                            const std::string& preload);

// Makes the cell and runs the program to its end. Returns its exit status, 128 + the signal that ended it, or
// one of ours after a sentence on stderr. Call once, with one thread; takes over the process's signals.
int run_cell(const CellSpec& spec, Fd control);

}  // namespace skerry::supervisor
