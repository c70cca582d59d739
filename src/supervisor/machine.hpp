// The machine that a composition is checked against, as values, so that tests can bring their own.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

struct HostSubnet {
  std::string interface;
  Subnet subnet;
};

// Where a program was found. `path` is absolute; empty if there is none of that name. If it is there but
// cannot be executed, `executable` is false: shells tell these two apart (126 and 127), so do we.
struct ProgramFile {
  std::string path;
  bool executable = false;
};

// What the host does with an interface of its own, and how it would do without.
struct InterfaceUse {
  std::string as;      // "as a member of br0"
  std::string remedy;  // "take it out of there"
};

struct Machine {
  bool root = false;
  std::vector<unsigned> cores;           // that we may run on, ascending
  std::vector<HostSubnet> host_subnets;  // which the host's own interfaces are in
  // `name` with a slash is a path, relative to `directory`; without, it is looked for on PATH (execvp(3)).
  std::function<ProgramFile(const std::string& name, const std::string& directory)> find_program;
  std::function<bool(const std::string& path)> exists;
  std::function<unsigned(const std::string& interface)> receive_queues;  // 0: there is no such interface
  std::function<std::optional<InterfaceUse>(const std::string& interface)> use_by_host;
  std::vector<std::string> name_servers;          // of resolv.conf(5), as parse_name_server() writes them
  std::multimap<std::string, Ipv4Address> hosts;  // of hosts(5), by names in lower case
};

// Whether Uplink::user can be had.
bool has_passt(const Machine& machine);
// What a network gets when nobody says: whoever has no root reaches what the host reaches, where passt is
// installed; root gets none, because it can have a TAP device by asking.
Uplink default_uplink(const Machine& machine);

Machine this_machine();

}  // namespace skerry::supervisor
