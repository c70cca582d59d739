// What outlives a reload: the state behind names.
#include <map>
#include <tuple>

#include "filter/engine.hpp"

namespace skerry::filter {

namespace {

using Name = std::tuple<Family, std::string, std::string>;
using ObjectName = std::pair<StatefulKind, Name>;  // objects of several kinds may have one name

Name name_of(const Ruleset& ruleset, uint32_t table, const std::string& name) {
  return {ruleset.tables[table].family, ruleset.tables[table].name, name};
}

// What both count goes on; how much a quota or limit allows may be another now.
bool alike(const Stateful& one, const Stateful& other) {
  return one.kind == other.kind && one.in_bytes == other.in_bytes && one.period_ns == other.period_ns;
}

// Types too: an address is no mark, though both have four bytes.
bool alike(const Set& one, const Set& other) {
  return one.dynamic == other.dynamic && one.key_type == other.key_type && one.data_type == other.data_type &&
         one.object_kind == other.object_kind && one.shape == other.shape &&
         one.key_bytes == other.key_bytes && one.fields == other.fields && one.maps == other.maps &&
         one.maps_verdict == other.maps_verdict && one.maps_object == other.maps_object &&
         one.data_bytes == other.data_bytes && one.element_expressions == other.element_expressions;
}

}  // namespace

void Engine::take_over(Engine& old, TimeNs now, const Pause& pause) {
  std::map<ObjectName, uint32_t> objects;
  std::map<Name, uint32_t> sets;
  for (const NamedObject& object : old.ruleset_.objects) {
    objects.emplace(ObjectName{old.ruleset_.stateful[object.stateful].kind,
                               name_of(old.ruleset_, object.table, object.name)},
                    object.stateful);
    pause();
  }
  for (uint32_t i = 0; i < old.ruleset_.sets.size(); ++i, pause()) {
    const Set& set = old.ruleset_.sets[i];
    if (!set.anonymous) sets.emplace(name_of(old.ruleset_, set.table, set.name), i);
  }
  std::vector<Pair> tallies, changing;
  for (const NamedObject& object : ruleset_.objects) {
    pause();
    const auto before =
        objects.find({ruleset_.stateful[object.stateful].kind, name_of(ruleset_, object.table, object.name)});
    if (before != objects.end() &&
        alike(ruleset_.stateful[object.stateful], old.ruleset_.stateful[before->second]))
      tallies.push_back({before->second, object.stateful});
  }
  for (uint32_t i = 0; i < ruleset_.sets.size(); ++i, pause()) {
    const Set& set = ruleset_.sets[i];
    const auto before = sets.find(name_of(ruleset_, set.table, set.name));
    if (set.anonymous || before == sets.end() || !alike(set, old.ruleset_.sets[before->second])) continue;
    if (set.dynamic)
      changing.push_back({before->second, i});
    else
      take_over_elements(old, before->second, i, pause);
  }
  while (!objects.empty()) objects.erase(objects.begin()), pause();
  while (!sets.empty()) sets.erase(sets.begin()), pause();
  take_over_dynamic(old, changing, now, pause);
  for (const Pair& each : tallies) tallies_[each.here] = old.tallies_[each.there];
}

void Engine::take_over_tally(uint32_t here, const Engine& old, uint32_t there, TimeNs now) {
  tallies_[here] = old.tallies_[there];
  if (ruleset_.stateful[here].kind != StatefulKind::connections) return;
  connections_.begin(here);  // of an element it may be the second time
  connections_.take_over(here, old.connections_, there, now);
}

// First all, then what has changed meanwhile, until that is so little that it is done at once: a pause brings
// fewer changes than can be taken over before the next one. Where it does not there is an end all the same.
void Engine::take_over_dynamic(Engine& old, const std::vector<Pair>& sets, TimeNs now, const Pause& pause) {
  constexpr size_t kAtOnce = 256;
  constexpr unsigned kMostRounds = 32;
  const Pause without;
  std::vector<DynamicSet::TakenOver> taken;
  for (const Pair& each : sets) taken.push_back(old.dynamic_of_[each.there]->begin_taking(pause));
  bool last = false;
  for (unsigned round = 1; !last; ++round) {
    size_t changed = 0;
    for (const Pair& each : sets) changed += old.dynamic_of_[each.there]->changed();
    last = changed <= kAtOnce || round == kMostRounds;
    for (size_t i = 0; i < sets.size(); ++i)
      dynamic_of_[sets[i].here]->take_over(
          *old.dynamic_of_[sets[i].there], taken[i], now,
          [&](const Element& to, const Element& from) {
            for (size_t k = 0; k < to.counters.size(); ++k)
              take_over_tally(to.counters[k], old, from.counters[k], now);
          },
          last ? without : pause);
  }
}

void Engine::take_apart(const Pause& pause) {
  pause.clear(indexes_);
  pause.clear(set_indexes_);
  for (Chain& chain : ruleset_.chains) pause.clear(chain.rules);
  for (Set& set : ruleset_.sets) {
    pause.clear(set.elements);
    pause.clear(set.spare_counters);
  }
  for (DynamicSet& set : dynamic_sets_) set.take_apart(pause);
  pause.clear(ruleset_.objects);
  pause.clear(ruleset_.sets);
}

}  // namespace skerry::filter
