#include "run/process.hpp"

#include <cstdio>

namespace skerry {

Result<Process> Process::receive() {
  Result<Env> env = Env::receive();
  if (!env) return env.error();
  const Result<Fd> page = env->take("stats");
  if (!page) return page.error();
  Result<Stats> stats = Stats::attach(*page);
  if (!stats) return stats.error();
  Result<Host> host = Host::create();
  if (!host) return host.error();
  return Process{std::move(*env), std::move(*host), std::move(*stats)};
}

Result<ControlServer> Process::serve(ControlServer::Handler handler) {
  Result<Fd> socket = env.take("control");
  if (!socket) return socket.error();
  return ControlServer::create(std::move(*socket), host.waiter(), std::move(handler));
}

int exit_with(const char* program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program, error.message.c_str());
  return 1;
}

}  // namespace skerry
