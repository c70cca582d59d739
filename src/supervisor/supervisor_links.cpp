// What neighbours share, and how it is replaced when one of them dies. A ring's positions live in the memory
// of both sides; a side that starts anew has none, so the pair gets fresh memory and fresh pipes, and the
// side that lives is told.
#include <fmt/format.h>
#include <signal.h>

#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

void Supervisor::renew(const Process& process) {
  for (const Grant& grant : process.grants) {
    const Object& object = *plan_.object(grant.object);
    // The device keeps the host's address and routes, the listener the program's way in; rules hold on, and
    // what a stack and its resolver say is whole or not said.
    if (object.kind == ObjectKind::tap || object.kind == ObjectKind::xdp_map ||
        object.kind == ObjectKind::listener || object.kind == ObjectKind::rules ||
        object.kind == ObjectKind::names)
      continue;
    // A pipe is granted twice to a stack; making it twice is harmless and rare.
    const Result<void> made = objects_.create(object);
    if (!made) say(made.error().message);
  }
}

std::vector<int> Supervisor::link_fds(const std::string& process, const std::string& end) const {
  std::vector<int> fds;
  for (const char* what : {".region", ".ring", ".wake"}) {
    for (const Grant& grant : plan_.process(process)->grants) {
      if (grant.fd == end + what) fds.push_back(objects_.descriptor(grant.object, grant.access));
    }
  }
  return fds;
}

const nlohmann::json* Supervisor::port_of(const std::string& vswitch, const std::string& end) const {
  for (const nlohmann::json& port : plan_.process(vswitch)->settings.at("ports")) {
    if (port.at("end") == end) return &port;
  }
  return nullptr;
}

void Supervisor::remove_port(const std::string& process) {
  for (const PlannedLink& link : plan_.links) {
    const nlohmann::json* const port =
        link.b.process == process ? port_of(link.a.process, link.a.end) : nullptr;
    // A vswitch that has no such port, because it has just been started again, says so; that is well.
    if (port != nullptr)
      member(link.a.process)
          ->ask({{"command", "remove_port"}, {"name", port->at("name")}}, {},
                [](const Result<ControlMessage>&) {});
  }
}

// The neighbour lied, or lost its way: only a new process and a new link bring the port back. What it loses
// by its end it has lost already.
void Supervisor::port_closed(const std::string& vswitch, const std::string& port) {
  for (const PlannedLink& link : plan_.links) {
    const nlohmann::json* const settings = link.a.process == vswitch ? port_of(vswitch, link.a.end) : nullptr;
    if (settings == nullptr || settings->at("name") != port) continue;
    const Member& neighbour = *member(link.b.process);
    const bool old_news = joining_.contains(neighbour.name());
    if (!neighbour.alive() || neighbour.stopping || old_news) return;
    say(fmt::format("{} broke its link to {} and is ended", neighbour.name(), vswitch));
    return neighbour.signal(SIGKILL);
  }
}

void Supervisor::relink_neighbours(const Process& process) {
  const auto complain = [this](const std::string& neighbour) {
    return [this, neighbour](const Result<ControlMessage>& answer) {
      // One that died meanwhile gets the new link when it starts.
      const Member* const asked = member(neighbour);
      if (!answer && asked != nullptr && asked->alive())
        say("a neighbour was not joined again: " + answer.error().message);
    };
  };
  for (const PlannedLink& link : plan_.links) {
    if (link.b.process == process.name) {
      Member* const neighbour = member(link.a.process);
      const nlohmann::json* const port = port_of(link.a.process, link.a.end);
      if (!neighbour->alive() || port == nullptr) continue;
      joining_.insert(process.name);
      neighbour->ask({{"command", "add_port"}, {"port", *port}}, link_fds(link.a.process, link.a.end),
                     [this, name = process.name,
                      then = complain(neighbour->name())](const Result<ControlMessage>& answer) {
                       joining_.erase(name);
                       then(answer);
                     });
    } else if (link.a.process == process.name) {
      Member* const neighbour = member(link.b.process);
      if (!neighbour->alive()) continue;
      // A driver keeps nothing that is worth the words: it starts anew.
      if (is_driver(neighbour->kind())) {
        stop(*neighbour, kDriverGrace);
        continue;
      }
      neighbour->ask({{"command", "relink"}, {"end", link.b.end}}, link_fds(link.b.process, link.b.end),
                     complain(neighbour->name()));
    }
  }
}

}  // namespace skerry::supervisor
