// skerry-driver-tap: the process between a TAP device and the switch's uplink port. The device was opened by
// the supervisor; this process has no right to open one.
#include "driver/pump.hpp"
#include "driver/tap/tap_link.hpp"
#include "run/link_end.hpp"
#include "run/process.hpp"

namespace skerry {
namespace {

constexpr const char* kName = "skerry-driver-tap";

// Both ends; a pair of Results would hide which of them failed.
struct Ends {
  TapLink tap;
  ShmLink link;
};

Result<Ends> open_ends(Env& env) {
  Result<Fd> device = env.take("tap");
  if (!device) return device.error();
  try {
    const nlohmann::json& settings = env.settings();
    Result<LinkDescriptors> descriptors = take_link(env, settings.value("end", "link"));
    if (!descriptors) return descriptors.error();
    Result<ShmLink> link = open_link(std::move(*descriptors), settings);
    if (!link) return link.error();
    Result<TapLink> tap = TapLink::create(std::move(*device), link->facts().mtu);
    if (!tap) return tap.error();
    return Ends{std::move(*tap), std::move(*link)};
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the settings of the driver are not understood: ") + problem.what()};
  }
}

int run() {
  Result<Process> process = Process::receive();
  if (!process) return exit_with(kName, process.error());
  Result<Ends> ends = open_ends(process->env);
  if (!ends) return exit_with(kName, ends.error());
  TapLink& tap = ends->tap;
  ShmLink& link = ends->link;

  // Edges only: while the switch has no memory for us, frames in the device are no reason to be awake.
  const Result<void> watched_tap = process->host.waiter().watch_edges(tap.wake_fd());
  if (!watched_tap) return exit_with(kName, watched_tap.error());
  const Result<void> watched_link = watch_link(process->host.waiter(), link);
  if (!watched_link) return exit_with(kName, watched_link.error());

  Pump pump(tap, link);
  Counter rx_frames = process->stats.counter("rx_frames"), rx_bytes = process->stats.counter("rx_bytes"),
          tx_frames = process->stats.counter("tx_frames"), tx_bytes = process->stats.counter("tx_bytes"),
          refused = process->stats.counter("drop.refused"),
          too_long = process->stats.counter("drop.too_long"), rings = process->stats.counter("rings"),
          faults = process->stats.counter("faults");
  const auto report = [&] {
    rx_frames.set(tap.counters().rx_frames);
    rx_bytes.set(tap.counters().rx_bytes);
    tx_frames.set(tap.counters().tx_frames);
    tx_bytes.set(tap.counters().tx_bytes);
    refused.set(tap.refused());
    too_long.set(pump.too_long());
    rings.set(link.counters().rings);
    faults.set(link.counters().faults + tap.gone());
    // Without its switch a driver is of no use: it ends, and the supervisor starts it with a new link.
    // Without its device too, and then it ends again and again until the supervisor gives it up.
    if (link.closed() || tap.gone()) process->host.request_stop();
  };
  const Result<ControlServer> control = process->serve([](ControlMessage& request) -> Result<nlohmann::json> {
    return Error{"a TAP driver does not know the command '" + request.body.at("command").get<std::string>() +
                 "'"};
  });
  if (!control) return exit_with(kName, control.error());
  const Result<void> confined = confine(Confinement::driver);
  if (!confined) return exit_with(kName, confined.error());

  Loop loop(pump, process->host, process->stats, LoopPolicy{});
  loop.on_report(report);
  loop.run();
  if (link.closed())
    return exit_with(kName, Error{std::string("the switch's link is closed: ") + link.fault()});
  if (tap.gone())
    return exit_with(kName, Error{"the TAP interface '" + process->env.settings().value("interface", "") +
                                  "' was deleted; end this network and start it again"});
  return 0;
}

}  // namespace
}  // namespace skerry

int main() {
  return skerry::run();
}
