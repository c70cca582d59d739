// What the kernel refuses although each message is well-formed: registers that are read before they are
// written or written past their end, jumps that return to where they came from or go too deep, rejections
// where none can be sent, sets used as what they are not.
//
// Read first: nf_tables_api.c (nft_chain_validate), the init and validate functions of each expression.
#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "filter/load.hpp"

namespace skerry::filter {

namespace {

constexpr unsigned kDeepestJump = 16;         // NFT_JUMP_STACK_SIZE
constexpr uint64_t kMostCost = 2'000'000;     // expressions that one packet may meet at one hook
constexpr uint64_t kMostVisits = 16'000'000;  // of verify to targets of jumps
constexpr uint8_t bit(Hook hook) {
  return static_cast<uint8_t>(1 << static_cast<int>(hook));
}
constexpr uint8_t kRejectingHooks = bit(Hook::prerouting) | bit(Hook::input) | bit(Hook::output);

// Where sources and destinations are translated (the validate functions of nft_nat.c and its like).
uint8_t hooks_of(NatKind kind) {
  switch (kind) {
    case NatKind::snat:
      return bit(Hook::input) | bit(Hook::postrouting);
    case NatKind::masquerade:
      return bit(Hook::postrouting);
    default:
      return bit(Hook::prerouting) | bit(Hook::output);
  }
}

class Verifier {
 public:
  explicit Verifier(const Ruleset& ruleset)
      : ruleset_(ruleset),
        set_users_(ruleset.sets.size()),
        chain_users_(ruleset.chains.size()),
        set_cost_(ruleset.sets.size()),
        depth_(ruleset.chains.size(), kUnseen),
        cost_(ruleset.chains.size(), 1),
        hooks_(ruleset.chains.size()) {}

  std::optional<Refusal> run() {
    for (const Chain& chain : ruleset_.chains) {
      for (const Rule& rule : chain.rules) {
        if (!check_rule(chain, rule)) return refusal_;
      }
    }
    if (!collect_edges()) return refusal_;
    for (uint32_t chain = 0; chain < ruleset_.chains.size(); ++chain) {
      // What no packet can reach is not looked at, as in the kernel.
      const Chain& base = ruleset_.chains[chain];
      if (!base.is_base) continue;
      if (!descend(chain, 0, {})) return refusal_;
      uint64_t& cost = hook_cost_[static_cast<size_t>(base.hook)];
      cost += cost_[chain];
      if (cost > kMostCost) {
        refuse(base.origin, EMLINK, "a packet at the hook of chain " + base.name + " could take forever");
        return refusal_;
      }
    }
    check_hooks();
    return refusal_;
  }

 private:
  bool refuse(Origin origin, int error, std::string sentence) {
    refusal_ = Refusal{origin.sequence, origin.attribute, error, std::move(sentence)};
    return false;
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
  bool check(const LoadExtension& action) { return writes(action.to, action.length); }
  bool check(const LoadMeta& action) {
    const bool name = action.key == MetaKey::iifname || action.key == MetaKey::oifname;
    return writes(action.to, name ? 16 : 4);
  }
  bool check(const StoreMark& action) { return reads(action.from, 4); }
  bool check(const LoadCt& action) { return writes(action.to, bytes_of(action.key)); }
  bool check(const StoreCt& action) { return reads(action.from, bytes_of(action.key)); }
  bool check(const Untrack&) { return true; }
  bool check(const Translate& action) {
    const unsigned address_bytes = action.family == Family::ip6 ? 16 : 4;
    return (!action.has_address ||
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
  bool check(const Touch&) { return true; }
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
    if (action.kind == RejectKind::icmpx_unreachable && family != Family::inet)
      return refuse(at_, EINVAL, "reject with icmpx is for inet tables");
    return true;
  }

  unsigned bytes_of(CtKey key) const {
    switch (key) {
      case CtKey::labels:
      case CtKey::source_v6:
      case CtKey::destination_v6:
        return 16;
      case CtKey::source:
      case CtKey::destination:
        return ruleset_.tables[table_].family == Family::ip ? 4 : 16;
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

  // --- chains ---
  // Where the rules of each chain can go, each target once, with one of the places that say so.
  struct Edge {
    uint32_t target;
    Origin origin;
  };
  bool collect_edges() {
    set_targets_.resize(ruleset_.sets.size());
    for (uint32_t set = 0; set < ruleset_.sets.size(); ++set) {
      std::vector<uint32_t>& targets = set_targets_[set];
      for (const Element& element : ruleset_.sets[set].elements) {
        if (element.verdict.chain == kNone) continue;
        if (ruleset_.chains[element.verdict.chain].name.empty())
          return refuse(ruleset_.sets[set].origin, EINVAL, "a map leads to an anonymous chain");
        targets.push_back(element.verdict.chain);
      }
      std::sort(targets.begin(), targets.end());
      targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
    }
    edges_.resize(ruleset_.chains.size());
    std::vector<uint32_t> met_by(ruleset_.chains.size(), kNone);
    uint64_t visits = 0;
    for (uint32_t chain = 0; chain < ruleset_.chains.size(); ++chain) {
      for (const Rule& rule : ruleset_.chains[chain].rules) {
        for (const Expression& expression : rule.expressions) {
          const Origin origin{rule.origin.sequence, expression.attribute};
          for (const uint32_t target : targets_of(expression)) {
            if (++visits > kMostVisits) return refuse(origin, E2BIG, "there are too many jumps");
            if (met_by[target] == chain) continue;
            met_by[target] = chain;
            edges_[chain].push_back({target, origin});
          }
        }
      }
    }
    return true;
  }
  std::span<const uint32_t> targets_of(const Expression& expression) const {
    if (const auto* decide = std::get_if<Decide>(&expression.action))
      return {&decide->verdict.chain, decide->verdict.chain != kNone ? size_t{1} : size_t{0}};
    if (const auto* lookup = std::get_if<Lookup>(&expression.action); lookup != nullptr && lookup->to_verdict)
      return set_targets_[lookup->set];
    return {};
  }

  // Depth of the jumps below each chain, and what a packet can cost in it: the deepest first. A chain that is
  // met again while its own targets are looked at is a loop. Recursion is bounded: what is too deep ends it.
  bool descend(uint32_t chain, unsigned level, Origin from) {
    if (depth_[chain] == kOpen)
      return refuse(from, EMLINK, "chain " + ruleset_.chains[chain].name + " leads back to itself");
    if (depth_[chain] != kUnseen) return true;
    if (level > kDeepestJump) return refuse(from, EMLINK, "jumps go deeper than 16 chains");
    depth_[chain] = kOpen;
    unsigned below = 0;
    for (const Edge& edge : edges_[chain]) {
      if (!descend(edge.target, level + 1, edge.origin)) return false;
      below = std::max(below, depth_[edge.target] + 1);
    }
    depth_[chain] = below;
    const Origin origin = ruleset_.chains[chain].origin;
    const std::string& name = ruleset_.chains[chain].name;
    if (below >= kDeepestJump)
      return refuse(origin, EMLINK, "jumps from chain " + name + " go deeper than 16 chains");
    for (const Rule& rule : ruleset_.chains[chain].rules) cost_[chain] += cost_of(rule);
    return cost_[chain] <= kMostCost ||
           refuse(origin, EMLINK, "a packet in chain " + name + " could take forever");
  }
  // Ranges in several dimensions are searched one after another; anything else by a few comparisons.
  uint64_t search_cost(const Expression& expression) const {
    const auto* lookup = std::get_if<Lookup>(&expression.action);
    const auto* mapped = std::get_if<TouchMapped>(&expression.action);
    if (lookup == nullptr && mapped == nullptr) return 0;
    const Set& set = ruleset_.sets[lookup != nullptr ? lookup->set : mapped->set];
    return set.shape == SetShape::concatenated_ranges ? set.elements.size() : 0;
  }
  // In expressions. Each addend is at most kMostCost.
  uint64_t cost_of(const Rule& rule) {
    uint64_t cost = 1;
    for (const Expression& expression : rule.expressions) {
      uint64_t target_cost = 0;
      if (const auto* lookup = std::get_if<Lookup>(&expression.action);
          lookup != nullptr && lookup->to_verdict) {
        uint64_t& known = set_cost_[lookup->set];
        if (known == 0) {
          for (const uint32_t target : set_targets_[lookup->set]) known = std::max(known, cost_[target]);
        }
        target_cost = known;
      } else {
        for (const uint32_t target : targets_of(expression)) target_cost = cost_[target];
      }
      cost += 1 + target_cost + search_cost(expression);
    }
    return cost;
  }

  // Which hooks each chain can be reached from, by type of the base chain, and whether what it does is
  // possible there.
  struct Reached {
    uint8_t filter = 0, nat = 0;
  };
  void spread(uint32_t chain, Reached from) {
    Reached& hooks = hooks_[chain];
    if ((hooks.filter | from.filter) == hooks.filter && (hooks.nat | from.nat) == hooks.nat) return;
    hooks.filter |= from.filter;
    hooks.nat |= from.nat;
    for (const Edge& edge : edges_[chain]) spread(edge.target, from);
  }
  bool check_hooks() {
    for (uint32_t chain = 0; chain < ruleset_.chains.size(); ++chain) {
      const Chain& each = ruleset_.chains[chain];
      if (!each.is_base) continue;
      Reached from;
      (each.type == ChainType::nat ? from.nat : from.filter) = bit(each.hook);
      spread(chain, from);
    }
    for (uint32_t chain = 0; chain < ruleset_.chains.size(); ++chain) {
      for (const Rule& rule : ruleset_.chains[chain].rules) {
        for (const Expression& expression : rule.expressions) {
          at_ = {rule.origin.sequence, expression.attribute};
          if (!check_hooks_of(expression, hooks_[chain])) return false;
        }
      }
    }
    return true;
  }
  bool check_hooks_of(const Expression& expression, Reached from) {
    if (std::holds_alternative<Reject>(expression.action) &&
        ((from.filter | from.nat) & ~kRejectingHooks) != 0)
      return refuse(at_, EOPNOTSUPP, "nothing can be rejected at this hook");
    const auto* translate = std::get_if<Translate>(&expression.action);
    if (translate == nullptr) return true;
    if (from.filter != 0)
      return refuse(at_, EOPNOTSUPP, "only chains of type nat translate: write `type nat hook`");
    if ((from.nat & ~hooks_of(translate->kind)) != 0)
      return refuse(at_, EOPNOTSUPP,
                    "this cannot be translated at this hook: dnat and redirect stand at prerouting and "
                    "output, snat at input and postrouting, masquerade at postrouting");
    return true;
  }

  static constexpr unsigned kUnseen = UINT32_MAX, kOpen = UINT32_MAX - 1;
  const Ruleset& ruleset_;
  std::optional<Refusal> refusal_;
  Origin at_;
  uint32_t table_ = 0;
  uint32_t written_ = 0;
  std::vector<uint32_t> set_users_, chain_users_;
  std::vector<std::vector<uint32_t>> set_targets_;
  std::vector<std::vector<Edge>> edges_;  // by chain
  std::vector<uint64_t> set_cost_;
  std::vector<unsigned> depth_;
  std::vector<uint64_t> cost_;
  std::array<uint64_t, kHooks> hook_cost_{};
  std::vector<Reached> hooks_;
};

}  // namespace

std::optional<Refusal> verify(const Ruleset& ruleset) {
  return Verifier(ruleset).run();
}

}  // namespace skerry::filter
