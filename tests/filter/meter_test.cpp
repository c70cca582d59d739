// `meter NAME { … }`, the older way to write a set that rules add to: it has the name that it was given.
#include <gmock/gmock.h>

#include <cerrno>

#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

// As nft sends it, with each rule.
Octets meter(uint32_t id, uint32_t flags = nft::kSetEval) {
  return join(
      set({.flags = nft::kSetAnonymous | flags, .id = id, .name = "flood"}),
      rule("in", join(payload(1, 12, 4),
                      expression("dynset",
                                 join(attribute(nft::kDynsetName, text("flood")), number(nft::kDynsetId, id),
                                      number(nft::kDynsetKey, 1), number(nft::kDynsetOperation, 0))),
                      verdict(0))));
}

TEST(Meter, IsASetWithAName) {
  Ruleset ruleset;
  const auto refused =
      load(batch(table(), base_chain(), meter(1, nft::kSetEval | nft::kSetHasTimeout)), ruleset);
  ASSERT_FALSE(refused) << refused->sentence;
  ASSERT_EQ(ruleset.sets.size(), 1U);
  EXPECT_EQ(ruleset.sets[0].name, "flood");
  EXPECT_FALSE(ruleset.sets[0].anonymous) << "or it would neither be listed nor outlive other rules";
  EXPECT_TRUE(ruleset.sets[0].dynamic);
}

TEST(Meter, ItsNameIsNoOthers) {
  const auto other = [](uint32_t id) { return set({.flags = nft::kSetEval, .id = id, .name = "flood"}); };
  for (const Octets& both : {join(meter(1), meter(2)), join(meter(1), other(2)), join(other(1), meter(2))}) {
    Ruleset ruleset;
    const auto refused = load(batch(table(), base_chain(), both), ruleset);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error, EEXIST);
    EXPECT_THAT(refused->sentence, HasSubstr("another set called flood"));
  }
}

}  // namespace
}  // namespace skerry::filter
