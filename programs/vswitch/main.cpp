// skerry-vswitch: the process of one network's switch. Its ports are in its environment; more come and go by
// control requests:
//
//   {"command":"add_port","port":{…}} with the descriptors region, ring, wake
//   {"command":"remove_port","name":"redis"}
//   {"command":"mirror","port":"redis"} with the write end of a pipe
//   {"command":"stats"}
//
// Unasked it says {"event":"port_closed","name":"redis"} when that port's neighbour has broken their link,
// which stays closed.
#include <sys/random.h>

#include "ports.hpp"
#include "run/process.hpp"

namespace skerry {
namespace {

constexpr const char* kName = "skerry-vswitch";

Result<nlohmann::json> answer(Ports& ports, ControlMessage& request) {
  const std::string command = request.body.at("command");
  if (command == "stats") return ports.describe();
  if (command == "remove_port") {
    const Result<void> removed = ports.remove(request.body.at("name"));
    return removed ? Result<nlohmann::json>(nlohmann::json::object()) : removed.error();
  }
  if (command == "mirror") {
    if (request.fds.size() != 1) return Error{"a mirror comes with one descriptor, a pipe's write end"};
    const Result<void> mirrored = ports.mirror(request.body.at("port"), std::move(request.fds[0]));
    return mirrored ? Result<nlohmann::json>(nlohmann::json::object()) : mirrored.error();
  }
  if (command != "add_port") return Error{"a switch does not know the command '" + command + "'"};
  if (request.fds.size() != 3) return Error{"a port comes with three descriptors: region, ring, wake"};
  const Result<void> added =
      ports.add(request.body.at("port"),
                {std::move(request.fds[0]), std::move(request.fds[1]), std::move(request.fds[2])});
  return added ? Result<nlohmann::json>(nlohmann::json::object()) : added.error();
}

Result<void> add_first_ports(Env& env, Ports& ports) {
  try {
    for (const nlohmann::json& port : env.settings().at("ports")) {
      Result<LinkDescriptors> descriptors = take_link(env, port.at("end"));
      if (!descriptors) return descriptors.error();
      const Result<void> added = ports.add(port, std::move(*descriptors));
      if (!added) return added.error();
    }
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the settings of the switch are not understood: ") + problem.what()};
  }
  return {};
}

int run() {
  Result<Process> process = Process::receive();
  if (!process) return exit_with(kName, process.error());
  uint64_t hash_key = 0;
  if (::getrandom(&hash_key, sizeof hash_key, 0) != sizeof hash_key)
    return exit_with(kName, Error{"cannot get randomness"});

  Ports ports(process->host.waiter(), process->stats, hash_key);
  const Result<void> added = add_first_ports(process->env, ports);
  if (!added) return exit_with(kName, added.error());
  const Result<ControlServer> control =
      process->serve([&](ControlMessage& request) { return answer(ports, request); });
  if (!control) return exit_with(kName, control.error());
  const Result<void> confined = confine(Confinement::vswitch);
  if (!confined) return exit_with(kName, confined.error());

  Loop loop(ports, process->host, process->stats,
            LoopPolicy::among_neighbours(process->env.settings().value("one_core", false)));
  loop.on_report([&] {
    for (const std::string& name : ports.report()) control->tell({{"event", "port_closed"}, {"name", name}});
  });
  loop.run();
  return 0;
}

}  // namespace
}  // namespace skerry

int main() {
  return skerry::run();
}
