#include "supervisor/passt.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>

#include "base/system_error.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/machine.hpp"

namespace skerry::supervisor {
namespace {

// passt's own MAC address: the guest's with another beginning, so that two of them differ.
MacAddress gateway_mac(const Object& device) {
  MacAddress mac = mac_of(parse_ipv4(device.guest_address).value_or(0));
  mac.bytes[1] = 0x5c;
  return mac;
}

}  // namespace

std::vector<std::string> passt_arguments(const Object& device) {
  const size_t slash = device.host_address.find('/');
  const std::string gateway = device.host_address.substr(0, slash);
  // The interface only gives what we say ourselves, and a host has its loopback even without a network.
  std::vector<std::string> arguments = {"--foreground", "--quiet", "--ipv4-only", "--interface", "lo"};
  const auto add = [&](const char* option, std::string value) {
    arguments.emplace_back(option);
    arguments.push_back(std::move(value));
  };
  add("--address", device.guest_address);
  add("--netmask", device.host_address.substr(slash + 1));
  add("--gateway", gateway);
  add("--mac-addr", format_mac(gateway_mac(device)));
  add("--dns-forward", gateway);
  bool publishes_udp = false;
  for (const Publish& publish : device.publish) {
    publishes_udp = publishes_udp || publish.udp;
    add(publish.udp ? "--udp-ports" : "--tcp-ports",
        fmt::format("{}{}{}:{}", publish.host == 0 ? "" : format_ipv4(publish.host),
                    publish.host == 0 ? "" : "/", publish.host_port, publish.port));
  }
  // Or it would publish the UDP ports of the same numbers.
  if (!publishes_udp) add("--udp-ports", "none");
  return arguments;
}

Result<Passt> Passt::start(const Object& device, int log_fd, bool looks_for_ports) {
  const ProgramFile file = this_machine().find_program("passt", "/");
  if (!file.executable) return Error{"passt is not installed: apt install passt, or use --uplink none"};
  for (const Publish& publish : device.publish) {
    if (!looks_for_ports) break;
    Result<void> free = check_free(publish);
    if (!free) return free.error();
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return system_error("cannot make a socket for passt");
  Fd ours(ends[0]), theirs(ends[1]);
  // See kPasstHolds. Where the host allows less, what passt loses is sent again.
  ::setsockopt(theirs.get(), SOL_SOCKET, SO_SNDBUF, &kPasstSocketBytes, sizeof kPasstSocketBytes);
  Launch launch;
  launch.executable = file.path;
  launch.name = device.name;
  launch.kind = to_string(device.kind);
  launch.arguments = passt_arguments(device);
  launch.arguments.emplace_back("--fd");
  launch.arguments.push_back(std::to_string(kFirstGrant));
  launch.grants = {{"socket", theirs.get()}};
  launch.log_fd = log_fd;
  launch.limits.core_dumps = false;
  Result<Child> child = spawn(launch);
  if (!child) return child.error();
  return Passt(std::move(*child), std::move(ours));
}

Passt& Passt::operator=(Passt&& other) {
  if (this == &other) return *this;
  end();
  child_ = std::move(other.child_);
  socket_ = std::move(other.socket_);
  return *this;
}

void Passt::end() {
  if (!child_.pidfd) return;
  ::kill(child_.pid, SIGKILL);
  siginfo_t end{};
  while (::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &end, WEXITED) != 0 && errno == EINTR) {
  }
  child_ = Child{};
}

}  // namespace skerry::supervisor
