// `skerry why`: what a stack or switch refuses, as it happens, with the rule that did it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <optional>

#include "ctl/command.hpp"
#include "ctl/noted_capture.hpp"
#include "ctl/rules_asked.hpp"
#include "ctl/running.hpp"
#include "ctl/table.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

struct WhyOptions {
  WhoseRules whose;
  std::string pcap;    // file to write packets to, or empty
  uint64_t count = 0;  // 0: until Ctrl-C
  bool as_json = false;
};

// That long ago, as RFC 3339 writes it.
std::string time_before(uint64_t ago_ms) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const int64_t now_ms = int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  const int64_t then_ms = now_ms - static_cast<int64_t>(std::min(ago_ms, static_cast<uint64_t>(now_ms)));
  const time_t seconds = then_ms / 1000;
  tm parts{};
  char text[32] = {};
  ::gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, then_ms % 1000);
}

class Why {
 public:
  // `capture`: where packets go, beside nothing else; null: all is printed.
  Why(RulesAsked& asked, const WhyOptions& options, NotedCapture* capture)
      : asked_(asked), options_(options), capture_(capture) {}

  // Tells what is new; the first time only what is to come counts for the other layers.
  Result<void> look() {
    if (capture_ == nullptr) {
      if (Result<void> looked = look_at_layers(); !looked) return looked;
    }
    // What a stack remembers does not fit into one answer.
    constexpr int kMostAnswers = 16;
    for (int answers = 0; answers < kMostAnswers && !done(); ++answers) {
      const uint64_t from = next_;
      if (const Result<void> looked = look_at_rules(); !looked) return looked;
      if (next_ == from) break;
    }
    return {};
  }
  bool done() const { return options_.count > 0 && printed_ >= options_.count; }

 private:
  Result<void> look_at_rules() {
    const Result<json> answer =
        ask_filter(asked_, {{"command", "why"}, {"first", next_}, {"bytes", capture_ != nullptr}});
    if (!answer) return answer.error();
    const Result<json> rows = rows_of(*answer, "rows");
    if (!rows) return rows.error();
    if (const uint64_t missed = number_of(*answer, "missed"); missed > 0 && next_ > 0)
      fmt::print(stderr, "{} more came faster than they were read\n", missed);
    for (const json& row : *rows) {
      if (done()) break;
      if (capture_ == nullptr) {
        print(row);
        continue;
      }
      const Result<bool> written = capture_->add(row);
      if (!written) return written.error();
      printed_ += *written ? 1 : 0;
    }
    next_ = number_of(*answer, "next");
    const uint64_t left_out = number_of(*answer, "names_left_out");
    // Fewer than before are those of another process.
    const uint64_t more = left_out < left_out_ ? left_out : left_out - left_out_;
    if (more > 0) fmt::print(stderr, "{} more names came faster than they are told\n", more);
    left_out_ = left_out;
    return {};
  }

  void print(const json& row) {
    if (done()) return;
    ++printed_;
    if (options_.as_json) {
      json told = row;
      told["time"] = time_before(number_of(row, "ago_ms"));
      fmt::print("{}\n", told.dump(-1, ' ', false, json::error_handler_t::replace));
    } else {
      std::string line = text_of(row, "what");
      for (const char* key : {"layer", "hook", "packet", "by"})
        if (row.contains(key)) line += "  " + text_of(row, key);
      if (row.contains("line")) line += fmt::format("  {}:{}", text_of(row, "file"), text_of(row, "line"));
      fmt::print("{}\n", printable(std::move(line)));
    }
    std::fflush(stdout);
  }

  // What IP, TCP and UDP dropped, or a port of a switch, has a reason and a count, but no packet by packet
  // record.
  Result<void> look_at_layers() {
    const Result<json> answer = ask(asked_.client, {.command = supervisor::Command::top});
    if (!answer) return answer.error();
    const Result<json> processes = rows_of(*answer, "processes");
    if (!processes) return processes.error();
    constexpr std::string_view kDrop = "drop.", kFilter = "filter";
    const bool of_stack = !asked_.program.empty();
    for (const json& process : *processes) {
      if (text_of(process, "name") != asked_.process() || !process.contains("counters")) continue;
      for (const auto& [name, value] : process["counters"].items()) {
        // Of a switch each begins with its port: "redis.drop.source_mac".
        const size_t at = of_stack ? (name.starts_with(kDrop) ? 0 : name.npos) : name.find(".drop.") + 1;
        if (at == name.npos || (!of_stack && at == 0) || !value.is_number_unsigned()) continue;
        const std::string reason = name.substr(at + kDrop.size());
        if (reason.starts_with(kFilter)) continue;
        const auto count = value.get<uint64_t>();
        const auto known = counted_.find(name);
        if (known != counted_.end() && count > known->second)
          print({{"what", "drop"},
                 {"layer", of_stack ? "stack" : "switch"},
                 {"packets", count - known->second},
                 {"by", fmt::format("{} × {}{}", count - known->second, reason,
                                    of_stack ? "" : " at " + name.substr(0, at - 1))}});
        counted_[name] = count;
      }
    }
    return {};
  }

  RulesAsked& asked_;
  const WhyOptions& options_;
  NotedCapture* const capture_;
  uint64_t next_ = 0, printed_ = 0, left_out_ = 0;
  std::map<std::string, uint64_t> counted_;
};

Outcome why(const WhyOptions& options) {
  constexpr useconds_t kPauseUs = 200'000;
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  std::optional<NotedCapture> capture;
  if (!options.pcap.empty()) {
    Result<NotedCapture> opened = NotedCapture::open(options.pcap, asked->process());
    if (!opened) return failed(opened.error());
    capture.emplace(std::move(*opened));
  }
  Why watched(*asked, options, capture ? &*capture : nullptr);
  for (;;) {
    if (const Result<void> looked = watched.look(); !looked) return failed(looked.error());
    if (watched.done()) return {};
    ::usleep(kPauseUs);
  }
}

}  // namespace

void add_why(CLI::App& app, Outcome& outcome) {
  CLI::App* command = app.add_subcommand(
      "why", "Say which packets a stack or switch refuses, and which rule or reason did it, until Ctrl-C");
  auto options = std::make_shared<WhyOptions>();
  add_whose_rules(*command, options->whose);
  command->add_option("-c,--count", options->count, "end after that many lines, or packets");
  auto* json_flag = command->add_flag("--json", options->as_json, "one JSON object a line");
  command
      ->add_option(
          "--pcap", options->pcap,
          "pcapng file to write instead, - for standard output: each packet's beginning, with the rule "
          "as its comment")
      ->excludes(json_flag);
  command->footer(
      "Begins with the latest that the stack remembers, at most 512. What rules log is shown too.\n"
      "Example: skerry why redis; skerry why --switch lan; skerry why redis --pcap - | tcpdump -r -");
  command->callback([&outcome, options] { outcome = why(*options); });
}

}  // namespace skerry::ctl
