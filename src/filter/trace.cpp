#include "filter/trace.hpp"

#include <algorithm>

namespace skerry::filter {

namespace {

constexpr uint32_t kPacketsASecond = 1000;

}  // namespace

Trace::Trace(Engine match, uint64_t number, TimeNs now)
    : match_(std::move(match)), number_(number), until_(now + kPatience) {
  steps_.reserve(kMostSteps);
}

bool Trace::wants(Hook hook, Packet& packet, bool begins, TimeNs now) {
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

void Trace::note(const Packet& packet, const Judgement& judgement, Hook hook, TimeNs now) {
  const Event about = Event::about(packet, hook, now);
  // Translation and announcements drop behind all rules.
  if (!judgement.accepted && (steps_.empty() || steps_.back().chain != judgement.chain)) {
    if (steps_.size() == steps_.capacity()) steps_.pop_back();
    steps_.push_back({judgement.chain, kNone, {Code::drop}});
  }
  if (steps_.empty()) steps_.push_back({});  // it came by, and no chain is there
  for (const Step& step : steps_) {
    const bool rejected = judgement.reject && step.verdict.code == Code::drop;
    kept_[next_++ % kKept] = {packet_, about, step, rejected};
  }
}

void Trace::lose(const Packet& packet, uint32_t by, Hook hook, TimeNs now) {
  if (!follows_) return;
  kept_[next_++ % kKept] = {packet_, Event::about(packet, hook, now), {by, kNone, {Code::drop}}};
}

bool only_matches(const Ruleset& ruleset) {
  const auto matches = [&](const Expression& expression) {
    if (const auto* decide = std::get_if<Decide>(&expression.action))
      return decide->verdict.code == Code::accept;
    if (const auto* lookup = std::get_if<Lookup>(&expression.action))
      return !lookup->to_verdict && ruleset.sets[lookup->set].anonymous;
    return std::holds_alternative<LoadImmediate>(expression.action) ||
           std::holds_alternative<Compare>(expression.action) ||
           std::holds_alternative<InRange>(expression.action) ||
           std::holds_alternative<LoadPayload>(expression.action) ||
           std::holds_alternative<LoadExtension>(expression.action) ||
           std::holds_alternative<LoadMeta>(expression.action) ||
           std::holds_alternative<LoadSocket>(expression.action) ||
           std::holds_alternative<LoadCt>(expression.action) ||
           std::holds_alternative<Mask>(expression.action) ||
           std::holds_alternative<Shift>(expression.action) ||
           std::holds_alternative<SwapBytes>(expression.action);
  };
  return std::all_of(ruleset.chains.begin(), ruleset.chains.end(), [&](const Chain& chain) {
    return chain.is_base && !chain.counted && chain.rules.size() == 1 &&
           std::all_of(chain.rules[0].expressions.begin(), chain.rules[0].expressions.end(), matches);
  });
}

}  // namespace skerry::filter
