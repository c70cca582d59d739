// The interpreter by itself. That it agrees with the kernel over whole rulesets is shown by
// tests/programs/filter_kernel_test.py; here stands what each part means.
#include "filter/engine.hpp"

#include <gmock/gmock.h>

#include "base/check.hpp"
#include "filter/batch.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kTransport = 2, kNetwork = 1;

Engine engine_of(const Octets& bytes) {
  Ruleset ruleset;
  const auto refused = load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return Engine(std::move(ruleset));
}

// A UDP datagram over IPv4 to port 53; `fragment` is the field of the header.
Octets datagram(uint16_t fragment = 0) {
  Octets bytes = {0x45, 0, 0, 32, 0,    1,    0, 0,  64, 17, 0, 0, 10, 0, 0, 1,
                  10,   0, 0, 2,  0x13, 0x88, 0, 53, 0,  12, 0, 0, 1,  2, 3, 4};
  store_be16(bytes.data() + 6, fragment);
  return bytes;
}

Judgement judge(Engine& engine, Octets bytes, TimeNs now = 0, Hook hook = Hook::input) {
  Packet packet;
  CHECK(packet.read(bytes));
  return engine.judge(hook, packet, now);
}

Octets port_is(uint16_t port) {
  Octets bytes(2);
  store_be16(bytes.data(), port);
  return join(payload(kTransport, 2, 2), cmp(0, bytes));
}

TEST(Engine, NoRulesAcceptEverything) {
  Engine engine = engine_of({});
  EXPECT_TRUE(judge(engine, datagram()).accepted);
}

TEST(Engine, CountsWhatHeld) {
  Engine engine = engine_of(batch(table(), base_chain("in", Policy::drop), rule("in", counter()),
                                  rule("in", join(port_is(53), verdict(1)))));
  judge(engine, datagram(), 5);
  Octets other = datagram();
  other[23] = 54;
  judge(engine, other, 7);
  EXPECT_EQ(engine.hits(0, 0).packets, 2U);
  EXPECT_EQ(engine.hits(0, 1).packets, 1U);
  EXPECT_EQ(engine.hits(0, 1).last, 5U);
  EXPECT_EQ(engine.hits(0, kNone).packets, 1U) << "the policy";
  EXPECT_EQ(engine.hits(0, kNone).last, 7U);
}

TEST(Engine, SaysHowMuchOfAPacketItNeeds) {
  EXPECT_TRUE(engine_of({}).is_empty());
  EXPECT_EQ(engine_of({}).needed_bytes(), 120U) << "two headers at their longest";
  const Octets deep = join(payload(kTransport, 900, 2), cmp(0, Octets{1, 2}), verdict(0));
  Engine engine = engine_of(batch(table(), base_chain("in"), rule("in", deep)));
  EXPECT_FALSE(engine.is_empty());
  EXPECT_EQ(engine.needed_bytes(), 962U);
}

TEST(Engine, CountsAPacketWholeOfWhichItSeesTheBeginning) {
  Engine engine = engine_of(batch(table(), base_chain("in"), rule("in", counter())));
  Octets bytes = datagram();
  Packet packet;
  ASSERT_TRUE(packet.read(Bytes(bytes).first(28), bytes.size()));
  EXPECT_FALSE(Packet().read(Bytes(bytes).first(28), 31)) << "it ends before it should";
  engine.judge(Hook::input, packet, 0);
  EXPECT_EQ(engine.tally(0).bytes, 32U);
}

TEST(Engine, APolicyDecidesWhatNoRuleDid) {
  Engine engine =
      engine_of(batch(table(), base_chain("in", Policy::drop), rule("in", join(port_is(53), verdict(1)))));
  EXPECT_TRUE(judge(engine, datagram()).accepted);
  Octets other = datagram();
  other[23] = 54;
  const Judgement judgement = judge(engine, other);
  EXPECT_FALSE(judgement.accepted);
  EXPECT_EQ(judgement.chain, 0U);
  EXPECT_EQ(judgement.rule, kNone);
  EXPECT_TRUE(judge(engine, other, 0, Hook::output).accepted) << "another hook is another matter";
}

TEST(Engine, ADropNamesItsRule) {
  Engine engine =
      engine_of(batch(table(), base_chain(), chain("sub"), rule("in", counter()),
                      rule("in", verdict(-3, "sub")), rule("sub", counter()), rule("sub", verdict(0))));
  const Judgement judgement = judge(engine, datagram());
  EXPECT_FALSE(judgement.accepted);
  EXPECT_EQ(judgement.chain, 1U);
  EXPECT_EQ(judgement.rule, 1U);
  EXPECT_EQ(engine.tally(0).packets, 1U);
  EXPECT_EQ(engine.tally(0).bytes, 32U);
}

TEST(Engine, OfManyStepsTheLastIsKept) {
  Octets rules;
  for (int i = 0; i < 5; ++i) rules = join(rules, rule("in", counter()));
  Engine engine = engine_of(batch(table(), base_chain(), rules, rule("in", verdict(0))));
  std::vector<Step> steps;
  steps.reserve(3);
  engine.follow(&steps);
  judge(engine, datagram());
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[1].rule, 1U);
  EXPECT_EQ(steps[2].rule, 5U);
  EXPECT_EQ(steps[2].verdict.code, Code::drop);
}

// A jump comes back behind itself, a goto to where the last jump came from.
TEST(Engine, JumpsReturnAndGotosDoNot) {
  Engine engine = engine_of(batch(table(), base_chain(), chain("a"), chain("b"), rule("in", verdict(-3, "a")),
                                  rule("in", counter()), rule("a", verdict(-4, "b")), rule("a", counter()),
                                  rule("b", counter()), rule("b", verdict(-5)), rule("b", counter())));
  EXPECT_TRUE(judge(engine, datagram()).accepted);
  EXPECT_EQ(engine.tally(0).packets, 1U) << "behind the jump";
  EXPECT_EQ(engine.tally(1).packets, 0U) << "behind the goto";
  EXPECT_EQ(engine.tally(2).packets, 1U);
  EXPECT_EQ(engine.tally(3).packets, 0U) << "behind the return";
}

TEST(Engine, ARuleEndsWhereAnExpressionDoesNotHold) {
  Engine engine = engine_of(
      batch(table(), base_chain(), rule("in", join(port_is(54), counter())), rule("in", counter())));
  judge(engine, datagram());
  EXPECT_EQ(engine.tally(0).packets, 0U);
  EXPECT_EQ(engine.tally(1).packets, 1U);
}

TEST(Engine, WhatIsNotThereCannotBeLoaded) {
  Engine engine = engine_of(batch(
      table(), base_chain(), rule("in", join(payload(kNetwork, 28, 4), counter())),
      rule("in", join(payload(kNetwork, 29, 4), counter())), rule("in", join(payload(0, 0, 2), counter()))));
  judge(engine, datagram());
  EXPECT_EQ(engine.tally(0).packets, 1U) << "the last four bytes";
  EXPECT_EQ(engine.tally(1).packets, 0U) << "one byte further";
  EXPECT_EQ(engine.tally(2).packets, 0U) << "no link header";
}

// Later fragments have no transport header, whatever lies there (nft_payload_eval()).
TEST(Engine, LaterFragmentsHaveNoPorts) {
  Engine engine =
      engine_of(batch(table(), base_chain(), rule("in", join(payload(kTransport, 2, 2), counter()))));
  judge(engine, datagram(0x2000));
  EXPECT_EQ(engine.tally(0).packets, 1U) << "the first";
  judge(engine, datagram(0x2001));
  judge(engine, datagram(0x0001));
  EXPECT_EQ(engine.tally(0).packets, 1U);
}

TEST(Engine, ChainsOfAHookRunByPriorityAndTheNewestOfEqualsFirst) {
  const auto with = [](const std::string& name, int32_t priority) {
    return chain(name, hook(static_cast<uint32_t>(Hook::input), priority));
  };
  // Each drops what comes; whoever is first has counted.
  Engine engine = engine_of(batch(
      table(), with("late", 10), with("old", 0), with("new", 0), rule("late", join(counter(), verdict(0))),
      rule("old", join(counter(), verdict(0))), rule("new", join(counter(), verdict(0)))));
  EXPECT_EQ(judge(engine, datagram()).chain, 2U);
  EXPECT_EQ(engine.tally(0).packets + engine.tally(1).packets, 0U);
}

TEST(Engine, AnAcceptedPacketStillMeetsTheNextChain) {
  Engine engine = engine_of(batch(table(), chain("first", hook(1, 0)), chain("second", hook(1, 1)),
                                  rule("first", verdict(1)), rule("second", verdict(0))));
  EXPECT_FALSE(judge(engine, datagram()).accepted);
}

TEST(Engine, TablesOfAFamilySeeItsPacketsOnly) {
  const auto in = [](uint8_t family) {
    const Octets name = attribute(nft::kTableName, text("t"));
    const Octets in_table = attribute(nft::kChainTable, text("t"));
    return batch(nft_message(nft::kNewTable, name, family),
                 nft_message(nft::kNewChain,
                             join(in_table, attribute(nft::kChainName, text("in")), hook(1),
                                  attribute(nft::kChainPolicy, be32(0))),
                             family));
  };
  Octets v6(40);
  v6[0] = 0x60;
  v6[6] = 59;
  for (const auto& [family, v4_passes, v6_passes] :
       {std::tuple{nft::kInet, false, false}, {nft::kIpv4, false, true}, {nft::kIpv6, true, false}}) {
    Engine engine = engine_of(in(family));
    EXPECT_EQ(judge(engine, datagram()).accepted, v4_passes) << int{family};
    EXPECT_EQ(judge(engine, v6).accepted, v6_passes) << int{family};
  }
}

// Two in a second, three at once: tokens come back with time and are never more than the burst.
TEST(Engine, ALimitFillsUpWithTime) {
  const Octets limit =
      expression("limit", join(attribute(nft::kLimitRate, be64(2)), attribute(nft::kLimitUnit, be64(1)),
                               attribute(nft::kLimitBurst, be32(3))));
  Engine engine = engine_of(batch(table(), base_chain(), rule("in", join(limit, counter()))));
  const auto passes = [&](TimeNs now) {
    const uint64_t before = engine.tally(1).packets;
    judge(engine, datagram(), now);
    return engine.tally(1).packets > before;
  };
  const TimeNs start = 100 * kSecond;
  EXPECT_THAT((std::vector{passes(start), passes(start), passes(start), passes(start)}),
              testing::ElementsAre(true, true, true, false));
  EXPECT_FALSE(passes(start + 499 * kMillisecond));
  EXPECT_TRUE(passes(start + 501 * kMillisecond));
  EXPECT_FALSE(passes(start + 502 * kMillisecond));
  const TimeNs later = start + 3600 * kSecond;
  EXPECT_THAT((std::vector{passes(later), passes(later), passes(later), passes(later)}),
              testing::ElementsAre(true, true, true, false));
}

TEST(Engine, AQuotaHoldsUntilItIsUsedUp) {
  const Octets quota =
      expression("quota", join(attribute(nft::kQuotaBytes, be64(64)), attribute(nft::kQuotaFlags, be32(0))));
  Engine engine = engine_of(batch(table(), base_chain(), rule("in", join(quota, counter()))));
  for (int i = 0; i < 4; ++i) judge(engine, datagram());
  EXPECT_EQ(engine.tally(1).packets, 2U);
}

TEST(Engine, IntervalsEndBeforeTheirEndAndAdjacentOnesBothHold) {
  const Octets end = attribute(nft::kElementFlags, be32(nft::kElementIntervalEnd));
  Engine engine =
      engine_of(batch(table(), base_chain(), set({.flags = nft::kSetInterval, .key_bytes = 2}),
                      elements(join(element({0, 10}), element({0, 20}, end), element({0, 20}),
                                    element({0, 53}, end), element({0, 54}), element({0, 60}, end))),
                      rule("in", join(payload(kTransport, 2, 2), lookup(), counter()))));
  for (const auto& [port, inside] : {std::pair{9, false},
                                     {10, true},
                                     {19, true},
                                     {20, true},
                                     {52, true},
                                     {53, false},
                                     {54, true},
                                     {60, false}}) {
    Octets packet = datagram();
    packet[23] = static_cast<uint8_t>(port);
    const uint64_t before = engine.tally(0).packets;
    judge(engine, packet);
    EXPECT_EQ(engine.tally(0).packets - before, inside ? 1U : 0U) << port;
  }
}

TEST(Engine, AMarkStaysWithThePacket) {
  const Octets load_mark = expression(
      "immediate", join(attribute(nft::kImmediateTo, be32(1)), value(nft::kImmediateData, {7, 0, 0, 0})));
  const Octets set_mark =
      expression("meta", join(attribute(nft::kMetaKey, be32(3)), attribute(nft::kMetaFrom, be32(1))));
  Engine engine = engine_of(batch(table(), base_chain(), rule("in", join(load_mark, set_mark))));
  EXPECT_EQ(judge(engine, datagram()).mark, 7U);
}

TEST(Engine, ARejectionSaysHow) {
  Engine engine = engine_of(batch(table(), base_chain(),
                                  rule("in", expression("reject", join(attribute(nft::kRejectType, be32(2)),
                                                                       attribute(nft::kRejectCode, {1}))))));
  const Judgement judgement = judge(engine, datagram());
  EXPECT_FALSE(judgement.accepted);
  ASSERT_TRUE(judgement.reject);
  EXPECT_EQ(judgement.reject->kind, RejectKind::icmpx_unreachable);
  EXPECT_EQ(judgement.reject->code, 1);
}

}  // namespace
}  // namespace skerry::filter
