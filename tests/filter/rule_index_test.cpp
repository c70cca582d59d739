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

constexpr uint32_t kNetwork = 1, kTransport = 2, kEqual = 0, kNotEqual = 1, kLess = 2;
constexpr int32_t kDrop = 0, kAccept = 1, kContinue = -1, kJump = -3, kReturn = -5;

// Rules of few values, so that many are alike, some twice, and many packets find one.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  Octets rules(const std::string& chain_name, uint32_t count, const std::vector<std::string>& below) {
    Octets all;
    for (uint32_t i = 0; i < count; ++i)
      all = join(all, rule(chain_name, join(tests(), counter(), end(below))));
    return all;
  }
  Octets packet() {
    Octets bytes = {0x45, 0, 0, 32, 0,    1,    0, 0,  64, 17, 0, 0, 10, 0, 0, 1,
                    10,   0, 0, 2,  0x13, 0x88, 0, 53, 0,  12, 0, 0, 1,  2, 3, 4};
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
    switch (random_.below(5)) {
      case 0:
        return join(payload(kTransport, 2, 2), cmp(comparison(), {0, small()}));
      case 1:
        return join(payload(kTransport, 1, 1), cmp(comparison(), {small()}));
      case 2:
        return join(payload(kNetwork, 9, 1), cmp(comparison(), {one_of({6, 17})}));
      case 3:  // the two lowest bits
        return join(
            payload(kNetwork, 12, 4),
            expression("bitwise",
                       join(attribute(nft::kBitwiseFrom, be32(1)), attribute(nft::kBitwiseTo, be32(1)),
                            attribute(nft::kBitwiseLength, be32(4)), value(nft::kBitwiseMask, {0, 0, 0, 3}),
                            value(nft::kBitwiseXor, {0, 0, 0, 0}))),
            cmp(comparison(), {0, 0, 0, one_of({0, 1, 2, 3})}));
      default:
        return join(payload(kNetwork, 16, 4), cmp(comparison(), {10, 0, 0, small()}));
    }
  }
  Octets tests() {
    Octets all;
    for (uint32_t left = random_.below(4); left > 0; --left) all = join(all, test());
    return all;
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

TEST(RuleIndex, AgreesWithRuleAfterRule) {
  size_t useful = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Draw draw(seed);
    const Octets bytes =
        batch(table(), base_chain("in", Policy::drop), chain("a"), chain("b"),
              draw.rules("in", 40, {"a", "b"}), draw.rules("a", 30, {"b"}), draw.rules("b", 20, {}));
    const Ruleset ruleset = loaded(bytes);
    for (const Chain& each : ruleset.chains) useful += RuleIndex(each.rules).is_useful() ? 1 : 0;
    Engine indexed(ruleset), linear(ruleset, 0, {}, Engine::Search::linear);
    for (TimeNs now = 0; now < 200; ++now) {
      Octets sent = draw.packet();
      Packet one, other;
      CHECK(one.read(sent) && other.read(sent));
      const Judgement got = indexed.judge(Hook::input, one, now);
      const Judgement expected = linear.judge(Hook::input, other, now);
      ASSERT_EQ(got.accepted, expected.accepted) << "seed " << seed << ", packet " << now;
      ASSERT_EQ(got.chain, expected.chain) << "seed " << seed << ", packet " << now;
      ASSERT_EQ(got.rule, expected.rule) << "seed " << seed << ", packet " << now;
    }
    for (uint32_t i = 0; i < ruleset.stateful.size(); ++i)
      ASSERT_EQ(indexed.tally(i).packets, linear.tally(i).packets) << "seed " << seed;
    for (uint32_t i = 0; i < ruleset.chains.size(); ++i) {
      for (uint32_t rule = 0; rule < ruleset.chains[i].rules.size(); ++rule)
        ASSERT_EQ(indexed.hits(i, rule).last, linear.hits(i, rule).last) << "seed " << seed;
    }
  }
  EXPECT_GT(useful, 50U) << "so that it cannot pass because nothing was indexed";
}

TEST(RuleIndex, AFewRulesHaveNone) {
  const Octets test = join(payload(kTransport, 2, 2), cmp(kEqual, {0, 1}), verdict(kAccept));
  EXPECT_FALSE(RuleIndex(loaded(batch(table(), base_chain(), rule("in", test))).chains[0].rules).is_useful());
}

// A rule may change the mark that the next one compares.
TEST(RuleIndex, LeavesTheMarkAlone) {
  const auto mark_is = [](uint8_t number) {
    return join(expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(3)))),
                cmp(kEqual, {number, 0, 0, 0}), verdict(kAccept));
  };
  const Ruleset ruleset = loaded(batch(table(), base_chain(), rule("in", mark_is(1)), rule("in", mark_is(2)),
                                       rule("in", mark_is(3)), rule("in", mark_is(4))));
  EXPECT_FALSE(RuleIndex(ruleset.chains[0].rules).is_useful());
}

}  // namespace
}  // namespace skerry::filter
