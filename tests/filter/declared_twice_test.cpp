// What a file says twice, as files do that are put together from several: what Linux makes of it.
#include <gmock/gmock.h>

#include <cerrno>

#include "base/time.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

constexpr uint32_t kDynamic = nft::kSetEval, kTimed = nft::kSetHasTimeout;

Octets time_and_size(uint64_t timeout_ms, uint32_t size) {
  return join(attribute(nft::kSetTimeout, be64(timeout_ms)),
              attribute(nft::kSetDescription, number(nft::kDescriptionSize, size)));
}
Octets object(uint32_t type, const Octets& data, uint16_t flags = 0) {
  return message(static_cast<uint16_t>(nft::kSubsystem << 8 | nft::kNewObject), nft::kInet,
                 join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text("o")),
                      number(nft::kObjectType, type), attribute(nft::kObjectData, data)),
                 flags);
}
Ruleset loaded(const Octets& bytes) {
  Ruleset ruleset;
  const auto refused = load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return ruleset;
}

TEST(DeclaredTwice, ASetTakesItsRoomOnce) {
  constexpr uint32_t kMoreThanHalf = 200'000;
  const Octets size = attribute(nft::kSetDescription, number(nft::kDescriptionSize, kMoreThanHalf));
  const Ruleset ruleset = loaded(batch(table(), set({.flags = kDynamic, .more = size}),
                                       set({.flags = kDynamic, .id = 2, .more = size})));
  EXPECT_EQ(ruleset.sets.size(), 1U);
}

// Linux changes both when the transaction ends (nf_tables_commit()).
TEST(DeclaredTwice, TheLastTimeAndSizeOfASetHold) {
  const Octets more = attribute(nft::kSetTimeout, be64(3000));
  const Ruleset ruleset = loaded(
      batch(table(), set({.flags = kTimed, .more = time_and_size(1000, 7)}), elements(element(be32(1))),
            set({.flags = kTimed, .id = 2, .more = time_and_size(2000, 9)}),
            elements(element(be32(2)), "s", 2), set({.flags = kTimed, .id = 3, .more = more})));
  ASSERT_EQ(ruleset.sets.size(), 1U);
  EXPECT_EQ(ruleset.sets[0].timeout_ns, 3000 * kMillisecond);
  EXPECT_EQ(ruleset.sets[0].most_elements, 9U) << "no size is none, and not another";
  for (const Element& each : ruleset.sets[0].elements) EXPECT_EQ(each.timeout_ns, 1000 * kMillisecond);
}

TEST(DeclaredTwice, ASmallerSetKeepsItsElements) {
  Ruleset ruleset = loaded(batch(table(), set({.flags = kTimed, .more = time_and_size(1000, 3)}),
                                 elements(join(element(be32(1)), element(be32(2)), element(be32(3)))),
                                 set({.flags = kTimed, .id = 2, .more = time_and_size(1000, 2)})));
  const Engine engine(std::move(ruleset), 0);
  size_t there = 0;
  engine.dynamic_set(0)->for_each(0, [&](const uint8_t*, const Element&) { ++there; });
  EXPECT_EQ(there, 3U);
}

TEST(DeclaredTwice, TheOneForAllOthersIsThereOnce) {
  const Octets others = attribute(nft::kListElement, number(nft::kElementFlags, nft::kElementCatchall));
  for (const uint32_t flags : {0U, static_cast<uint32_t>(nft::kSetInterval)}) {
    const Ruleset ruleset = loaded(batch(table(), set({.flags = flags}),
                                         elements(join(others, element(be32(1)), others)), elements(others)));
    ASSERT_EQ(ruleset.sets.size(), 1U);
    EXPECT_EQ(ruleset.sets[0].size(), 2U);
  }
}

TEST(DeclaredTwice, ACounterIsAsTheFirstSaysAndAQuotaAsTheLast) {
  using namespace nft;
  const auto packets = [](uint64_t count) { return attribute(kCounterPackets, be64(count)); };
  const Ruleset counted =
      loaded(batch(table(), object(kObjectCounter, packets(5)), object(kObjectCounter, packets(7))));
  ASSERT_EQ(counted.objects.size(), 1U);
  EXPECT_EQ(counted.stateful[counted.objects[0].stateful].packets, 5U);
  const auto quota = [](uint64_t bytes, uint32_t over, uint64_t used) {
    return object(kObjectQuota, join(attribute(kQuotaBytes, be64(bytes)), number(kQuotaFlags, over),
                                     attribute(kQuotaConsumed, be64(used))));
  };
  const Ruleset limited = loaded(batch(table(), quota(5, 1, 3), quota(7, 0, 1)));
  ASSERT_EQ(limited.objects.size(), 1U);
  const Stateful& last = limited.stateful[limited.objects[0].stateful];
  EXPECT_EQ(last.bytes, 7U);
  EXPECT_FALSE(last.inverted);
  EXPECT_EQ(last.consumed, 3U);
}

// `create` says that it is not there yet.
TEST(DeclaredTwice, WhatIsCreatedIsNotThereYet) {
  using namespace nft;
  const auto create = [](Octets message) {
    const uint16_t flags = kFlagExclusive;
    std::memcpy(message.data() + 6, &flags, sizeof flags);
    return message;
  };
  const Octets all[] = {table(), base_chain(), set({}), object(kObjectCounter, {})};
  for (const Octets& each : all) {
    const Octets before = each == all[0] ? Octets() : table();
    loaded(batch(before, create(each)));
    Ruleset ruleset;
    Octets again = create(each);
    if (each == all[2]) again = create(set({.id = 2}));
    const auto refused = load(batch(before, each, again), ruleset);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error, EEXIST);
    EXPECT_THAT(refused->sentence, HasSubstr("is there already: write add"));
  }
}

}  // namespace
}  // namespace skerry::filter
