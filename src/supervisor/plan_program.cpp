// A program becomes part of a plan, and leaves it: its stack, its launcher and their link; with an allow-list
// its resolver, and where the uplink is passt a driver of its own.
#include <fmt/format.h>

#include <algorithm>

#include "resolver/words.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/plan_grants.hpp"
#include "supervisor/plan_names.hpp"

namespace skerry::supervisor {

namespace {

// Memory is sparse: only touched pages cost anything, so both bounds are generous. The stack refuses to start
// in memory that is too small for its settings.
uint64_t session_bytes(const StackLimits& limits) {
  constexpr uint64_t kPerSocket = 64 << 10;  // names, interests of 2048 waiters, bitmaps
  constexpr uint64_t kTables =
      1024 << 20;  // descriptor tables of 1024 processes, 2048 epoll sets, rings for long paths
  return kTables + limits.sockets * (2 * uint64_t{limits.stream_bytes} + kPerSocket);
}

uint64_t arena_bytes(const StackLimits& limits) {
  constexpr uint64_t kPerSocket = 4 << 10;  // a control block
  constexpr uint64_t kTables = 64 << 20;    // reassembly, neighbours, timers
  return kTables + limits.sockets * kPerSocket;
}

Result<Ipv4Address> free_address(const Plan& plan, const Network& network) {
  for (Ipv4Address address = network.subnet.gateway() + 1; address < network.subnet.broadcast(); ++address) {
    const auto taken = [&](const Program& p) { return p.network == network.name && p.address == address; };
    if (std::none_of(plan.programs.begin(), plan.programs.end(), taken)) return address;
  }
  return Error{fmt::format("network {} has no free address left in {}: give it a larger subnet", network.name,
                           format_subnet(network.subnet))};
}

// A driver of the program's own, and a port that only the two of them share: passt serves one guest.
nlohmann::json add_user_driver(Plan& plan, const Network& network, const Program& program) {
  Process driver{.name = program.name + ".uplink",
                 .kind = ProcessKind::driver_user,
                 .network = network.name,
                 .program = program.name,
                 .core = network.core};
  driver.settings = {{"end", "link"},
                     {"side", "b"},
                     {"mtu", kMtu},
                     {"mac", format_mac(program.mac)},
                     {"address", format_ipv4(program.address)},
                     {"gateway", format_ipv4(network.subnet.gateway())}};
  grant_basics(plan, driver);
  Object passt{.name = driver.name + ".passt", .kind = ObjectKind::passt};
  passt.host_address =
      fmt::format("{}/{}", format_ipv4(network.subnet.gateway()), network.subnet.prefix_bits);
  passt.guest_address = format_ipv4(program.address);
  passt.publish = program.publish;
  grant(plan, driver, "passt", std::move(passt), Access::read_write);
  const std::string name = driver.name;
  plan.processes.push_back(std::move(driver));
  // The gateway's address is bound to no port, because each program has a gateway of its own.
  return add_link(plan, name, name, MacAddress{}, std::nullopt, true, {program.name});
}

Process stack_of(Plan& plan, const Network& network, const Program& program) {
  Process stack{.name = program.name + ".stack",
                .kind = ProcessKind::stack,
                .network = network.name,
                .program = program.name,
                .core = program.core};
  stack.settings = {
      {"end", "link"},
      {"side", "b"},
      {"program", program.name},
      {"mac", format_mac(program.mac)},
      {"mtu", kMtu},
      {"addresses", {fmt::format("{}/{}", format_ipv4(program.address), network.subnet.prefix_bits)}},
      {"gateway", nullptr},
      {"sockets", program.stack.sockets},
      {"stream_bytes", program.stack.stream_bytes}};
  if (program.stack.lossy_seed) stack.settings["lossy_seed"] = *program.stack.lossy_seed;
  if (network.uplink != Uplink::none) stack.settings["gateway"] = format_ipv4(network.subnet.gateway());
  if (network.uplink == Uplink::user) stack.settings["gateway_holds"] = kPasstHolds;
  grant_basics(plan, stack);
  grant(plan, stack, "arena", {stack.name + ".arena", ObjectKind::arena, arena_bytes(program.stack)},
        Access::read_write);
  grant(plan, stack, "rules", {stack.name + ".rules", ObjectKind::rules}, Access::read);
  const std::string session = program.name + ".session";
  grant(plan, stack, "session.region", {session, ObjectKind::session, session_bytes(program.stack)},
        Access::read_write);
  grant(plan, stack, "session.listener", {session + ".listener", ObjectKind::listener}, Access::read);
  grant(plan, stack, "session.wake", {session + ".wake", ObjectKind::pipe}, Access::read);
  grant(plan, stack, "session.ring", {session + ".wake", ObjectKind::pipe}, Access::write);
  return stack;
}

// Who asks for the names that the program may speak to, and answers it in the stack's place.
Process resolver_of(Plan& plan, const Program& program, Process& stack) {
  Process resolver{.name = program.name + ".resolver",
                   .kind = ProcessKind::resolver,
                   .network = program.network,
                   .program = program.name,
                   .core = program.core};
  resolver.settings = {{"servers", program.name_servers}};
  grant_basics(plan, resolver);
  const Object pair{.name = program.name + ".names", .kind = ObjectKind::names};
  grant(plan, stack, "names", pair, Access::read);
  grant(plan, resolver, "names", pair, Access::write);
  for (size_t i = 0; i < program.name_servers.size(); ++i) {
    const std::string name = fmt::format("server{}", i);
    Object server{.name = resolver.name + "." + name, .kind = ObjectKind::name_server};
    server.host_address = program.name_servers[i];
    grant(plan, resolver, name, std::move(server), Access::read_write);
  }
  return resolver;
}

nlohmann::json environment_of(const Program& program) {
  nlohmann::json variables = nlohmann::json::object();
  for (const std::string& variable : program.env) {
    const size_t equals = variable.find('=');
    variables[variable.substr(0, equals)] = equals == std::string::npos ? "" : variable.substr(equals + 1);
  }
  return variables;
}

// The cell that becomes the program.
Process launcher_of(Plan& plan, const Network& network, const Program& program) {
  Process launcher{.name = program.name,
                   .kind = ProcessKind::program,
                   .network = network.name,
                   .program = program.name,
                   .core = program.core,
                   .restart = program.restart};
  launcher.settings = {{"argv", program.argv},
                       {"executable", program.executable},
                       {"environment", environment_of(program)},
                       {"working_directory", program.working_directory},
                       {"shares", program.shares},
                       {"address", format_ipv4(program.address)}};
  if (program.strict) launcher.settings["strict"] = true;
  if (network.uplink == Uplink::user && joins_host(program))
    launcher.settings["resolver"] = format_ipv4(network.subnet.gateway());
  if (!program.allow.empty()) launcher.settings["resolver"] = format_ipv4(resolver::kResolverAddress);
  grant_basics(plan, launcher);
  return launcher;
}

}  // namespace

Result<Addition> add_program(Plan& plan, Program program) {
  const Network* network = plan.network(program.network);
  if (network == nullptr) return Error{fmt::format("there is no network named {}", program.network)};
  if (plan.program(program.name) != nullptr) {
    return Error{fmt::format("a program named {} runs already: give another with --name", program.name)};
  }
  if (program.address == 0) {
    Result<Ipv4Address> address = free_address(plan, *network);
    if (!address) return address.error();
    program.address = *address;
  }
  if (program.mac == MacAddress{}) program.mac = mac_of(program.address);

  Process stack = stack_of(plan, *network, program);
  Process launcher = launcher_of(plan, *network, program);
  Addition addition{.stack = stack.name,
                    .program = program.name,
                    .link = network->name + "." + program.name,
                    .vswitch = network->name + ".vswitch"};
  std::optional<Process> resolver;
  if (!program.allow.empty()) resolver = resolver_of(plan, program, stack);
  plan.processes.push_back(std::move(stack));
  if (resolver) plan.processes.push_back(std::move(*resolver));
  std::vector<std::string> joins = program.joins;
  if (network->uplink == Uplink::user && joins_host(program)) {
    addition.uplink_port = add_user_driver(plan, *network, program);
    std::replace(joins.begin(), joins.end(), std::string("host"), program.name + ".uplink");
  }
  plan.processes.push_back(std::move(launcher));
  addition.port = add_link(plan, addition.stack, program.name, program.mac, program.address, false, joins);
  const std::vector<Grant>& granted = process_of(plan, addition.vswitch).grants;
  addition.grants.assign(granted.end() - 3, granted.end());
  plan.programs.push_back(std::move(program));
  tell_hosts(plan, *network);
  tell_lists(plan, *network, plan.programs.back());
  return addition;
}

void remove_program(Plan& plan, std::string_view name) {
  const Program* program = plan.program(name);
  CHECK(program != nullptr);
  const Network network = *plan.network(program->network);
  Process& vswitch = process_of(plan, network.name + ".vswitch");
  nlohmann::json& ports = vswitch.settings["ports"];
  std::erase_if(plan.links, [&](const PlannedLink& link) {
    if (process_of(plan, link.b.process).program != name) return false;
    const std::string& end = link.a.end;
    std::erase_if(vswitch.grants, [&](const Grant& g) { return g.fd.starts_with(end + "."); });
    for (size_t i = 0; i < ports.size(); ++i) {
      if (ports[i]["end"] == end) ports.erase(i--);
    }
    return true;
  });
  std::erase_if(plan.processes, [&](const Process& p) { return p.program == name; });
  std::erase_if(plan.objects, [&](const Object& object) {
    for (const Process& process : plan.processes) {
      for (const Grant& g : process.grants) {
        if (g.object == object.name) return false;
      }
    }
    return true;
  });
  std::erase_if(plan.programs, [&](const Program& p) { return p.name == name; });
  tell_hosts(plan, network);
}

}  // namespace skerry::supervisor
