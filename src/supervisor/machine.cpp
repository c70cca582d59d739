#include "supervisor/machine.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "driver/afxdp/xdp_device.hpp"
#include "supervisor/name_server.hpp"

namespace skerry::supervisor {

namespace {

namespace fs = std::filesystem;

std::vector<unsigned> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

std::vector<HostSubnet> host_subnets() {
  std::vector<HostSubnet> result;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return result;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || entry->ifa_netmask == nullptr)
      continue;
    const auto ipv4 = [](const sockaddr* address) {
      return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    };
    const uint32_t mask = ipv4(entry->ifa_netmask);
    result.push_back(
        {entry->ifa_name, {ipv4(entry->ifa_addr) & mask, static_cast<uint8_t>(std::popcount(mask))}});
  }
  freeifaddrs(list);
  return result;
}

// An address of the host's on the interface, as text; empty if there is none. Link-local ones do not count:
// the kernel gives them to every interface by itself.
std::string address_on(const std::string& interface) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "";
  std::string text;
  for (const ifaddrs* entry = list; entry != nullptr && text.empty(); entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || interface != entry->ifa_name) continue;
    char buffer[INET6_ADDRSTRLEN] = "";
    if (entry->ifa_addr->sa_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, buffer,
                sizeof buffer);
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
      if (!IN6_IS_ADDR_LINKLOCAL(&address)) inet_ntop(AF_INET6, &address, buffer, sizeof buffer);
    }
    text = buffer;
  }
  freeifaddrs(list);
  return text;
}

std::optional<InterfaceUse> use_by_host(const std::string& interface) {
  if (const std::string address = address_on(interface); !address.empty())
    return InterfaceUse{"with its address " + address, "take its address away"};
  if (const std::string master = master_of(interface); !master.empty())
    return InterfaceUse{"as a member of " + master, "take it out of there"};
  return std::nullopt;
}

std::vector<std::string> name_servers() {
  std::ifstream file("/etc/resolv.conf");
  return name_servers_in({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

std::multimap<std::string, Ipv4Address> hosts() {
  std::ifstream file("/etc/hosts");
  return hosts_in({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

ProgramFile find_program(const std::string& name, const std::string& directory) {
  if (name.empty()) return {};
  if (name.find('/') != std::string::npos) {
    const fs::path path = (fs::path(directory) / name).lexically_normal();
    if (!is_file(path)) return {};
    return {path, access(path.c_str(), X_OK) == 0};
  }
  const char* variable = std::getenv("PATH");
  const std::string search = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  ProgramFile blocked;
  for (size_t begin = 0; begin <= search.size();) {
    const size_t end = std::min(search.find(':', begin), search.size());
    const std::string entry = search.substr(begin, end - begin);
    const fs::path path = fs::absolute(entry.empty() ? fs::path(".") : fs::path(entry)) / name;
    if (is_file(path)) {
      if (access(path.c_str(), X_OK) == 0) return {path, true};
      blocked = {path, false};
    }
    begin = end + 1;
  }
  return blocked;
}

}  // namespace

bool has_passt(const Machine& machine) {
  return machine.find_program("passt", "/").executable;
}

Uplink default_uplink(const Machine& machine) {
  return !machine.root && has_passt(machine) ? Uplink::user : Uplink::none;
}

Machine this_machine() {
  return {.root = geteuid() == 0,
          .cores = allowed_cores(),
          .host_subnets = host_subnets(),
          .find_program = find_program,
          .exists =
              [](const std::string& path) {
                std::error_code ignored;
                return fs::exists(path, ignored);
              },
          .receive_queues = receive_queues,
          .use_by_host = use_by_host,
          .name_servers = name_servers(),
          .hosts = hosts()};
}

}  // namespace skerry::supervisor
