// What every Skerry process begins with and ends in: its environment, its stats page, the host, the control
// socket, and one sentence on the log if something of it is missing.
#pragma once

#include "run/confine.hpp"
#include "run/control.hpp"
#include "run/env.hpp"
#include "run/host.hpp"
#include "run/loop.hpp"
#include "run/stats.hpp"

namespace skerry {

struct Process {
  Env env;
  Host host;
  Stats stats;

  // Takes "stats" from the environment. The Process stays where it is once a control server or a link is
  // attached.
  static Result<Process> receive();

  // Takes "control" and answers there; the handler runs between breaths.
  Result<ControlServer> serve(ControlServer::Handler handler);
};

// Prints "skerry-KIND: sentence" and returns the exit status for it.
int exit_with(const char* program, const Error& error);

}  // namespace skerry
