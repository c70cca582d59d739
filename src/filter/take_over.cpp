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

void Engine::take_over(const Engine& old, TimeNs now) {
  std::map<ObjectName, uint32_t> objects;
  std::map<Name, uint32_t> sets;
  for (const NamedObject& object : old.ruleset_.objects)
    objects.emplace(ObjectName{old.ruleset_.stateful[object.stateful].kind,
                               name_of(old.ruleset_, object.table, object.name)},
                    object.stateful);
  for (uint32_t i = 0; i < old.ruleset_.sets.size(); ++i) {
    const Set& set = old.ruleset_.sets[i];
    if (!set.anonymous) sets.emplace(name_of(old.ruleset_, set.table, set.name), i);
  }
  for (const NamedObject& object : ruleset_.objects) {
    const auto before =
        objects.find({ruleset_.stateful[object.stateful].kind, name_of(ruleset_, object.table, object.name)});
    if (before == objects.end() ||
        !alike(ruleset_.stateful[object.stateful], old.ruleset_.stateful[before->second]))
      continue;
    tallies_[object.stateful] = old.tallies_[before->second];
  }
  for (uint32_t i = 0; i < ruleset_.sets.size(); ++i) {
    const Set& set = ruleset_.sets[i];
    const auto before = sets.find(name_of(ruleset_, set.table, set.name));
    if (set.anonymous || before == sets.end() || !alike(set, old.ruleset_.sets[before->second])) continue;
    if (!set.dynamic) {
      take_over_elements(old, before->second, i);
      continue;
    }
    dynamic_of_[i]->take_over(*old.dynamic_of_[before->second], now,
                              [&](const Element& here, const Element& there) {
                                for (size_t k = 0; k < here.counters.size(); ++k) {
                                  const uint32_t into = here.counters[k], from = there.counters[k];
                                  tallies_[into] = old.tallies_[from];
                                  if (ruleset_.stateful[into].kind == StatefulKind::connections)
                                    connections_.take_over(into, old.connections_, from, now);
                                }
                              });
  }
}

}  // namespace skerry::filter
