// Elements that the control side gives an engine at work: whether they fit, and what becomes of them.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>

#include "filter/engine.hpp"
#include "filter/import.hpp"

namespace skerry::filter {

namespace {

std::optional<Refusal> refused(int error, std::string sentence) {
  return Refusal{.error = error, .sentence = std::move(sentence)};
}

bool is_verdict(Code code) {
  return code <= Code::accept && code >= Code::back;
}

// Every field of a range begins before it ends.
bool is_range(const Set& set, const GivenElement& given) {
  if (given.last.empty()) return true;
  if (set.shape == SetShape::interval)
    return std::memcmp(given.key.data(), given.last.data(), set.key_bytes) <= 0;
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (std::memcmp(given.key.data() + at, given.last.data() + at, length) > 0) return false;
    at += (length + size_t{3}) & ~size_t{3};
  }
  return true;
}

}  // namespace

bool Engine::has_object(uint32_t table, StatefulKind kind, uint32_t stateful) const {
  const auto& objects = ruleset_.objects;
  const auto object =
      std::lower_bound(objects.begin(), objects.end(), stateful,
                       [](const NamedObject& each, uint32_t wanted) { return each.stateful < wanted; });
  return object != objects.end() && object->stateful == stateful && object->table == table &&
         ruleset_.stateful[stateful].kind == kind;
}

std::optional<Refusal> Engine::check(uint32_t index, Change change, const GivenElement& given) const {
  const Set& set = ruleset_.sets[index];
  const auto wrong = [&](const char* what) { return refused(EINVAL, "set " + set.name + " " + what); };
  if (set.anonymous || set.constant) return wrong("is constant");
  if (given.key.empty() && !given.last.empty()) return wrong("is given a range that has no beginning");
  if (given.key.empty() && set.dynamic) return wrong("changes, so it can have no element for all others");
  if (!given.key.empty() && given.key.size() != set.key_bytes) return wrong("has keys of another length");
  if (!given.last.empty() && given.last.size() != set.key_bytes) return wrong("has keys of another length");
  if (set.shape == SetShape::exact && !given.last.empty() && given.last != given.key)
    return wrong("has no ranges: it lacks the flag interval");
  if (!is_range(set, given)) return wrong("is given a range that ends before it begins");
  if (change == Change::remove) return std::nullopt;
  if (given.timeout_ns != 0 && !set.has_timeout) return wrong("lacks the flag timeout");
  if (std::max(given.timeout_ns, given.expires_ns) > kMostMilliseconds * kMillisecond)
    return wrong("is given a time that is too long");
  const bool to_values = set.maps && !set.maps_verdict && !set.maps_object;
  if (given.data.length != (to_values ? set.data_bytes : 0))
    return wrong("is given a value of another length than its elements map to");
  if (set.maps_object ? !has_object(set.table, set.object_kind, given.stateful) : given.stateful != kNone)
    return wrong("is given an object that it cannot map to");
  const Verdict& verdict = given.verdict;
  const bool goes = verdict.code == Code::jump || verdict.code == Code::go;
  if (set.maps_verdict ? !is_verdict(verdict.code) || goes != (verdict.chain != kNone)
                       : verdict.code != Code::next || verdict.chain != kNone)
    return wrong("is given a verdict that it cannot map to");
  if (!goes) return std::nullopt;
  if (verdict.chain >= ruleset_.chains.size() || ruleset_.chains[verdict.chain].table != set.table)
    return wrong("is given a chain that is not there");
  const Chain& chain = ruleset_.chains[verdict.chain];
  if (chain.is_base || chain.name.empty())
    return refused(EOPNOTSUPP, "chain " + chain.name + " has a hook, nothing can jump to it");
  return std::nullopt;
}

std::optional<Refusal> Engine::change(uint32_t index, Change change, std::span<const GivenElement> given,
                                      TimeNs now) {
  for (const GivenElement& each : given)
    if (auto refusal = check(index, change, each)) return refusal;
  // No packet is remembered that asked a set which changes.
  if (dynamic_of_[index] != nullptr) return change_dynamic(index, change, given, now);
  memory_.forget_all();  // what passed because of an element, or because there was none
  return change == Change::remove ? remove_static(index, given) : add_static(index, given);
}

std::optional<Refusal> Engine::change_dynamic(uint32_t index, Change change,
                                              std::span<const GivenElement> given, TimeNs now) {
  const Set& set = ruleset_.sets[index];
  DynamicSet& elements = *dynamic_of_[index];
  size_t fresh = 0;
  for (const GivenElement& each : given) {
    const Element* element = elements.find(each.key.data(), now);
    if (element == nullptr) ++fresh;
    if (change == Change::remove && element == nullptr)
      return refused(ENOENT, "set " + set.name + " has no such element");
    if (change != Change::remove && element != nullptr && element->data.bytes != each.data.bytes)
      return refused(EEXIST, "set " + set.name + " has an element that this contradicts");
  }
  if (change == Change::remove) {
    for (const GivenElement& each : given) forget(elements.remove(each.key.data(), now));
    return std::nullopt;
  }
  if (fresh > elements.make_room(fresh, now))
    return refused(ENFILE,
                   "set " + set.name + " is full: it has room for " + std::to_string(set.most_elements));
  for (const GivenElement& each : given) {
    Element* element = elements.find(each.key.data(), now);
    if (element != nullptr) {
      const DurationNs left = each.expires_ns != 0 ? each.expires_ns : each.timeout_ns;
      const bool ends_sooner = now + left < elements.expires(*element);
      if (each.timeout_ns != 0 && !(change == Change::prolong && ends_sooner))
        elements.give_time(*element, now, each.timeout_ns, left);
      continue;
    }
    const DurationNs timeout = each.timeout_ns != 0 ? each.timeout_ns : set.timeout_ns;
    element = elements.add(each.key.data(), now, timeout, DynamicSet::Giver::control);
    if (timeout != 0) elements.give_time(*element, now, timeout, each.expires_ns);
    element->data = each.data;
    begin(set, element->counters);
  }
  return std::nullopt;
}

OwnCounters Engine::new_counters(Set& set) {
  OwnCounters counters;
  if (!set.declares_expressions) return counters;
  if (!set.spare_counters.empty()) {
    counters = set.spare_counters.back();
    set.spare_counters.pop_back();
  } else {
    for (const Stateful& each : set.element_expressions) {
      counters.push_back(static_cast<uint32_t>(ruleset_.stateful.size()));
      ruleset_.stateful.push_back(each);
      tallies_.emplace_back();
    }
  }
  begin(set, counters);
  return counters;
}

std::optional<Refusal> Engine::remove_static(uint32_t number, std::span<const GivenElement> given) {
  Set& set = ruleset_.sets[number];
  SetIndex& index = *set_indexes_[number];
  std::set<uint32_t> there;
  for (const GivenElement& each : given) {
    const uint32_t element = find_given(set, index, each);
    if (element == kNone || !there.insert(element).second)
      return refused(ENOENT, "set " + set.name + " has no such element");
  }
  for (const uint32_t element : there) {
    forget(&set.elements[element]);
    take_out(set, index, element);
  }
  elements_ -= there.size();
  return std::nullopt;
}

std::optional<Refusal> Engine::add_static(uint32_t number, std::span<const GivenElement> given,
                                          const Pause& pause) {
  Set& set = ruleset_.sets[number];
  SetIndex& index = *set_indexes_[number];
  const Limits limits;
  const size_t size = set.size(), targets = set.targets.size();
  if (elements_ + given.size() > limits.elements) return refused(E2BIG, "the sets have too many elements");
  if (ruleset_.stateful.size() + given.size() * set.element_expressions.size() > limits.stateful)
    return refused(E2BIG, "there are too many counters, limits and quotas");
  std::set<uint32_t> fresh;
  const auto add = [&](const GivenElement& each) -> std::optional<Refusal> {
    const uint32_t there = find_given(set, index, each);
    if (there != kNone && !fresh.contains(there) && same_target(set.elements[there], each))
      return std::nullopt;
    if (there != kNone || overlaps(set, index, each))
      return refused(EEXIST, "set " + set.name + " has an element that this contradicts or overlaps");
    const size_t counted = set.size() - (index.otherwise() != kNone ? 1 : 0);
    if (!each.key.empty() && set.most_elements != 0 && counted >= set.most_elements)
      return refused(ENFILE,
                     "set " + set.name + " is full: it has room for " + std::to_string(set.most_elements));
    fresh.insert(put_in(set, index, each, new_counters(set)));
    return std::nullopt;
  };
  std::optional<Refusal> refusal;
  for (size_t i = 0; !refusal && i < given.size(); ++i) refusal = add(given[i]);
  // What has come may make a packet's way too long, or lead it in a circle.
  const bool is_longer =
      set.shape == SetShape::concatenated_ranges && std::bit_ceil(set.size()) != std::bit_ceil(size);
  if (!refusal && (is_longer || set.targets.size() != targets)) refusal = verify_chains(ruleset_, pause);
  if (refusal)
    for (const uint32_t element : fresh) take_out(set, index, element);
  else
    elements_ += fresh.size();
  return refusal;
}

// What was added to a set of the same name, but for what leads to names that are no more, and what the new
// text contradicts. The old engine is not changed meanwhile.
void Engine::take_over_elements(const Engine& old, uint32_t from, uint32_t to, const Names& names,
                                const Pause& pause) {
  for_each_element(old.ruleset_.sets[from], [&](const GivenElement& was, const Element& element) {
    pause();
    if (!element.added) return true;
    GivenElement each = was;
    if (each.verdict.chain != kNone) each.verdict.chain = names.chains[each.verdict.chain];
    if (each.stateful != kNone) each.stateful = names.objects[each.stateful];
    if (check(to, Change::add, each)) return true;
    const auto left_out = add_static(to, {&each, 1}, pause);
    static_cast<void>(left_out);
    return true;
  });
}

}  // namespace skerry::filter
