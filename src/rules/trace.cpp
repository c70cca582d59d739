// Packets that somebody follows through the rules.
#include <fmt/format.h>

#include <algorithm>

#include "filter/words.hpp"
#include "rules/rows.hpp"
#include "rules/rules.hpp"

namespace skerry {
namespace {

using nlohmann::json;

std::string verdict_text(const filter::Ruleset& ruleset, const filter::TraceStep& step) {
  const filter::Verdict& verdict = step.step.verdict;
  switch (verdict.code) {
    case filter::Code::accept:
      return "accept";
    case filter::Code::drop:
      return step.rejected ? "reject" : "drop";
    case filter::Code::jump:
      return "jump " + filter::chain_name(ruleset, verdict.chain);
    case filter::Code::go:
      return "goto " + filter::chain_name(ruleset, verdict.chain);
    case filter::Code::back:
      return "return";
    default:
      return "continue";
  }
}

json step_row(const filter::Ruleset& ruleset, const filter::TraceStep& step, TimeNs now) {
  json row{{"packet", step.packet},
           {"hook", filter::hook_name(step.about.hook)},
           {"ago_ms", (now - step.about.at) / kMillisecond},
           {"what", packet_text(step.about)}};
  if (step.step.chain == filter::kNone && step.step.verdict.code != filter::Code::drop) return row;
  row["by"] = filter::place_name(ruleset, step.step.chain, step.step.rule);
  row["verdict"] = verdict_text(ruleset, step);
  if (step.step.rule != filter::kNone) row["index"] = rule_number(ruleset, step.step.chain, step.step.rule);
  return row;
}

}  // namespace

Result<json> Rules::begin_trace(const Fd& memory, TimeNs now) {
  Result<filter::Ruleset> match = read_rules(memory, place_);
  if (!match) return match.error();
  if (!filter::only_matches(*match))
    return Error{"what is to be followed is said by matches alone, without a statement"};
  if (in_force_.engine().is_empty()) return Error{"it has no rules: everything passes"};
  filter::Engine engine(std::move(*match), now, secret_);
  if (engine.tracks() && !in_force_.engine().tracks_first())
    return Error{"its rules do not ask about connections, so what is to be followed cannot"};
  return json{{"ok", true}, {"trace", in_force_.follow(std::move(engine), now)}};
}

Result<json> Rules::trace(const json& request, TimeNs now) {
  filter::Trace* const trace = in_force_.trace();
  if (trace == nullptr)
    return Error{
        "nobody follows packets here now: that ends when nobody asks for three seconds, and with the "
        "process; begin again"};
  if (trace->number() != request.at("trace").get<uint64_t>())
    return Error{"somebody else follows packets here now"};
  trace->asked(now);
  const auto first = request.value("first", uint64_t{0});
  const uint64_t from = std::clamp(first, trace->first(), trace->next());
  Rows rows(0);
  for (uint64_t number = from; number < trace->next() && !rows.more; ++number)
    rows.add([&] { return step_row(in_force_.engine().ruleset(), (*trace)[number], now); });
  return json{{"ok", true},
              {"next", from + rows.rows.size()},
              {"missed", from > first ? from - first : 0},
              {"passed_over", trace->passed_over()},
              {"rows", std::move(rows.rows)}};
}

}  // namespace skerry
