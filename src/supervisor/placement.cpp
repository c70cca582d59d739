// Which core each process runs on. The rules are measured (ARCHITECTURE.md, "placement"): waking a sleeper on
// the same core costs a tenth of waking one on another core, so a program and its stack share one; the
// vswitch takes the core with more slack, because there it delays nobody, but behind a TAP it stands beside
// the first program. A driver goes with its vswitch, also one that serves a single program. If no second core
// is in the game, everybody is told: they wait by other rules then.
#include <algorithm>
#include <map>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

namespace {

// Rough shares of a core: a program with its stack counts twice what a vswitch with its driver does.
constexpr unsigned kProgramLoad = 2;
constexpr unsigned kVswitchLoad = 1;

using Loads = std::map<unsigned, unsigned>;  // core -> load

unsigned least_loaded(const Loads& loads, bool highest_of_equals) {
  unsigned best = loads.begin()->first;
  for (const auto& [core, load] : loads) {
    if (load < loads.at(best) || (highest_of_equals && load == loads.at(best))) best = core;
  }
  return best;
}

// What a TAP leads to are programs of this host, and they need a core as well.
bool stands_beside_program(const Plan& plan, const Process& vswitch) {
  return plan.network(vswitch.network)->uplink == Uplink::tap;
}

const Process* first_program(const Plan& plan, std::string_view network) {
  for (const Process& process : plan.processes) {
    if (process.kind == ProcessKind::program && process.network == network) return &process;
  }
  return nullptr;  // the first is still to come, and will get the lowest core
}

}  // namespace

void place(Plan& plan, const std::vector<unsigned>& cores) {
  CHECK(!cores.empty());
  Loads loads;
  for (const unsigned core : cores) loads[core] = 0;
  for (const Process& process : plan.processes) {
    if (!process.core || !loads.contains(*process.core)) continue;
    if (process.kind == ProcessKind::program) loads[*process.core] += kProgramLoad;
    if (process.kind == ProcessKind::vswitch && !stands_beside_program(plan, process))
      loads[*process.core] += kVswitchLoad;
  }

  const auto put = [&](unsigned core, const auto& belongs) {
    for (Process& process : plan.processes) {
      if (!process.core && belongs(process)) process.core = core;
    }
  };
  for (const Process& program : plan.processes) {
    if (program.kind != ProcessKind::program || program.core) continue;
    const unsigned core = least_loaded(loads, false);
    loads[core] += kProgramLoad;
    put(core, [&](const Process& p) { return p.program == program.program && !is_driver(p.kind); });
  }
  for (const Process& vswitch : plan.processes) {
    if (vswitch.kind != ProcessKind::vswitch || vswitch.core) continue;
    const bool beside_program = stands_beside_program(plan, vswitch);
    const Process* const program = beside_program ? first_program(plan, vswitch.network) : nullptr;
    const unsigned core = program ? *program->core : least_loaded(loads, !beside_program);
    if (!beside_program) loads[core] += kVswitchLoad;
    put(core, [&](const Process& p) { return p.network == vswitch.network && p.program.empty(); });
  }
  for (const Process& vswitch : plan.processes) {
    if (vswitch.kind != ProcessKind::vswitch) continue;
    put(*vswitch.core, [&](const Process& p) { return p.network == vswitch.network && is_driver(p.kind); });
  }

  // The supervisor does not start the launchers of attached programs, so they put themselves where they
  // belong.
  for (Process& process : plan.processes) {
    if (process.kind == ProcessKind::program) process.settings["core"] = *process.core;
  }

  const bool one_core = std::ranges::all_of(
      plan.processes, [&](const Process& process) { return process.core == plan.processes.front().core; });
  for (Process& process : plan.processes) {
    if (process.kind == ProcessKind::stack || process.kind == ProcessKind::vswitch)
      process.settings["one_core"] = one_core;
  }
}

}  // namespace skerry::supervisor
