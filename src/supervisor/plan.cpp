#include "supervisor/plan.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>

#include "link/shm_link.hpp"
#include "resolver/words.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::supervisor {

namespace {

template <class Items>
auto* by_name(Items& items, std::string_view name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.name == name; });
  return found == items.end() ? nullptr : &*found;
}

Process& process_of(Plan& plan, std::string_view name) {
  Process* process = by_name(plan.processes, name);
  CHECK(process != nullptr);
  return *process;
}

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

void grant(Plan& plan, Process& process, std::string fd, Object object, Access access) {
  process.grants.push_back({std::move(fd), object.name, access});
  if (by_name(plan.objects, object.name) == nullptr) plan.objects.push_back(std::move(object));
}

// What every process has.
void grant_basics(Plan& plan, Process& process) {
  constexpr uint64_t kStatsBytes = 64 << 10;
  if (process.kind != ProcessKind::program) {
    grant(plan, process, "stats", {process.name + ".stats", ObjectKind::stats, kStatsBytes},
          Access::read_write);
  }
  grant(plan, process, "control", {process.name + ".control", ObjectKind::control}, Access::read_write);
}

void grant_link_end(Plan& plan, Process& process, const PlannedLink& link, bool is_a) {
  const std::string& end = is_a ? link.a.end : link.b.end;
  const std::string to_me = link.name + (is_a ? ".to_a" : ".to_b");
  const std::string to_other = link.name + (is_a ? ".to_b" : ".to_a");
  grant(plan, process, end + ".region", {link.name + ".region", ObjectKind::region, ShmLink::region_bytes()},
        Access::read_write);
  grant(plan, process, end + ".ring", {to_other, ObjectKind::pipe}, Access::write);
  grant(plan, process, end + ".wake", {to_me, ObjectKind::pipe}, Access::read);
}

std::string free_port(const Process& vswitch) {
  for (unsigned number = 0;; ++number) {
    std::string end = fmt::format("port{}", number);
    const auto taken = [&](const Grant& g) { return g.fd == end + ".region"; };
    if (std::none_of(vswitch.grants.begin(), vswitch.grants.end(), taken)) return end;
  }
}

// Of the interface that the driver's device is.
void grant_watch(Plan& plan, Process& driver, const std::string& interface) {
  grant(plan, driver, "watch",
        {.name = driver.name + ".watch", .kind = ObjectKind::interface_watch, .interface = interface},
        Access::read);
}

// What the driver of the network's uplink needs of the device.
void grant_device(Plan& plan, Process& driver, const Network& network) {
  if (network.uplink == Uplink::tap) {
    Object tap{.name = driver.name + ".device", .kind = ObjectKind::tap};
    tap.interface = "sk-" + network.name.substr(0, 12);  // IFNAMSIZ leaves 15 characters
    tap.host_address =
        fmt::format("{}/{}", format_ipv4(network.subnet.gateway()), network.subnet.prefix_bits);
    driver.settings["interface"] = tap.interface;
    grant(plan, driver, "tap", tap, Access::read_write);
    return grant_watch(plan, driver, tap.interface);
  }
  driver.settings["interface"] = network.interface;
  driver.settings["queues"] = network.queues;
  Object map{.name = driver.name + ".map", .kind = ObjectKind::xdp_map, .interface = network.interface};
  grant(plan, driver, "sockets_by_queue", map, Access::read_write);
  for (unsigned queue = 0; queue < network.queues; ++queue) {
    const Object socket{.name = fmt::format("{}.socket{}", driver.name, queue),
                        .kind = ObjectKind::xdp_socket};
    grant(plan, driver, fmt::format("socket{}", queue), socket, Access::read_write);
  }
  grant_watch(plan, driver, network.interface);
}

// Joins process `b` to its network's vswitch by a new port, and says what add_port needs.
nlohmann::json add_link(Plan& plan, const std::string& b, const std::string& port_name, const MacAddress& mac,
                        std::optional<Ipv4Address> address, bool uplink,
                        const std::vector<std::string>& joins) {
  const std::string network = process_of(plan, b).network;
  Process& vswitch = process_of(plan, network + ".vswitch");
  PlannedLink link{
      .name = network + "." + port_name, .a = {vswitch.name, free_port(vswitch)}, .b = {b, "link"}};
  grant_link_end(plan, vswitch, link, true);
  grant_link_end(plan, process_of(plan, b), link, false);
  nlohmann::json port = {
      {"end", link.a.end}, {"side", "a"},    {"name", port_name}, {"mac", format_mac(mac)},
      {"uplink", uplink},  {"joins", joins}, {"mtu", kMtu},       {"addresses", nlohmann::json::array()}};
  if (address) port["addresses"].push_back(format_ipv4(*address));
  if (uplink && plan.network(network)->uplink == Uplink::afxdp) port["super_frames"] = false;
  vswitch.settings["ports"].push_back(port);
  plan.links.push_back(std::move(link));
  return port;
}

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

// Every stack and launcher of the network knows all names in it.
void tell_hosts(Plan& plan, const Network& network) {
  const nlohmann::json hosts = hosts_of(plan, network);
  for (Process& process : plan.processes) {
    if (process.network == network.name &&
        (process.kind == ProcessKind::stack || process.kind == ProcessKind::program))
      process.settings["hosts"] = hosts;
  }
}

// Whom a list means is settled when its program, or its composition, starts: a name that somebody takes later
// changes nothing, nor does one that is given up.
void tell_lists(Plan& plan, const Network& network, const Program& newcomer) {
  const nlohmann::json hosts = hosts_of(plan, network);
  for (const Program& program : plan.programs) {
    if (program.network != network.name || program.allow.empty()) continue;
    if (!newcomer.attached || program.name == newcomer.name) tell_allowed(plan, program, hosts);
  }
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

}  // namespace

const Network* Plan::network(std::string_view wanted) const {
  return by_name(networks, wanted);
}
const Program* Plan::program(std::string_view wanted) const {
  return by_name(programs, wanted);
}
const Object* Plan::object(std::string_view wanted) const {
  return by_name(objects, wanted);
}
const Process* Plan::process(std::string_view wanted) const {
  return by_name(processes, wanted);
}
const PlannedLink* Plan::link(std::string_view wanted) const {
  return by_name(links, wanted);
}

bool joins_host(const Program& program) {
  return std::any_of(program.joins.begin(), program.joins.end(),
                     [](const std::string& joined) { return joined == "*" || joined == "host"; });
}

void add_network(Plan& plan, const Network& network) {
  plan.networks.push_back(network);
  Process vswitch{.name = network.name + ".vswitch",
                  .kind = ProcessKind::vswitch,
                  .network = network.name,
                  .core = network.core};
  vswitch.settings = {
      {"name", network.name}, {"subnet", format_subnet(network.subnet)}, {"ports", nlohmann::json::array()}};
  grant_basics(plan, vswitch);
  grant(plan, vswitch, "rules", {vswitch.name + ".rules", ObjectKind::rules}, Access::read);
  plan.processes.push_back(std::move(vswitch));
  if (network.uplink == Uplink::none || network.uplink == Uplink::user) return;

  Process driver{.name = fmt::format("{}.{}", network.name, to_string(network.uplink)),
                 .kind = network.uplink == Uplink::tap ? ProcessKind::driver_tap : ProcessKind::driver_afxdp,
                 .network = network.name,
                 .core = network.core};
  driver.settings = {{"end", "link"}, {"side", "b"}, {"mtu", kMtu}};
  grant_basics(plan, driver);
  grant_device(plan, driver, network);
  const std::string name = driver.name;
  plan.processes.push_back(std::move(driver));
  // An uplink is bound to no MAC address: the device on the host has its own.
  add_link(plan, name, "host", MacAddress{}, network.subnet.gateway(), true, {"*"});
}

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

  Process stack{.name = program.name + ".stack",
                .kind = ProcessKind::stack,
                .network = network->name,
                .program = program.name,
                .core = program.core};
  stack.settings = {
      {"end", "link"},
      {"side", "b"},
      {"program", program.name},
      {"mac", format_mac(program.mac)},
      {"mtu", kMtu},
      {"addresses", {fmt::format("{}/{}", format_ipv4(program.address), network->subnet.prefix_bits)}},
      {"gateway", nullptr},
      {"sockets", program.stack.sockets},
      {"stream_bytes", program.stack.stream_bytes}};
  if (program.stack.lossy_seed) stack.settings["lossy_seed"] = *program.stack.lossy_seed;
  if (network->uplink != Uplink::none) stack.settings["gateway"] = format_ipv4(network->subnet.gateway());
  if (network->uplink == Uplink::user) stack.settings["gateway_holds"] = kPasstHolds;
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

  Process launcher{.name = program.name,
                   .kind = ProcessKind::program,
                   .network = network->name,
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
  if (network->uplink == Uplink::user && joins_host(program))
    launcher.settings["resolver"] = format_ipv4(network->subnet.gateway());
  if (!program.allow.empty()) launcher.settings["resolver"] = format_ipv4(resolver::kResolverAddress);
  grant_basics(plan, launcher);

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
