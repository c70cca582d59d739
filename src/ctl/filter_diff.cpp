// `skerry filter diff`: which packets of a capture fare otherwise under other rules, and by which rule.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/compile.hpp"
#include "ctl/filter_bench.hpp"
#include "ctl/filter_test.hpp"
#include "filter/words.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

constexpr int kDifferent = 1, kTrouble = 2;  // as diff(1) ends

struct DiffOptions {
  std::string old_rules, new_rules, capture;
  std::vector<std::string> addresses;
  bool as_json = false;
};

Outcome trouble(const Error& error) {
  return {kTrouble, error.message, kTrouble};
}

// One of the two rulesets, by which a packet is judged.
struct Side {
  std::string file;
  std::vector<uint32_t> lines;
  Bench bench;

  static Result<std::unique_ptr<Side>> of(const std::string& file, const Capture& capture,
                                          const std::vector<std::vector<uint8_t>>& addresses) {
    Result<CompiledRules> rules = compile_first_rules(file);
    if (!rules) return rules.error();
    auto side = std::make_unique<Side>(
        Side{file, std::move(rules->lines), Bench(std::move(rules->ruleset), capture.begin(), addresses)});
    side->bench.follow();
    return side;
  }
  static std::string verdict(const Fate& fate) {
    if (fate.kind == Fate::Kind::dropped)
      return fate.judgement.reject ? "reject with " + filter::reject_name(*fate.judgement.reject) : "drop";
    std::string text = kind_name(fate.kind);
    if (!fate.translated.empty()) text += " changed";
    if (fate.kind == Fate::Kind::accepted && fate.judgement.mark != 0)
      text += fmt::format(" mark {:#x}", fate.judgement.mark);
    return text;
  }
  // Who said so.
  std::string by(const Fate& fate) const {
    const filter::Ruleset& ruleset = bench.engine().ruleset();
    const uint32_t dropped_at = fate.judgement.chain;
    // Translation and announcements drop behind all rules.
    if (fate.kind == Fate::Kind::dropped && (dropped_at == filter::kNone || dropped_at != fate.decided.chain))
      return fmt::format("{}: {}", file, filter::place_name(ruleset, dropped_at, fate.judgement.rule));
    if (fate.decided.chain == filter::kNone) return "no chain";
    return place_of_rule(ruleset, lines, file, fate.decided.chain, fate.decided.rule);
  }
};

// Also in what its sender is told, and in what it is marked and rewritten to.
bool alike(const Fate& a, const Fate& b) {
  return Side::verdict(a) == Side::verdict(b) && a.translated == b.translated;
}

Outcome diff(const DiffOptions& options) {
  const Result<std::vector<std::vector<uint8_t>>> addresses = parse_addresses(options.addresses);
  if (!addresses) return trouble(addresses.error());
  const Result<Capture> capture = open_capture(options.capture);
  if (!capture) return trouble(capture.error());
  const auto before = Side::of(options.old_rules, *capture, *addresses);
  if (!before) return trouble(before.error());
  const auto after = Side::of(options.new_rules, *capture, *addresses);
  if (!after) return trouble(after.error());
  size_t number = 0, different = 0;
  for (const CapturedPacket& packet : capture->packets) {
    const Fate was = (*before)->bench.pass(packet), is = (*after)->bench.pass(packet);
    ++number;
    if (alike(was, is)) continue;
    ++different;
    const std::string from = Side::verdict(was), to = Side::verdict(is), text = packet_text(packet);
    const std::string by_old = (*before)->by(was), by_new = (*after)->by(is);
    if (options.as_json) {
      const json row{{"packet", number},
                     {"what", text},
                     {"old", {{"verdict", from}, {"by", by_old}}},
                     {"new", {{"verdict", to}, {"by", by_new}}}};
      fmt::print("{}\n", row.dump(-1, ' ', false, json::error_handler_t::replace));
    } else {
      fmt::print("{}  {}\n< {}  {}\n> {}  {}\n", number, text, from, by_old, to, by_new);
    }
  }
  return {different > 0 ? kDifferent : 0, "", kTrouble};
}

}  // namespace

void add_filter_diff(CLI::App& filter, Outcome& outcome) {
  CLI::App* command =
      filter.add_subcommand("diff", "Say which packets of a capture fare otherwise under other rules");
  auto options = std::make_shared<DiffOptions>();
  command->add_option("old", options->old_rules, "rules as `nft -f` reads them")->required();
  command->add_option("new", options->new_rules, "the other rules")->required();
  command->add_option("--pcap", options->capture, "capture to read, pcap or pcapng")->required();
  command->add_option("--address", options->addresses, "the stack's address, as for `skerry filter test`");
  command->add_flag("--json", options->as_json, "one JSON object a packet");
  command->footer(
      "Each packet with its number in the capture, and which rule or policy has the last word about it in "
      "the old\n"
      "rules (<) and in the new ones (>). Ends with 0 if there is none, 1 if there are some, 2 if it did not "
      "work.\n"
      "Example: skerry filter diff web.nft new.nft --pcap redis.pcapng --address 10.77.0.2");
  command->callback([&outcome, options] {
    outcome.unwritten = kTrouble;  // before what may end in the middle of its output
    outcome = diff(*options);
  });
}

}  // namespace skerry::ctl
