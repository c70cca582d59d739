// What an engine learns of its rules before the first packet, beside what the index learns: what they need,
// and what they begin with.
#include <algorithm>

#include "filter/engine.hpp"

namespace skerry::filter {

namespace {

constexpr size_t kLongestHeader = 60;  // of IPv4, and of TCP
constexpr size_t kLongestError = 200;  // an ICMP error, up to the ports of the packet that it quotes

}  // namespace

// A rule about connections makes Linux track those of its table's family.
void Engine::track_family(Family family) {
  if (family != Family::ip6) tracks_[false] = true;
  if (family != Family::ip) tracks_[true] = true;
  needed_bytes_ = std::max(needed_bytes_, kLongestError);
}

// Places for hits, how far into packets the rules look, and whether packets are tracked.
void Engine::look_ahead(const Pause& pause) {
  needed_bytes_ = 2 * kLongestHeader;
  size_t places = 0;
  for (const Chain& chain : ruleset_.chains) {
    first_hits_.push_back(places);
    places += chain.rules.size() + 1;
    const Family family = ruleset_.tables[chain.table].family;
    for (const Rule& rule : chain.rules) {
      pause();
      for (const Expression& expression : rule.expressions) {
        look_at(expression.action);
        if (std::holds_alternative<LoadCt>(expression.action) ||
            std::holds_alternative<StoreCt>(expression.action))
          track_family(family);
        if (const auto* translate = std::get_if<Translate>(&expression.action))
          track_family(translate->family);
        const auto* load = std::get_if<LoadPayload>(&expression.action);
        if (load == nullptr) continue;
        if (knows_flows(family)) memory_.watch(*load);
        const size_t before = load->base == HeaderBase::transport ? kLongestHeader : 0;
        needed_bytes_ = std::max(needed_bytes_, before + load->offset + load->length);
      }
    }
  }
  pause.resize(hits_, places);
  if (places > 0) memory_.make_room();
}

// Numbers one after the other begin with the first; a seed that is not given is drawn. What is written into
// a packet must be seen, and the checksum that changes with it; and of an ICMP error the ports that it
// quotes, which lead to a socket.
void Engine::look_at(const Action& action) {
  if (const auto* next = std::get_if<NextNumber>(&action))
    number_states_[next->state] = next->range.modulus - 1;
  if (const auto* hash = std::get_if<HashRegisters>(&action); hash != nullptr && hash->state != kNone)
    number_states_[hash->state] = draw();
  constexpr size_t kIcmpBytes = 8, kPortBytes = 4;
  if (std::holds_alternative<LoadSocket>(action))
    needed_bytes_ = std::max(needed_bytes_, 2 * kLongestHeader + kIcmpBytes + kPortBytes);
  const auto* const store = std::get_if<StorePayload>(&action);
  if (store == nullptr) return;
  writes_ = true;
  const size_t header = store->base == HeaderBase::transport ? kLongestHeader : 0;
  needed_bytes_ = std::max(needed_bytes_, header + store->offset + store->length);
  if (store->sums) needed_bytes_ = std::max(needed_bytes_, header + store->sum_offset + 2);
}

// Strangers see some and must not guess the next.
uint32_t Engine::draw() {
  ++drawn_;
  return static_cast<uint32_t>(
      siphash24(secret_, {reinterpret_cast<const uint8_t*>(&drawn_), sizeof drawn_}));
}

// Who names a helper has connections tracked.
void Engine::track_helped(const Pause& pause) {
  for (const NamedObject& object : ruleset_.objects) {
    pause();
    if (ruleset_.stateful[object.stateful].kind != StatefulKind::helper) continue;
    helps_ = true;
    track_family(ruleset_.tables[object.table].family);
  }
}

// Elements of some set do, or those that people add later will.
bool Engine::sets_count_connections() const {
  return std::any_of(ruleset_.sets.begin(), ruleset_.sets.end(),
                     [](const Set& set) { return count_connections(set.element_expressions); });
}

// Who counts connections has them tracked. That elements of a set do is said by the set, by a rule that adds
// to it, or by an element.
void Engine::track_counted(const Pause& pause) {
  if (!count_connections(ruleset_.stateful) && !sets_count_connections()) return;
  std::vector<bool> counting;
  for (const Set& set : ruleset_.sets) {
    bool counts = count_connections(set.element_expressions);
    for (const Element& element : set.elements) {
      for (const uint32_t own : element.counters)
        counts = counts || counts_connections(ruleset_.stateful[own]);
      pause();
    }
    counting.push_back(counts);
  }
  for (const Chain& chain : ruleset_.chains) {
    for (const Rule& rule : chain.rules) {
      pause();
      for (const Expression& expression : rule.expressions) {
        const auto* const lookup = std::get_if<Lookup>(&expression.action);
        const auto* const update = std::get_if<UpdateSet>(&expression.action);
        const auto* const touch = std::get_if<Touch>(&expression.action);
        if ((lookup != nullptr && counting[lookup->set]) || (update != nullptr && counting[update->set]) ||
            (touch != nullptr && counts_connections(ruleset_.stateful[touch->stateful])))
          track_family(ruleset_.tables[chain.table].family);
      }
    }
  }
}

void Engine::make_dynamic_sets(TimeNs now, const Pause& pause) {
  size_t sets = 0, places = ruleset_.stateful.size();
  for (const Set& set : ruleset_.sets) {
    if (!set.dynamic) continue;
    ++sets;
    places += set.most_elements * set.element_expressions.size();
  }
  dynamic_sets_.reserve(sets);
  pause.reserve(ruleset_.stateful, places);
  for (uint32_t i = 0; i < ruleset_.sets.size(); ++i) {
    const Set& set = ruleset_.sets[i];
    if (!set.dynamic) continue;
    dynamic_of_[i] = &dynamic_sets_.emplace_back(set, secret_,
                                                 static_cast<uint32_t>(ruleset_.stateful.size()), now, pause);
    for (uint32_t element = 0; element < set.most_elements; ++element, pause())
      ruleset_.stateful.insert(ruleset_.stateful.end(), set.element_expressions.begin(),
                               set.element_expressions.end());
  }
  if (sets_count_connections()) connections_.make_room(places, pause);
  pause.resize(tallies_, places);
  for (uint32_t i = 0; i < tallies_.size(); ++i, pause()) {
    if (ruleset_.stateful[i].kind == StatefulKind::connections) connections_.make_room(places, pause);
    begin(i);
  }
  // What the text says of elements, and that they counted.
  for (uint32_t i = 0; i < ruleset_.sets.size(); ++i) {
    if (dynamic_of_[i] == nullptr) continue;
    const Set& set = ruleset_.sets[i];
    for (const Element& given : set.elements) {
      pause();
      const Element* element = dynamic_of_[i]->find(&set.keys[given.key], now);
      for (size_t k = 0; element != nullptr && k < given.counters.size(); ++k) {
        ruleset_.stateful[element->counters[k]] = ruleset_.stateful[given.counters[k]];
        tallies_[element->counters[k]] = tallies_[given.counters[k]];
      }
    }
  }
}

}  // namespace skerry::filter
