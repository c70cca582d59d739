#include "filter/load.hpp"

#include "filter/import.hpp"

namespace skerry::filter {

void take_apart(Ruleset& ruleset, const Pause& pause) {
  for (Chain& chain : ruleset.chains) pause.clear(chain.rules);
  for (Set& set : ruleset.sets) {
    pause.clear(set.elements);
    pause.clear(set.keys);
    pause.clear(set.free);
    pause.clear(set.free_keys);
    pause.clear(set.spare_counters);
    pause();
  }
  pause.clear(ruleset.chains);
  pause.clear(ruleset.sets);
  pause.clear(ruleset.objects);
  pause.clear(ruleset.logs);
  pause.clear(ruleset.stateful);
  ruleset = {};
}

std::optional<Refusal> load(ConstBytes batch, Ruleset& ruleset, const Limits& limits, const Pause& pause) {
  Import import(ruleset, limits, pause);
  std::optional<Refusal> refusal = import.batch(batch) ? verify(ruleset, pause) : import.reader().refusal();
  import.take_apart();
  if (refusal) take_apart(ruleset, pause);
  return refusal;
}

}  // namespace skerry::filter
