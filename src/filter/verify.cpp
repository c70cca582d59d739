// What the kernel refuses of a rule although each message is well-formed: registers that are read before they
// are written or written past their end, rejections where none can be sent, sets used as what they are not.
//
// Read first: nf_tables_api.c, the init and validate functions of each expression.
#include <cerrno>

#include "filter/load.hpp"

namespace skerry::filter {

namespace {

class RuleVerifier {
 public:
  explicit RuleVerifier(const Ruleset& ruleset)
      : ruleset_(ruleset), set_users_(ruleset.sets.size()), chain_users_(ruleset.chains.size()) {}

  std::optional<Refusal> run(const Pause& pause) {
    if (!check_sets(pause)) return refusal_;
    for (const Chain& chain : ruleset_.chains) {
      for (const Rule& rule : chain.rules) {
        if (!check_rule(chain, rule)) return refusal_;
        pause();
      }
    }
    return std::nullopt;
  }

 private:
  bool refuse(Origin origin, int error, std::string sentence) {
    refusal_ = Refusal{origin.sequence, origin.attribute, error, std::move(sentence)};
    return false;
  }

  // Where a chain sees more than packets of IP, nothing is tracked, and there are no flows.
  bool knows_flows() const { return filter::knows_flows(ruleset_.tables[table_].family); }
  bool need_flows() {
    if (knows_flows()) return true;
    const bool at_switch = ruleset_.tables[table_].family == Family::bridge;
    return refuse(at_, EOPNOTSUPP,
                  at_switch
                      ? "a switch knows no connections, whose packets may take other ways: ask for them "
                        "in the rules of a stack"
                      : "there are no connections in tables of family arp and netdev: write inet, ip "
                        "or ip6");
  }
  bool check_sets(const Pause& pause) {
    for (const Set& set : ruleset_.sets) {
      table_ = set.table;
      at_ = set.origin;
      pause();
      if (knows_flows()) continue;
      for (const Stateful& each : set.element_expressions)
        if (counts_connections(each) && !need_flows()) return false;
      for (const Element& element : set.elements) {
        for (const uint32_t own : element.counters)
          if (counts_connections(ruleset_.stateful[own]) && !need_flows()) return false;
        pause();
      }
    }
    return true;
  }

  // --- one rule ---
  bool check_rule(const Chain& chain, const Rule& rule) {
    written_ = 0;
    for (const Expression& expression : rule.expressions) {
      at_ = {rule.origin.sequence, expression.attribute};
      table_ = chain.table;
      if (!std::visit([&](const auto& action) { return check(action); }, expression.action)) return false;
    }
    return true;
  }

  // The words that `bytes` take; registers are counted in words of 32 bits.
  static uint32_t words(Register first, unsigned bytes) {
    const unsigned count = (bytes + 3) / 4;
    return first + count > kRegisters ? 0 : static_cast<uint32_t>(((uint64_t{1} << count) - 1) << first);
  }
  bool reads(Register from, unsigned bytes) {
    const uint32_t mask = words(from, bytes);
    if (mask == 0) return refuse(at_, ERANGE, "a value does not fit into the registers");
    if ((written_ & mask) != mask) return refuse(at_, ENODATA, "a register is read that nothing wrote");
    return true;
  }
  bool writes(Register to, unsigned bytes) {
    const uint32_t mask = words(to, bytes);
    if (mask == 0) return refuse(at_, ERANGE, "a value does not fit into the registers");
    written_ |= mask;
    return true;
  }

  bool check(const LoadImmediate& action) { return writes(action.to, action.value.length); }
  bool check(const Decide& action) { return check_target(action.verdict); }
  bool check(const Compare& action) { return reads(action.from, action.value.length); }
  bool check(const InRange& action) { return reads(action.from, action.low.length); }
  bool check(const LoadPayload& action) { return writes(action.to, action.length); }
  bool check(const StorePayload& action) { return reads(action.from, action.length); }
  bool check(const NextNumber& action) { return writes(action.to, 4); }
  bool check(const HashRegisters& action) {
    return reads(action.from, action.length) && writes(action.to, 4);
  }
  bool check(const HashFlow& action) { return need_flows() && writes(action.to, 4); }
  bool check(const LoadExtension& action) { return writes(action.to, action.length); }
  bool check(const LoadMeta& action) { return writes(action.to, is_name(action.key) ? 16 : 4); }
  bool check(const LoadSocket& action) {
    if (!knows_flows())
      return refuse(at_, EOPNOTSUPP,
                    "there are no sockets in tables of family arp, netdev and bridge: write ip or inet");
    return writes(action.to, 4);
  }
  bool check(const StoreMark& action) { return reads(action.from, 4); }
  bool check(const LoadCt& action) { return need_flows() && writes(action.to, bytes_of(action.key)); }
  bool check(const StoreCt& action) { return need_flows() && reads(action.from, bytes_of(action.key)); }
  bool check(const Untrack&) { return ruleset_.tables[table_].family == Family::netdev || need_flows(); }
  bool check(const Translate& action) {
    const unsigned address_bytes = action.family == Family::ip6 ? 16 : 4;
    return need_flows() &&
           (!action.has_address ||
            (reads(action.address_low, address_bytes) && reads(action.address_high, address_bytes))) &&
           (!action.has_port || (reads(action.port_low, 2) && reads(action.port_high, 2)));
  }
  bool check(const Mask& action) {
    return reads(action.from, action.mask.length) && writes(action.to, action.mask.length);
  }
  bool check(const Shift& action) {
    return reads(action.from, action.length) && writes(action.to, action.length);
  }
  bool check(const SwapBytes& action) {
    return reads(action.from, action.length) && writes(action.to, action.length);
  }
  bool check(const Lookup& action) {
    if (!use_set(action.set)) return false;
    const Set& set = ruleset_.sets[action.set];
    if (!reads(action.from, set.key_bytes)) return false;
    const bool maps = action.to_register || action.to_verdict;
    if (maps != set.maps || set.maps_object || action.to_verdict != set.maps_verdict)
      return refuse(at_, EINVAL,
                    "set " + set.name + " is not what it is used as: a set, a map or a verdict map");
    if (maps && action.inverted)
      return refuse(at_, EINVAL, "a map cannot be asked for what it does not have");
    return !action.to_register || writes(action.to, set.data_bytes);
  }
  bool check(const Touch& action) {
    return ruleset_.stateful[action.stateful].kind != StatefulKind::connections || need_flows();
  }
  bool check(const TouchMapped& action) {
    if (!use_set(action.set)) return false;
    const Set& set = ruleset_.sets[action.set];
    if (!set.maps_object) return refuse(at_, EINVAL, "set " + set.name + " is no map to objects");
    return reads(action.from, set.key_bytes);
  }
  bool check(const UpdateSet& action) {
    if (!use_set(action.set)) return false;
    const Set& set = ruleset_.sets[action.set];
    if (action.has_data != set.maps)
      return refuse(at_, EINVAL, "set " + set.name + " is not what it is used as: a set or a map");
    return reads(action.key, set.key_bytes) && (!action.has_data || reads(action.data, set.data_bytes));
  }
  bool check(const Log&) { return true; }
  bool check(const Reject& action) {
    const Family family = ruleset_.tables[table_].family;
    if (family == Family::arp) return refuse(at_, EOPNOTSUPP, "nothing is answered in ARP: write drop");
    if (family == Family::bridge)
      return refuse(at_, EOPNOTSUPP, "a switch has no address to answer from: write drop");
    if (action.kind == RejectKind::icmpx_unreachable && family != Family::inet && family != Family::netdev)
      return refuse(at_, EINVAL, "reject with icmpx is for inet and netdev tables");
    return true;
  }

  static bool is_name(MetaKey key) {
    return key == MetaKey::iifname || key == MetaKey::oifname || key == MetaKey::ibrname ||
           key == MetaKey::obrname;
  }
  unsigned bytes_of(CtKey key) const {
    switch (key) {
      case CtKey::labels:
      case CtKey::source_v6:
      case CtKey::destination_v6:
      case CtKey::helper:
        return 16;
      case CtKey::source:
      case CtKey::destination:
        return ruleset_.tables[table_].family == Family::ip ? 4 : 16;
      case CtKey::zone:
        return 2;
      case CtKey::packets:
      case CtKey::bytes:
      case CtKey::packet_bytes:
        return 8;
      default:
        return 4;
    }
  }

  bool use_set(uint32_t index) {
    const Set& set = ruleset_.sets[index];
    if (set.table != table_) return refuse(at_, ENOENT, "set " + set.name + " is in another table");
    if (set.anonymous && ++set_users_[index] > 1) return refuse(at_, EBUSY, "an anonymous set is used twice");
    return true;
  }
  bool check_target(const Verdict& verdict) {
    if (verdict.chain == kNone || !ruleset_.chains[verdict.chain].name.empty()) return true;
    return ++chain_users_[verdict.chain] > 1 ? refuse(at_, EBUSY, "an anonymous chain is used twice") : true;
  }

  const Ruleset& ruleset_;
  std::optional<Refusal> refusal_;
  Origin at_;
  uint32_t table_ = 0;
  uint32_t written_ = 0;
  std::vector<uint32_t> set_users_, chain_users_;
};

}  // namespace

std::optional<Refusal> verify(const Ruleset& ruleset, const Pause& pause) {
  auto refusal = RuleVerifier(ruleset).run(pause);
  return refusal ? refusal : verify_chains(ruleset, pause);
}

}  // namespace skerry::filter
