// What outlives a reload: the state behind names.
#include <algorithm>
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
  return one.dynamic == other.dynamic && one.has_timeout == other.has_timeout &&
         one.key_type == other.key_type && one.data_type == other.data_type &&
         one.object_kind == other.object_kind && one.shape == other.shape &&
         one.key_bytes == other.key_bytes && one.fields == other.fields && one.maps == other.maps &&
         one.maps_verdict == other.maps_verdict && one.maps_object == other.maps_object &&
         one.data_bytes == other.data_bytes && one.element_expressions == other.element_expressions;
}

}  // namespace

void Engine::take_over(Engine& old, TimeNs now, const Pause& pause) {
  std::map<ObjectName, uint32_t> objects;
  std::map<Name, uint32_t> sets, chains;
  Names names;
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
  for (uint32_t i = 0; i < old.ruleset_.chains.size(); ++i, pause()) {
    const Chain& chain = old.ruleset_.chains[i];
    if (!chain.name.empty()) chains.emplace(name_of(old.ruleset_, chain.table, chain.name), i);
  }
  std::vector<Pair> tallies, changing;
  if (!old.ruleset_.objects.empty())
    pause.resize(names.objects, old.ruleset_.objects.back().stateful + size_t{1}, kNone);
  for (const NamedObject& object : ruleset_.objects) {
    pause();
    const auto before =
        objects.find({ruleset_.stateful[object.stateful].kind, name_of(ruleset_, object.table, object.name)});
    if (before == objects.end()) continue;
    names.objects[before->second] = object.stateful;
    if (alike(ruleset_.stateful[object.stateful], old.ruleset_.stateful[before->second]))
      pause.push_back(tallies, {before->second, object.stateful});
  }
  pause.resize(names.chains, old.ruleset_.chains.size(), kNone);
  for (uint32_t i = 0; i < ruleset_.chains.size(); ++i, pause()) {
    const Chain& chain = ruleset_.chains[i];
    const auto before = chains.find(name_of(ruleset_, chain.table, chain.name));
    if (before != chains.end()) names.chains[before->second] = i;
  }
  for (uint32_t i = 0; i < ruleset_.sets.size(); ++i, pause()) {
    const Set& set = ruleset_.sets[i];
    const auto before = sets.find(name_of(ruleset_, set.table, set.name));
    if (set.anonymous || before == sets.end() || !alike(set, old.ruleset_.sets[before->second])) continue;
    if (set.dynamic)
      changing.push_back({before->second, i});
    else
      take_over_elements(old, before->second, i, names, pause);
  }
  pause.clear(objects);
  pause.clear(sets);
  pause.clear(chains);
  take_over_dynamic(old, changing, now, pause);
  for (const Pair& each : tallies) tallies_[each.here] = old.tallies_[each.there];
}

void Engine::take_over_tally(uint32_t here, const Engine& old, uint32_t there) {
  tallies_[here] = old.tallies_[there];
  if (counts_connections(ruleset_.stateful[here])) connections_.take_over(here, old.connections_, there);
}

void Engine::give_back_tally(uint32_t here, Engine& old, uint32_t there) {
  if (counts_connections(ruleset_.stateful[here])) connections_.give_back(here, old.connections_, there);
}

// First all, then what has changed meanwhile, until that is so little that it is done at once. Where a pause
// brings more changes than are taken over between two of them, pauses become rarer from round to round, until
// they do not: so what is done at once is no more than some times what the packets of a pause change.
void Engine::take_over_dynamic(Engine& old, const std::vector<Pair>& sets, TimeNs now, const Pause& pause) {
  constexpr size_t kAtOnce = 256;
  const bool counts = std::any_of(sets.begin(), sets.end(), [&](const Pair& each) {
    return count_connections(ruleset_.sets[each.here].element_expressions);
  });
  if (counts) connections_.join(old.connections_, pause);
  std::vector<DynamicSet::TakenOver> taken;
  for (const Pair& each : sets) taken.push_back(old.dynamic_of_[each.there]->begin_taking(pause));
  bool last = false;
  for (uint32_t pieces = 1; !last; pieces *= 2) {
    size_t changed = 0;
    for (const Pair& each : sets) changed += old.dynamic_of_[each.there]->changed();
    last = changed <= std::max<size_t>(kAtOnce, pieces);
    const Pause rarer = last ? Pause() : Pause([&pause] { pause(); }, pieces);
    for (size_t i = 0; i < sets.size(); ++i) {
      DynamicSet& from_set = *old.dynamic_of_[sets[i].there];
      if (from_set.changed() == 0) continue;
      dynamic_of_[sets[i].here]->take_over(
          from_set, taken[i], now,
          [&](const Element& to, const Element& from) {
            for (size_t k = 0; k < to.counters.size(); ++k)
              take_over_tally(to.counters[k], old, from.counters[k]);
          },
          [&](const Element& to, const Element& from) {
            for (size_t k = 0; k < to.counters.size(); ++k)
              give_back_tally(to.counters[k], old, from.counters[k]);
          },
          rarer);
    }
  }
}

// Whom the old rules counted leave room first: the new ones judge in the pauses and share it.
void Engine::take_apart(const Pause& pause) {
  connections_.take_apart(pause);
  for (RuleIndex& index : indexes_) index.take_apart(pause);
  pause.clear(indexes_);
  for (const std::unique_ptr<SetIndex>& index : set_indexes_) {
    if (index != nullptr) index->take_apart(pause);
    pause();
  }
  pause.clear(set_indexes_);
  for (DynamicSet& set : dynamic_sets_) {
    set.take_apart(pause);
    pause();
  }
  pause.clear(dynamic_sets_);
  pause.clear(tallies_);
  pause.clear(hits_);
  filter::take_apart(ruleset_, pause);
}

}  // namespace skerry::filter
