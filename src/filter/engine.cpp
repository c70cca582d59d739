#include "filter/engine.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "filter/protocols.hpp"
#include "filter/sets.hpp"
#include "filter/translation.hpp"
#include "filter/vm.hpp"
#include "filter/vm_ct.hpp"
#include "filter/vm_loads.hpp"
#include "filter/vm_numbers.hpp"
#include "filter/vm_socket.hpp"
#include "filter/vm_write.hpp"

namespace skerry::filter {

namespace {

constexpr unsigned kDeepestJump = 16;
constexpr int32_t kConntrackPriority = -200;

// Where destinations are translated before what filters looks, and sources behind it (NF_IP_PRI_NAT_DST).
bool translates_destination(Hook hook) {
  return hook == Hook::prerouting || hook == Hook::output;
}
int32_t nat_priority(Hook hook) {
  return translates_destination(hook) ? -100 : 100;
}

}  // namespace

void Engine::hit(uint32_t chain, size_t rule, TimeNs now) {
  const size_t place = first_hits_[chain] + rule;
  Hits& hits = hits_[place];
  memory_.done().hit(static_cast<uint32_t>(place));
  ++hits.packets;
  hits.last = now;
}

bool Engine::is_empty() const {
  return std::all_of(at_.begin(), at_.end(), [](const auto& there) {
    return std::all_of(there.begin(), there.end(), [](const auto& chains) { return chains.empty(); });
  });
}

bool Engine::judges(Realm realm) const {
  return std::any_of(at_.begin(), at_.end(),
                     [&](const auto& there) { return !there[static_cast<size_t>(realm)].empty(); });
}

// What a counter, limit or quota is before any packet.
void Engine::begin(uint32_t index) {
  const Stateful& stateful = ruleset_.stateful[index];
  Tally& tally = tallies_[index];
  tally = {};
  if (stateful.kind == StatefulKind::counter) {
    tally.packets = stateful.packets;
    tally.bytes = stateful.bytes;
  }
  tally.consumed = stateful.consumed;
  if (stateful.kind == StatefulKind::limit) tally.tokens_ns = most_tokens(stateful);
  if (stateful.kind == StatefulKind::connections) connections_.begin(index);
}

const Element* Engine::find(uint32_t set, const uint8_t* key, TimeNs now) {
  if (DynamicSet* dynamic = dynamic_of_[set]) return dynamic->find(key, now);
  if (search_ == Search::linear) return find_element(ruleset_.sets[set], key);
  return set_indexes_[set]->find(ruleset_.sets[set], key);
}

Engine::Engine(Ruleset ruleset, TimeNs now, const SipKey& secret, Search search, const Pause& pause)
    : ruleset_(std::move(ruleset)),
      secret_(secret),
      number_states_(ruleset_.number_states),
      drawn_(static_cast<uint64_t>(now)),
      dynamic_of_(ruleset_.sets.size()),
      search_(search) {
  look_ahead(pause);
  const ConditionReader reader(ruleset_, pause);
  for (const Chain& chain : ruleset_.chains)
    indexes_.push_back(search == Search::indexed ? RuleIndex(chain.rules, reader, pause) : RuleIndex());
  for (const Set& set : ruleset_.sets) {
    set_indexes_.push_back(set.dynamic ? nullptr : std::make_unique<SetIndex>(set, secret, pause));
    elements_ += set.size();
    pause();
  }
  make_dynamic_sets(now, pause);
  for (uint32_t i = 0; i < ruleset_.chains.size(); ++i) {
    const Chain& chain = ruleset_.chains[i];
    const Table& table = ruleset_.tables[chain.table];
    if (!chain.is_base || table.dormant) continue;
    for (size_t realm = 0; realm < kRealms; ++realm) {
      if (!sees(table.family, static_cast<Realm>(realm))) continue;
      const auto hook = static_cast<size_t>(chain.hook);
      if (is_ip(static_cast<Realm>(realm)) && chain.priority < kConntrackPriority)
        tracks_before_rules_ = false;
      if (chain.type == ChainType::nat) place_nat(static_cast<Realm>(realm) == Realm::ipv6);
      insert(chain.type == ChainType::nat ? nat_at_[hook][realm] : at_[hook][realm], i, chain.hook);
    }
  }
  track_counted(pause);
  track_helped(pause);
}

int32_t Engine::priority(uint32_t base, Hook hook) const {
  return base == kNone ? nat_priority(hook) : ruleset_.chains[base].priority;
}

// Of equal ones the newest comes first (nf_hook_entries_grow()).
void Engine::insert(std::vector<uint32_t>& there, uint32_t base, Hook hook) {
  const auto place = std::find_if(there.begin(), there.end(), [&](uint32_t other) {
    return priority(other, hook) >= priority(base, hook);
  });
  there.insert(place, base);
}

// The first chain of type nat brings translation to all hooks, because answers must be translated too. Its
// place is fixed; priorities only say which of the nat chains comes first.
void Engine::place_nat(bool v6) {
  if (translates_[v6]) return;
  translates_[v6] = true;
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::output, Hook::postrouting})
    insert(at_[static_cast<size_t>(hook)][static_cast<size_t>(realm_of(v6))], kNone, hook);
}

void Engine::step(uint32_t chain, uint32_t rule, Verdict verdict) {
  if (steps_->size() == steps_->capacity()) steps_->pop_back();  // whoever decides comes last
  steps_->push_back({chain, rule, verdict});
}

template <bool followed>
void Engine::run_chain(Run& run, uint32_t base) {
  struct Point {
    uint32_t chain, rule;
  };
  Point stack[kDeepestJump];
  unsigned depth = 0;
  Point here{base, 0};
  RuleIndex::Walk walks[kDeepestJump + 1];  // by depth: a return goes on where its chain was left
  const auto enter = [&](const RuleIndex& index, RuleIndex::Walk& walk) {
    index.enter(run.packet, walk);
    walk.writes = run.writes;
  };
  const auto next = [&](const RuleIndex& index, uint32_t from) {
    RuleIndex::Walk& walk = walks[depth];
    if (walk.writes != run.writes) [[unlikely]]
      enter(index, walk);  // what was written into is another packet
    return index.next(walk, from);
  };
  for (;;) {
    const Chain& chain = ruleset_.chains[here.chain];
    const RuleIndex& index = indexes_[here.chain];
    run.verdict = {};
    if (index.is_useful()) {
      if (here.rule == 0) {  // a return never goes there
        enter(index, walks[depth]);
        if (!index.is_of_flow()) run.not_again();
        here.rule = index.next(walks[depth], 0);
      } else {
        here.rule = next(index, here.rule);
      }
    }
    while (here.rule < chain.rules.size()) {
      for (const Expression& expression : chain.rules[here.rule].expressions) {
        std::visit(run, expression.action);
        if (run.verdict.code != Code::next) break;
      }
      if (run.verdict.code != Code::stop_rule) {
        hit(here.chain, here.rule, run.now);
        if constexpr (followed) step(here.chain, here.rule, run.verdict);
      }
      if (run.verdict.code != Code::next && run.verdict.code != Code::stop_rule) break;
      run.verdict = {};
      ++here.rule;
      if (index.is_useful()) here.rule = next(index, here.rule);
    }
    switch (run.verdict.code) {
      case Code::accept:
        return;
      case Code::drop:
        run.judgement.accepted = false;
        run.judgement.chain = here.chain;
        run.judgement.rule = here.rule;
        return;
      case Code::jump:
        CHECK(depth < kDeepestJump);  // verify() has seen to it
        stack[depth++] = {here.chain, here.rule + 1};
        here = {run.verdict.chain, 0};
        continue;
      case Code::go:
        here = {run.verdict.chain, 0};
        continue;
      default:
        break;
    }
    if (depth == 0) break;
    here = stack[--depth];
  }
  const Chain& chain = ruleset_.chains[base];
  if (chain.counted) run.touch(chain.stateful);
  hit(base, chain.rules.size(), run.now);
  if constexpr (followed)
    step(base, kNone, {chain.policy == Policy::accept ? Code::accept : Code::drop, kNone});
  if (chain.policy == Policy::accept) return;
  run.judgement.accepted = false;
  run.judgement.chain = base;
}

void Engine::run_base(Run& run, uint32_t base) {
  if (run.writes != run.read_again) {  // each base chain looks where the headers are
    run.packet.read_again();
    run.read_again = run.writes;
  }
  steps_ == nullptr ? run_chain<false>(run, base) : run_chain<true>(run, base);
}

void Engine::track(Hook hook, Packet& packet, TimeNs now) {
  if (packet.tracked.looked_up || conntrack_ == nullptr || !tracks_[packet.v6] ||
      (hook != Hook::prerouting && hook != Hook::output))
    return;
  conntrack_->track(packet, now);
  if (!packet.answers) return;
  packet.tracked.state = CtState::related;
  if (packet.tracked.flow == nullptr) packet.tracked.reply = true;  // rules may have kept it from beginning
}

// nf_nat_inet_fn(): chains are asked once for each side of a flow, by its first packet, and what they leave
// open is settled too, so that a later flow cannot take it.
void Engine::translate_here(Run& run) {
  Packet& packet = run.packet;
  Flow* const flow = packet.tracked.flow;
  if (flow == nullptr) return;
  const NatSide side = translates_destination(run.hook) ? NatSide::destination : NatSide::source;
  const CtState state = packet.tracked.state;
  const bool is_icmp = packet.protocol == (packet.v6 ? kProtocolIcmp6 : kProtocolIcmp);
  if (state == CtState::related && is_icmp) {
    run.judgement.accepted = translate_error(packet, side);
    return;
  }
  if (state == CtState::fresh || state == CtState::related) {
    for (const uint32_t base : nat_at_[static_cast<size_t>(run.hook)][packet.v6]) {
      if ((flow->status & done_bit(side)) != 0) break;
      run_base(run, base);
      if (!run.judgement.accepted) return;
    }
    if ((flow->status & done_bit(side)) == 0) {
      const Tuple& answers = flow->tuples[1];
      NatRange same{.has_address = true};
      same.address_low = same.address_high = side == NatSide::source ? answers.destination : answers.source;
      conntrack_->bind(*flow, side, same, run.now);
    }
  }
  run.judgement.accepted = translate(packet, side);
}

Judgement Engine::judge(Hook hook, Packet& packet, TimeNs now) {
  Judgement judgement;
  Run run(*this, packet, now, hook, judgement);
  const bool ip = is_ip(packet.realm);
  bool tracked = !tracks() || !ip;
  if (packet.translated) packet.read_again();  // an earlier hook may have written into its headers
  for (const uint32_t base : at_[static_cast<size_t>(hook)][static_cast<size_t>(packet.realm)]) {
    if (!tracked && priority(base, hook) >= kConntrackPriority) {
      track(hook, packet, now);
      tracked = true;
    }
    run.before_tracking = !tracked;
    if (base == kNone)
      translate_here(run);
    else
      run_base(run, base);
    if (!judgement.accepted) break;
  }
  if (!tracked && judgement.accepted) track(hook, packet, now);
  if (conntrack_ != nullptr && ip && judgement.accepted &&
      (hook == Hook::input || hook == Hook::postrouting)) {
    const bool clear = !Conntrack::is_helped(packet) || conntrack_->read_lines(packet, now);
    if (!clear) judgement.chain = kAnnouncement;
    judgement.accepted = clear && conntrack_->confirm(packet, now);
  }
  judgement.mark = packet.mark;
  return judgement;
}

}  // namespace skerry::filter
