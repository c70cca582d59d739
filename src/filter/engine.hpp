// The filter at work: a loaded ruleset with its counters, which judges one packet after the other. The
// interpreter does what the kernel's does, expression by expression; an index spares it the rules that a
// packet cannot hold for (rule_index.hpp).
//
// Read first: ruleset.hpp; nf_tables_core.c (nft_do_chain).
//
// Invariant: pure. Nothing is allocated after the constructor but by change() and take_over(), and a packet's
// fate depends on the packet, the ruleset, the counters so far and `now`.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/time.hpp"
#include "filter/connection_counts.hpp"
#include "filter/conntrack.hpp"
#include "filter/dynamic_set.hpp"
#include "filter/load.hpp"
#include "filter/packet.hpp"
#include "filter/rule_index.hpp"
#include "filter/ruleset.hpp"
#include "filter/set_change.hpp"
#include "filter/set_index.hpp"
#include "filter/socket.hpp"
#include "filter/verdict_memory.hpp"

namespace skerry::filter {

struct Judgement {
  static constexpr unsigned kMostLogs = 8;

  bool accepted = true;
  uint32_t chain = kNone;                    // where a packet was dropped; kNone: by translation; kWritten
  uint32_t rule = kNone;                     // and the rule in it; kNone: by the chain's policy
  std::optional<Reject> reject;              // what the sender is to be told
  uint32_t mark = 0;                         // that the packet leaves with
  uint8_t logs = 0;                          // how many of `logged` count; more are lost
  std::array<uint32_t, kMostLogs> logged{};  // indices into Ruleset::logs
};

// What a counter, limit or quota has come to.
struct Tally {
  uint64_t packets = 0, bytes = 0;  // of a counter
  uint64_t consumed = 0;            // of a quota
  uint64_t tokens_ns = 0;           // of a limit
  TimeNs filled = 0;                // of a limit: when tokens were last added
};

// How often a rule held in all its parts, whatever it then did; of a base chain's policy: how often it
// decided.
struct Hits {
  uint64_t packets = 0;
  TimeNs last = 0;
};

// On the way of a packet that somebody follows: a rule that held in all its parts, with what came of it, or
// with `rule` kNone a policy that decided, or what drops without a rule (`chain` as in Judgement). With
// Code::next and no chain: the packet came by.
struct Step {
  uint32_t chain = kNone, rule = kNone;
  Verdict verdict;
};

class Engine {
 public:
  // linear: rule after rule, and element after element; the measure for what is faster.
  enum class Search { indexed, linear };

  // `ruleset` comes from load(). `secret` keeps strangers from filling one bucket of a set.
  explicit Engine(Ruleset ruleset, TimeNs now = 0, const SipKey& secret = {}, Search search = Search::indexed,
                  const Pause& pause = {});
  Engine(Engine&&) = default;
  Engine& operator=(Engine&&) = default;

  // Some rule asks about connections, or sets something of them; then packets are tracked, by `conntrack`,
  // which outlives the engine and many others.
  bool tracks() const { return tracks_[false] || tracks_[true]; }
  bool tracks(bool v6) const { return tracks_[v6]; }
  // Some chain is of type nat.
  bool translates() const { return translates_[false] || translates_[true]; }
  // Some rule writes into packets.
  bool writes() const { return writes_; }
  void track_with(Conntrack* conntrack) {
    conntrack_ = conntrack;
    if (conntrack != nullptr && translates()) conntrack->make_room_for_nat();
    if (conntrack != nullptr && helps_) conntrack->make_room_for_help();
  }

  // Rules ask about sockets there; without, no packet has one. `context` outlives the engine.
  void ask_sockets(SocketLookup lookup, const void* context) {
    find_socket_ = lookup;
    sockets_ = context;
  }

  // What the base chains at a hook say, in order of priority. The packet's headers have been read; its mark
  // changes.
  Judgement judge(Hook hook, Packet& packet, TimeNs now);

  // Where the next judge() goes is written down: as many steps as `steps` has capacity for, which is some,
  // the last of them always; null: it is not.
  void follow(std::vector<Step>* steps) { steps_ = steps; }

  // --- packets alike (verdict_memory.hpp). For both hooks of a packet's way together:
  //
  //   if (tracks_first()) track(); if (there is a look() of it, and recall(look, …)) it passes;
  //   else record(); judge() at both; if they let it pass: remember(look)
  //
  // Before that, where rules do not track: if (recall(header, …)) it passes.
  //
  // Packets are tracked, and no rule is run before they are.
  bool tracks_first() const { return tracks() && tracks_before_rules_; }
  void track(Hook hook, Packet& packet, TimeNs now);
  // Of an IPv4 packet that is not for many, its beginning in one piece. None: it is to be judged.
  std::optional<VerdictMemory::Look> look(ConstBytes packet, bool leaves, bool loops,
                                          const Tracked& tracked) const;
  // True: one like it has passed, and this one of `length` bytes has counted where that did.
  bool recall(const VerdictMemory::Look& look, uint32_t length, TimeNs now) {
    return repeat(memory_.find(look), length, now);
  }
  // Both at once where rules do not track.
  bool recall(const uint8_t* header, TransportSeen transport, bool leaves, bool loops, uint32_t length,
              TimeNs now) {
    if (!memory_.has_room()) return false;
    const VerdictMemory::Look look = memory_.look(header, transport, leaves, loops, {});
    return repeat(memory_.find(look, transport), length, now);
  }
  // The same where they do, in two steps, between which the caller makes sure that the packet's transport is
  // not damaged. None, or false: nothing has happened, and what is said above is to be done.
  struct Alike {
    Tracked tracked;
    const VerdictMemory::Passed* passed = nullptr;
  };
  std::optional<Alike> find_alike(const uint8_t* header, TransportSeen transport, bool leaves, bool loops,
                                  TimeNs now);
  bool recall(const Alike& alike, const uint8_t* transport, TransportSeen seen, uint32_t length, TimeNs now);
  void record() { memory_.begin(); }
  // While packets are followed every one is judged.
  void remember_none(bool none) { none ? memory_.give_room_back() : memory_.make_room(); }
  void remember(const VerdictMemory::Look& look) { memory_.keep(look); }

  // Puts elements into a named set or takes them out, all or none: between two packets, and the one thing
  // besides the constructor that allocates. Nobody vouches for what is given: it is checked as load() does
  // it. One that is there already stays, with a new time if one is given. Errors: EINVAL, it does not fit the
  // set; EEXIST, ENOENT, ENFILE as in set_change.hpp; what verify() says of verdicts and costs.
  std::optional<Refusal> change(uint32_t set, Change change, std::span<const GivenElement> given, TimeNs now);

  // What rules of the same name have gathered goes on: counters, quotas and limits with a name, what rules
  // have put into sets, and what change() has. Nothing is taken from one that is declared otherwise now.
  // `old` may judge packets in the pauses, but not be changed; behind the last pause nothing is left out that
  // they did.
  void take_over(Engine& old, TimeNs now, const Pause& pause = {});
  // What the destructor would do, in pieces: nothing is judged any more.
  void take_apart(const Pause& pause);

  // A counter begins again at 0, a quota with all that it allows.
  void reset(uint32_t stateful) {
    Tally& tally = tallies_[stateful];
    tally.packets = tally.bytes = tally.consumed = 0;
  }

  // No hook has a chain: every packet passes, and nobody needs to ask.
  bool is_empty() const;
  // Some hook has a chain that sees such packets; a hook has.
  bool judges(Realm realm) const;
  bool judges(Hook hook, Realm realm) const {
    return !at_[static_cast<size_t>(hook)][static_cast<size_t>(realm)].empty();
  }
  // Of each packet, from its IP header on, the rules look at no more than this.
  size_t needed_bytes() const { return needed_bytes_; }

  const Ruleset& ruleset() const { return ruleset_; }
  const Tally& tally(uint32_t stateful) const { return tallies_[stateful]; }
  // `rule` kNone: the policy of a base chain.
  const Hits& hits(uint32_t chain, uint32_t rule) const {
    return hits_[first_hits_[chain] + (rule == kNone ? ruleset_.chains[chain].rules.size() : rule)];
  }
  // Of a set that changes: what is in it now. Null: it does not change.
  const DynamicSet* dynamic_set(uint32_t set) const { return dynamic_of_[set]; }

 private:
  struct Run;
  [[gnu::always_inline]] bool repeat(const VerdictMemory::Passed* passed, uint32_t length, TimeNs now) {
    if (passed == nullptr) return false;
    if (passed->hit == VerdictMemory::kNothing) {
      repeat_all(memory_.effects_of(*passed), length, now);
    } else {
      Hits& hits = hits_[passed->hit];
      ++hits.packets;
      hits.last = now;
    }
    return true;
  }
  void repeat_all(const VerdictMemory::Effects& effects, uint32_t length, TimeNs now);
  void begin(uint32_t stateful);
  // Of an element that is new: as its set says, whatever the one said that had its places before.
  void begin(const Set& set, const OwnCounters& counters) {
    for (size_t k = 0; k < counters.size(); ++k) {
      ruleset_.stateful[counters[k]] = set.element_expressions[k];
      begin(counters[k]);
    }
  }
  // Of an element that is taken out; null: there was none.
  void forget(const Element* element) {
    if (element == nullptr) return;
    for (const uint32_t own : element->counters)
      if (counts_connections(ruleset_.stateful[own])) connections_.drop(own);
  }
  // engine_ahead.cpp
  void look_at(const Action& action);
  bool sets_count_connections() const;
  void track_counted(const Pause& pause);
  void track_helped(const Pause& pause);
  uint32_t draw();
  std::optional<Refusal> check(uint32_t set, Change change, const GivenElement& given) const;
  bool has_object(uint32_t table, StatefulKind kind, uint32_t stateful) const;
  OwnCounters new_counters(Set& set);
  std::optional<Refusal> change_dynamic(uint32_t set, Change change, std::span<const GivenElement> given,
                                        TimeNs now);
  std::optional<Refusal> add_static(uint32_t set, std::span<const GivenElement> given,
                                    const Pause& pause = {});
  std::optional<Refusal> remove_static(uint32_t set, std::span<const GivenElement> given);
  // By their indices in the ruleset before, Ruleset::chains and Ruleset::stateful: what has their names here;
  // kNone: nothing.
  struct Names {
    std::vector<uint32_t> chains, objects;
  };
  void take_over_elements(const Engine& old, uint32_t from, uint32_t to, const Names& names,
                          const Pause& pause);
  struct Pair {
    uint32_t there, here;  // indices of the same thing, in the ruleset before and in this one
  };
  void take_over_tally(uint32_t here, const Engine& old, uint32_t there);
  void give_back_tally(uint32_t here, Engine& old, uint32_t there);
  void take_over_dynamic(Engine& old, const std::vector<Pair>& sets, TimeNs now, const Pause& pause);
  void look_ahead(const Pause& pause);
  void make_dynamic_sets(TimeNs now, const Pause& pause);
  void track_family(Family family);
  void hit(uint32_t chain, size_t rule, TimeNs now);
  const Element* find(uint32_t set, const uint8_t* key, TimeNs now);
  template <bool followed>
  void run_chain(Run& run, uint32_t base);
  void run_base(Run& run, uint32_t base);
  void translate_here(Run& run);
  void place_nat(bool v6);
  int32_t priority(uint32_t base, Hook hook) const;
  void insert(std::vector<uint32_t>& there, uint32_t base, Hook hook);
  void step(uint32_t chain, uint32_t rule, Verdict verdict);

  Ruleset ruleset_;
  SipKey secret_;
  std::vector<uint32_t> number_states_;  // of numbers one after the other the last; of a hash its seed
  uint64_t drawn_;
  ConnectionCounts connections_;  // by Ruleset::stateful
  std::vector<DynamicSet> dynamic_sets_;
  std::vector<DynamicSet*> dynamic_of_;                 // by Ruleset::sets
  std::vector<std::unique_ptr<SetIndex>> set_indexes_;  // by Ruleset::sets; null: it changes
  size_t elements_ = 0;                                 // that texts and change() have given, in all sets
  std::vector<Tally> tallies_;                          // by Ruleset::stateful
  VerdictMemory memory_;                                // read together with hits_
  std::vector<Hits> hits_;                              // each chain's rules, then its policy
  std::vector<size_t> first_hits_;                      // by Ruleset::chains
  std::vector<RuleIndex> indexes_;                      // by Ruleset::chains
  Search search_;
  size_t needed_bytes_ = 0;
  Conntrack* conntrack_ = nullptr;
  SocketLookup find_socket_ = nullptr;
  const void* sockets_ = nullptr;
  std::array<bool, 2> tracks_{};  // by v6
  bool tracks_before_rules_ = true;
  bool writes_ = false;
  bool helps_ = false;  // some rule may have connections' lines read
  // By hook and by realm: base chains, and kNone where packets are translated; and, by v6, the chains that
  // say how.
  std::array<std::array<std::vector<uint32_t>, kRealms>, kHooks> at_;
  std::array<std::array<std::vector<uint32_t>, 2>, kHooks> nat_at_;
  std::array<bool, 2> translates_{};  // by v6
  std::vector<Step>* steps_ = nullptr;
};

}  // namespace skerry::filter
