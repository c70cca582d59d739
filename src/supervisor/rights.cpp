#include "supervisor/rights.hpp"

#include <fmt/format.h>

namespace skerry::supervisor {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Right, process, kind, number, fd, what, shared_with, access)

namespace {

std::string others(const Plan& plan, const Process& self, const Object& object) {
  switch (object.kind) {
    case ObjectKind::stats:
    case ObjectKind::control:
    case ObjectKind::rules:
      return "supervisor";
    case ObjectKind::session:
    case ObjectKind::listener:
      return self.program;
    case ObjectKind::tap:
    case ObjectKind::xdp_map:
    case ObjectKind::xdp_socket:
    case ObjectKind::interface_watch:
      return "host";
    case ObjectKind::name_server:
      return object.host_address;
    case ObjectKind::passt:
      return "passt";
    case ObjectKind::arena:
      return "";
    case ObjectKind::region:
    case ObjectKind::pipe:
    case ObjectKind::names:
      break;
  }
  for (const Process& process : plan.processes) {
    for (const Grant& grant : process.grants) {
      if (grant.object == object.name && process.name != self.name) return process.name;
    }
  }
  return self.program;  // the session's doorbell: the stack passes the write end on
}

std::string describe(const Object& object) {
  std::string text = fmt::format("{} {}", to_string(object.kind), object.name);
  if (!object.interface.empty()) text += " (" + object.interface + ")";
  return text;
}

void add_standard(std::vector<Right>& table, const Plan& plan, const Process& process) {
  const std::string kind(to_string(process.kind));
  if (process.kind == ProcessKind::program) {
    const Program* program = plan.program(process.program);
    const auto target = [&](const std::string& path) {
      if (program->attached) return std::string("the caller's");
      return path.empty() ? std::string("the supervisor's") : path;
    };
    table.push_back(
        {process.name, kind, 0, "stdin", program->attached ? "the caller's" : "/dev/null", "", "read"});
    table.push_back({process.name, kind, 1, "stdout", target(program->stdout_path), "", "write"});
    table.push_back({process.name, kind, 2, "stderr", target(program->stderr_path), "", "write"});
  } else {
    table.push_back({process.name, kind, 0, "stdin", "/dev/null", "", "read"});
    table.push_back({process.name, kind, 1, "stdout", "/dev/null", "", "write"});
    table.push_back({process.name, kind, 2, "log", "the supervisor's log", "", "write"});
  }
  table.push_back({process.name, kind, kEnvironmentFd, "environment", "sealed memory", "supervisor", "read"});
}

}  // namespace

std::vector<Right> rights(const Plan& plan) {
  std::vector<Right> table;
  for (const Process& process : plan.processes) {
    add_standard(table, plan, process);
    int number = kFirstGrant;
    for (const Grant& grant : process.grants) {
      const Object& object = *plan.object(grant.object);
      table.push_back({process.name, std::string(to_string(process.kind)), number++, grant.fd,
                       describe(object), others(plan, process, object),
                       std::string(to_string(grant.access))});
    }
  }
  return table;
}

nlohmann::json rights_to_json(const std::vector<Right>& table) {
  return table;
}

Result<std::vector<Right>> rights_from_json(const nlohmann::json& rows) {
  try {
    return rows.get<std::vector<Right>>();
  } catch (const nlohmann::json::exception& e) {
    return Error{fmt::format("the supervisor's table of rights is malformed: {}", e.what())};
  }
}

}  // namespace skerry::supervisor
