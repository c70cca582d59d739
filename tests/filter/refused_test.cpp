// What nft compiles, a kernel takes and the loader does not: the sentence says what it is, in words of the
// text. And what nobody but a liar would send.
#include <gmock/gmock.h>

#include <cerrno>

#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

std::optional<Refusal> refusal(const Octets& bytes) {
  Ruleset ruleset;
  return load(bytes, ruleset);
}
std::optional<Refusal> refusal_of_rule(const Octets& expressions) {
  return refusal(batch(table(), base_chain(), rule("in", expressions)));
}

// Each of those that ask for the table they stand in, which an element has not.
TEST(Refused, WhatIsNoCounterInAnElement) {
  using namespace nft;
  const std::vector<std::pair<std::string, Octets>> all = {
      {"meta", join(number(kMetaTo, 1), number(kMetaKey, 16))},
      {"ct", join(number(kCtTo, 1), number(kCtKey, 8), attribute(kCtDirection, {0}))},
      {"nat", join(number(kNatType, 0), number(kNatFamily, 2), number(kNatAddressLow, 1))},
      {"masq", {}},
      {"redir", {}},
      {"lookup", join(attribute(kLookupSet, text("s")), number(kLookupFrom, 1))},
      {"log", {}},
  };
  for (const auto& [name, data] : all) {
    const Octets content = join(attribute(kExpressionName, text(name)), attribute(kExpressionData, data));
    const auto of_set = refusal(batch(table(), set({.more = attribute(kSetExpression, content)})));
    ASSERT_TRUE(of_set) << name;
    EXPECT_EQ(of_set->error, EOPNOTSUPP) << name;
    EXPECT_THAT(of_set->sentence, HasSubstr("elements can have a counter")) << name;
    const Octets own = attribute(kElementExpression, content);
    EXPECT_TRUE(refusal(batch(table(), set({}), elements(element(be32(1), own))))) << name;
  }
}

TEST(Refused, ChangingOptionsOfTcp) {
  using namespace nft;
  const auto found = refusal_of_rule(join(
      payload(1, 0, 4),
      expression("exthdr", join(number(kExthdrFrom, 1), number(kExthdrOffset, 2), number(kExthdrLength, 2),
                                number(kExthdrOperation, 1), attribute(kExthdrType, {2})))));
  ASSERT_TRUE(found);
  EXPECT_THAT(found->sentence, HasSubstr("changing or removing options"));
}

TEST(Refused, FlushingASetThatHasElements) {
  const auto with = [](const Octets& before, const Octets& named = {}) {
    return refusal(
        batch(table(), set({}), before,
              nft_message(nft::kDelSetElement, join(attribute(nft::kElementsTable, text("t")),
                                                    attribute(nft::kElementsSet, text("s")), named)),
              elements(element(be32(1)))));
  };
  EXPECT_FALSE(with({}));
  const auto found = with(elements(element(be32(1))));
  ASSERT_TRUE(found);
  EXPECT_THAT(found->sentence, HasSubstr("deletes elements"));
  EXPECT_TRUE(with({}, attribute(nft::kElementsElements, element(be32(1))))) << "one that is not there";
}

TEST(Refused, ARuleWithAnIndex) {
  const auto found = refusal(batch(table(), base_chain(),
                                   nft_message(nft::kNewRule, join(attribute(nft::kRuleTable, text("t")),
                                                                   attribute(nft::kRuleChain, text("in")),
                                                                   number(nft::kRulePositionId, 1)))));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error, EOPNOTSUPP);
  EXPECT_THAT(found->sentence, HasSubstr("no index"));
}

TEST(Refused, LogsForAnAuditSystem) {
  const auto found = refusal_of_rule(expression("log", number(nft::kLogLevel, 8)));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error, EOPNOTSUPP);
  EXPECT_THAT(found->sentence, HasSubstr("audit"));
}

}  // namespace
}  // namespace skerry::filter
