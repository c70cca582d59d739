#include "ctl/rates.hpp"

#include <algorithm>

#include "ctl/running.hpp"

namespace skerry::ctl {

Result<Sample> parse_sample(const nlohmann::json& answer) {
  const Result<nlohmann::json> rows = rows_of(answer, "processes");
  if (!rows) return rows.error();
  Sample sample{.time_ns = number_of(answer, "time_ns")};
  for (const nlohmann::json& row : *rows) {
    if (!row.is_object()) continue;
    ProcessSample process{text_of(row, "kind"), text_of(row, "core"), number_of(row, "cpu_ns"), {}};
    if (row.contains("counters") && row["counters"].is_object()) {
      for (const auto& [name, value] : row["counters"].items()) {
        if (value.is_number_unsigned()) process.counters[name] = value.get<uint64_t>();
      }
    }
    sample.processes[text_of(row, "name")] = std::move(process);
  }
  return sample;
}

std::vector<ProcessRate> rates_between(const Sample& before, const Sample& after) {
  std::vector<ProcessRate> result;
  if (after.time_ns <= before.time_ns) return result;
  const double seconds = static_cast<double>(after.time_ns - before.time_ns) / 1e9;
  const auto per_second = [&](uint64_t old_value, uint64_t new_value) {
    return static_cast<double>(new_value >= old_value ? new_value - old_value : new_value) / seconds;
  };
  for (const auto& [name, now] : after.processes) {
    const auto then = before.processes.find(name);
    if (then == before.processes.end()) continue;
    ProcessRate rate{.name = name, .kind = now.kind, .core = now.core};
    rate.cpu_percent = per_second(then->second.cpu_ns, now.cpu_ns) / 1e7;
    for (const auto& [counter, value] : now.counters) {
      const auto old_value = then->second.counters.find(counter);
      const double moved =
          per_second(old_value == then->second.counters.end() ? 0 : old_value->second, value);
      if (counter.ends_with("rx_frames")) rate.rx_frames += moved;
      if (counter.ends_with("tx_frames")) rate.tx_frames += moved;
      if (counter.ends_with("rx_bytes")) rate.rx_bytes += moved;
      if (counter.ends_with("tx_bytes")) rate.tx_bytes += moved;
      if (counter.find("drop") != std::string::npos && moved > 0) {
        rate.drops += moved;
        rate.drop_reasons.emplace_back(counter, moved);
      }
      if (counter == "sleeps") rate.wakes = moved;
      if (counter == "breaths") rate.breaths = moved;
      if (counter == "link.down") rate.link_down = value != 0;
    }
    result.push_back(std::move(rate));
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const ProcessRate& a, const ProcessRate& b) { return a.cpu_percent > b.cpu_percent; });
  return result;
}

}  // namespace skerry::ctl
