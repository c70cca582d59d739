// The numbers of a stack on its stats page: found once, copied often. What counts is the parts' own business;
// this only knows where each number lies. The parts outlive it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "link/link.hpp"
#include "run/stats.hpp"
#include "sockets/server.hpp"
#include "stack/drop_reason.hpp"
#include "stack/ip.hpp"
#include "tcp/tcp.hpp"

namespace skerry {

class ShownCounters {
 public:
  explicit ShownCounters(Stats& stats) : stats_(stats) {}

  void add(const std::string& name, const uint64_t& value) {
    rows_.push_back({stats_.counter(name), &value});
  }
  void add(const LinkCounters& link);
  void add(const stack::IpCounters& ip, const stack::DropCounters& drops, const stack::FilterHooks& filter);
  void add(const tcp::Counters& tcp);
  void add(const sockets::ServerCounters& sockets, const uint64_t& rings);

  // Copies all to the page; cheap, because it runs before every sleep.
  void publish() {
    for (Row& row : rows_) row.counter.set(*row.value);
    if (flows_) flows_->publish();
  }

 private:
  struct Row {
    Counter counter;
    const uint64_t* value;
  };
  // Of connections, whose table is there only since rules asked for it.
  struct Flows {
    const stack::FilterHooks& filter;
    Counter in_use, early_dropped, refused;

    void publish() {
      const filter::Conntrack* conntrack = filter.conntrack();
      if (conntrack == nullptr) return;
      in_use.set(conntrack->flows());
      early_dropped.set(conntrack->early_drops());
      refused.set(conntrack->refused());
    }
  };

  Stats& stats_;
  std::vector<Row> rows_;
  std::optional<Flows> flows_;
};

}  // namespace skerry
