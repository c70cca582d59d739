#include "ports.hpp"

#include <time.h>

#include <algorithm>
#include <cstdio>

#include "wire/address_text.hpp"

namespace skerry {
namespace {

Result<vswitch::PortSettings> settings_of(const nlohmann::json& port) {
  vswitch::PortSettings settings;
  settings.uplink = port.value("uplink", false);
  settings.name = port.at("name").get<std::string>();
  if (!settings.uplink) {
    const std::optional<MacAddress> mac = parse_mac(port.at("mac").get_ref<const std::string&>());
    if (!mac) return Error{"\"mac\" is not a MAC address such as 02:5b:0a:00:00:02"};
    settings.mac = *mac;
  }
  for (const nlohmann::json& text : port.at("addresses")) {
    const std::optional<Ipv4Address> address = parse_ipv4(text.get_ref<const std::string&>());
    if (!address) return Error{"\"addresses\" holds something that is not an IPv4 address such as 10.0.0.2"};
    settings.addresses.push_back(*address);
  }
  return settings;
}

// Every counter of a port with its name; the first kAlwaysShown of them are of interest also while they are
// 0.
constexpr size_t kAlwaysShown = 4;

template <class Each>
void for_each_counter(const vswitch::PortCounters& counters, const LinkCounters& link, Each each) {
  each("rx_frames", counters.rx_frames);
  each("rx_bytes", counters.rx_bytes);
  each("tx_frames", counters.tx_frames);
  each("tx_bytes", counters.tx_bytes);
  each("rings", link.rings);
  each("faults", link.faults);
  each("not_learned", counters.not_learned);
  for (size_t reason = 1; reason < vswitch::kDropReasons; ++reason)
    each(vswitch::to_string(static_cast<vswitch::Drop>(reason)), counters.drops[reason]);
}
constexpr size_t kFirstDrop = 7;
constexpr size_t kCounters = kFirstDrop + vswitch::kDropReasons - 1;

// The name that a counter is shown under.
std::string shown_name(size_t index, std::string_view name) {
  return (index >= kFirstDrop ? "drop." : "") + std::string(name);
}

std::string stats_prefix(const std::string& name) {
  return name + ".";
}

}  // namespace

bool Ports::Port::lists(const Port& other) const {
  return std::any_of(joins.begin(), joins.end(),
                     [&](const std::string& joined) { return joined == "*" || joined == other.name; });
}

void Ports::Port::end_mirror() {
  recorded->stop();
  sink.reset();
}

TimeNs RealTime::operator()() const {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

Ports::Port* Ports::find(const std::string& name) {
  const auto port = std::find_if(ports_.begin(), ports_.end(), [&](const Port& p) { return p.name == name; });
  return port == ports_.end() ? nullptr : &*port;
}

Ports::~Ports() {
  while (!ports_.empty()) {
    const Result<void> removed = remove(std::string(ports_.back().name));
    CHECK(removed);
  }
}

Result<void> Ports::add(const nlohmann::json& port, LinkDescriptors descriptors) {
  Port added;
  added.name = port.at("name").get<std::string>();
  added.joins = port.at("joins").get<std::vector<std::string>>();
  const auto problem = [&](const Error& error) {
    return Error{"port '" + added.name + "': " + error.message};
  };
  for (const Port& other : ports_) {
    if (other.name == added.name) return problem(Error{"the switch has a port of that name"});
  }
  const Result<vswitch::PortSettings> settings = settings_of(port);
  if (!settings) return problem(settings.error());
  Result<ShmLink> link = open_link(std::move(descriptors), port);
  if (!link) return problem(link.error());
  added.link = std::make_unique<ShmLink>(std::move(*link));
  added.recorded = std::make_unique<RecordedLink>(*added.link, RealTime());
  const Result<vswitch::PortId> id = switch_.add_port(*settings, *added.recorded);
  if (!id) return problem(id.error());
  added.id = *id;
  added.published.resize(kCounters);
  added.wake_fd = added.link->wake_fd();
  if (const Result<void> watched = watch_link(waiter_, *added.link); !watched) {
    switch_.remove_port(*id);
    return problem(watched.error());
  }
  for (const Port& other : ports_) {
    if (other.lists(added) && added.lists(other)) switch_.set_joined(other.id, added.id, true);
  }
  ports_.push_back(std::move(added));
  return {};
}

Result<void> Ports::remove(const std::string& name) {
  const Port* port = find(name);
  if (port == nullptr) return Error{"the switch has no port '" + name + "'"};
  waiter_.unwatch(port->wake_fd);
  switch_.remove_port(port->id);
  stats_.forget(stats_prefix(name));
  ports_.erase(ports_.begin() + (port - ports_.data()));
  return {};
}

Result<void> Ports::mirror(const std::string& name, Fd pipe) {
  Port* port = find(name);
  if (port == nullptr) return Error{"the switch has no port '" + name + "'"};
  if (port->sink && !port->sink->reader_gone()) return Error{"port '" + name + "' is being captured already"};
  port->end_mirror();
  port->sink = std::make_unique<PipeSink>(std::move(pipe));
  if (port->recorded->start(*port->sink, name)) return {};
  port->end_mirror();
  return Error{"the reader of the capture of port '" + name + "' has gone"};
}

// Who wakes up for it reports, and that flushes.
TimeNs Ports::deadline() const {
  const bool behind = std::any_of(ports_.begin(), ports_.end(),
                                  [](const Port& port) { return port.sink && port.sink->unfinished(); });
  return behind ? breath_at_ + kFlushEvery : kNever;
}

nlohmann::json Ports::describe() const {
  nlohmann::json result = {{"learned", switch_.learned()}, {"ports", nlohmann::json::object()}};
  for (const Port& port : ports_) {
    nlohmann::json& counters = result["ports"][port.name];
    counters["closed"] = port.link->closed();
    size_t index = 0;
    for_each_counter(
        switch_.counters(port.id), port.link->counters(),
        [&](std::string_view name, uint64_t value) { counters[shown_name(index++, name)] = value; });
  }
  return result;
}

std::vector<std::string> Ports::report() {
  std::vector<std::string> closed;
  for (Port& port : ports_) {
    size_t index = 0;
    for_each_counter(switch_.counters(port.id), port.link->counters(),
                     [&](std::string_view name, uint64_t value) {
                       std::optional<Counter>& counter = port.published[index];
                       if (!counter && (value > 0 || index < kAlwaysShown))
                         counter = stats_.counter(stats_prefix(port.name) + shown_name(index, name));
                       if (counter) counter->set(value);
                       ++index;
                     });
    if (port.sink) {
      stats_.counter(stats_prefix(port.name) + "capture_lost").set(port.sink->lost_batches());
      if (!port.sink->flush() || port.sink->reader_gone()) port.end_mirror();
    }
    if (port.link->closed() && !port.said_closed) {
      port.said_closed = true;
      std::fprintf(stderr, "skerry-vswitch: the link of port '%s' is closed: %s\n", port.name.c_str(),
                   port.link->fault());
      closed.push_back(port.name);
    }
  }
  return closed;
}

}  // namespace skerry
