#include "supervisor/plan_grants.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "link/shm_link.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::supervisor {

namespace {

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

}  // namespace

Process& process_of(Plan& plan, std::string_view name) {
  const auto found = std::find_if(plan.processes.begin(), plan.processes.end(),
                                  [&](const Process& process) { return process.name == name; });
  CHECK(found != plan.processes.end());
  return *found;
}

void grant(Plan& plan, Process& process, std::string fd, Object object, Access access) {
  process.grants.push_back({std::move(fd), object.name, access});
  if (plan.object(object.name) == nullptr) plan.objects.push_back(std::move(object));
}

void grant_basics(Plan& plan, Process& process) {
  constexpr uint64_t kStatsBytes = 64 << 10;
  if (process.kind != ProcessKind::program) {
    grant(plan, process, "stats", {process.name + ".stats", ObjectKind::stats, kStatsBytes},
          Access::read_write);
  }
  grant(plan, process, "control", {process.name + ".control", ObjectKind::control}, Access::read_write);
}

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

}  // namespace skerry::supervisor
