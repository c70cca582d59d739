// One netlink batch on its way to become a Ruleset: what every message of it needs to know of the ones
// before.
//
// Read first: ruleset.hpp. The parts: import.cpp walks over the messages and reads tables and rules,
// import_hooks.cpp chains, import_sets.cpp sets and objects, import_elements.cpp what is in
// sets, import_expressions.cpp what rules are made of.
#pragma once

#include <map>
#include <set>
#include <tuple>

#include "filter/netlink.hpp"
#include "filter/nf_tables.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

inline constexpr uint32_t kMessageHead = 20;                      // bytes of nlmsghdr and nfgenmsg
inline constexpr uint64_t kMostMilliseconds = uint64_t{1} << 40;  // of a timeout: 35 years

inline constexpr const char* kNotInElements =
    "elements can have a counter, a limit, a quota, ct count, or two of them";

// Of what has state, in a rule or with a name.
constexpr uint32_t attributes_of(StatefulKind kind) {
  using namespace nft;
  switch (kind) {
    case StatefulKind::counter:
      return known({kCounterBytes, kCounterPackets});
    case StatefulKind::limit:
      return known({kLimitRate, kLimitUnit, kLimitBurst, kLimitType, kLimitFlags});
    case StatefulKind::quota:
      return known({kQuotaBytes, kQuotaFlags, kQuotaConsumed});
    case StatefulKind::connections:
      return known({kConnlimitCount, kConnlimitFlags});
    case StatefulKind::helper:
      return known({kHelperName, kHelperFamily, kHelperProtocol});
  }
  return 0;
}

class Import {
 public:
  Import(Ruleset& ruleset, const Limits& limits, const Pause& pause)
      : ruleset_(ruleset), limits_(limits), pause_(pause) {}

  // The whole batch. False: reader() has the refusal.
  bool batch(ConstBytes bytes);
  const Reader& reader() const { return reader_; }
  // What the destructor would do, in pieces.
  void take_apart();

 private:
  // import.cpp
  bool message(uint8_t message, uint16_t flags, uint8_t family, ConstBytes attributes);
  bool may_have(uint8_t family) const;
  bool new_table(uint8_t family, ConstBytes attributes);
  bool delete_table(uint8_t family, ConstBytes attributes);
  bool new_rule(uint8_t family, uint16_t flags, ConstBytes attributes);
  bool count_deletion();
  bool flush_rules(uint8_t family, ConstBytes attributes);
  bool find_table(uint8_t family, const Nest& nest, uint16_t name, uint32_t& table);
  uint64_t new_handle(uint32_t table) { return ++handles_[table]; }
  // Of what has this name already; `what` for the sentence.
  bool may_be_there(const Nest& nest, uint16_t name, const std::string& what);

  // import_hooks.cpp
  bool new_chain(uint8_t family, ConstBytes attributes);
  uint32_t chain_named(uint32_t table, const std::string& name) const;
  bool base_chain(const Nest& nest, Chain& chain);
  bool same_chain(const Nest& nest, Chain& old, const Chain& chain);
  bool hook_of(Family family, const Nest& hook, uint32_t number, Hook& into);
  bool devices(Family family, const Nest& hook);
  bool device(const Attribute& attribute);

  // import_sets.cpp
  bool new_set(uint8_t family, ConstBytes attributes);
  bool set_description(const Nest& nest, Set& set);
  bool set_dynamics(const Nest& nest, uint32_t flags, Set& set);
  bool declare_again(const Nest& nest, uint32_t old, const Set& set);
  bool may_count(const Set& set, const std::vector<Stateful>& elements, uint32_t at);
  bool expressions_of_elements(const Nest& nest, uint16_t one, uint16_t several, std::vector<Stateful>& into);
  bool set_data(const Nest& nest, uint32_t flags, Set& set);
  bool new_elements(uint8_t family, ConstBytes attributes);
  bool flush_set(uint8_t family, ConstBytes attributes);
  bool element(uint32_t index, const Attribute& attribute);
  bool element_time(const Nest& nest, const Set& set, Element& element);
  bool element_data(const Nest& nest, Set& set, bool ends, Element& element);
  bool new_object(uint8_t family, ConstBytes attributes);
  // By id or by name, in the table; `at` for the sentence.
  bool find_set(uint32_t table, const Nest& nest, uint16_t name, uint16_t id, uint32_t& set);
  uint32_t set_named(uint32_t table, const std::string& name) const;
  uint32_t object_named(uint32_t table, const std::string& name, StatefulKind kind) const;
  bool sort(Set& set, const std::vector<bool>& ends);
  void bound(Set& set, Element& element, const Element* next, bool next_ends);
  bool sort_elements();
  bool settle(uint32_t index);
  bool make_room(Set& set);
  void find_targets(Set& set);

  // import_expressions.cpp
  bool expressions(uint32_t table, const Attribute& list, std::vector<Expression>& into);
  bool expression(uint32_t table, const Attribute& attribute, std::vector<Expression>& into);
  bool read(uint32_t table, const std::string& name, const Nest& nest, Action& action);
  bool immediate(uint32_t table, const Nest& nest, Action& action);
  bool compare(uint32_t, const Nest& nest, Action& action);
  bool range(uint32_t, const Nest& nest, Action& action);
  // import_loads.cpp
  bool payload(uint32_t, const Nest& nest, Action& action);
  bool extension(uint32_t, const Nest& nest, Action& action);
  bool meta(uint32_t, const Nest& nest, Action& action);
  bool socket(uint32_t, const Nest& nest, Action& action);
  // import_ct.cpp
  bool ct(uint32_t table, const Nest& nest, Action& action);
  bool ct_set(const Nest& nest, CtKey key, Action& action);
  bool notrack(uint32_t, const Nest& nest, Action& action);
  bool helper(Family family, const Nest& nest, Stateful& into);
  // import_numbers.cpp
  bool numgen(uint32_t, const Nest& nest, Action& action);
  bool hash(uint32_t, const Nest& nest, Action& action);
  bool number_range(const Nest& nest, uint16_t modulus, uint16_t offset, NumberRange& range);
  // import_write.cpp
  bool write_payload(const Nest& nest, Action& action);
  // import_nat.cpp
  bool nat(uint32_t table, const Nest& nest, Action& action);
  bool masquerade(uint32_t table, const Nest& nest, Action& action);
  bool redirect(uint32_t table, const Nest& nest, Action& action);
  bool nat_ports(const Nest& nest, uint16_t low, uint16_t high, Translate& translate);
  bool nat_flags(const Nest& nest, uint16_t type, bool has_address, Translate& translate);

  // import_expressions.cpp
  bool bitwise(uint32_t, const Nest& nest, Action& action);
  bool byteorder(uint32_t, const Nest& nest, Action& action);
  bool lookup(uint32_t table, const Nest& nest, Action& action);
  bool dynset(uint32_t table, const Nest& nest, Action& action);
  bool log(uint32_t, const Nest& nest, Action& action);
  bool reject(uint32_t, const Nest& nest, Action& action);
  bool object_reference(uint32_t table, const Nest& nest, Action& action);
  bool touch_one(StatefulKind kind, const Nest& nest, Action& action);
  template <StatefulKind kind>
  bool touch(uint32_t, const Nest& nest, Action& action) {
    return touch_one(kind, nest, action);
  }
  bool stateful(StatefulKind kind, const Nest& nest, Stateful& into);
  // An expression that each element of a set gets one of.
  bool element_expression(const Attribute& attribute, std::vector<Stateful>& into);
  bool register_number(const Nest& nest, uint16_t type, Register& into);
  bool value(const Nest& nest, uint16_t type, Value& into);
  bool verdict(uint32_t table, const Attribute& attribute, Verdict& into);
  bool keep(const Stateful& stateful, uint32_t at, uint32_t& index);

  Ruleset& ruleset_;
  const Limits& limits_;
  const Pause& pause_;
  Reader reader_;
  std::vector<uint64_t> handles_;  // last one given, by table
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> chain_ids_,
      set_ids_;  // (table, id of this batch) to index
  std::map<std::pair<uint32_t, std::string>, uint32_t> chain_names_, set_names_;
  std::map<std::tuple<uint32_t, StatefulKind, std::string>, uint32_t> object_names_;  // to Ruleset::stateful
  std::map<uint32_t, std::vector<Rule>>
      inserted_;                                // by chain: what goes before its rules, the last one first
  std::map<uint32_t, std::vector<bool>> ends_;  // by set of intervals: which of its elements are ends of one
  std::map<uint32_t, uint32_t> others_;         // by set: its element for all other keys
  std::set<uint32_t> meters_;                   // sets that rules declare
  struct Later {
    uint64_t timeout_ns;
    uint32_t most_elements;
  };
  std::map<uint32_t, Later> later_;  // by set that was declared again: what holds when all is loaded
  size_t deletions_ = 0, rules_ = 0, elements_ = 0, dynamic_elements_ = 0;
  bool in_element_ = false;
  bool exclusive_ = false;  // the message: `create`, and not `add`
};

}  // namespace skerry::filter
