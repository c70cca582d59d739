// What `skerry top` shows: two samples of the supervisor's counters, subtracted.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace skerry::ctl {

struct ProcessSample {
  std::string kind;
  std::string core;
  uint64_t cpu_ns = 0;
  std::map<std::string, uint64_t> counters;
};

struct Sample {
  uint64_t time_ns = 0;
  std::map<std::string, ProcessSample> processes;  // by name
};

struct ProcessRate {
  std::string name;
  std::string kind;
  std::string core;
  double cpu_percent = 0;  // of one core
  bool link_down = false;  // what is behind its link, or its device, is not there
  // Per second. Sums of the counters whose names end in rx_frames and so on: what all links of the process
  // carried.
  double rx_frames = 0, tx_frames = 0, rx_bytes = 0, tx_bytes = 0, drops = 0, breaths = 0;
  double wakes = 0;                                          // times that it slept and was woken
  std::vector<std::pair<std::string, double>> drop_reasons;  // by counter, those that moved
};

Result<Sample> parse_sample(const nlohmann::json& answer);

// Processes that are in both samples, busiest first. A counter that fell (its process was restarted) counts
// from 0.
std::vector<ProcessRate> rates_between(const Sample& before, const Sample& after);

}  // namespace skerry::ctl
