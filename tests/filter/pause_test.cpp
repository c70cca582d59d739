// Rules that are put in force in pieces: what was before goes on judging in the pauses, nothing of what it
// did there is lost, and no piece grows with the rules.
#include "base/pause.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cerrno>
#include <map>
#include <type_traits>
#include <utility>

#include "base/check.hpp"
#include "base/random.hpp"
#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kTimed = nft::kSetEval | nft::kSetHasTimeout;

Octets size_of_set(uint32_t size) {
  return attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, be32(size)));
}
Octets dynset(uint32_t operation, const Octets& more = {}) {
  return expression("dynset", join(attribute(nft::kDynsetName, text("s")),
                                   attribute(nft::kDynsetOperation, be32(operation)),
                                   attribute(nft::kDynsetKey, be32(1)), more));
}
Octets source() {
  return payload(1, 12, 4);
}
Octets counter_named(const std::string& name) {
  return nft_message(
      nft::kNewObject,
      join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text(name)),
           attribute(nft::kObjectType, be32(nft::kObjectCounter)), attribute(nft::kObjectData, Octets{})));
}
Octets counts(const std::string& name) {
  return expression("objref", join(attribute(nft::kObjrefType, be32(nft::kObjectCounter)),
                                   attribute(nft::kObjrefName, text(name))));
}

Judgement judge(Engine& engine, uint16_t from, uint8_t protocol, TimeNs now) {
  Octets bytes = {0x45, 0, 0,  28, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0,
                  0,    0, 10, 0,  0, 2, 0, 1, 0,  2,        0, 8, 0,  0};
  store_be16(&bytes[14], from);
  Packet packet;
  CHECK(packet.read(bytes));
  return engine.judge(Hook::input, packet, now);
}

struct Seen {
  uint64_t packets;
  TimeNs expires;
  DurationNs timeout;
  friend bool operator==(const Seen&, const Seen&) = default;
};
std::map<Octets, Seen> in_set(const Engine& engine, TimeNs now) {
  std::map<Octets, Seen> elements;
  const DynamicSet& set = *engine.dynamic_set(0);
  set.for_each(now, [&](const uint8_t* key, const Element& element) {
    const uint64_t packets = engine.tally(element.counters[0]).packets;
    elements[Octets(key, key + 4)] = {packets, set.expires(element), set.timeout(element)};
  });
  return elements;
}

// Packets come in every pause: they add elements, count and renew them, and take them out; times run out.
TEST(Pause, NothingIsLostOfWhatHappensMeanwhile) {
  const Octets each_counts = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter")));
  const Octets timed =
      set({.flags = kTimed,
           .more = join(size_of_set(1500), attribute(nft::kSetTimeout, be64(1000)), each_counts)});
  const auto is = [](uint8_t protocol) { return join(payload(1, 9, 1, 2), cmp(0, {protocol}, 2)); };
  const Octets element_counts =
      attribute(nft::kDynsetExpression, attribute(nft::kExpressionName, text("counter")));
  const auto rules = [&](const Octets& first) {
    return batch(table(), base_chain(), counter_named("seen"), timed, first,
                 rule("in", join(is(17), counts("seen"), source(), dynset(1, element_counts))),
                 rule("in", join(is(1), source(), dynset(2))));
  };
  const Octets before = rules({}), after = rules(rule("in", verdict(0)));
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Ruleset ruleset;
    ASSERT_FALSE(load(before, ruleset));
    Engine old(std::move(ruleset), 0);
    TimeNs now = 0;
    size_t pauses = 0;
    const auto packets = [&](uint32_t count) {
      for (; count > 0; --count) {
        now += random.below(300) * kMicrosecond;
        const auto from = static_cast<uint16_t>(random.below(2000));
        ASSERT_TRUE(judge(old, from, random.below(4) == 0 ? 1 : 17, now).accepted) << "the old rules";
      }
    };
    packets(3000);
    const Pause pause(
        [&] {
          ++pauses;
          packets(random.below(8) == 0 ? 1 : 0);
        },
        1);
    ASSERT_FALSE(load(after, ruleset = {}, {}, pause));
    const TimeNs begin = now;
    Engine next(std::move(ruleset), begin, {}, Engine::Search::indexed, pause);
    next.take_over(old, begin, pause);
    EXPECT_GT(pauses, 1500U);
    EXPECT_GT(in_set(old, now).size(), 500U);
    EXPECT_EQ(in_set(next, now), in_set(old, now));
    const auto seen = [](const Engine& engine) {
      return engine.tally(engine.ruleset().objects.at(0).stateful).packets;
    };
    EXPECT_EQ(seen(next), seen(old));
    EXPECT_FALSE(judge(next, 1, 17, now).accepted) << "the new rules";
  }
}

// More changes in every pause than are taken over between two: pauses become rarer until it ends.
TEST(Pause, PacketsDoNotKeepATakeoverFromItsEnd) {
  constexpr uint32_t kElements = 1024, kChanges = 20;
  const Octets each_counts = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter")));
  const Octets element_counts =
      attribute(nft::kDynsetExpression, attribute(nft::kExpressionName, text("counter")));
  const Octets rules = batch(table(), base_chain(),
                             set({.flags = nft::kSetEval, .more = join(size_of_set(kElements), each_counts)}),
                             rule("in", join(source(), dynset(0, element_counts))));
  const auto engine_of = [&] {
    Ruleset ruleset;
    EXPECT_FALSE(load(rules, ruleset));
    return Engine(std::move(ruleset), 0);
  };
  Engine old = engine_of(), next = engine_of();
  uint16_t from = 0;
  const auto packets = [&](uint32_t count) {
    for (; count > 0; --count) judge(old, from++ % kElements, 17, 0);
  };
  packets(kElements);
  size_t pauses = 0;
  next.take_over(old, 0,
                 Pause(
                     [&] {
                       ++pauses;
                       packets(kChanges);
                     },
                     1));
  EXPECT_LT(pauses, 8 * kElements);
  EXPECT_EQ(in_set(next, 0), in_set(old, 0));
}

// A vector of them that grows would copy all elements at once.
static_assert(std::is_nothrow_move_constructible_v<Set>);

TEST(Pause, OfWhatIsRefusedNothingIsLeftToBeFreedAtOnce) {
  size_t pauses = 0;
  const Pause pause([&] { ++pauses; }, 1);
  const auto refused = [&](uint32_t many) {
    pauses = 0;
    Octets given, all;
    for (uint32_t i = 0; i < many; ++i) {
      given = join(given, element(be32(i)));
      all = join(all, counter_named("c" + std::to_string(i)), rule("in", join(source(), verdict(1))));
    }
    Ruleset ruleset;
    const auto refusal =
        load(batch(table(), base_chain(), set({}), elements(given), all, rule("in", cmp(0, be32(1)))),
             ruleset, {}, pause);
    EXPECT_TRUE(refusal);
    EXPECT_TRUE(ruleset.chains.empty() && ruleset.sets.empty() && ruleset.objects.empty());
    return pauses;
  };
  // Each rule, element and object is freed by itself, beside what reading them takes, which is as much at
  // least.
  EXPECT_GE(refused(600) - refused(100), 2 * 3 * 500U);
}

// Also where there is nothing in it.
TEST(Pause, EachSetIsAPiece) {
  struct Pauses {
    size_t of_load, of_freeing;
  };
  constexpr uint32_t kFew = 600, kMany = 1000;  // for both vectors have the same room
  const auto more_pauses = [](const SetWords& words) {
    const auto pauses_of_sets = [&](uint32_t many) {
      size_t pauses = 0;
      const Pause pause([&] { ++pauses; }, 1);
      Octets all;
      for (uint32_t i = 0; i < many; ++i)
        all = join(all,
                   set({.flags = words.flags, .id = i, .name = "s" + std::to_string(i), .more = words.more}));
      Ruleset ruleset;
      EXPECT_FALSE(load(batch(table(), all), ruleset, {}, pause));
      const size_t of_load = pauses;
      Engine engine(std::move(ruleset), 0);
      pauses = 0;
      engine.take_apart(pause);
      return Pauses{of_load, pauses};
    };
    const Pauses few = pauses_of_sets(kFew), many = pauses_of_sets(kMany);
    return Pauses{many.of_load - few.of_load, many.of_freeing - few.of_freeing};
  };
  const Pauses plain = more_pauses({}), changing = more_pauses({.flags = kTimed, .more = size_of_set(1)});
  // Read, sorted and verified; then what is known of names, numbers and ends is freed.
  EXPECT_GE(plain.of_load, 6 * (kMany - kFew));
  EXPECT_GE(changing.of_load, 6 * (kMany - kFew));
  // Its index and itself, each emptied and freed.
  EXPECT_GE(plain.of_freeing, 4 * (kMany - kFew));
  EXPECT_GE(changing.of_freeing, 6 * (kMany - kFew));
}

TEST(Pause, RoomForConnectionsIsMadeInPieces) {
  size_t pauses = 0;
  const Octets one = expression("connlimit", attribute(nft::kConnlimitCount, be32(1)));
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), base_chain(), rule("in", one)), ruleset));
  const Engine engine(std::move(ruleset), 0, {}, Engine::Search::indexed, Pause([&] { ++pauses; }, 1));
  EXPECT_GE(pauses, ConnectionCounts::kMostCounted);
}

TEST(Pause, WhatGrowsIsMovedInPieces) {
  // So that counters outgrow their room between two numbers of rules, and rules do not.
  const auto pauses_of_rules = [](uint32_t many) {
    size_t pauses = 0;
    Octets all;
    for (uint32_t i = 0; i < many; ++i) all = join(all, rule("in", join(counter(), counter(), counter())));
    Ruleset ruleset;
    EXPECT_FALSE(load(batch(table(), base_chain(), all), ruleset, {}, Pause([&] { ++pauses; }, 1)));
    return pauses;
  };
  EXPECT_GE(pauses_of_rules(342) - pauses_of_rules(341), 1024U);
}

TEST(Pause, KeysThatOutgrowTheirRoomAreMovedInPieces) {
  constexpr uint32_t kRoom = 16'384, kBytes = 4, kInAMessage = 1024;
  const auto pauses_of_elements = [&](uint32_t many) {
    size_t pauses = 0;
    Octets all;
    for (uint32_t i = 0; i < many;) {
      Octets part;
      for (const uint32_t end = std::min(many, i + kInAMessage); i < end; ++i)
        part = join(part, element(be32(i)));
      all = join(all, elements(part));
    }
    Ruleset ruleset;
    EXPECT_FALSE(load(batch(table(), base_chain(), set({}), all), ruleset, {}, Pause([&] { ++pauses; }, 1)));
    return pauses;
  };
  const size_t fits = pauses_of_elements(kRoom), each = fits - pauses_of_elements(kRoom - 1);
  EXPECT_GE(pauses_of_elements(kRoom + 1) - fits, each + kRoom * kBytes / Pause::kPage);
}

size_t pauses_of_engine(const Octets& bytes) {
  size_t pauses = 0;
  Ruleset ruleset;
  CHECK(!load(bytes, ruleset));
  const Engine engine(std::move(ruleset), 0, {}, Engine::Search::indexed, Pause([&] { ++pauses; }, 1));
  return pauses;
}

TEST(Pause, RoomForWhatElementsCountIsMadeInPieces) {
  constexpr uint32_t kRules = 1000, kElements = 5000, kAtOnce = 32;
  Octets all;
  for (uint32_t i = 0; i < kRules; ++i) all = join(all, rule("in", counter()));
  const auto with = [&](const Octets& more) {
    return batch(table(), base_chain(),
                 set({.flags = nft::kSetEval, .more = join(size_of_set(kElements), more)}), all);
  };
  const Octets each_counts = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter")));
  // What each element counts by begins with a pause too.
  EXPECT_GE(pauses_of_engine(with(each_counts)) - pauses_of_engine(with({})),
            kElements + kElements / kAtOnce + kRules);
}

TEST(Pause, RoomForListsOfConnectionsIsMadeInPieces) {
  constexpr uint32_t kRules = 4096, kAtOnce = 32;
  Octets all;
  for (uint32_t i = 0; i < kRules; ++i) all = join(all, rule("in", counter()));
  const Octets one = expression("connlimit", attribute(nft::kConnlimitCount, be32(1)));
  const size_t counting = pauses_of_engine(batch(table(), base_chain(), all, rule("in", one))),
               others = pauses_of_engine(batch(table(), base_chain(), all, rule("in", counter())));
  constexpr size_t kFlows = ConnectionCounts::kMostCounted;
  // Beside the room for flows, and a look at each rule.
  EXPECT_GE(counting - others, kFlows + 2 * kFlows / kAtOnce + kRules + kRules / kAtOnce);
}

// All that goes on by its name does so between two packets.
TEST(Pause, WhatGoesOnAtOnceIsNotMuch) {
  const auto named = [](uint32_t many) {
    Octets all;
    for (uint32_t i = 0; i < many; ++i) all = join(all, counter_named("c" + std::to_string(i)));
    return batch(table(), all);
  };
  const Limits limits{.objects = 3};
  Ruleset ruleset;
  EXPECT_FALSE(load(named(3), ruleset, limits));
  const auto refusal = load(named(4), ruleset = {}, limits);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->error, E2BIG);
  EXPECT_LE(Limits().objects, 32'768U);
}

// What the last rules have left is given back page by page before it is freed.
TEST(Pause, NoPieceOfWhatIsFreedIsLarge) {
  static size_t pages, largest;
  static uint64_t pieces, last_piece;
  constexpr uint32_t kElements = 20'000;
  const Octets field = attribute(nft::kListElement, attribute(nft::kFieldLength, be32(2)));
  const Octets boxes =
      set({.flags = nft::kSetInterval | nft::kSetConcat,
           .key_bytes = 8,
           .more = attribute(nft::kSetDescription, attribute(nft::kDescriptionConcat, join(field, field)))});
  Octets all;
  for (uint32_t i = 0; i < kElements; i += 1000) {
    Octets ranges;
    for (uint32_t k = i; k < i + 1000; ++k)
      ranges = join(ranges, element(join(be32(k << 16), be32(k << 16)),
                                    value(nft::kElementKeyEnd, join(be32(k << 16), be32(UINT32_MAX << 16)))));
    all = join(all, elements(ranges));
  }
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), base_chain(), boxes, all), ruleset));
  Engine engine(std::move(ruleset), 0);
  pages = largest = 0;
  pieces = 0;
  last_piece = UINT64_MAX;
  engine.take_apart(Pause([] { ++pieces; }, 1,
                          [](void*, size_t bytes) {
                            largest = std::max(largest, bytes);
                            pages += bytes / Pause::kPage;
                            EXPECT_NE(pieces, last_piece) << "two at once";
                            last_piece = pieces;
                          }));
  EXPECT_LE(largest, Pause::kTakenBack);
  // A tree of so many leaves has twice as many nodes; of each at least two ranges of 16 bytes are kept, and
  // its place.
  EXPECT_GE(pages * Pause::kPage, 2 * kElements * (2 * 16 + 20));
}

// How often work of each kind pauses, for a ruleset of so many of everything.
std::array<size_t, 4> pauses_of(uint32_t many) {
  size_t pauses = 0;
  const Pause pause([&] { ++pauses; }, 1);
  const Octets timed = set({.flags = kTimed, .more = size_of_set(many)});
  const Octets field = attribute(nft::kListElement, attribute(nft::kFieldLength, be32(2)));
  const Octets boxes =
      set({.flags = nft::kSetInterval | nft::kSetConcat,
           .key_bytes = 8,
           .id = 2,
           .name = "boxes",
           .more = attribute(nft::kSetDescription, attribute(nft::kDescriptionConcat, join(field, field)))});
  Octets given, ranges, all;
  for (uint32_t i = 0; i < many; ++i) {
    given = join(given, element(be32(i * 7919)));
    ranges = join(ranges, element(join(be32(i << 16), be32(i << 16)),
                                  value(nft::kElementKeyEnd, join(be32(i << 16), be32(9 << 16)))));
    all = join(all, counter_named("c" + std::to_string(i)),
               rule("in", join(source(), cmp(0, be32(i)), counter(), verdict(1))));
  }
  const Octets bytes =
      batch(table(), base_chain(), timed, boxes, elements(given), elements(ranges, "boxes", 2), all);
  std::array<size_t, 4> counted{};
  const auto count = [&](size_t at) { counted[at] += std::exchange(pauses, 0); };
  Engine old{Ruleset{}};
  for (int round = 0; round < 2; ++round) {
    Ruleset ruleset;
    EXPECT_FALSE(load(bytes, ruleset, {}, pause));
    count(0);
    Engine engine(std::move(ruleset), 0, {}, Engine::Search::indexed, pause);
    count(1);
    engine.take_over(old, 0, pause);
    count(2);
    std::swap(old, engine);
    engine.take_apart(pause);
    count(3);
  }
  return counted;
}

TEST(Pause, ComesAgainForEachRuleElementAndObject) {
  constexpr uint32_t kFew = 100, kMany = 600;
  const auto few = pauses_of(kFew), many = pauses_of(kMany);
  // Of what is read, checked, indexed, taken over and freed: rules, two sets of elements, objects.
  constexpr std::array<size_t, 4> kKinds = {8, 8, 3, 3};
  for (size_t i = 0; i < few.size(); ++i) EXPECT_GE(many[i] - few[i], kKinds[i] * (kMany - kFew)) << i;
}

}  // namespace
}  // namespace skerry::filter
