// What plan_network.cpp and plan_program.cpp put a plan together from: objects that are granted to processes,
// and links that join a process to its network's vswitch.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

// The process must be in the plan.
Process& process_of(Plan& plan, std::string_view name);

// Under the name `fd`; an object that the plan does not have yet is added to it.
void grant(Plan& plan, Process& process, std::string fd, Object object, Access access);
// What every process has.
void grant_basics(Plan& plan, Process& process);

// Joins process `b` to its network's vswitch by a new port, and says what add_port needs.
nlohmann::json add_link(Plan& plan, const std::string& b, const std::string& port_name, const MacAddress& mac,
                        std::optional<Ipv4Address> address, bool uplink,
                        const std::vector<std::string>& joins);

}  // namespace skerry::supervisor
