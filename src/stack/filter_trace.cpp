#include "stack/filter_trace.hpp"

#include <algorithm>

namespace skerry::stack {

namespace {

constexpr uint32_t kPacketsASecond = 1000;

}  // namespace

FilterTrace::FilterTrace(filter::Engine match, uint64_t number, TimeNs now)
    : match_(std::move(match)), number_(number), until_(now + kPatience) {
  steps_.reserve(kMostSteps);
}

bool FilterTrace::wants(filter::Hook hook, filter::Packet& packet, bool begins, TimeNs now) {
  if (begins) follows_ = leaves_ = false;
  if (!follows_) {
    // What is to be followed may say nothing of what passes here.
    if (leaves_ || !match_.judges(hook, packet.realm) || !match_.judge(hook, packet, now).accepted)
      return false;
    if (now / kSecond != second_) {
      second_ = now / kSecond;
      in_second_ = 0;
    }
    if (++in_second_ > kPacketsASecond) {
      ++passed_over_;
      leaves_ = true;
      return false;
    }
    follows_ = true;
    ++packet_;
  }
  steps_.clear();
  return true;
}

void FilterTrace::note(const filter::Packet& packet, const filter::Judgement& judgement, filter::Hook hook,
                       TimeNs now) {
  const FilterEvent about = FilterEvent::about(packet, hook, now);
  if (steps_.empty()) steps_.push_back({});  // it came by, and no chain is there
  for (const filter::Step& step : steps_) {
    const bool rejected = judgement.reject && step.verdict.code == filter::Code::drop;
    kept_[next_++ % kKept] = {packet_, about, step, rejected};
  }
}

bool only_matches(const filter::Ruleset& ruleset) {
  const auto matches = [&](const filter::Expression& expression) {
    if (const auto* decide = std::get_if<filter::Decide>(&expression.action))
      return decide->verdict.code == filter::Code::accept;
    if (const auto* lookup = std::get_if<filter::Lookup>(&expression.action))
      return !lookup->to_verdict && ruleset.sets[lookup->set].anonymous;
    return std::holds_alternative<filter::LoadImmediate>(expression.action) ||
           std::holds_alternative<filter::Compare>(expression.action) ||
           std::holds_alternative<filter::InRange>(expression.action) ||
           std::holds_alternative<filter::LoadPayload>(expression.action) ||
           std::holds_alternative<filter::LoadExtension>(expression.action) ||
           std::holds_alternative<filter::LoadMeta>(expression.action) ||
           std::holds_alternative<filter::LoadCt>(expression.action) ||
           std::holds_alternative<filter::LoadSocket>(expression.action) ||
           std::holds_alternative<filter::Mask>(expression.action) ||
           std::holds_alternative<filter::Shift>(expression.action) ||
           std::holds_alternative<filter::SwapBytes>(expression.action);
  };
  return std::all_of(ruleset.chains.begin(), ruleset.chains.end(), [&](const filter::Chain& chain) {
    return chain.is_base && !chain.counted && chain.rules.size() == 1 &&
           std::all_of(chain.rules[0].expressions.begin(), chain.rules[0].expressions.end(), matches);
  });
}

}  // namespace skerry::stack
