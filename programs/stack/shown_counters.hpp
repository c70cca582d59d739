// The numbers of a stack on its stats page: found once, copied often. What counts is the parts' own business;
// this only knows where each number lies. The parts outlive it.
#pragma once

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
  void add(const stack::IpCounters& ip, const stack::DropCounters& drops);
  void add(const tcp::Counters& tcp);
  void add(const sockets::ServerCounters& sockets, const uint64_t& rings);

  // Copies all to the page; cheap, because it runs before every sleep.
  void publish() {
    for (Row& row : rows_) row.counter.set(*row.value);
  }

 private:
  struct Row {
    Counter counter;
    const uint64_t* value;
  };

  Stats& stats_;
  std::vector<Row> rows_;
};

}  // namespace skerry
