// A network becomes part of a plan: its vswitch, and with an uplink of its own the driver, what the driver
// needs of the device, and the port "host".
#include <fmt/format.h>

#include "supervisor/address_text.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/plan_grants.hpp"

namespace skerry::supervisor {

namespace {

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

}  // namespace

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

}  // namespace skerry::supervisor
