// The invariants of a plan, checked as a whole. A plan that our own code made never breaks one.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

namespace {

struct Holder {
  const Process* process;
  const Grant* grant;
};

std::vector<Holder> holders_of(const Plan& plan, const std::string& object) {
  std::vector<Holder> holders;
  for (const Process& process : plan.processes) {
    for (const Grant& grant : process.grants) {
      if (grant.object == object) holders.push_back({&process, &grant});
    }
  }
  return holders;
}

template <class Items>
void check_unique(const Items& items, std::string_view what, std::vector<std::string>& broken) {
  std::set<std::string> seen;
  for (const auto& item : items) {
    if (!seen.insert(item.name).second) broken.push_back(fmt::format("two {} are named {}", what, item.name));
  }
}

// Who may hold one object. A link's pipe: one end each on two sides; a session's: both on the stack.
bool held_rightly(const Object& object, const std::vector<Holder>& holders) {
  switch (object.kind) {
    case ObjectKind::region:
      return holders.size() == 2 && holders[0].process != holders[1].process;
    case ObjectKind::pipe: {
      if (holders.size() != 2) return false;
      const bool two_ends = std::minmax({holders[0].grant->access, holders[1].grant->access}) ==
                            std::pair{Access::read, Access::write};
      const bool same = holders[0].process == holders[1].process;
      return two_ends && (!same || holders[0].process->kind == ProcessKind::stack);
    }
    case ObjectKind::rules:
      return holders.size() == 1 && (holders[0].process->kind == ProcessKind::stack ||
                                     holders[0].process->kind == ProcessKind::vswitch);
    case ObjectKind::session:
    case ObjectKind::arena:
    case ObjectKind::listener:
      return holders.size() == 1 && holders[0].process->kind == ProcessKind::stack;
    case ObjectKind::tap:
      return holders.size() == 1 && holders[0].process->kind == ProcessKind::driver_tap;
    case ObjectKind::xdp_map:
    case ObjectKind::xdp_socket:
      return holders.size() == 1 && holders[0].process->kind == ProcessKind::driver_afxdp;
    case ObjectKind::interface_watch:
      return holders.size() == 1 && is_driver(holders[0].process->kind);
    case ObjectKind::passt:
      return holders.size() == 1 && holders[0].process->kind == ProcessKind::driver_user;
    case ObjectKind::names:
      return holders.size() == 2 && holders[0].process->kind == ProcessKind::stack &&
             holders[0].grant->access == Access::read && holders[1].process->kind == ProcessKind::resolver &&
             holders[1].grant->access == Access::write;
    case ObjectKind::name_server:
      return holders.size() == 1 && holders[0].process->kind == ProcessKind::resolver;
    case ObjectKind::stats:
    case ObjectKind::control:
      return holders.size() == 1;
  }
  return false;
}

void check_grants(const Plan& plan, std::vector<std::string>& broken) {
  for (const Process& process : plan.processes) {
    std::set<std::string> names;
    for (const Grant& grant : process.grants) {
      if (!names.insert(grant.fd).second) {
        broken.push_back(fmt::format("process {} is granted {} twice", process.name, grant.fd));
      }
      if (plan.object(grant.object) == nullptr) {
        broken.push_back(
            fmt::format("process {} is granted {}, which does not exist", process.name, grant.object));
      }
    }
  }
  for (const Object& object : plan.objects) {
    if (!held_rightly(object, holders_of(plan, object.name))) {
      broken.push_back(
          fmt::format("{} {} is granted to the wrong processes", to_string(object.kind), object.name));
    }
  }
}

}  // namespace

std::vector<std::string> check_plan(const Plan& plan) {
  std::vector<std::string> broken;
  check_unique(plan.networks, "networks", broken);
  check_unique(plan.programs, "programs", broken);
  check_unique(plan.objects, "objects", broken);
  check_unique(plan.processes, "processes", broken);
  check_unique(plan.links, "links", broken);
  for (const Program& program : plan.programs) {
    const Network* network = plan.network(program.network);
    if (network == nullptr || !network->subnet.contains(program.address)) {
      broken.push_back(fmt::format("program {} has no address in a network", program.name));
    }
    if (plan.process(program.name) == nullptr || plan.process(program.name + ".stack") == nullptr) {
      broken.push_back(fmt::format("program {} lacks a process", program.name));
    }
  }
  for (const PlannedLink& link : plan.links) {
    const Process* a = plan.process(link.a.process);
    const Process* b = plan.process(link.b.process);
    if (a == nullptr || b == nullptr || a->kind != ProcessKind::vswitch || b->kind == ProcessKind::vswitch) {
      broken.push_back(fmt::format("link {} does not join a vswitch to another process", link.name));
    }
  }
  check_grants(plan, broken);
  return broken;
}

}  // namespace skerry::supervisor
