#include "supervisor/service_views.hpp"

#include <fmt/format.h>
#include <fstream>
#include <optional>

#include "supervisor/rights.hpp"

namespace skerry::supervisor {
namespace {

using nlohmann::json;

constexpr int kMostProcesses = 4096;  // of one program, that are added up

// Of a program: launcher, init and all that descends from them.
uint64_t cpu_ns_of_tree(pid_t root) {
  std::vector<pid_t> pids = {root};
  uint64_t sum = 0;
  for (size_t at = 0; at < pids.size() && at < kMostProcesses; ++at) {
    sum += cpu_ns_of(pids[at]);
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", pids[at]));
    for (pid_t child; children >> child;) pids.push_back(child);
  }
  return sum;
}

uint64_t cpu_ns_of_member(const Member& member) {
  return member.kind() == ProcessKind::program ? cpu_ns_of_tree(member.pid()) : cpu_ns_of(member.pid());
}

// The passt behind a driver, which is a child of ours too: its object's name and pid; nothing if it has none.
std::optional<std::pair<std::string, pid_t>> passt_of(const Supervisor& supervisor, const Process& driver) {
  for (const Grant& grant : driver.grants) {
    const pid_t pid = supervisor.objects().passt_of(grant.object);
    if (pid > 0) return std::pair(grant.object, pid);
  }
  return std::nullopt;
}

std::string address_of(const Plan& plan, const Process& process) {
  const Program* const program = plan.program(process.program);
  return program == nullptr
             ? ""
             : process.settings.value("address", plan.process(program->name)->settings.value("address", ""));
}

}  // namespace

json processes_view(const Supervisor& supervisor, TimeNs now) {
  json rows = json::array();
  for (const Process& process : supervisor.plan().processes) {
    const Member& member = *supervisor.member(process.name);
    json row = {{"name", process.name},
                {"kind", to_string(process.kind)},
                {"network", process.network},
                {"pid", member.pid()},
                {"state", to_string(member.state)},
                {"core", process.core ? json(*process.core) : json(nullptr)},
                {"restarts", member.restarts},
                {"uptime_ms", member.alive() ? (now - member.started_at) / kMillisecond : 0},
                {"cpu_ms", cpu_ns_of_member(member) / kMillisecond}};
    if (const std::string address = address_of(supervisor.plan(), process); !address.empty())
      row["address"] = address;
    if (!member.why.empty()) row["why"] = member.why;
    if (member.alive() && member.counter("link.down") != 0) row["link_down"] = true;
    rows.push_back(row);
    if (const auto passt = passt_of(supervisor, process)) {
      row["name"] = passt->first;
      row["kind"] = "passt";
      row["pid"] = passt->second;
      row["core"] = nullptr;
      row["cpu_ms"] = cpu_ns_of(passt->second) / kMillisecond;
      rows.push_back(std::move(row));
    }
  }
  return {{"ok", true}, {"name", supervisor.plan().name}, {"processes", std::move(rows)}};
}

json counters_view(const Supervisor& supervisor, TimeNs now) {
  json rows = json::array();
  for (const Process& process : supervisor.plan().processes) {
    const Member& member = *supervisor.member(process.name);
    json counters = json::object();
    if (member.stats() != nullptr) {
      for (const StatsReader::Row& row : member.stats()->rows()) counters[row.name] = row.value;
    }
    rows.push_back({{"name", process.name},
                    {"kind", to_string(process.kind)},
                    {"core", process.core ? json(*process.core) : json(nullptr)},
                    {"cpu_ns", cpu_ns_of_member(member)},
                    {"counters", std::move(counters)}});
    if (const auto passt = passt_of(supervisor, process)) {
      rows.push_back({{"name", passt->first},
                      {"kind", "passt"},
                      {"core", nullptr},
                      {"cpu_ns", cpu_ns_of(passt->second)},
                      {"counters", json::object()}});
    }
  }
  return {{"ok", true}, {"time_ns", now}, {"processes", std::move(rows)}};
}

json rights_view(const Supervisor& supervisor) {
  const Plan& plan = supervisor.plan();
  json rows = rights_to_json(rights(plan));
  for (json& row : rows) {
    const Process& process = *plan.process(row.at("process").get<std::string>());
    const Member& member = *supervisor.member(process.name);
    const std::string fd = row.at("fd");
    uint64_t inode = member.own_inode(fd);
    for (const Grant& grant : process.grants) {
      const int held = supervisor.objects().descriptor(grant.object, grant.access);
      if (grant.fd == fd && held >= 0) inode = inode_of(held);
    }
    row["pid"] = member.pid();
    row["inode"] = inode;
  }
  return {{"ok", true}, {"rights", std::move(rows)}};
}

}  // namespace skerry::supervisor
