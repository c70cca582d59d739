// `skerry top`: what each process does per second, read from the counters that it publishes anyway.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <memory>

#include "ctl/command.hpp"
#include "ctl/rates.hpp"
#include "ctl/running.hpp"
#include "ctl/table.hpp"

namespace skerry::ctl {

namespace {

struct TopOptions {
  std::string name;
  bool once = false;
  bool as_json = false;
  double interval_s = 1;
};

void print_table(const std::vector<ProcessRate>& rates) {
  std::vector<std::vector<std::string>> rows;
  for (const ProcessRate& rate : rates) {
    rows.push_back({rate.name + (rate.link_down ? ", link down" : ""), rate.kind, rate.core,
                    fmt::format("{:.1f}", rate.cpu_percent), format_count(rate.wakes),
                    format_count(rate.breaths), format_count(rate.rx_frames), format_count(rate.rx_bytes),
                    format_count(rate.tx_frames), format_count(rate.tx_bytes), format_count(rate.drops)});
  }
  fmt::print("{}", format_table({{"NAME"},
                                 {"KIND"},
                                 {"CORE", true},
                                 {"CPU%", true},
                                 {"WAKES/s", true},
                                 {"BREATHS/s", true},
                                 {"RX-FRAMES/s", true},
                                 {"RX-BYTES/s", true},
                                 {"TX-FRAMES/s", true},
                                 {"TX-BYTES/s", true},
                                 {"DROPS/s", true}},
                                rows));
}

// Why frames were dropped, by the name of the counter that says so.
void print_drops(const std::vector<ProcessRate>& rates) {
  std::vector<std::vector<std::string>> rows;
  for (const ProcessRate& rate : rates) {
    for (const auto& [reason, moved] : rate.drop_reasons)
      rows.push_back({rate.name, reason, format_count(moved)});
  }
  if (!rows.empty()) fmt::print("\n{}", format_table({{"DROPPED BY"}, {"REASON"}, {"DROPS/s", true}}, rows));
}

Result<Sample> take(supervisor::ControlClient& client) {
  const Result<nlohmann::json> answer = ask(client, {.command = supervisor::Command::top});
  if (!answer) return answer.error();
  return parse_sample(*answer);
}

Outcome top(const TopOptions& options) {
  const Result<std::string> composition = choose_running(options.name);
  if (!composition) return failed(composition.error());
  Result<supervisor::ControlClient> client = connect(*composition);
  if (!client) return failed(client.error());
  if (options.as_json) {
    const Result<nlohmann::json> answer = ask(*client, {.command = supervisor::Command::top});
    if (!answer) return failed(answer.error());
    fmt::print("{}\n", answer->dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }
  const bool redraw = !options.once && ::isatty(STDOUT_FILENO) == 1;
  Result<Sample> before = take(*client);
  if (!before) return failed(before.error());
  for (;;) {
    ::poll(nullptr, 0, static_cast<int>(options.interval_s * 1000));
    Result<Sample> after = take(*client);
    if (!after) return failed(after.error());
    const std::vector<ProcessRate> rates = rates_between(*before, *after);
    if (redraw) fmt::print("\033[H\033[2J");  // cursor home, erase all (ECMA-48)
    print_table(rates);
    print_drops(rates);
    std::fflush(stdout);
    if (options.once || std::ferror(stdout) != 0) return {};
    *before = std::move(*after);
  }
}

}  // namespace

void add_top(CLI::App& app, Outcome& outcome) {
  CLI::App* command = app.add_subcommand("top", "Show what each process does per second, until Ctrl-C");
  auto options = std::make_shared<TopOptions>();
  command->add_option("name", options->name, "composition or network (default: the only one that runs)");
  command->add_flag("--once", options->once, "show one interval and end");
  command->add_flag("--json", options->as_json,
                    "print the counters themselves, once, for a program to subtract");
  command->add_option("--interval", options->interval_s, "seconds between samples")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command->footer("Example: skerry top --once");
  command->callback([&outcome, options] { outcome = top(*options); });
}

}  // namespace skerry::ctl
