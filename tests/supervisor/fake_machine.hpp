// A machine of two cores on which redis, curl and, if wanted, passt are installed, plain.txt cannot be
// executed, and the host is in 192.168.1.0/24.
#pragma once

#include "supervisor/machine.hpp"

namespace skerry::supervisor {

inline Machine fake_machine(bool root = true, bool passt = true) {
  return {.root = root,
          .cores = {0, 1},
          .host_subnets = {{"eth0", {0xc0a80100, 24}}},
          .find_program = [passt](const std::string& name, const std::string& directory) -> ProgramFile {
            if (name == "redis-server" || name == "redis-cli" || name == "redis-benchmark" || name == "curl")
              return {"/usr/bin/" + name, true};
            if (name == "passt" && passt) return {"/usr/bin/passt", true};
            if (name == "./plain.txt") return {directory + "/plain.txt", false};
            return {};
          },
          .exists = [](const std::string& path) { return path.find("missing") == std::string::npos; },
          .receive_queues =
              [](const std::string& interface) {
                return interface == "eth0" ? 1u : interface == "eth1" ? 2u : interface == "eth9" ? 99u : 0u;
              },
          .use_by_host = [](const std::string& interface) -> std::optional<InterfaceUse> {
            if (interface != "eth0") return std::nullopt;
            return InterfaceUse{"as a member of br0", "take it out of there"};
          }};
}

}  // namespace skerry::supervisor
