// The index against rule after rule: over rulesets and packets that are drawn from seeds, every verdict,
// counter and hit is the same.
#include "filter/rule_index.hpp"

#include <gtest/gtest.h>

#include "base/check.hpp"
#include "base/random.hpp"
#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kLink = 0, kNetwork = 1, kTransport = 2, kEqual = 0, kNotEqual = 1, kLess = 2;
constexpr int32_t kDrop = 0, kAccept = 1, kContinue = -1, kJump = -3, kReturn = -5;

Octets and_mask(const Octets& mask) {
  return expression("bitwise",
                    join(attribute(nft::kBitwiseFrom, be32(1)), attribute(nft::kBitwiseTo, be32(1)),
                         attribute(nft::kBitwiseLength, be32(static_cast<uint32_t>(mask.size()))),
                         value(nft::kBitwiseMask, mask), value(nft::kBitwiseXor, Octets(mask.size()))));
}

// Rules of few values, so that many are alike, some twice, and many packets find one.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  Octets rules(const std::string& chain_name, uint32_t count, const std::vector<std::string>& below) {
    Octets all;
    for (uint32_t i = 0; i < count; ++i)
      all = join(all, rule(chain_name, join(tests(), counter(), write(), end(below))));
    return all;
  }
  // Of concatenated ranges, which lie over each other.
  Octets ranges() {
    const auto field = [](uint32_t bytes) {
      return attribute(nft::kListElement, attribute(nft::kFieldLength, be32(bytes)));
    };
    const Octets fields = attribute(nft::kDescriptionConcat, join(field(4), field(2)));
    Octets all;
    for (int i = 0; i < 8; ++i) {
      const uint8_t host = small(), port = small();
      all = join(
          all, element({10, 0, 0, host, 0, port, 0, 0},
                       value(nft::kElementKeyEnd, {10, 0, 0, static_cast<uint8_t>(host + random_.below(2)), 0,
                                                   static_cast<uint8_t>(port + random_.below(2)), 0, 0})));
    }
    return join(set({.flags = nft::kSetInterval | nft::kSetConcat,
                     .key_bytes = 8,
                     .name = "ranges",
                     .more = attribute(nft::kSetDescription, fields)}),
                elements(all, "ranges"));
  }
  // What tracking says of it.
  CtState state() {
    return std::array{CtState::invalid, CtState::established, CtState::related,
                      CtState::fresh}[random_.below(4)];
  }
  Octets packet() {
    Octets bytes = {0x45, 0, 0, 32, 0,    1,    0, 0,  64, 17, 0, 0, 10, 0, 0, 1,
                    10,   0, 0, 2,  0x13, 0x88, 0, 53, 0,  12, 0, 0, 1,  2, 3, 4};
    bytes.resize(44);
    bytes[33] = one_of({1, 2, 3, 16, 18});
    bytes[3] = one_of({21, 23, 28, 33, 34, 44, 44, 44});  // some end within a field
    bytes[9] = one_of({6, 17, 17});
    bytes[7] = one_of({0, 0, 0, 5});  // a later piece: no ports
    bytes[15] = small();
    bytes[19] = small();
    bytes[21] = small();
    bytes[23] = small();
    return bytes;
  }

 private:
  uint8_t small() { return static_cast<uint8_t>(random_.below(6)); }
  uint8_t one_of(std::initializer_list<uint8_t> values) {
    return values.begin()[random_.below(static_cast<uint32_t>(values.size()))];
  }
  uint32_t comparison() { return random_.below(8) == 0 ? kNotEqual : random_.below(8) == 0 ? kLess : kEqual; }
  Octets test() {
    switch (random_.below(10)) {
      case 0:
        return join(payload(kTransport, 2, 2), cmp(comparison(), {0, small()}));
      case 1:
        return join(payload(kTransport, 1, 1), cmp(comparison(), {small()}));
      case 2:
        return join(payload(kNetwork, 9, 1), cmp(comparison(), {one_of({6, 17})}));
      case 3: {  // the lowest bits, or none
        const uint8_t mask = one_of({0, 1, 2, 3, 7});
        return join(payload(kNetwork, 12, 4), and_mask({0xff, 0, 0, mask}),
                    cmp(comparison(), {10, 0, 0, static_cast<uint8_t>(small() & mask)}));
      }
      case 4: {  // ct state, one or two
        const uint8_t states = one_of({1, 2, 4, 8, 6, 10});
        return join(expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0)))),
                    and_mask({states, 0, 0, 0}), cmp(kNotEqual, {0, 0, 0, 0}));
      }
      case 5: {  // TCP's flags
        const uint8_t flags = one_of({1, 2, 3, 16});
        return join(payload(kTransport, 13, 1), and_mask({flags}),
                    random_.below(2) == 0 ? cmp(kNotEqual, {0}) : cmp(kEqual, {flags}));
      }
      case 6:
        return join(payload(kLink, random_.below(2) == 0 ? 5 : 12, 4), cmp(comparison(), {small(), 0, 0, 0}));
      case 7:  // source address . port
        return join(payload(kNetwork, 12, 4), payload(kTransport, 2, 2, 9), lookup("ranges"));
      case 8:
        return join(expression("meta", join(attribute(nft::kMetaTo, be32(1)),
                                            attribute(nft::kMetaKey, be32(one_of({4, 16}))))),
                    cmp(kEqual, {one_of({2, 6, 17}), 0, 0, 0}));
      default:
        return join(payload(kNetwork, 16, 4), cmp(comparison(), {10, 0, 0, small()}));
    }
  }
  Octets tests() {
    Octets all;
    for (uint32_t left = random_.below(4); left > 0; --left) all = join(all, test());
    return all;
  }
  // Now and then, what others compare.
  Octets write() {
    if (random_.below(12) != 0) return {};
    const bool port = random_.below(2) == 0;
    const Octets bytes = port ? Octets{0, small()} : Octets{10, 0, 0, small()};
    return join(expression("immediate",
                           join(attribute(nft::kImmediateTo, be32(1)), value(nft::kImmediateData, bytes))),
                expression("payload",
                           join(attribute(nft::kPayloadFrom, be32(1)),
                                attribute(nft::kPayloadBase, be32(port ? kTransport : kNetwork)),
                                attribute(nft::kPayloadOffset, be32(port ? 2 : 12)),
                                attribute(nft::kPayloadLength, be32(static_cast<uint32_t>(bytes.size()))))));
  }
  Octets end(const std::vector<std::string>& below) {
    const uint32_t chosen = random_.below(10);
    if (chosen == 0) return verdict(kDrop);
    if (chosen == 1) return verdict(kAccept);
    if (chosen == 2) return verdict(kReturn);
    if (chosen <= 4 && !below.empty())
      return verdict(kJump, below[random_.below(static_cast<uint32_t>(below.size()))]);
    return chosen == 5 ? verdict(kContinue) : Octets{};
  }

  Random random_;
};

Ruleset loaded(const Octets& bytes) {
  Ruleset ruleset;
  const auto refused = load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return ruleset;
}

RuleIndex index_of(const Ruleset& ruleset) {
  return RuleIndex(ruleset.chains[0].rules, ConditionReader(ruleset));
}

TEST(RuleIndex, AgreesWithRuleAfterRule) {
  size_t useful = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Draw draw(seed);
    const Octets bytes =
        batch(table(), draw.ranges(), base_chain("in", Policy::drop), chain("a"), chain("b"),
              draw.rules("in", 40, {"a", "b"}), draw.rules("a", 30, {"b"}), draw.rules("b", 20, {}));
    const Ruleset ruleset = loaded(bytes);
    const ConditionReader reader(ruleset);
    for (const Chain& each : ruleset.chains) useful += RuleIndex(each.rules, reader).is_useful() ? 1 : 0;
    Engine indexed(ruleset), linear(ruleset, 0, {}, Engine::Search::linear);
    for (TimeNs now = 0; now < 200; ++now) {
      Octets sent = draw.packet();
      const Octets link = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
      const Interface network = network_interface();
      Packet one;
      CHECK(one.read(sent));
      one.in = &network;
      if (now % 3 != 0) one.link = link;
      one.tracked.state = draw.state();
      Packet other = one;
      Octets copy(one.bytes.begin(), one.bytes.end());  // rules write into it
      other.bytes = copy;
      const Judgement got = indexed.judge(Hook::input, one, now);
      const Judgement expected = linear.judge(Hook::input, other, now);
      ASSERT_EQ(got.accepted, expected.accepted) << "seed " << seed << ", packet " << now;
      ASSERT_EQ(got.chain, expected.chain) << "seed " << seed << ", packet " << now;
      ASSERT_EQ(got.rule, expected.rule) << "seed " << seed << ", packet " << now;
      ASSERT_TRUE(std::equal(copy.begin(), copy.end(), one.bytes.begin()))
          << "seed " << seed << ", packet " << now;
    }
    for (uint32_t i = 0; i < ruleset.stateful.size(); ++i)
      ASSERT_EQ(indexed.tally(i).packets, linear.tally(i).packets) << "seed " << seed;
    for (uint32_t i = 0; i < ruleset.chains.size(); ++i) {
      for (uint32_t rule = 0; rule < ruleset.chains[i].rules.size(); ++rule)
        ASSERT_EQ(indexed.hits(i, rule).last, linear.hits(i, rule).last) << "seed " << seed;
    }
  }
  EXPECT_GT(useful, 100U) << "so that it cannot pass because nothing was indexed";
}

TEST(RuleIndex, AFewRulesHaveNone) {
  const Octets test = join(payload(kTransport, 2, 2), cmp(kEqual, {0, 1}), verdict(kAccept));
  EXPECT_FALSE(index_of(loaded(batch(table(), base_chain(), rule("in", test)))).is_useful());
}

// A rule may change the mark that the next one compares.
TEST(RuleIndex, LeavesTheMarkAlone) {
  const auto mark_is = [](uint8_t number) {
    return join(expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(3)))),
                cmp(kEqual, {number, 0, 0, 0}), verdict(kAccept));
  };
  const Ruleset ruleset = loaded(batch(table(), base_chain(), rule("in", mark_is(1)), rule("in", mark_is(2)),
                                       rule("in", mark_is(3)), rule("in", mark_is(4))));
  EXPECT_FALSE(index_of(ruleset).is_useful());
}

// Prefixes of sixteen lengths, as those of a routing table: far fewer tables than lengths, and one where
// there are so few of each that they would be run one after the other.
TEST(RuleIndex, RulesOfManyMasksShareTables) {
  const auto index_of_prefixes = [](uint32_t count) {
    Octets rules;
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t mask = ~uint32_t{0} << (i % 16);
      rules =
          join(rules, rule("in", join(payload(kNetwork, 12, 4), and_mask(be32(mask)),
                                      cmp(kEqual, be32((0x0a640000 + (i << 10)) & mask)), verdict(kAccept))));
    }
    return index_of(loaded(batch(table(), base_chain(), rules)));
  };
  EXPECT_TRUE(index_of_prefixes(640).is_useful());
  EXPECT_LE(index_of_prefixes(640).tables(), 6U);
  EXPECT_EQ(index_of_prefixes(8).tables(), 1U);
}

// As many masks as rules: there is nothing to share, and looking for it ends.
TEST(RuleIndex, LooksForTablesNoLongerThanThereAreRules) {
  constexpr uint32_t kRules = 3000;
  Octets rules;
  for (uint32_t i = 0; i < kRules; ++i) {
    const Octets mask = be32(0xff000000 | (i + 1));
    rules = join(rules, rule("in", join(payload(kNetwork, 12, 4), and_mask(mask), cmp(kEqual, {10, 0, 0, 0}),
                                        verdict(kAccept))));
  }
  const RuleIndex index = index_of(loaded(batch(table(), base_chain(), rules)));
  EXPECT_LE(index.work(), kRules * (RuleDrafts::kWork + 1));
}

// Rules that are in no table do not look at what the tables found until its turn comes.
TEST(RuleIndex, RulesInNoTableCostNothingBeside) {
  constexpr uint32_t kAlone = 20;
  Octets rules;
  const auto of_port = [&](uint8_t port) {
    rules =
        join(rules, rule("in", join(payload(kTransport, 2, 2), cmp(kEqual, {0, port}), verdict(kContinue))));
  };
  for (uint32_t i = 0; i < kAlone; ++i)
    rules = join(rules, rule("in", join(payload(kTransport, 2, 2), cmp(kLess, {0, 9}), verdict(kContinue))));
  for (uint8_t port = 1; port <= 8; ++port) of_port(port);
  for (uint8_t port = 1; port <= 8; ++port) of_port(port);
  const RuleIndex index = index_of(loaded(batch(table(), base_chain(), rules)));
  Octets sent = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 0, 5, 0, 8, 0, 0};
  Packet packet;
  CHECK(packet.read(sent));
  RuleIndex::Walk walk;
  index.enter(packet, walk);
  ASSERT_EQ(walk.found, 1U);
  for (const uint32_t rule : {kAlone + 4, kAlone + 12}) {
    walk.found = 0;  // nothing to look at
    for (uint32_t from = rule == kAlone + 4 ? 0 : rule - 7; from <= rule; ++from)
      ASSERT_EQ(index.next(walk, from), from < kAlone ? from : rule);
    walk.found = 1;
    index.next(walk, rule + 1);
  }
  EXPECT_EQ(walk.least, kNone);
  EXPECT_EQ(index.next(walk, kAlone + 13), kAlone + 16) << "behind the last";
}

// Prefixes that lie in one another, and one port: no table tells such rules apart, yet none is run for a
// packet to another port, or from elsewhere.
TEST(RuleIndex, RulesInNoTableArePassedOverByTwoComparisons) {
  constexpr uint32_t kRules = 12;
  Octets rules;
  for (uint32_t i = 0; i < kRules; ++i) {
    const uint32_t mask = ~uint32_t{0} << i;
    rules = join(rules, rule("in", join(payload(kNetwork, 12, 4), and_mask(be32(mask)),
                                        cmp(kEqual, be32(0x0a000001 & mask)), payload(kTransport, 2, 2),
                                        cmp(kEqual, {0, 53}), verdict(kContinue))));
  }
  const RuleIndex index = index_of(loaded(batch(table(), base_chain(), rules)));
  EXPECT_EQ(index.tables(), 0U);
  const auto first = [&](uint8_t host, uint8_t port) {
    Octets sent = {0x45, 0,    0,  28, 0, 0, 0, 0, 64, 17,   0, 0, 10, 0,
                   0,    host, 10, 0,  0, 2, 1, 1, 0,  port, 0, 8, 0,  0};
    Packet packet;
    CHECK(packet.read(sent));
    RuleIndex::Walk walk;
    index.enter(packet, walk);
    return index.next(walk, 0);
  };
  EXPECT_EQ(first(1, 53), 0U);
  EXPECT_EQ(first(9, 53), 4U) << "the first prefix that holds it";
  EXPECT_EQ(first(1, 54), kRules);
}

// More words than a walk holds: those that few rules compare are left to the interpreter.
TEST(RuleIndex, OfTooManyWordsTheFrequentAreCompared) {
  Octets rules;
  for (uint32_t i = 0; i < 2 * RuleIndex::kMostWords; ++i)
    rules = join(rules,
                 rule("in", join(payload(kTransport, 2, 2), cmp(kEqual, {0, static_cast<uint8_t>(i)}),
                                 payload(kTransport, 8 + 8 * i, 2), cmp(kEqual, {1, 2}), verdict(kAccept))));
  const RuleIndex index = index_of(loaded(batch(table(), base_chain(), rules)));
  EXPECT_EQ(index.tables(), 1U);
  Octets sent = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 0, 40, 0, 8, 0, 0};
  Packet packet;
  CHECK(packet.read(sent));
  RuleIndex::Walk walk;
  index.enter(packet, walk);
  EXPECT_GE(index.next(walk, 0), 40U);
}

// Only IPv4 is remembered: what IPv6 rules look at is no reason not to.
TEST(RuleIndex, RulesOfIpv6AreNoneOfAFlowThatIsRemembered) {
  const auto of_family = [](const Octets& family) {
    Octets rules;
    for (uint8_t i = 1; i <= 8; ++i) {
      Octets address(16);
      address[15] = i;
      rules = join(
          rules, rule("in", join(family, payload(kNetwork, 8, 16), cmp(kEqual, address), verdict(kAccept))));
    }
    return index_of(loaded(batch(table(), base_chain(), rules)));
  };
  const auto meta_is = [](uint32_t key, const Octets& wanted) {
    return join(
        expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(key)))),
        cmp(kEqual, wanted));
  };
  constexpr uint32_t kProtocol = 1, kFamily = 15;
  for (const Octets& v6 : {meta_is(kFamily, {10}), meta_is(kProtocol, {0x86, 0xdd})}) {
    EXPECT_TRUE(of_family(v6).is_useful());
    EXPECT_TRUE(of_family(v6).is_of_flow());
  }
  for (const Octets& v4 : {Octets{}, meta_is(kFamily, {2}), meta_is(kProtocol, {0x08, 0x00})})
    EXPECT_FALSE(of_family(v4).is_of_flow());
}

// What rules compare before a port is no reason to run them.
TEST(RuleIndex, APortIsFoundBehindAStateOrAnotherTest) {
  const auto of_port = [](const Octets& before) {
    Octets rules;
    for (uint8_t port = 1; port <= 8; ++port)
      rules =
          join(rules,
               rule("in", join(before, payload(kTransport, 2, 2), cmp(kEqual, {0, port}), verdict(kAccept))));
    return rules;
  };
  const Octets state =
      expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0))));
  for (const Octets& before : {join(state, and_mask({8, 0, 0, 0}), cmp(kNotEqual, {0, 0, 0, 0})),
                               join(payload(kTransport, 0, 2), cmp(kLess, {4, 0}))})
    EXPECT_EQ(index_of(loaded(batch(table(), base_chain(), of_port(before)))).tables(), 1U);
  // What counts has lasted.
  EXPECT_FALSE(index_of(loaded(batch(table(), base_chain(), of_port(counter())))).is_useful());
}

}  // namespace
}  // namespace skerry::filter
