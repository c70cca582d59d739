// What the kernel refuses of chains together: jumps that return to where they came from or go too deep, and
// what stands where no hook that leads there allows it.
//
// Read first: nf_tables_api.c (nft_chain_validate).
#include <algorithm>
#include <array>
#include <bit>
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
constexpr uint8_t kRejectingHooks =
    bit(Hook::prerouting) | bit(Hook::input) | bit(Hook::output) | bit(Hook::ingress);

constexpr uint8_t kSocketHooks = bit(Hook::prerouting) | bit(Hook::input) | bit(Hook::output);

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

class ChainVerifier {
 public:
  ChainVerifier(const Ruleset& ruleset, const Pause& pause)
      : ruleset_(ruleset),
        pause_(pause),
        set_cost_(ruleset.sets.size()),
        depth_(ruleset.chains.size(), kUnseen),
        cost_(ruleset.chains.size(), 1),
        hooks_(ruleset.chains.size()) {}

  std::optional<Refusal> run() {
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

  // Where the rules of each chain can go, each target once, with one of the places that say so.
  struct Edge {
    uint32_t target;
    Origin origin;
  };
  bool collect_edges() {
    for (const Set& set : ruleset_.sets) {
      for (const uint32_t target : set.targets) {
        if (ruleset_.chains[target].name.empty())
          return refuse(set.origin, EINVAL, "a map leads to an anonymous chain");
        pause_();
      }
    }
    edges_.resize(ruleset_.chains.size());
    std::vector<uint32_t> met_by(ruleset_.chains.size(), kNone);
    uint64_t visits = 0;
    for (uint32_t chain = 0; chain < ruleset_.chains.size(); ++chain) {
      for (const Rule& rule : ruleset_.chains[chain].rules) {
        for (const Expression& expression : rule.expressions) {
          const Origin origin{rule.origin.sequence, expression.attribute};
          pause_();
          for (const uint32_t target : targets_of(expression)) {
            pause_();
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
      return ruleset_.sets[lookup->set].targets;
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
    for (const Rule& rule : ruleset_.chains[chain].rules) {
      cost_[chain] += cost_of(rule);
      pause_();
    }
    return cost_[chain] <= kMostCost ||
           refuse(origin, EMLINK, "a packet in chain " + name + " could take forever");
  }
  // Of ranges in several dimensions that lie over each other a search may have to look at all; anything else
  // takes a few comparisons. In steps, so that few of the elements that come later make it more.
  uint64_t search_cost(const Expression& expression) const {
    const auto* lookup = std::get_if<Lookup>(&expression.action);
    const auto* mapped = std::get_if<TouchMapped>(&expression.action);
    if (lookup == nullptr && mapped == nullptr) return 0;
    const Set& set = ruleset_.sets[lookup != nullptr ? lookup->set : mapped->set];
    return set.shape == SetShape::concatenated_ranges ? std::bit_ceil(set.size()) : 0;
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
          for (const uint32_t target : ruleset_.sets[lookup->set].targets)
            known = std::max(known, cost_[target]);
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
    for (const Edge& edge : edges_[chain]) {
      pause_();
      spread(edge.target, from);
    }
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
          const Origin origin{rule.origin.sequence, expression.attribute};
          if (!check_hooks_of(expression, origin, hooks_[chain])) return false;
        }
        pause_();
      }
    }
    return true;
  }
  bool check_hooks_of(const Expression& expression, Origin origin, Reached from) {
    if (std::holds_alternative<Reject>(expression.action) &&
        ((from.filter | from.nat) & ~kRejectingHooks) != 0)
      return refuse(origin, EOPNOTSUPP, "nothing can be rejected at this hook");
    if (std::holds_alternative<LoadSocket>(expression.action) &&
        ((from.filter | from.nat) & ~kSocketHooks) != 0)
      return refuse(origin, EOPNOTSUPP, "socket can be asked for at prerouting, input and output");
    const auto* translate = std::get_if<Translate>(&expression.action);
    if (translate == nullptr) return true;
    if (from.filter != 0)
      return refuse(origin, EOPNOTSUPP, "only chains of type nat translate: write `type nat hook`");
    if ((from.nat & ~hooks_of(translate->kind)) != 0)
      return refuse(origin, EOPNOTSUPP,
                    "this cannot be translated at this hook: dnat and redirect stand at prerouting and "
                    "output, snat at input and postrouting, masquerade at postrouting");
    return true;
  }

  static constexpr unsigned kUnseen = UINT32_MAX, kOpen = UINT32_MAX - 1;
  const Ruleset& ruleset_;
  const Pause& pause_;
  std::optional<Refusal> refusal_;
  std::vector<std::vector<Edge>> edges_;  // by chain
  std::vector<uint64_t> set_cost_;
  std::vector<unsigned> depth_;
  std::vector<uint64_t> cost_;
  std::array<uint64_t, kHooks> hook_cost_{};
  std::vector<Reached> hooks_;
};

}  // namespace

std::optional<Refusal> verify_chains(const Ruleset& ruleset, const Pause& pause) {
  return ChainVerifier(ruleset, pause).run();
}

}  // namespace skerry::filter
