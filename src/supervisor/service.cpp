#include "supervisor/service.hpp"

#include <fmt/format.h>

#include "shm/doorbell.hpp"
#include "supervisor/service_views.hpp"

namespace skerry::supervisor {

using nlohmann::json;

Result<std::unique_ptr<Service>> Service::create(const std::string& path, Supervisor& supervisor,
                                                 Host& host) {
  Result<ControlListener> listener = ControlListener::create(path);
  if (!listener) return listener.error();
  std::unique_ptr<Service> service(new Service(std::move(*listener), supervisor, host));
  const Result<void> watched =
      host.waiter().watch(service->listener_.fd(), [self = service.get()](uint32_t) { self->accept(); });
  if (!watched) return watched.error();
  return service;
}

Service::~Service() {
  host_.waiter().unwatch(listener_.fd());
  while (!connections_.empty()) close(connections_.begin()->first);
}

void Service::accept() {
  while (std::optional<ControlConnection> connection = listener_.accept()) {
    const uint64_t number = next_connection_++;
    const int fd = connection->fd();
    connections_.emplace(number, std::move(*connection));
    if (!host_.waiter().watch(fd, [this, number](uint32_t) { receive(number); })) connections_.erase(number);
  }
}

void Service::close(uint64_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  host_.waiter().unwatch(found->second.fd());
  connections_.erase(found);
}

void Service::receive(uint64_t connection) {
  std::vector<ControlLine> lines;
  const bool open = connections_.at(connection).receive(lines);
  for (ControlLine& line : lines) {
    const Result<Request> request = parse_request(line.line);
    if (request)
      serve(connection, *request, std::move(line.descriptors));
    else
      send(connection, refusal(request.error().message));
    if (!connections_.contains(connection)) return;
  }
  if (!open) close(connection);
}

void Service::send(uint64_t connection, const json& reply, std::span<const int> fds) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;  // who asked has gone
  if (!found->second.send(format_reply(reply), fds)) close(connection);
}

bool Service::flush() {
  std::vector<uint64_t> broken;
  bool waiting = false;
  for (auto& [number, connection] : connections_) {
    if (!connection.wants_to_write()) continue;
    if (!connection.flush()) broken.push_back(number);
    waiting = waiting || connection.wants_to_write();
  }
  for (const uint64_t number : broken) close(number);
  return waiting;
}

void Service::serve(uint64_t connection, const Request& request, std::vector<Fd> descriptors) {
  switch (request.command) {
    case Command::ps:
      return send(connection, processes_view(supervisor_, host_.now()));
    case Command::top:
      return send(connection, counters_view(supervisor_, host_.now()));
    case Command::rights:
      return send(connection, rights_view(supervisor_));
    case Command::plan:
      return send(connection, {{"ok", true}, {"plan", json::parse(plan_to_json(supervisor_.plan()))}});
    case Command::down:
      send(connection, {{"ok", true}});
      return supervisor_.go_down();
    case Command::ss:
      return gather_sockets(connection);
    case Command::mirror:
      return mirror(connection, request.link);
    case Command::run:
      return join(connection, request.run, std::move(descriptors));
    case Command::rules:
      return list_rules(connection, request.whose_rules());
    case Command::filter:
      return ask_filter(connection, request, descriptors);
    case Command::load_rules:
      return load_rules(connection, request, std::move(descriptors));
  }
}

struct Service::Gathering {
  uint64_t connection;
  json sockets = json::array();
  size_t outstanding = 1;  // answers to come, and ourselves until all are asked
  size_t messages = 0;     // of all stacks
};

// Asks every stack; the last answer sends the reply.
void Service::gather_sockets(uint64_t connection) {
  const auto gathering = std::make_shared<Gathering>(Gathering{.connection = connection});
  for (const Process& process : supervisor_.plan().processes) {
    if (process.kind == ProcessKind::stack) ask_for_sockets(process.name, process.program, 0, gathering);
  }
  one_answered(*gathering);
}

// A stack tells as many rows as fit into one message, and whether there are more. It is not believed without
// bounds: of rows, which may be tiny, and of messages, whose rows may be large.
void Service::ask_for_sockets(const std::string& stack, const std::string& program, size_t first,
                              const std::shared_ptr<Gathering>& gathering) {
  constexpr size_t kMostRows = 1 << 17;
  Member* const member = supervisor_.member(stack);
  if (member == nullptr || !member->serving || !connections_.contains(gathering->connection)) return;
  ++gathering->outstanding;
  const bool link_down = member->counter("link.down") != 0;
  member->ask({{"command", "sockets"}, {"first", first}}, {},
              [this, stack, program, first, link_down, gathering](const Result<ControlMessage>& reply) {
                const json rows = reply ? reply->body.value("rows", json()) : json();
                size_t count = 0;
                for (const json& row : rows.is_array() ? rows : json::array()) {
                  if (!row.is_object()) continue;
                  gathering->sockets.push_back(row);
                  gathering->sockets.back()["program"] = program;
                  if (link_down) gathering->sockets.back()["link_down"] = true;
                  ++count;
                }
                const json more = reply ? reply->body.value("more", json(false)) : json(false);
                const bool bounded = first + count < kMostRows && ++gathering->messages < kMostMessages;
                if (more == true && count > 0 && bounded) {
                  ask_for_sockets(stack, program, first + count, gathering);
                }
                one_answered(*gathering);
              });
}

void Service::one_answered(Gathering& gathering) {
  if (--gathering.outstanding > 0) return;
  send(gathering.connection, {{"ok", true}, {"sockets", std::move(gathering.sockets)}});
}

void Service::mirror(uint64_t connection, const std::string& name) {
  const PlannedLink* const link = supervisor_.plan().link(name);
  if (link == nullptr) return send(connection, refusal(fmt::format("there is no link named \"{}\"", name)));
  Result<DoorbellPipe> pipe = DoorbellPipe::create();
  if (!pipe) return send(connection, refusal(pipe.error().message));
  const std::string port = name.substr(name.find('.') + 1);
  const int write_end[] = {pipe->ring.get()};
  const auto read_end = std::make_shared<Fd>(std::move(pipe->wake));
  supervisor_.member(link->a.process)
      ->ask({{"command", "mirror"}, {"port", port}}, write_end,
            [this, connection, read_end](const Result<ControlMessage>& reply) {
              if (!reply) return send(connection, refusal(reply.error().message));
              const int fds[] = {read_end->get()};
              send(connection, {{"ok", true}}, fds);
            });
}

void Service::join(uint64_t connection, const RunRequest& request, std::vector<Fd> descriptors) {
  if (supervisor_.going_down()) return close(connection);
  Fd rules = descriptors.empty() ? Fd() : std::move(descriptors.front());
  const bool leaving = supervisor_.is_leaving();
  supervisor_.join(request, std::move(rules), [this, connection, leaving](Result<Supervisor::Joined> joined) {
    // What an ending network cannot do the next one of its name may: the caller asks again until it is there.
    if (!joined && leaving) return close(connection);
    if (!joined) return send(connection, refusal(joined.error().message, 125));
    std::vector<int> fds;
    for (const Fd& fd : joined->fds) fds.push_back(fd.get());
    json reply = to_json(joined->reply);
    reply["ok"] = true;
    send(connection, reply, fds);
  });
}

}  // namespace skerry::supervisor
