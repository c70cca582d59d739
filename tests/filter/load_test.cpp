// What the loader takes and what it refuses: each case is a batch that the kernel would refuse too, or that
// is more than is supported here, and the errno and the place that nft is told.
#include "filter/load.hpp"

#include <gmock/gmock.h>

#include <cerrno>

#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

std::optional<Refusal> refusal(const Octets& bytes, const Limits& limits = {}) {
  Ruleset ruleset;
  return load(bytes, ruleset, limits);
}

Octets in_a_rule(const Octets& expressions) {
  return batch(table(), base_chain(), rule("in", expressions));
}

TEST(Load, NothingIsARulesetWithNothingInIt) {
  Ruleset ruleset;
  EXPECT_FALSE(load({}, ruleset));
  EXPECT_TRUE(ruleset.tables.empty());
}

TEST(Load, WhatIsUnderstoodIsThere) {
  Ruleset ruleset;
  const Octets bytes =
      batch(table(), base_chain("in", Policy::drop), chain("sub"), set({.flags = nft::kSetInterval}),
            elements(join(element(be32(5)), element(be32(9), attribute(nft::kElementFlags, be32(1))))),
            rule("in", join(payload(1, 12, 4), lookup(), counter(), verdict(-3, "sub"))));
  const auto refused = load(bytes, ruleset);
  ASSERT_FALSE(refused) << refused->sentence;
  ASSERT_EQ(ruleset.chains.size(), 2U);
  EXPECT_EQ(ruleset.chains[0].policy, Policy::drop);
  EXPECT_EQ(ruleset.chains[0].hook, Hook::input);
  ASSERT_EQ(ruleset.chains[0].rules.size(), 1U);
  EXPECT_EQ(ruleset.chains[0].rules[0].expressions.size(), 4U);
  ASSERT_EQ(ruleset.sets[0].size(), 1U);
  EXPECT_EQ(load_be32(&ruleset.sets[0].keys[ruleset.sets[0].elements[0].key_end]), 8U);
  // Handles as the kernel gives them: chains, sets and rules of a table count together.
  EXPECT_EQ(ruleset.chains[1].handle, 2U);
  EXPECT_EQ(ruleset.sets[0].handle, 3U);
  EXPECT_EQ(ruleset.chains[0].rules[0].handle, 4U);
}

TEST(Load, InsertedRulesStandInFront) {
  Ruleset ruleset;
  Octets inserted = rule("in", verdict(0));
  const uint16_t no_append = 0;
  std::memcpy(inserted.data() + 6, &no_append, 2);
  Octets first = rule("in", verdict(-5));
  std::memcpy(first.data() + 6, &no_append, 2);
  ASSERT_FALSE(load(batch(table(), base_chain(), inserted, rule("in", verdict(1)), first), ruleset));
  std::vector<Code> order;
  for (const Rule& each : ruleset.chains[0].rules)
    order.push_back(std::get<Decide>(each.expressions[0].action).verdict.code);
  EXPECT_THAT(order, testing::ElementsAre(Code::back, Code::drop, Code::accept));
}

TEST(Load, ASetMayBeSaidTwice) {
  const Octets counter = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter"))),
               size = attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, be32(7)));
  const auto found =
      refusal(batch(table(), set({.more = counter}), set({.id = 2, .more = join(counter, size)}),
                    elements(element(be32(1)), "s", 2)));
  EXPECT_FALSE(found) << found->sentence;
}

struct Refused {
  const char* name;
  Octets bytes;
  int error;
  const char* sentence;
};

TEST(Load, RefusesWhatTheKernelRefuses) {
  constexpr uint32_t kMark = 19, kTimed = nft::kSetHasTimeout;
  const Octets one = be32(1),
               counted = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter")));
  const std::vector<Refused> all = {
      {"no table", batch(base_chain()), ENOENT, "no table"},
      {"no chain", batch(table(), rule("in", counter())), ENOENT, "no chain"},
      {"jump to nowhere", in_a_rule(verdict(-3, "nowhere")), ENOENT, "no chain nowhere"},
      {"jump to a hook", in_a_rule(verdict(-3, "in")), EOPNOTSUPP, "has a hook"},
      {"jump to itself",
       batch(table(), base_chain(), chain("a"), rule("in", verdict(-3, "a")), rule("a", verdict(-3, "a"))),
       EMLINK, "back to itself"},
      {"jump in a circle",
       batch(table(), base_chain(), chain("a"), chain("b"), rule("in", verdict(-3, "a")),
             rule("a", verdict(-3, "b")), rule("b", verdict(-4, "a"))),
       EMLINK, "back to itself"},
      {"unknown verdict", in_a_rule(verdict(-77)), EOPNOTSUPP, "verdict"},
      {"queue", in_a_rule(verdict(3)), EOPNOTSUPP, "verdict"},
      {"read before written", in_a_rule(cmp(0, one)), ENODATA, "nothing wrote"},
      {"read past what was written", in_a_rule(join(payload(1, 0, 4), cmp(0, join(one, one)))), ENODATA,
       "nothing wrote"},
      {"no such register", in_a_rule(payload(1, 0, 4, 5)), ERANGE, "register 5"},
      {"past the last register", in_a_rule(payload(1, 0, 20, 4)), ERANGE, "fit"},
      {"no such base", in_a_rule(payload(4, 0, 4)), EOPNOTSUPP, "header"},
      {"empty load", in_a_rule(payload(1, 0, 0)), ERANGE, "part of a header"},
      {"unknown expression", in_a_rule(expression("frobnicate", {})), EOPNOTSUPP, "frobnicate"},
      {"unknown attribute", in_a_rule(expression("counter", attribute(9, one))), EOPNOTSUPP, "attribute 9"},
      {"attribute twice",
       batch(nft_message(nft::kNewTable,
                         join(attribute(nft::kTableName, text("t")), attribute(nft::kTableName, text("t"))))),
       EINVAL, "twice"},
      {"comparison 6", in_a_rule(join(payload(1, 0, 4), cmp(6, one))), EINVAL, "comparison"},
      {"no such set", in_a_rule(join(payload(1, 0, 4), lookup())), ENOENT, "no set"},
      {"set of longer keys",
       batch(table(), base_chain(), set({.key_bytes = 8}), rule("in", join(payload(1, 0, 4), lookup()))),
       ENODATA, "nothing wrote"},
      {"map used as set",
       batch(table(), base_chain(),
             set({.flags = nft::kSetMap,
                  .more = join(attribute(nft::kSetDataType, one), attribute(nft::kSetDataLength, be32(4)))}),
             rule("in", join(payload(1, 0, 4), lookup()))),
       EINVAL, "not what it is used as"},
      {"set used as map",
       batch(table(), base_chain(), set({}),
             rule("in", join(payload(1, 0, 4), lookup("s", attribute(nft::kLookupTo, one))))),
       EINVAL, "not what it is used as"},
      {"anonymous set used twice",
       batch(table(), base_chain(), set({.flags = nft::kSetAnonymous, .name = "__set%d"}),
             rule("in", join(payload(1, 0, 4), lookup("__set%d", attribute(nft::kLookupSetId, one)))),
             rule("in", join(payload(1, 0, 4), lookup("__set%d", attribute(nft::kLookupSetId, one))))),
       EBUSY, "twice"},
      {"key of another length", batch(table(), set({}), elements(element(join(one, one)))), EINVAL, "length"},
      {"too many elements",
       batch(table(), set({.more = attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, one))}),
             elements(join(element(be32(1)), element(be32(2))))),
       ENFILE, "size"},
      {"two sets of one name",
       batch(table(), set({.key_type = kMark}), set({.id = 2}), elements(element(one), "s", 2)), EEXIST,
       "another type"},
      {"of two kinds", batch(table(), set({.flags = nft::kSetEval}), set({.flags = kTimed, .id = 2})), EEXIST,
       "other flags"},
      {"that count and do not", batch(table(), set({.more = counted}), set({.id = 2})), EEXIST,
       "other flags"},
      {"end without interval",
       batch(table(), set({}), elements(element(one, attribute(nft::kElementFlags, one)))), EINVAL, "flags"},
      {"intervals overlap",
       batch(table(), set({.flags = nft::kSetInterval}),
             elements(join(element(be32(1)), element(be32(9), attribute(nft::kElementFlags, one)),
                           element(be32(5)), element(be32(12), attribute(nft::kElementFlags, one))))),
       EEXIST, "overlap"},
      {"policy 2", batch(table(), chain("in", join(hook(1), attribute(nft::kChainPolicy, be32(2))))), EINVAL,
       "policy"},
      {"policy without hook", batch(table(), chain("in", attribute(nft::kChainPolicy, one))), EOPNOTSUPP,
       "policy"},
      {"hook forward", batch(table(), chain("in", hook(2))), EOPNOTSUPP, "forwards nothing"},
      {"hook ingress", batch(table(), chain("in", hook(5))), EOPNOTSUPP, "hook"},
      {"route", batch(table(), chain("in", join(hook(1), attribute(nft::kChainType, text("route"))))),
       EOPNOTSUPP, "only filter and nat"},
      {"bridge table",
       batch(message(nft::kSubsystem << 8, nft::kBridge, attribute(nft::kTableName, text("t")))),
       EAFNOSUPPORT, "bridge"},
      {"reject at postrouting",
       batch(table(), chain("out", hook(4)),
             rule("out", expression("reject", attribute(nft::kRejectType, be32(1))))),
       EOPNOTSUPP, "rejected"},
      {"limit of nothing",
       in_a_rule(expression("limit",
                            join(attribute(nft::kLimitRate, be64(0)), attribute(nft::kLimitUnit, be64(1))))),
       EINVAL, "limit"},
      {"limit too large",
       in_a_rule(expression(
           "limit", join(attribute(nft::kLimitRate, be64(1)), attribute(nft::kLimitUnit, be64(UINT64_MAX))))),
       EOVERFLOW, "limit"},
      {"a name that no terminal should see", batch(table("a\033[2J")), EINVAL, "printed"},
      {"a name of 256", batch(table(std::string(256, 'a'))), ENAMETOOLONG, "too long"},
      {"a message outside of the batch", table(), EINVAL, "outside"},
      {"a batch without end", join(message(nft::kBatchBegin, 0, {}), table()), EINVAL, "does not end"},
      {"two batches", join(batch(table()), batch(table("u"))), EINVAL, "more than one"},
      {"deletion", batch(table(), nft_message(nft::kDelChain, {})), EOPNOTSUPP, "changes or deletes"},
  };
  for (const Refused& each : all) {
    const auto found = refusal(each.bytes);
    ASSERT_TRUE(found) << each.name;
    EXPECT_EQ(found->error, each.error) << each.name << ": " << found->sentence;
    EXPECT_THAT(found->sentence, HasSubstr(each.sentence)) << each.name;
  }
}

// Numbers have 32 bits on their way here, most of them fewer where they are kept.
TEST(Load, ANumberThatIsTooLargeIsNoOther) {
  using namespace nft;
  struct Number {
    const char* expression;
    uint16_t attribute;
    uint32_t sound;
    Octets more;
  };
  const Octets to = number(kPayloadTo, 1), part = join(number(kPayloadOffset, 0), number(kPayloadLength, 4));
  const Octets by = number(kByteorderFrom, 1), swap = number(kByteorderTo, 1);
  const Octets cidr = join(value(kBitwiseMask, be32(1)), value(kBitwiseXor, be32(0)));
  const std::vector<Number> all = {
      {"meta", kMetaKey, 16, number(kMetaTo, 1)},
      {"meta", kMetaKey, 3, number(kMetaFrom, 1)},
      {"meta", kMetaTo, 1, number(kMetaKey, 16)},
      {"ct", kCtKey, 0, number(kCtTo, 1)},
      {"ct", kCtKey, 3, number(kCtFrom, 1)},
      {"socket", kSocketKey, 0, number(kSocketTo, 1)},
      {"payload", kPayloadBase, 1, join(to, part)},
      {"payload", kPayloadLength, 4, join(to, number(kPayloadBase, 1), number(kPayloadOffset, 0))},
      {"payload", kPayloadBase, 1, join(number(kPayloadFrom, 1), part)},
      {"payload", kPayloadOffset, 4,
       join(number(kPayloadFrom, 1), number(kPayloadBase, 1), number(kPayloadLength, 4))},
      {"payload", kPayloadLength, 4,
       join(number(kPayloadFrom, 1), number(kPayloadBase, 1), number(kPayloadOffset, 4))},
      {"payload", kPayloadSumType, 1, join(number(kPayloadFrom, 1), number(kPayloadBase, 1), part)},
      {"payload", kPayloadSumOffset, 10,
       join(number(kPayloadFrom, 1), number(kPayloadBase, 1), number(kPayloadSumType, 1), part)},
      {"payload", kPayloadSumFlags, 1, join(number(kPayloadFrom, 1), number(kPayloadBase, 1), part)},
      {"cmp", kCmpOperation, 0, join(number(kCmpFrom, 1), value(kCmpData, be32(1)))},
      {"range", kRangeOperation, 0,
       join(number(kRangeFrom, 1), value(kRangeLow, be32(1)), value(kRangeHigh, be32(2)))},
      {"bitwise", kBitwiseOperation, 0,
       join(number(kBitwiseFrom, 1), number(kBitwiseTo, 1), number(kBitwiseLength, 4), cidr)},
      {"bitwise", kBitwiseLength, 4, join(number(kBitwiseFrom, 1), number(kBitwiseTo, 1), cidr)},
      {"byteorder", kByteorderOperation, 0,
       join(by, swap, number(kByteorderLength, 4), number(kByteorderSize, 4))},
      {"byteorder", kByteorderLength, 4,
       join(by, swap, number(kByteorderOperation, 0), number(kByteorderSize, 4))},
      {"byteorder", kByteorderSize, 4,
       join(by, swap, number(kByteorderOperation, 0), number(kByteorderLength, 4))},
      {"limit", kLimitType, 0, join(attribute(kLimitRate, be64(1)), attribute(kLimitUnit, be64(1)))},
      {"limit", nft::kLimitFlags, 0, join(attribute(kLimitRate, be64(1)), attribute(kLimitUnit, be64(1)))},
      {"quota", nft::kQuotaFlags, 0, attribute(kQuotaBytes, be64(1))},
      {"connlimit", kConnlimitFlags, 0, number(kConnlimitCount, 1)},
      {"log", nft::kLogLevel, 4, {}},
      {"log", nft::kLogFlags, 1, {}},
      {"reject", kRejectType, 0, attribute(kRejectCode, {0})},
      {"numgen", kNumgenType, 0, join(number(kNumgenTo, 1), number(kNumgenModulus, 2))},
      {"hash", kHashType, 1, join(number(kHashTo, 1), number(kHashModulus, 2))},
      {"hash", kHashLength, 4, join(number(kHashFrom, 1), number(kHashTo, 1), number(kHashModulus, 2))},
  };
  for (const Number& each : all) {
    const auto with = [&](uint32_t of) {
      return refusal(in_a_rule(
          join(payload(1, 0, 4), expression(each.expression, join(number(each.attribute, of), each.more)))));
    };
    const std::string name = std::string(each.expression) + " " + std::to_string(each.attribute);
    EXPECT_FALSE(with(each.sound)) << name;
    for (const unsigned above : {8, 16, 24, 31}) {
      const auto found = with(each.sound + (1U << above));
      ASSERT_TRUE(found) << name << " " << above;
      EXPECT_NE(found->attribute, 0U) << name;
    }
  }
}

// The kernel checks what packets can reach (nf_tables' nft_table_validate()).
TEST(Load, ACircleThatNoHookLeadsToIsHarmless) {
  EXPECT_FALSE(refusal(batch(table(), base_chain(), chain("a"), rule("a", verdict(-3, "a")))));
}

TEST(Load, NamesThePlaceInTheMessage) {
  const Octets bytes = in_a_rule(join(counter(), cmp(0, be32(1))));
  const auto found = refusal(bytes);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->sequence, 7U);
  // From the head of the rule's message to its second expression.
  const size_t before =
      20 + attribute(nft::kRuleTable, text("t")).size() + attribute(nft::kRuleChain, text("in")).size() + 4;
  EXPECT_EQ(found->attribute, before + counter().size());
}

// As in a rule.
TEST(Load, NothingIsGivenToAnObjectThatItsKindDoesNotHave) {
  const Octets helper = join(attribute(nft::kHelperName, text("ftp")), attribute(nft::kHelperProtocol, {6}));
  const Octets limit = join(attribute(nft::kLimitRate, be64(1)), attribute(nft::kLimitUnit, be64(1)));
  struct Kind {
    nft::ObjectType type;
    Octets data;
    std::vector<uint16_t> unknown;
  };
  const std::vector<Kind> all = {{nft::kObjectCounter, {}, {3, 4, 5, 6, 31}},
                                 {nft::kObjectQuota, attribute(nft::kQuotaBytes, be64(1)), {3, 5, 6, 31}},
                                 {nft::kObjectLimit, limit, {6, 31}},
                                 {nft::kObjectHelper, helper, {4, 5, 6, 31}}};
  for (const Kind& kind : all) {
    const auto object = [&](const Octets& more) {
      return nft_message(nft::kNewObject,
                         join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text("o")),
                              attribute(nft::kObjectType, be32(kind.type)),
                              attribute(nft::kObjectData, join(kind.data, more))));
    };
    EXPECT_FALSE(refusal(batch(table(), object({})))) << kind.type;
    for (const uint16_t type : kind.unknown) {
      const Octets more = attribute(type, be32(0)), bytes = object(more);
      const auto found = refusal(batch(table(), bytes));
      ASSERT_TRUE(found) << kind.type << " " << type;
      EXPECT_EQ(found->error, EOPNOTSUPP);
      EXPECT_EQ(found->attribute, bytes.size() - more.size());
    }
  }
}

TEST(Load, JumpsGoSixteenChainsDeepAndNoFurther) {
  for (const int depth : {15, 16, 17, 40}) {
    Octets chains, rules;
    for (int i = 0; i < depth; ++i) chains = join(chain("c" + std::to_string(i)), chains);
    rules = rule("in", verdict(-3, "c0"));
    for (int i = 0; i + 1 < depth; ++i)
      rules = join(rules, rule("c" + std::to_string(i), verdict(-3, "c" + std::to_string(i + 1))));
    const auto found = refusal(batch(table(), base_chain(), chains, rules));
    EXPECT_EQ(found.has_value(), depth > 15) << depth;
    if (found) {
      EXPECT_EQ(found->error, EMLINK);
    }
  }
}

// Fifteen levels of a hundred jumps each: a packet would never come out.
TEST(Load, RefusesWhatWouldTakeForever) {
  Octets chains, rules = rule("in", verdict(-3, "c0"));
  for (int i = 0; i < 12; ++i) {
    chains = join(chain("c" + std::to_string(i)), chains);
    for (int jump = 0; jump < 10 && i < 11; ++jump)
      rules = join(rules, rule("c" + std::to_string(i), verdict(-3, "c" + std::to_string(i + 1))));
  }
  const auto found = refusal(batch(table(), base_chain(), chains, rules));
  ASSERT_TRUE(found);
  EXPECT_THAT(found->sentence, HasSubstr("forever"));
}

// Each of two chains alone is allowed; a packet meets both.
TEST(Load, AddsUpWhatAPacketMeetsAtAHook) {
  const auto costly = [](const std::string& name) {
    Octets all = base_chain(name);
    for (int i = 0; i < 6; ++i) all = join(chain(name + std::to_string(i)), all);
    all = join(all, rule(name, verdict(-3, name + "0")));
    for (int i = 0; i < 5; ++i)
      for (int jump = 0; jump < 13; ++jump)
        all = join(all, rule(name + std::to_string(i), verdict(-3, name + std::to_string(i + 1))));
    return all;
  };
  EXPECT_FALSE(refusal(batch(table(), costly("a"))));
  const auto found = refusal(batch(table(), costly("a"), costly("b")));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error, EMLINK);
  EXPECT_THAT(found->sentence, HasSubstr("forever"));
}

TEST(Load, EveryLimitIsOne) {
  const Octets bytes =
      batch(table(), base_chain(), set({}), elements(element(be32(1))), rule("in", counter()));
  EXPECT_FALSE(refusal(bytes));
  for (const Limits& limits : {Limits{.batch_bytes = 100}, Limits{.tables = 0}, Limits{.chains = 0},
                               Limits{.rules = 0}, Limits{.expressions_of_a_rule = 0}, Limits{.sets = 0},
                               Limits{.elements = 0}, Limits{.stateful = 0}}) {
    const auto found = refusal(bytes, limits);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->error, E2BIG) << found->sentence;
  }
}

// Cut anywhere, and with any byte changed, a batch is refused or loaded, and nothing else happens (run with
// sanitizers).
TEST(Load, SurvivesCutsAndChanges) {
  const Octets whole =
      batch(table(), base_chain(), chain("sub"), set({.flags = nft::kSetInterval}),
            elements(join(element(be32(5)), element(be32(9), attribute(nft::kElementFlags, be32(1))))),
            rule("in", join(payload(1, 12, 4), lookup(), counter(), verdict(-3, "sub"))));
  for (size_t length = 1; length < whole.size(); ++length)
    EXPECT_TRUE(refusal(Octets(whole.begin(), whole.begin() + static_cast<long>(length)))) << length;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {1, 2, 4, 0x80, 0xff}) {
      Octets changed = whole;
      changed[at] = static_cast<uint8_t>(changed[at] ^ flip);
      refusal(changed);
    }
  }
}

}  // namespace
}  // namespace skerry::filter
