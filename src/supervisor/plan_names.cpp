#include "supervisor/plan_names.hpp"

#include <map>

#include "supervisor/address_text.hpp"
#include "supervisor/plan_grants.hpp"

namespace skerry::supervisor {

namespace {

nlohmann::json port_of(const Allow& allow) {
  return {{"port", allow.port}, {"udp", allow.udp}};
}

// What a program may speak to, for its stack and its resolver: a name that somebody in the network has, or
// hosts(5), is known; the resolver asks for the others.
void tell_allowed(Plan& plan, const Program& program, const nlohmann::json& hosts) {
  using nlohmann::json;
  json fixed = json::array(), of_names = json::array(), own = json::array();
  std::map<std::string, json> names;
  for (const Network& network : plan.networks) own.push_back(format_subnet(network.subnet));
  for (const Allow& allow : program.allow) {
    if (allow.is_incoming()) continue;
    json addresses = json::array();
    if (hosts.contains(allow.name))
      addresses.push_back(hosts[allow.name]);
    else
      for (const Ipv4Address address : allow.addresses) addresses.push_back(format_ipv4(address));
    for (const json& address : addresses) {
      json entry = port_of(allow);
      entry["address"] = address;
      fixed.push_back(std::move(entry));
    }
    if (addresses.empty()) of_names.push_back(port_of(allow));
    if (allow.name.empty()) continue;
    json& known =
        names.try_emplace(allow.name, json{{"name", allow.name}, {"ports", json::array()}}).first->second;
    known["fixed"] = std::move(addresses);
    known["ports"].push_back(port_of(allow));
  }
  process_of(plan, program.name + ".stack").settings["allow"] = {
      {"fixed", std::move(fixed)}, {"of_names", std::move(of_names)}, {"own", own}};
  json& resolver = process_of(plan, program.name + ".resolver").settings;
  resolver["own"] = std::move(own);
  resolver["names"] = json::array();
  for (auto& [name, known] : names) resolver["names"].push_back(std::move(known));
}

nlohmann::json hosts_of(const Plan& plan, const Network& network) {
  nlohmann::json hosts = nlohmann::json::object();
  for (const std::string& name : own_names(network)) hosts[name] = format_ipv4(network.subnet.gateway());
  for (const Program& program : plan.programs) {
    if (program.network == network.name) hosts[program.name] = format_ipv4(program.address);
  }
  return hosts;
}

}  // namespace

void tell_hosts(Plan& plan, const Network& network) {
  const nlohmann::json hosts = hosts_of(plan, network);
  for (Process& process : plan.processes) {
    if (process.network == network.name &&
        (process.kind == ProcessKind::stack || process.kind == ProcessKind::program))
      process.settings["hosts"] = hosts;
  }
}

void tell_lists(Plan& plan, const Network& network, const Program& newcomer) {
  const nlohmann::json hosts = hosts_of(plan, network);
  for (const Program& program : plan.programs) {
    if (program.network != network.name || program.allow.empty()) continue;
    if (!newcomer.attached || program.name == newcomer.name) tell_allowed(plan, program, hosts);
  }
}

}  // namespace skerry::supervisor
