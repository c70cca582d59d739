// skerry-vswitch: the process of one network's switch. Its ports are in its environment; more come and go by
// control requests:
//
//   {"command":"add_port","port":{…}} with the descriptors region, ring, wake
//   {"command":"remove_port","name":"redis"}
//   {"command":"mirror","port":"redis"} with the write end of a pipe
//   {"command":"stats"}
//   {"command":"load_rules"} with sealed memory, and what else src/rules/rules.hpp answers
//
// Unasked it says {"event":"port_closed","name":"redis"} when that port's neighbour has broken their link,
// which stays closed.
#include <sys/random.h>

#include "ports.hpp"
#include "rules/rules.hpp"
#include "run/component.hpp"
#include "run/process.hpp"

namespace skerry {
namespace {

constexpr const char* kName = "skerry-vswitch";

Result<nlohmann::json> answer(Ports& ports, const std::string& command, ControlMessage& request) {
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
  SipKey rules_key;
  if (::getrandom(&hash_key, sizeof hash_key, 0) != sizeof hash_key ||
      ::getrandom(&rules_key, sizeof rules_key, 0) != sizeof rules_key)
    return exit_with(kName, Error{"cannot get randomness"});

  const nlohmann::json& settings = process->env.settings();
  Ports ports(process->host.waiter(), process->stats, hash_key, settings.value("name", ""));
  const Result<void> added = add_first_ports(process->env, ports);
  if (!added) return exit_with(kName, added.error());
  Result<Fd> first_rules = process->env.take("rules");
  if (!first_rules) return exit_with(kName, first_rules.error());
  Rules rules(ports.rules(), filter::Place::vswitch, rules_key, [&] { return process->host.now(); });
  std::optional<ControlServer> control;
  Result<ControlServer> serving = process->serve([&](ControlMessage& request) -> Result<nlohmann::json> {
    const std::string command = request.body.at("command");
    if (command == "load_rules") return rules.begin_load(request, process->host.now(), *control);
    if (Rules::answers(command)) return rules.answer(command, request, process->host.now());
    return answer(ports, command, request);
  });
  if (!serving) return exit_with(kName, serving.error());
  control.emplace(std::move(*serving));
  Result<void> done = confine(Confinement::vswitch);
  // A stranger's bytes, so behind the walls; and before its first frame.
  if (done) done = rules.load(std::move(*first_rules), process->host.now());
  if (!done) return exit_with(kName, done.error());

  Fused all(rules.slices(), ports);
  Loop loop(all, process->host, process->stats,
            LoopPolicy::among_neighbours(settings.value("one_core", false)));
  Counter slices = process->stats.counter("load slices"),
          longest_us = process->stats.counter("longest load slice us");
  loop.on_report([&] {
    for (const std::string& name : ports.report()) control->tell({{"event", "port_closed"}, {"name", name}});
    slices.set(rules.slices().slices());
    longest_us.set(rules.slices().longest_us());
  });
  loop.run();
  rules.slices().abandon();
  return 0;
}

}  // namespace
}  // namespace skerry

int main() {
  return skerry::run();
}
