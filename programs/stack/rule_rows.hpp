// Answers that are too long for one control message: rows, as many from one on as fit.
#pragma once

#include <nlohmann/json.hpp>

#include "filter/engine.hpp"

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

// TALLY as rules.hpp describes it; null for a limit.
nlohmann::json tally_of(const filter::Engine& engine, uint32_t stateful);

}  // namespace skerry
