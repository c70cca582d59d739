// Who comes to a stack with something other than frames: the processes of its program, the supervisor with
// its commands, and the resolver.
#include <fmt/format.h>

#include "run/link_end.hpp"
#include "socket_table.hpp"
#include "stack_process.hpp"

namespace skerry {

template <class Wire>
Result<void> StackProcess<Wire>::open_doors(sockets::Anchors::Descriptors door, Fd session_wake) {
  Result<sockets::Anchors> anchors = sockets::Anchors::create(
      view_, std::move(door),
      {.arrived = [this](uint32_t slot) { server_.process_arrived(slot); },
       .died = [this](uint32_t slot) { server_.process_died(slot); },
       .forked = [this](uint32_t parent, uint32_t child) { server_.process_forked(parent, child); },
       .executed = [this](uint32_t slot) { server_.process_executed(slot); },
       .doorbell_made = [this](uint32_t w, Fd ring) { server_.doorbell_made(w, std::move(ring)); },
       .carry = [this](uint32_t socket) { return server_.carry(socket); },
       .claim = [this](uint32_t socket, uint32_t slot) { server_.claim(socket, slot); },
       .put_down = [this](uint32_t socket) { server_.put_down(socket); }});
  if (!anchors) return anchors.error();
  anchors_.emplace(std::move(*anchors));

  Result<ControlServer> control = process_.serve([this](ControlMessage& request) { return answer(request); });
  if (!control) return control.error();
  control_.emplace(std::move(*control));

  Result<Waker> waker = Waker::adopt(std::move(session_wake));
  if (!waker) return waker.error();
  session_wake_.emplace(std::move(*waker));

  Waiter& waiter = process_.host.waiter();
  Result<void> done = waiter.watch(anchors_->descriptor(), [this](uint32_t) { anchors_->serve(); });
  if (done) done = waiter.watch(session_wake_->fd(), [this](uint32_t) { session_wake_->drain(); });
  if (done) done = watch_link(waiter, link_);
  return done;
}

template <class Wire>
Result<void> StackProcess<Wire>::insist_on_allow_list(Fd names) {
  allowed_.emplace(ip_.filter(), *settings_.allow);
  rules_.insist_on(
      [](const filter::Ruleset& ruleset) -> Result<void> {
        if (AllowList::is_in(ruleset)) return {};
        return Error{"these rules lack the allow-list that the program was started with"};
      },
      [this](TimeNs now) { allowed_->begin(now); });
  Result<void> done = name_door_.open(std::move(names), *allowed_, udp_);
  if (done)
    done = process_.host.waiter().watch(name_door_.descriptor(),
                                        [this](uint32_t) { name_door_.listen(process_.host.now()); });
  shown_.add("names.asked", name_door_.counters().asked);
  shown_.add("names.answered", name_door_.counters().answered);
  shown_.add("names.refused", name_door_.counters().refused);
  shown_.add("names.lost", name_door_.counters().lost);
  shown_.add("names.faults", name_door_.counters().faults);
  return done;
}

template <class Wire>
Result<nlohmann::json> StackProcess<Wire>::answer(ControlMessage& request) {
  const std::string command = request.body.at("command");
  if (command == "sockets") {
    nlohmann::json table =
        socket_table(tcp_, udp_, server_, settings_.sockets, request.body.value("first", size_t{0}));
    table["ok"] = true;
    return table;
  }
  if (command == "relink") {
    if (Result<void> done = relink(request); !done) return done.error();
    return nlohmann::json{{"ok", true}};
  }
  if (command == "load_rules") return rules_.begin_load(request, process_.host.now(), *control_);
  if (Rules::answers(command)) return rules_.answer(command, request, process_.host.now());
  return Error{fmt::format("a stack has no command \"{}\"", command)};
}

// The neighbour at the other end of the link was started anew: the old region is never used again, and what
// was in flight in it is lost, as on a wire.
template <class Wire>
Result<void> StackProcess<Wire>::relink(ControlMessage& request) {
  if (request.fds.size() != 3) return Error{"relink needs region, ring and wake"};
  Result<ShmLink> fresh =
      open_link({std::move(request.fds[0]), std::move(request.fds[1]), std::move(request.fds[2])},
                settings_.link, settings_.mac);
  if (!fresh) return fresh.error();
  Waiter& waiter = process_.host.waiter();
  waiter.unwatch(link_.wake_fd());
  ip_.forget_frames();
  link_ = std::move(*fresh);
  return watch_link(waiter, link_);
}

// What main.cpp calls, for either wire.
template Result<void> StackProcess<GoodWire>::open_doors(sockets::Anchors::Descriptors, Fd);
template Result<void> StackProcess<BadWire>::open_doors(sockets::Anchors::Descriptors, Fd);
template Result<void> StackProcess<GoodWire>::insist_on_allow_list(Fd);
template Result<void> StackProcess<BadWire>::insist_on_allow_list(Fd);

}  // namespace skerry
