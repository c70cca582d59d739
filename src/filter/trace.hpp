// Packets that a person follows through the rules: which of them, and where they went. There is one follower
// at a time; he has to ask again and again, and when he is gone nothing is followed any more.
//
// Read first: filter_hooks.hpp. Invariant: without a follower it does not exist, and costs nothing. With one,
// packets a second and steps that are kept are bounded; what is too much is counted.
#pragma once

#include <vector>

#include "filter/engine.hpp"
#include "filter/events.hpp"

namespace skerry::filter {

struct TraceStep {
  uint64_t packet = 0;  // which of those that were followed
  Event about;          // it, as it was there
  Step step;
  bool rejected = false;
};

class Trace {
 public:
  static constexpr uint64_t kKept = 4096;
  static constexpr size_t kMostSteps = 64;  // of one packet at one hook
  static constexpr DurationNs kPatience = 3 * kSecond;

  // Follows what `match` accepts at its hooks, and goes on with that at later ones.
  Trace(Engine match, uint64_t number, TimeNs now);

  uint64_t number() const { return number_; }
  const Engine& match() const { return match_; }
  // Nobody has asked for so long that nobody will.
  bool is_over(TimeNs now) const { return now > until_; }
  void asked(TimeNs now) { until_ = now + kPatience; }

  // Whether this packet is followed at this hook, which it comes to now; `begins`: as the first. Then it is
  // judged with steps(), and noted.
  bool wants(Hook hook, Packet& packet, bool begins, TimeNs now);
  std::vector<Step>& steps() { return steps_; }
  void note(const Packet& packet, const Judgement& judgement, Hook hook, TimeNs now);
  // The packet that was judged last is dropped behind the rules: `by` as in Judgement::chain.
  void lose(const Packet& packet, uint32_t by, Hook hook, TimeNs now);
  // Chains and rules that steps speak of are no more.
  void forget() { first_ = next_; }

  // Steps first() to next() - 1 are there.
  uint64_t first() const { return next_ - first_ > kKept ? next_ - kKept : first_; }
  uint64_t next() const { return next_; }
  const TraceStep& operator[](uint64_t number) const { return kept_[number % kKept]; }
  // Packets that there was no time for.
  uint64_t passed_over() const { return passed_over_; }

 private:
  Engine match_;
  const uint64_t number_;
  TimeNs until_;
  TimeNs second_ = 0;  // that in_second_ counts packets of
  uint32_t in_second_ = 0;
  bool follows_ = false, leaves_ = false;  // the packet that came last; because there were too many
  uint64_t packet_ = 0, passed_over_ = 0;
  std::vector<Step> steps_;
  std::vector<TraceStep> kept_ = std::vector<TraceStep>(kKept);
  uint64_t first_ = 0, next_ = 0;
};

// A ruleset that does nothing but accept what it asks for: no counter, no log, no name.
bool only_matches(const Ruleset& ruleset);

}  // namespace skerry::filter
