// The ports of a running switch: names, links, who is joined to whom, and their counters on the stats page.
// Ports come and go between breaths.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "link/record.hpp"
#include "link/shm_link.hpp"
#include "pipe_sink.hpp"
#include "run/component.hpp"
#include "run/link_end.hpp"
#include "run/stats.hpp"
#include "run/waiter.hpp"
#include "vswitch/vswitch.hpp"

namespace skerry {

// Nanoseconds since 1970, for captures that people read.
struct RealTime {
  TimeNs operator()() const;
};

using RecordedLink = Record<ShmLink, RealTime>;

class Ports {
 public:
  // Waiter and stats outlive the ports. `hash_key`: any secret number.
  Ports(Waiter& waiter, Stats& stats, uint64_t hash_key, std::string_view name)
      : waiter_(waiter), stats_(stats), switch_({}, hash_key, name) {}
  ~Ports();

  // {"name":"redis","side":"a","mac":"02:…","addresses":["10.0.0.2"],"uplink":false,"joins":["*"],"mtu":1500}.
  // Two ports are joined if each lists the other; "*" lists everybody. Throws what nlohmann::json throws at a
  // member that is missing or of the wrong type.
  Result<void> add(const nlohmann::json& port, LinkDescriptors descriptors);
  Result<void> remove(const std::string& name);

  // Writes what passes through the port into the pipe, as a pcapng file, until its reader has gone.
  Result<void> mirror(const std::string& name, Fd pipe);

  filter::InForce& rules() { return switch_.rules(); }

  // Counters by port, for a control request.
  nlohmann::json describe() const;
  // Puts the counters on the stats page as NAME.COUNTER, those of drops from the first drop on. Returns the
  // ports whose link has closed since, after a word on the log.
  std::vector<std::string> report();

  // A Component: the switch, and a look at captures whose reader was behind when the traffic ended.
  uint32_t rx(TimeNs now) {
    breath_at_ = now;
    return switch_.rx(now);
  }
  uint32_t tx(TimeNs now) { return switch_.tx(now); }
  TimeNs deadline() const;
  bool arm() { return switch_.arm(); }
  void disarm() { switch_.disarm(); }

 private:
  static constexpr DurationNs kFlushEvery = 10 * kMillisecond;

  struct Port {
    std::string name;
    std::vector<std::string> joins;
    std::unique_ptr<ShmLink> link;
    std::unique_ptr<RecordedLink> recorded;  // around the link, for good
    std::unique_ptr<PipeSink> sink;          // while it is mirrored
    vswitch::PortId id = 0;
    int wake_fd = -1;
    bool said_closed = false;
    std::vector<std::optional<Counter>> published;  // in the order of for_each_counter

    bool lists(const Port& other) const;
    void end_mirror();
  };

  Port* find(const std::string& name);

  Waiter& waiter_;
  Stats& stats_;
  vswitch::Vswitch<RecordedLink> switch_;
  std::vector<Port> ports_;
  TimeNs breath_at_ = 0;
};

static_assert(Component<Ports>);

}  // namespace skerry
