// What answers about rules are made of: rows, as many from one on as fit into one control message.
#pragma once

#include <nlohmann/json.hpp>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "filter/events.hpp"
#include "filter/load.hpp"

namespace skerry {

// Gives each row to `add` that is wanted; the others cost a count.
class Rows {
 public:
  explicit Rows(size_t skip) : skip_(skip) {}

  template <class Make>
  void add(Make make) {
    if (skip_ > 0) {
      --skip_;
    } else if (bytes_ > kMostBytes) {
      more = true;
    } else {
      rows.push_back(make());
      bytes_ += rows.back().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).size();
    }
  }

  nlohmann::json rows = nlohmann::json::array();
  bool more = false;

 private:
  static constexpr size_t kMostBytes = 48 * 1024;  // of a control message of 64 KiB

  size_t skip_;
  size_t bytes_ = 0;
};

// The number of a rule among all, by chains and in each by rules.
size_t rule_number(const filter::Ruleset& ruleset, uint32_t chain, uint32_t rule);

// "tcp 10.77.0.3:40000 > 10.77.0.2:80, 60 bytes", "arp request 10.77.0.3 > 10.77.0.2, 28 bytes", or "frame
// 02:5b:0a:4d:00:03 > ff:ff:ff:ff:ff:ff, type 0x88cc, 60 bytes"
std::string packet_text(const filter::Event& event);

// A netlink batch in memory that nobody can write any more, checked as a stranger's.
Result<filter::Ruleset> read_rules(const Fd& memory, filter::Place place, const Pause& pause = {});

// TALLY as rules.hpp describes it; null for a limit.
nlohmann::json tally_of(const filter::Engine& engine, uint32_t stateful);

}  // namespace skerry
