// `skerry filter trace`: matching packets on their way through the rules of a stack or switch, as they come.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <memory>

#include "ctl/compile.hpp"
#include "ctl/filter_rules.hpp"
#include "ctl/rules_asked.hpp"
#include "ctl/running.hpp"
#include "ctl/table.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

struct TraceOptions {
  WhoseRules whose;
  std::vector<std::string> match;
  uint64_t count = 0;  // 0: until Ctrl-C
  bool as_json = false;
};

struct Hooks {
  const char* family;
  const char* device;
  std::vector<const char*> names;
};

// A ruleset that accepts what is to be followed, at each hook of these families.
std::string rules_of(const std::vector<std::string>& match, const std::vector<Hooks>& all) {
  std::string rules;
  for (const Hooks& hooks : all) {
    rules += fmt::format("table {} followed {{\n", hooks.family);
    for (const char* hook : hooks.names)
      rules += fmt::format("chain {} {{ type filter hook {}{} priority 0; policy drop;\n{} accept\n}}\n",
                           hook, hook, hooks.device, fmt::join(match, " "));
    rules += "}\n";
  }
  return rules;
}

// At all of these hooks, or what is wrong is told: of the first alone if it is wrong there, so that it is
// told once.
Result<CompiledRules> compile_at(const std::vector<std::string>& match, const Hooks& hooks,
                                 const RulesPlace& place) {
  Result<CompiledRules> rules = compile_text(rules_of(match, {hooks}), "the match", Complaints::kept, place);
  if (rules) return rules;
  const Hooks first{hooks.family, hooks.device, {hooks.names.front()}};
  Result<CompiledRules> once =
      compile_text(rules_of(match, {first}), "the match", Complaints::printed, place);
  if (!once) return once;
  return compile_text(rules_of(match, {hooks}), "the match", Complaints::printed, place);
}

// Not every match can be asked at the link or in ARP, and one about sockets not behind output; it is followed
// wherever it can be.
Result<CompiledRules> compile_match(const std::vector<std::string>& match, const RulesPlace& place) {
  if (place.place == filter::Place::vswitch)
    return compile_at(match, {"bridge", "", {"prerouting", "forward", "postrouting"}}, place);
  const Hooks ip{"inet", "", {"prerouting", "input", "output", "postrouting"}},
      link{"netdev", " device eth0", {"ingress", "egress"}}, arp{"arp", "", {"input", "output"}},
      sockets{"inet", "", {"prerouting", "input", "output"}};
  for (const std::vector<Hooks>& most :
       std::vector<std::vector<Hooks>>{{ip, link, arp}, {ip, link}, {link, arp}, {sockets}}) {
    Result<CompiledRules> rules = compile_text(rules_of(match, most), "the match", Complaints::kept);
    if (rules) return rules;
  }
  return compile_at(match, ip, place);
}

class Trace {
 public:
  Trace(RulesAsked& asked, const TraceOptions& options, uint64_t number)
      : asked_(asked), options_(options), number_(number) {}

  Result<void> look() {
    const Result<json> answer =
        ask_filter(asked_, {{"command", "trace"}, {"trace", number_}, {"first", next_}});
    if (!answer) return answer.error();
    const Result<json> rows = rows_of(*answer, "rows");
    if (!rows) return rows.error();
    if (const uint64_t missed = number_of(*answer, "missed"); missed > 0)
      fmt::print(stderr, "{} more steps came faster than they were read\n", missed);
    if (const uint64_t over = number_of(*answer, "passed_over"); over > passed_over_) {
      fmt::print(stderr, "{} packets were not followed: there were more than 1000 in a second\n",
                 over - passed_over_);
      passed_over_ = over;
    }
    for (const json& row : *rows)
      if (row.is_object()) print(row);
    next_ = number_of(*answer, "next");
    return {};
  }
  // Steps of one packet come together.
  bool done() const { return options_.count > 0 && packets_ >= options_.count; }

 private:
  void print(const json& row) {
    const uint64_t packet = number_of(row, "packet");
    const bool fresh = packet != packet_ || text_of(row, "hook") != hook_;
    if (packet != packet_) ++packets_;
    if (options_.count > 0 && packets_ > options_.count) return;
    packet_ = packet;
    hook_ = text_of(row, "hook");
    if (options_.as_json) {
      fmt::print("{}\n", row.dump(-1, ' ', false, json::error_handler_t::replace));
    } else {
      if (fresh)
        fmt::print("{}\n", printable(fmt::format("{}  {}  {}", packet, hook_, text_of(row, "what"))));
      if (row.contains("by")) {
        std::string line = fmt::format("{}  {}  {}", packet, hook_, text_of(row, "by"));
        if (row.contains("line")) line += fmt::format("  {}:{}", text_of(row, "file"), text_of(row, "line"));
        fmt::print("{}\n", printable(line + "  " + text_of(row, "verdict")));
      }
    }
    std::fflush(stdout);
  }

  RulesAsked& asked_;
  const TraceOptions& options_;
  const uint64_t number_;
  uint64_t next_ = 0, packet_ = 0, packets_ = 0, passed_over_ = 0;
  std::string hook_;
};

Outcome trace(const TraceOptions& options) {
  constexpr useconds_t kPauseUs = 200'000;
  Result<RulesAsked> asked = find_rules(options.whose);
  if (!asked) return failed(asked.error());
  const Result<CompiledRules> match = compile_match(options.match, asked->place);
  if (!match) return failed(match.error());
  const int fds[] = {match->batch.get()};
  const Result<json> begun = ask_filter(*asked, {{"command", "begin_trace"}}, fds);
  if (!begun) return failed(begun.error());
  Trace followed(*asked, options, number_of(*begun, "trace"));
  for (;;) {
    if (const Result<void> looked = followed.look(); !looked) return failed(looked.error());
    if (followed.done()) return {};
    ::usleep(kPauseUs);
  }
}

}  // namespace

void add_filter_trace(CLI::App& filter, Outcome& outcome) {
  CLI::App* command = filter.add_subcommand(
      "trace", "Follow packets through the rules of a stack or switch, rule by rule, until Ctrl-C");
  auto options = std::make_shared<TraceOptions>();
  add_whose_rules(*command, options->whose);
  command->add_option("match", options->match,
                      "which packets, as a rule says it: tcp dport 80 (default: all)");
  command->add_option("-c,--count", options->count, "end after that many packets");
  command->add_flag("--json", options->as_json, "one JSON object a step");
  command->footer(
      "Each rule that holds for the packet, and what it says; at most 1000 packets a second. One person at a "
      "time\n"
      "follows packets of a stack; who comes later takes over. Example: skerry filter trace redis ip saddr "
      "10.77.0.3");
  command->callback([&outcome, options] { outcome = trace(*options); });
}

}  // namespace skerry::ctl
