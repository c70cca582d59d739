// The side that enforces an allow-list: whatever the resolver says, no more is let out than the settings
// grant.
#include "allow_list.hpp"

#include "allowed_set.hpp"

namespace skerry {
namespace {

constexpr Ipv4Address kApi = 0x5db8d70e, kOther = 0x5db8d70f;  // 93.184.215.14, 93.184.215.15
constexpr Ipv4Address kFixed = 0x0a4d0003;                     // 10.77.0.3

TEST_F(AllowedSet, IsThereUnderItsNameAlone) {
  const auto is_in = [](SetWords words, const std::string& table = "skerry_allow") {
    return AllowList::is_in(rules_with_set(std::move(words), table));
  };
  EXPECT_TRUE(is_in({}));
  EXPECT_FALSE(is_in({}, "skerry_allowed"));
  EXPECT_FALSE(is_in({.name = "allow"}));
  EXPECT_FALSE(is_in({.key_bytes = 8}));
  EXPECT_FALSE(is_in({.flags = filter::nft::kSetConstant})) << "nobody could add to it";
  EXPECT_FALSE(is_in({.flags = filter::nft::kSetEval})) << "what is in it would stay";
  filter::Ruleset of_ip = rules_with_set();
  of_ip.tables[0].family = filter::Family::ip;
  EXPECT_FALSE(AllowList::is_in(of_ip));
  EXPECT_FALSE(AllowList::is_in(filter::Ruleset{}));
}

TEST_F(AllowedSet, IsNothingWithoutChainsThatDrop) {
  for (const size_t chain : {size_t{0}, size_t{1}}) {
    const auto is_in_with = [&](auto change) {
      filter::Ruleset ruleset = rules_with_set();
      change(ruleset, ruleset.chains.at(chain));
      return AllowList::is_in(ruleset);
    };
    EXPECT_TRUE(is_in_with([](auto&, auto&) {}));
    EXPECT_FALSE(is_in_with([](auto&, auto& c) { c.policy = filter::Policy::accept; }));
    EXPECT_FALSE(is_in_with([](auto&, auto& c) { c.is_base = false; }));
    EXPECT_FALSE(is_in_with([](auto&, auto& c) { c.hook = filter::Hook::prerouting; }));
    EXPECT_FALSE(is_in_with([](auto&, auto& c) { c.type = filter::ChainType::nat; }));
    EXPECT_FALSE(is_in_with([](auto&, auto& c) { c.table = 7; }));
    EXPECT_FALSE(is_in_with([](auto& r, auto&) { r.tables[0].dormant = true; }));
  }
}

TEST_F(AllowedSet, HasWhatTheSettingsNameAndNothingElse) {
  load();
  EXPECT_TRUE(passes(kFixed, 5432));
  EXPECT_FALSE(passes(kFixed, 5433));
  EXPECT_FALSE(passes(kFixed, 5432, true)) << "another protocol";
  EXPECT_FALSE(passes(kFixed + 1, 5432));
  EXPECT_FALSE(passes(kApi, 443)) << "nobody has asked for its name";
  now += 1'000'000 * kSecond;
  EXPECT_TRUE(passes(kFixed, 5432)) << "for ever";
}

TEST_F(AllowedSet, AnAddressIsAllowedUntilItsTimeIsOver) {
  load();
  EXPECT_TRUE(allow({kApi, kOther}, {443, false}, 60));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(passes(kApi, 443) && passes(kOther, 443));
  EXPECT_FALSE(passes(kApi, 80));
  EXPECT_FALSE(passes(kApi, 443, true));
  now += 59 * kSecond;
  EXPECT_TRUE(passes(kApi, 443));
  EXPECT_TRUE(allow({kApi}, {443, false}, 30));
  now += kSecond;
  EXPECT_TRUE(passes(kApi, 443)) << "it was said again";
  EXPECT_FALSE(passes(kOther, 443)) << "though it passed so often";
  now += 29 * kSecond;
  EXPECT_FALSE(passes(kApi, 443));
}

TEST_F(AllowedSet, NobodyShortensWhatAnotherNameWasGiven) {
  load();
  EXPECT_TRUE(allow({kApi}, {443, false}, 3600));
  EXPECT_TRUE(allow({kApi, kOther}, {443, false}, 90)) << "of a name that leads there too";
  now += 3599 * kSecond;
  EXPECT_TRUE(passes(kApi, 443));
  EXPECT_FALSE(passes(kOther, 443));
  now += kSecond;
  EXPECT_FALSE(passes(kApi, 443));
}

TEST_F(AllowedSet, IsThatOfTheRulesThatJudgeNow) {
  load();
  load(rules_with_set({}, "skerry_allow", 100, true));  // and nobody has said so yet
  EXPECT_TRUE(allow({kApi}, {443, false}, 60));
  EXPECT_TRUE(passes(kApi, 443));
  EXPECT_EQ(elements_of("another"), 0u);
  load(filter::Ruleset{});
  EXPECT_FALSE(allow({kApi}, {443, false}, 60)) << "there is none";
}

TEST_F(AllowedSet, WhatIsAllowedWhileRulesAreLoadedIsAllowedByTheOldAndTheNewOnes) {
  constexpr Ipv4Address kMany = 0x5db80000;  // 93.184.0.0
  for (const bool behind : {true, false}) {
    load(rules_with_set({}, "skerry_allow", 1000, !behind));
    allowed.begin(now);
    uint32_t said = 0;
    const auto say = [&] {
      if (said == 300) return;
      EXPECT_FALSE(passes(kMany + said, 443));
      EXPECT_TRUE(allow({kMany + said}, {443, false}, 60));
      EXPECT_TRUE(passes(kMany + said, 443)) << "by the old rules, or just from now on by the new ones";
      ++said;
    };
    load(rules_with_set({}, "skerry_allow", 1000, behind), Pause(say, 1));
    allowed.begin(now);
    ASSERT_EQ(said, 300u);
    for (uint32_t i = 0; i < said; ++i) EXPECT_TRUE(passes(kMany + i, 443)) << i;
    EXPECT_FALSE(passes(kMany + said, 443));
    EXPECT_TRUE(passes(kFixed, 5432));
    EXPECT_EQ(elements_of("allowed"), said + 1);
    EXPECT_EQ(elements_of("another"), 0u);
    now += 60 * kSecond;
    EXPECT_FALSE(passes(kMany, 443));
  }
}

TEST_F(AllowedSet, TheResolverIsBelievedNoFurtherThanTheListGoes) {
  load();
  EXPECT_FALSE(allow({kApi}, {80, false}, 60)) << "a port of no name";
  EXPECT_FALSE(allow({kApi}, {443, true}, 60)) << "another protocol";
  EXPECT_FALSE(allow({kApi}, {5432, false}, 60)) << "a port of what is fixed";
  EXPECT_FALSE(allow({kApi}, {443, false}, 0)) << "for ever";
  EXPECT_FALSE(allow({kApi}, {443, false}, resolver::kAllowedAtMost + 1));
  EXPECT_FALSE(allow({0x7f000001}, {443, false}, 60)) << "loopback";
  EXPECT_FALSE(allow({0x0a4d0009}, {443, false}, 60)) << "private";
  EXPECT_FALSE(allow({0xa9fea9fe}, {443, false}, 60)) << "metadata";
  EXPECT_FALSE(allow({0x2c010203}, {443, false}, 60)) << "of a network of ours";
  EXPECT_FALSE(allow({0xffffffff, 0xe0000001, 0}, {123, true}, 60)) << "everybody, many, nobody";
  for (const Ipv4Address address : {kApi, 0x7f000001u, 0x0a4d0009u, 0xa9fea9feu, 0x2c010203u})
    for (const uint16_t port : {uint16_t{80}, uint16_t{443}, uint16_t{5432}})
      EXPECT_FALSE(passes(address, port));
  EXPECT_FALSE(allow({0x0a4d0009, kApi}, {443, false}, 60)) << "a fault, whatever comes with it";
  EXPECT_FALSE(passes(0x0a4d0009, 443));
}

TEST_F(AllowedSet, WhatIsFixedIsNotMadeToEnd) {
  AllowSettings both = settings();
  both.fixed.push_back({kApi, {443, false}});
  AllowList list(hooks, both);
  load(rules_with_set());
  list.begin(now);
  uint8_t bytes[4];
  store_be32(bytes, kApi);
  EXPECT_EQ(list.allow({{443, false}, 30, bytes}, now), AllowList::Granted::yes);
  now += 40 * kSecond;
  EXPECT_TRUE(passes(kApi, 443));
}

TEST_F(AllowedSet, OtherRulesKeepWhatIsInItAndItsTime) {
  load();
  EXPECT_TRUE(allow({kApi}, {443, false}, 60));
  now += 30 * kSecond;
  load();
  EXPECT_TRUE(passes(kApi, 443) && passes(kFixed, 5432));
  now += 30 * kSecond;
  EXPECT_FALSE(passes(kApi, 443));
  EXPECT_TRUE(passes(kFixed, 5432));
}

TEST_F(AllowedSet, AFullOneAllowsNobodyElse) {
  load(rules_with_set({}, "skerry_allow", 3));
  allowed.begin(now);
  EXPECT_TRUE(allow({kApi, kOther}, {443, false}, 60));
  EXPECT_FALSE(allow({kOther + 1}, {443, false}, 60));
  EXPECT_FALSE(passes(kOther + 1, 443));
  EXPECT_TRUE(allow({kApi}, {443, false}, 60)) << "again";
  now += 60 * kSecond;
  EXPECT_TRUE(allow({kOther + 1}, {443, false}, 60)) << "there is room again";
}

}  // namespace
}  // namespace skerry
