// What is called dead never comes to life: over rulesets and packets that are drawn from seeds, no packet
// ever holds for a rule that was named, or gets into a chain that was.
#include "filter/dead_rules.hpp"

#include <gmock/gmock.h>

#include "base/check.hpp"
#include "base/random.hpp"
#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Why = DeadRule::Why;
constexpr uint32_t kNetwork = 1, kTransport = 2, kEqual = 0, kNotEqual = 1, kLess = 2, kGreaterEqual = 5;
constexpr int32_t kDrop = 0, kAccept = 1, kContinue = -1, kJump = -3, kGoto = -4, kReturn = -5;

Ruleset loaded(const Octets& bytes) {
  Ruleset ruleset;
  const auto refused = load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return ruleset;
}

Octets mask(const Octets& bits, uint32_t in = 1) {
  return expression("bitwise",
                    join(attribute(nft::kBitwiseFrom, be32(in)), attribute(nft::kBitwiseTo, be32(in)),
                         attribute(nft::kBitwiseLength, be32(static_cast<uint32_t>(bits.size()))),
                         value(nft::kBitwiseMask, bits), value(nft::kBitwiseXor, Octets(bits.size()))));
}
Octets range(uint32_t operation, const Octets& low, const Octets& high) {
  return expression(
      "range", join(attribute(nft::kRangeFrom, be32(1)), attribute(nft::kRangeOperation, be32(operation)),
                    value(nft::kRangeLow, low), value(nft::kRangeHigh, high)));
}
Octets dport() {
  return payload(kTransport, 2, 2);
}
Octets source() {
  return payload(kNetwork, 12, 4);
}

// Each as "index<by": c contradiction, d decided, s shadowed; a chain that nothing leads to by its name.
std::vector<std::string> dead(const std::vector<Octets>& rules, const Octets& before = {}) {
  Octets all;
  for (const Octets& each : rules) all = join(all, rule("in", each));
  const Ruleset ruleset = loaded(batch(table(), before, base_chain(), all));
  std::vector<std::string> words;
  for (const DeadRule& each : find_dead_rules(ruleset)) {
    if (each.why == Why::unreachable)
      words.push_back(ruleset.chains[each.chain].name);
    else
      words.push_back("cds"[static_cast<int>(each.why)] + std::to_string(each.rule) +
                      (each.by == kNone ? "" : "<" + std::to_string(each.by)));
  }
  return words;
}

TEST(DeadRules, BehindAVerdictForAll) {
  EXPECT_THAT(dead({join(counter(), verdict(kDrop)), join(dport(), cmp(kEqual, {0, 80})), counter()}),
              ElementsAre("d1<0", "d2<0"));
  EXPECT_THAT(dead({join(dport(), verdict(kDrop)), counter()}), IsEmpty()) << "a packet may have no ports";
  EXPECT_THAT(dead({verdict(kContinue), counter()}), IsEmpty());
  EXPECT_THAT(dead({verdict(-2), counter()}), IsEmpty());
}

TEST(DeadRules, InAnothersShadow) {
  const Octets port_80 = join(dport(), cmp(kEqual, {0, 80})), low = join(dport(), cmp(kLess, {1, 0}));
  EXPECT_THAT(dead({join(port_80, verdict(kAccept)),
                    join(source(), cmp(kEqual, {10, 0, 0, 1}), port_80, verdict(kDrop))}),
              ElementsAre("s1<0"));
  EXPECT_THAT(dead({join(low, verdict(kDrop)), join(port_80, verdict(kAccept))}), ElementsAre("s1<0"));
  EXPECT_THAT(dead({join(port_80, verdict(kAccept)), join(low, verdict(kDrop))}), IsEmpty());
  EXPECT_THAT(dead({port_80, join(port_80, verdict(kDrop))}), IsEmpty()) << "the first ends nothing";
  EXPECT_THAT(dead({join(port_80, verdict(kReturn)), join(port_80, verdict(kDrop))}), ElementsAre("s1<0"));
}

// A prefix that ends within a byte is a mask, one that does not a shorter load, and two fields beside each
// other are one load: they are compared as the ranges that they are.
TEST(DeadRules, HoweverNftWritesAField) {
  const Octets ten = join(payload(kNetwork, 12, 1), cmp(kEqual, {10})),
               twelve = join(source(), mask({255, 240, 0, 0}), cmp(kEqual, {10, 16, 0, 0})),
               host = join(source(), cmp(kEqual, {10, 17, 0, 1})),
               both = join(payload(kNetwork, 12, 8), cmp(kEqual, {10, 17, 0, 1, 10, 0, 0, 2})),
               to = join(payload(kNetwork, 16, 4), cmp(kEqual, {10, 0, 0, 2}));
  EXPECT_THAT(dead({join(ten, verdict(kDrop)), twelve, host, both, to}), ElementsAre("s1<0", "s2<0", "s3<0"));
  EXPECT_THAT(dead({join(twelve, verdict(kDrop)), ten, host, both, to}), ElementsAre("s2<0", "s3<0"));
  EXPECT_THAT(dead({join(to, verdict(kDrop)), host, both}), ElementsAre("s2<0"));
  EXPECT_THAT(dead({join(both, verdict(kDrop)), host, to}), IsEmpty());
}

TEST(DeadRules, WhatCannotBeTogether) {
  EXPECT_THAT(dead({join(dport(), cmp(kEqual, {0, 80}), dport(), cmp(kEqual, {0, 81}))}), ElementsAre("c0"));
  EXPECT_THAT(dead({join(dport(), cmp(kLess, {0, 80}), cmp(kGreaterEqual, {0, 80}))}), ElementsAre("c0"));
  EXPECT_THAT(dead({join(dport(), cmp(kLess, {0, 80}), cmp(kGreaterEqual, {0, 79}))}), IsEmpty());
  EXPECT_THAT(dead({join(dport(), cmp(kLess, {0, 0}))}), ElementsAre("c0"));
  EXPECT_THAT(dead({join(source(), mask({255, 240, 0, 0}), cmp(kEqual, {10, 17, 0, 0}))}), ElementsAre("c0"));
}

TEST(DeadRules, WhatAMaskTakesAway) {
  const auto flags = [](uint8_t bits, uint32_t comparison, uint8_t wanted) {
    return join(payload(kTransport, 13, 1), mask({bits}), cmp(comparison, {wanted}));
  };
  EXPECT_THAT(dead({flags(0x05, kEqual, 2), flags(0x05, kEqual, 4), flags(0x05, kNotEqual, 2)}),
              ElementsAre("c0"));
}

TEST(DeadRules, InterfacesThatNoStackHas) {
  const auto came_by = [](const std::string& name, size_t bytes, uint32_t comparison) {
    Octets wanted(name.begin(), name.end());
    wanted.resize(bytes);
    return join(expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(6)))),
                cmp(comparison, wanted));
  };
  EXPECT_THAT(dead({came_by("wan", 16, kEqual), came_by("eth0", 16, kEqual), came_by("lo", 16, kEqual),
                    came_by("", 16, kEqual), came_by("wan", 16, kNotEqual)}),
              ElementsAre("c0"));
  EXPECT_THAT(dead({came_by("eth", 3, kEqual), came_by("wl", 2, kEqual)}), ElementsAre("c1"));
}

// What may be otherwise for the next packet, or after the next command.
TEST(DeadRules, WhatMayChangeIsNoShadow) {
  const Octets set_s = set({}), asks = join(source(), lookup());
  const Octets limit =
      expression("limit", join(attribute(nft::kLimitRate, be64(1)), attribute(nft::kLimitUnit, be64(1))));
  EXPECT_THAT(dead({join(asks, verdict(kDrop)), join(asks, verdict(kDrop))}, set_s), IsEmpty())
      << "elements may go";
  EXPECT_THAT(dead({join(limit, verdict(kDrop)), counter()}), IsEmpty());
  const Octets mark =
      join(expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(3)))),
           cmp(kEqual, {1, 0, 0, 0}), verdict(kDrop));
  EXPECT_THAT(dead({mark, mark}), IsEmpty());
}

// A rule that gives up tracking sees another state behind that than before.
TEST(DeadRules, WhatARuleItselfChanges) {
  const auto state = [](uint8_t bit) {
    return join(expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0)))),
                cmp(kEqual, {bit, 0, 0, 0}));
  };
  EXPECT_THAT(dead({join(state(8), state(64))}), ElementsAre("c0"));
  EXPECT_THAT(dead({join(state(8), expression("notrack", {}), state(64))}), IsEmpty());
}

TEST(DeadRules, AMapWithAnElementForAllOthersSaysNothing) {
  const Octets all =
      attribute(nft::kListElement, join(attribute(nft::kElementFlags, be32(nft::kElementCatchall)),
                                        attribute(nft::kElementData, verdict_data(kContinue))));
  const Octets map = join(set({.flags = nft::kSetAnonymous | nft::kSetConstant | nft::kSetMap,
                               .more = attribute(nft::kSetDataType, be32(nft::kDataTypeVerdict))}),
                          elements(all));
  EXPECT_THAT(dead({join(source(), lookup("s", join(attribute(nft::kLookupSetId, be32(1)),
                                                    attribute(nft::kLookupTo, be32(0))))),
                    counter()},
                   map),
              IsEmpty());
}

TEST(DeadRules, ChainsThatNothingLeadsTo) {
  EXPECT_THAT(dead({verdict(kJump, "a")}, join(chain("a"), chain("b"))), ElementsAre("b"));
  EXPECT_THAT(dead({verdict(kDrop), verdict(kJump, "a")}, chain("a")), ElementsAre("a", "d1<0"));
}

// Few fields and few values in each way that nft writes them.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  Octets rules(const std::string& chain_name, uint32_t count, const std::vector<std::string>& below) {
    Octets all;
    for (uint32_t i = 0; i < count; ++i) all = join(all, rule(chain_name, join(tests(), end(below))));
    return all;
  }
  // The anonymous sets that rules drawn so far ask.
  Octets sets;

  Octets packet() {
    Octets bytes = {0x45, 0, 0, 32, 0,    1,    0, 0,  64, 17, 0, 0, 10, 0, 0, 1,
                    10,   0, 0, 2,  0x13, 0x88, 0, 53, 0,  12, 0, 0, 1,  2, 3, 4};
    bytes[7] = random_.below(6) == 0 ? 5 : 0;  // a later piece: no ports
    bytes[9] = random_.below(2) == 0 ? 6 : 17;
    for (const size_t place : {15, 19, 21, 23}) bytes[place] = small();
    return bytes;
  }

 private:
  uint8_t small() { return static_cast<uint8_t>(random_.below(8)); }
  uint32_t comparison() { return random_.below(3) == 0 ? random_.below(6) : kEqual; }
  // Compares what was loaded: `bytes` of it, of which all but the last are those of `before`.
  Octets compare(const Octets& before) {
    Octets low = before, high = before;
    low.push_back(small());
    high.push_back(static_cast<uint8_t>(low.back() + random_.below(4)));
    switch (random_.below(4)) {
      case 0:
        return range(random_.below(2), low, high);
      case 1:
        return in_set(before, low);
      default:
        return cmp(comparison(), low);
    }
  }
  Octets in_set(const Octets& before, const Octets& first) {
    const uint32_t id = ++sets_;
    const std::string name = "__set" + std::to_string(id);
    const bool interval = random_.below(2) == 0;
    Octets all = element(first), other = before;
    other.push_back(static_cast<uint8_t>(first.back() + 1 + random_.below(3)));
    all = join(all, interval ? element(other, attribute(nft::kElementFlags, be32(nft::kElementIntervalEnd)))
                             : element(other));
    sets = join(sets,
                set({.flags = nft::kSetAnonymous | nft::kSetConstant | (interval ? nft::kSetInterval : 0U),
                     .key_bytes = static_cast<uint32_t>(first.size()),
                     .id = id,
                     .name = name}),
                elements(all, name, id));
    const Octets inverted = random_.below(4) == 0 ? attribute(nft::kLookupFlags, be32(1)) : Octets{};
    return lookup(name, join(attribute(nft::kLookupSetId, be32(id)), inverted));
  }
  Octets test() {
    const Octets address = {10, 0, 0};
    switch (random_.below(7)) {
      case 0:
        return join(dport(), compare({0}));
      case 1:
        return join(payload(kTransport, 3, 1), compare({}));
      case 2:
        return join(payload(kNetwork, 9, 1),
                    cmp(comparison(), {static_cast<uint8_t>(random_.below(2) == 0 ? 6 : 17)}));
      case 3:
        return join(source(), compare(address));
      case 4: {
        const auto bits = static_cast<uint8_t>(random_.below(2) == 0 ? 0xfe : 0x03);
        return join(source(), mask({255, 255, 255, bits}),
                    cmp(comparison(), {10, 0, 0, static_cast<uint8_t>(small() & bits)}));
      }
      case 5:
        return join(payload(kNetwork, 12, 8), cmp(comparison(), {10, 0, 0, small(), 10, 0, 0, small()}));
      default:
        return join(payload(kNetwork, 16, 4), compare(address));
    }
  }
  Octets tests() {
    Octets all;
    for (uint32_t left = random_.below(3) + (random_.below(8) == 0 ? 0 : 1); left > 0; --left)
      all = join(all, test());
    return all;
  }
  Octets end(const std::vector<std::string>& below) {
    const uint32_t chosen = random_.below(10);
    if (chosen <= 1) return verdict(kDrop);
    if (chosen == 2) return verdict(kAccept);
    if (chosen == 3) return verdict(kReturn);
    if (chosen <= 6 && !below.empty())
      return verdict(chosen == 4 ? kGoto : kJump, below[random_.below(static_cast<uint32_t>(below.size()))]);
    return chosen == 7 ? verdict(kContinue) : Octets{};
  }

  Random random_;
  uint32_t sets_ = 0;
};

TEST(DeadRules, NeverHold) {
  size_t named = 0, met = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Draw draw(seed);
    const Octets rules =
        join(draw.rules("in", 25, {"a", "b"}), draw.rules("a", 15, {"b"}), draw.rules("b", 10, {}));
    const Ruleset ruleset =
        loaded(batch(table(), base_chain("in", Policy::drop), chain("a"), chain("b"), draw.sets, rules));
    const std::vector<DeadRule> found = find_dead_rules(ruleset);
    named += found.size();
    Engine engine(ruleset);
    for (TimeNs now = 0; now < 2000; ++now) {
      Octets sent = draw.packet();
      Packet packet;
      CHECK(packet.read(sent));
      engine.judge(Hook::input, packet, now);
    }
    for (const DeadRule& each : found) {
      for (uint32_t rule = 0; rule < ruleset.chains[each.chain].rules.size(); ++rule) {
        if (each.rule != kNone && each.rule != rule) continue;
        ASSERT_EQ(engine.hits(each.chain, rule).packets, 0U)
            << "seed " << seed << " chain " << each.chain << " rule " << rule << " why "
            << static_cast<int>(each.why) << " by " << each.by;
      }
    }
    for (uint32_t rule = 0; rule < 25; ++rule) met += engine.hits(0, rule).packets > 0 ? 1 : 0;
  }
  EXPECT_GT(named, 200U) << "so that it cannot pass because nothing was named";
  EXPECT_GT(met, 500U) << "or because no packet ever holds";
}

}  // namespace
}  // namespace skerry::filter
