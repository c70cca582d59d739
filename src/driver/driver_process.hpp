// What every driver process is: a device, the link to its switch, and a pump between the two. A program in
// programs/driver-*/ says how its device is opened; the rest is here.
#pragma once

#include <string>
#include <vector>

#include "driver/driver.hpp"
#include "driver/pump.hpp"
#include "run/link_end.hpp"
#include "run/process.hpp"

namespace skerry {

// Both ends of a driver; a pair of Results would hide which of them failed.
template <Driver D>
struct DriverEnds {
  D device;
  ShmLink link;
};

template <Driver D, class Open>
Result<DriverEnds<D>> open_ends(Env& env, Open open) {
  try {
    Result<LinkDescriptors> descriptors = take_link(env, "link");
    if (!descriptors) return descriptors.error();
    Result<ShmLink> link = open_link(std::move(*descriptors), env.settings());
    if (!link) return link.error();
    Result<D> device = open(env, link->facts().mtu);
    if (!device) return device.error();
    return DriverEnds<D>{std::move(*device), std::move(*link)};
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the settings of the driver are not understood: ") + problem.what()};
  }
}

// `open` is called once, before the process walls itself in: Result<D> open(Env&, uint32_t mtu). Returns the
// exit status.
template <Driver D, class Open>
int run_driver(const char* program, Confinement walls, Open open) {
  Result<Process> process = Process::receive();
  if (!process) return exit_with(program, process.error());
  Result<DriverEnds<D>> ends = open_ends<D>(process->env, open);
  if (!ends) return exit_with(program, ends.error());
  D& device = ends->device;
  ShmLink& link = ends->link;

  // Edges only: while the switch has no memory for us, frames in the device are no reason to be awake.
  for (const int wake : device.wake_fds()) {
    const Result<void> watched = process->host.waiter().watch_edges(wake);
    if (!watched) return exit_with(program, watched.error());
  }
  if constexpr (requires { device.watch(); }) {
    const Result<void> watched =
        process->host.waiter().watch(device.watch().fd(), [&device](uint32_t) { device.watch().look(); });
    if (!watched) return exit_with(program, watched.error());
  }
  const Result<void> watched = watch_link(process->host.waiter(), link);
  if (!watched) return exit_with(program, watched.error());

  Pump pump(device, link);
  std::vector<Counter> shown;  // in the order below: a name is looked for once, not before every sleep
  const auto report = [&] {
    size_t next = 0;
    const auto count = [&](std::string_view name, uint64_t value) {
      if (next == shown.size()) shown.push_back(process->stats.counter(name));
      shown[next++].set(value);
    };
    count("rx_frames", device.counters().rx_frames);
    count("rx_bytes", device.counters().rx_bytes);
    count("tx_frames", device.counters().tx_frames);
    count("tx_bytes", device.counters().tx_bytes);
    count("link.down", device.carrier().up() ? 0 : 1);
    count("link.flaps", (device.carrier().changes + 1) / 2);
    device.each_count(count);
    count("drop.too_long", pump.too_long());
    count("rings", link.counters().rings);
    count("faults", link.counters().faults + device.gone());
    // Without its switch a driver is of no use: it ends, and the supervisor starts it with a new link.
    // Without its device too, and then it ends again and again until the supervisor gives it up.
    if (link.closed() || device.gone()) process->host.request_stop();
  };
  report();
  const Result<ControlServer> control = process->serve([](ControlMessage& request) -> Result<nlohmann::json> {
    return Error{"a driver does not know the command '" + request.body.at("command").get<std::string>() +
                 "'"};
  });
  if (!control) return exit_with(program, control.error());
  const Result<void> confined = confine(walls);
  if (!confined) return exit_with(program, confined.error());

  Loop loop(pump, process->host, process->stats, LoopPolicy{});
  loop.on_report(report);
  loop.run();
  if (link.closed())
    return exit_with(program, Error{std::string("the switch's link is closed: ") + link.fault()});
  if (device.gone()) return exit_with(program, Error{device.why_gone()});
  return 0;
}

}  // namespace skerry
