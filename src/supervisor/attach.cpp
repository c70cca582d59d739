#include "supervisor/attach.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "supervisor/address_text.hpp"
#include "supervisor/composition.hpp"

namespace skerry::supervisor {

namespace {

// "Redis.Server" -> "redis-server": what of a file's name can name a program.
std::string name_from(const std::string& executable) {
  std::string name = std::filesystem::path(executable).filename().string();
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) c = '-';
  }
  name.erase(0, name.find_first_not_of("-_"));
  name.resize(std::min(name.size(), kMaxProgramName - 6));  // room for a number
  return name.empty() || name == "host" ? "program" : name;
}

std::string unused_name(const std::string& base, const Plan& plan) {
  if (plan.program(base) == nullptr) return base;
  for (unsigned number = 2;; ++number) {
    std::string name = fmt::format("{}-{}", base, number);
    if (plan.program(name) == nullptr) return name;
  }
}

std::vector<std::string> members_of(const Plan& plan, const Network& network) {
  std::vector<std::string> names = own_names(network);
  for (const Program& program : plan.programs)
    if (program.network == network.name) names.push_back(program.name);
  return names;
}

Result<const Network*> choose_network(const std::string& name, const Plan& plan) {
  std::vector<std::string> names;
  for (const Network& network : plan.networks) names.push_back(network.name);
  if (name.empty() && names.size() == 1) return &plan.networks.front();
  if (name.empty()) {
    return Error{fmt::format("\"{}\" has several networks: write --net {}/NETWORK with one of {}", plan.name,
                             plan.name, fmt::join(names, ", "))};
  }
  const Network* network = plan.network(name);
  if (network != nullptr) return network;
  return Error{fmt::format("\"{}\" has no network \"{}\"{}", plan.name, name, suggestion(name, names))};
}

}  // namespace

Result<Plan> default_plan(const std::string& name, const UplinkName& uplink,
                          const std::optional<Subnet>& subnet, std::optional<unsigned> first_core,
                          const Machine& machine) {
  if (const std::string defect = name_defect(name, kMaxNetworkName); !defect.empty()) {
    return Error{fmt::format("the network's name \"{}\" {}", name, defect)};
  }
  Network network{.name = name};
  std::string defect = choose_uplink(network, uplink, machine);
  if (!defect.empty()) return Error{defect};
  for (unsigned second = 77; second < 128; ++second) {
    network.subnet = subnet.value_or(Subnet{10u << 24 | second << 16, 16});
    defect = uplink_defect(network, machine);
    if (defect.empty() || subnet) break;
  }
  if (!defect.empty()) return Error{defect};
  Plan plan{.name = name, .ends_with_last = true};
  // A core that does not exist is refused with the program.
  const bool exists = first_core && std::ranges::find(machine.cores, *first_core) != machine.cores.end();
  if (uplink.kind == Uplink::tap && exists) network.core = first_core;
  add_network(plan, network);
  place(plan, machine.cores);
  return plan;
}

Result<Program> admit(const RunRequest& request, const Plan& plan, const Machine& machine) {
  const Result<const Network*> chosen = choose_network(request.network, plan);
  if (!chosen) return chosen.error();
  const Network& network = **chosen;
  const UplinkName uplink(network.uplink, network.interface);
  if (request.uplink && *request.uplink != uplink) {
    return Error{fmt::format("network \"{}\" runs with --uplink {}: use that, or another network with --net",
                             network.name, to_string(uplink))};
  }
  Program program{.name = request.name,
                  .argv = request.argv,
                  .executable = request.executable,
                  .working_directory = request.working_directory,
                  .network = network.name,
                  .filter = request.filter,
                  .filter_lines = request.filter_lines,
                  .shares = request.shares,
                  .publish = request.publish,
                  .allow = request.allow,
                  .name_servers = request.name_servers,
                  .core = request.core,
                  .strict = request.strict,
                  .attached = true};
  if (program.name.empty()) program.name = unused_name(name_from(request.executable), plan);
  std::string defect = name_defect(program.name, kMaxProgramName);
  if (program.name == "host") defect = "means the machine itself: choose another";
  if (!defect.empty()) return Error{fmt::format("the name \"{}\" {}", program.name, defect)};
  if (plan.program(program.name) != nullptr) {
    return Error{fmt::format("a program named \"{}\" runs already: give another with --name", program.name)};
  }
  if (request.address) {
    program.address = *request.address;
    const std::string text = format_ipv4(program.address);
    if (const std::string wrong = address_defect(program.address, network); !wrong.empty()) {
      return Error{
          fmt::format("address {} {}: choose one in {}", text, wrong, format_subnet(network.subnet))};
    }
    for (const Program& other : plan.programs) {
      if (other.network == network.name && other.address == program.address) {
        return Error{fmt::format("address {} is in use by \"{}\": choose another, or leave --address out",
                                 text, other.name)};
      }
    }
  }
  if (std::string wrong = publish_defect(program, network, plan.programs); !wrong.empty()) {
    return Error{std::move(wrong)};
  }
  know_hosts(program, machine);
  std::vector<std::string> members = members_of(plan, network);
  members.push_back(program.name);
  if (std::string wrong = allow_defect(program, network, members); !wrong.empty()) {
    return Error{std::move(wrong)};
  }
  leave_out_idle_servers(program, members);
  if (request.core &&
      std::find(machine.cores.begin(), machine.cores.end(), *request.core) == machine.cores.end()) {
    return Error{fmt::format("core {} does not exist here: choose one of {}", *request.core,
                             fmt::join(machine.cores, ", "))};
  }
  for (const std::string& path : request.shares) {
    if (!machine.exists(path)) return Error{fmt::format("there is nothing at {} to share", path)};
  }
  return program;
}

}  // namespace skerry::supervisor
