// Sets that change while packets pass: by themselves, and through rules.
#include "filter/dynamic_set.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <map>

#include "base/check.hpp"
#include "base/random.hpp"
#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

Set four_byte_set(uint32_t size) {
  Set set;
  set.key_bytes = 4;
  set.dynamic = true;
  set.most_elements = size;
  return set;
}

// Once in each of a thousand time-outs: one element, not a thousand, so the others still find room.
TEST(DynamicSet, WhatComesBackLateTakesOnePlace) {
  DynamicSet set(four_byte_set(4), {1, 2}, 0, 0);
  const Octets late = be32(7);
  for (TimeNs now = 100; now < 100'100; now += 100) {
    ASSERT_EQ(set.find(late.data(), now), nullptr);
    ASSERT_NE(set.add(late.data(), now, 50), nullptr);
  }
  for (uint32_t other = 0; other < 3; ++other) {
    const Octets key = be32(100 + other);
    EXPECT_NE(set.add(key.data(), 100'010, 50), nullptr) << other;
  }
}

TEST(DynamicSet, AnElementIsThereUntilItsTimeIsOver) {
  DynamicSet set(four_byte_set(4), {1, 2}, 0, 0);
  const Octets key = be32(7);
  ASSERT_NE(set.add(key.data(), 100, 50), nullptr);
  EXPECT_NE(set.find(key.data(), 149), nullptr);
  EXPECT_EQ(set.find(key.data(), 150), nullptr);
  const Element* again = set.add(key.data(), 150, 50);
  ASSERT_NE(again, nullptr);
  set.renew(*again, 190, 0);
  EXPECT_NE(set.find(key.data(), 239), nullptr);
  set.renew(*again, 190, 10);
  EXPECT_EQ(set.find(key.data(), 200), nullptr);
}

TEST(DynamicSet, AFullSetTakesNoMoreUntilSomethingLeaves) {
  DynamicSet set(four_byte_set(2), {1, 2}, 0, 0);
  ASSERT_NE(set.add(be32(1).data(), 0, 100), nullptr);
  ASSERT_NE(set.add(be32(2).data(), 0, DynamicSet::kNoTimeout), nullptr);
  EXPECT_EQ(set.add(be32(3).data(), 99, 0), nullptr);
  EXPECT_NE(set.add(be32(3).data(), 100, 0), nullptr) << "the first one's time is over";
  EXPECT_EQ(set.add(be32(4).data(), kNever - 1, 0), nullptr) << "who has no time stays";
  set.remove(be32(2).data(), 200);
  EXPECT_NE(set.add(be32(4).data(), 200, 0), nullptr);
}

// Against a map, with keys that meet again and again in few buckets.
TEST(DynamicSet, DoesWhatAMapDoes) {
  constexpr uint32_t kSize = 64;
  for (const uint64_t seed : {1, 2, 3}) {
    Random random(seed);
    DynamicSet set(four_byte_set(kSize), {random.next(), random.next()}, 0, 0);
    std::map<uint32_t, TimeNs> expected;  // until when
    TimeNs now = 0;
    for (int i = 0; i < 20'000; ++i) {
      now += random.below(10);
      std::erase_if(expected, [&](const auto& each) { return each.second <= now; });
      const uint32_t number = random.below(100);
      const Octets key = be32(number);
      Element* found = set.find(key.data(), now);
      ASSERT_EQ(found != nullptr, expected.contains(number)) << "seed " << seed << " step " << i;
      const DurationNs timeout = random.chance(.2) ? 0 : 1 + random.below(400);
      if (random.chance(.2)) {
        set.remove(key.data(), now);
        expected.erase(number);
      } else if (found == nullptr) {
        // It may be full of elements whose time is over and that were not looked at yet; then it takes none.
        if (set.add(key.data(), now, timeout) != nullptr)
          expected[number] = timeout == 0 ? kNever : now + timeout;
      }
      ASSERT_LE(expected.size(), kSize);
    }
    size_t listed = 0;
    set.for_each(now,
                 [&](const uint8_t* key, const Element&) { listed += expected.contains(load_be32(key)); });
    EXPECT_EQ(listed, expected.size());
  }
}

// In a pause one goes, another takes its slot, and the first comes back into a slot of those that this round
// has still to look at.
TEST(DynamicSet, WhoseSlotChangesInAPauseIsTakenOver) {
  DynamicSet old(four_byte_set(8), {1, 2}, 0, 0), here(four_byte_set(8), {3, 4}, 0, 0);
  const Octets one = be32(1), two = be32(2), three = be32(3), four = be32(4);
  for (const Octets* key : {&one, &two, &three}) ASSERT_NE(old.add(key->data(), 0, 0), nullptr);
  DynamicSet::TakenOver taken = old.begin_taking(Pause());
  const auto take = [&](const Pause& pause) {
    const auto nothing = [](const Element&, const Element&) {};
    here.take_over(old, taken, 0, nothing, nothing, pause);
  };
  take(Pause());
  old.find(two.data(), 0);
  old.find(three.data(), 0);
  bool changes = true;
  take(Pause(
      [&] {
        if (!std::exchange(changes, false)) return;
        old.remove(one.data(), 0);
        old.add(four.data(), 0, 0);
        old.remove(three.data(), 0);
        old.add(one.data(), 0, 0);
      },
      1));
  ASSERT_FALSE(changes);
  take(Pause());
  for (const Octets* key : {&one, &two, &four}) EXPECT_NE(here.find(key->data(), 0), nullptr);
  EXPECT_EQ(here.find(three.data(), 0), nullptr);
}

// What a person or the text has put in stays.
TEST(DynamicSet, OnlyWhatARulePutInGoesWhenItIsIdle) {
  Set words = four_byte_set(3);
  words.keys = be32(1);
  words.elements.emplace_back();
  DynamicSet set(words, {1, 2}, 0, 0);
  const Octets given = be32(1), by_hand = be32(2), by_rule = be32(3);
  ASSERT_NE(set.add(by_hand.data(), 0, 0, DynamicSet::Giver::control), nullptr);
  ASSERT_NE(set.add(by_rule.data(), 0, 0), nullptr);
  set.release_idle([](const Element&) { return false; });
  EXPECT_EQ(set.make_room(0, 0), 0U);
  set.release_idle([](const Element&) { return true; });
  EXPECT_NE(set.find(given.data(), 0), nullptr);
  EXPECT_NE(set.find(by_hand.data(), 0), nullptr);
  EXPECT_EQ(set.find(by_rule.data(), 0), nullptr);
}

// --- rules ---
constexpr uint32_t kDynamic = nft::kSetEval, kTimed = nft::kSetEval | nft::kSetHasTimeout;

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

Octets packet_from(uint8_t last) {
  return {0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, last, 10, 0, 0, 2, 0, 1, 0, 2, 0, 8, 0, 0};
}

class Rules {
 public:
  explicit Rules(const Octets& bytes) : engine_(loaded(bytes)) {}
  bool accepts(uint8_t last, TimeNs now = 0) {
    Packet packet;
    Octets bytes = packet_from(last);
    CHECK(packet.read(bytes));
    return engine_.judge(Hook::input, packet, now).accepted;
  }

  // A packet to such an address.
  void renew(uint8_t last, TimeNs now) {
    Packet packet;
    Octets bytes = packet_from(200);
    bytes[19] = last;
    CHECK(packet.read(bytes));
    engine_.judge(Hook::input, packet, now);
  }

  // Other rules in the place of these, as a stack loads them.
  void change(const Octets& bytes, TimeNs now) {
    Engine next = loaded(bytes);
    next.take_over(engine_, now);
    engine_ = std::move(next);
  }
  const Engine& engine() const { return engine_; }

 private:
  static Engine loaded(const Octets& bytes) {
    Ruleset ruleset;
    const auto refused = load(bytes, ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    return Engine(std::move(ruleset));
  }
  Engine engine_;
};

// The first packet from an address is dropped and remembered, later ones pass.
TEST(DynamicSet, ARuleRemembersAndAnotherAsks) {
  Rules rules(batch(
      table(), base_chain(),
      set({.flags = kTimed, .more = join(size_of_set(8), attribute(nft::kSetTimeout, be64(1000)))}),
      rule("in", join(source(), lookup(), verdict(1))), rule("in", join(source(), dynset(0), verdict(0)))));
  EXPECT_FALSE(rules.accepts(5, 0));
  EXPECT_TRUE(rules.accepts(5, 1));
  EXPECT_FALSE(rules.accepts(6, 1));
  EXPECT_TRUE(rules.accepts(5, 999 * kMillisecond));
  EXPECT_FALSE(rules.accepts(5, 1000 * kMillisecond));
}

// As Linux: for how long an element was given is not asked (nft_dynset_eval()).
TEST(DynamicSet, WhoIsRenewedStaysForTheTimeOfTheSet) {
  const auto rules_of = [](const Octets& time_of_set) {
    return batch(table(), base_chain("in", Policy::drop),
                 set({.flags = kTimed, .more = join(size_of_set(8), time_of_set)}),
                 elements(join(element({10, 0, 0, 1}, attribute(nft::kElementTimeout, be64(9000))),
                               element({10, 0, 0, 3}, attribute(nft::kElementTimeout, be64(10))))),
                 rule("in", join(source(), lookup(), verdict(1))),
                 rule("in", join(payload(1, 16, 4), dynset(1), verdict(0))));
  };
  Rules timed(rules_of(attribute(nft::kSetTimeout, be64(1000))));
  const auto renew = [](Rules& rules, uint8_t last) { rules.renew(last, 5 * kMillisecond); };
  renew(timed, 1);
  renew(timed, 3);
  for (const uint8_t last : {uint8_t{1}, uint8_t{3}}) {
    EXPECT_TRUE(timed.accepts(last, 1004 * kMillisecond)) << int{last};
    EXPECT_FALSE(timed.accepts(last, 1005 * kMillisecond)) << int{last};
  }
  Rules untimed(rules_of({}));
  renew(untimed, 1);
  EXPECT_TRUE(untimed.accepts(1, 9004 * kMillisecond)) << "neither rule nor set says how long";
  EXPECT_FALSE(untimed.accepts(1, 9005 * kMillisecond));
}

TEST(DynamicSet, AFullSetEndsTheRule) {
  Rules rules(batch(table(), base_chain("in", Policy::drop), set({.flags = kDynamic, .more = size_of_set(2)}),
                    rule("in", join(source(), dynset(0), verdict(1)))));
  EXPECT_TRUE(rules.accepts(1));
  EXPECT_TRUE(rules.accepts(2));
  EXPECT_FALSE(rules.accepts(3));
  EXPECT_TRUE(rules.accepts(1)) << "it is in there already";
}

// Each address has a limit of its own: two packets, then none.
TEST(DynamicSet, EachElementHasItsOwnLimit) {
  const Octets limit =
      attribute(nft::kDynsetExpression,
                join(attribute(nft::kExpressionName, text("limit")),
                     attribute(nft::kExpressionData, join(attribute(nft::kLimitRate, be64(1)),
                                                          attribute(nft::kLimitUnit, be64(3600)),
                                                          attribute(nft::kLimitBurst, be32(2))))));
  Rules rules(batch(table(), base_chain("in", Policy::drop), set({.flags = kDynamic, .more = size_of_set(8)}),
                    rule("in", join(source(), dynset(1, limit), verdict(1)))));
  EXPECT_TRUE(rules.accepts(1));
  EXPECT_TRUE(rules.accepts(1));
  EXPECT_FALSE(rules.accepts(1));
  EXPECT_TRUE(rules.accepts(2));
}

TEST(DynamicSet, WhatTheTextGivesIsThereFromTheBeginning) {
  Rules rules(batch(table(), base_chain("in", Policy::drop), set({.flags = kTimed, .more = size_of_set(8)}),
                    elements(join(element({10, 0, 0, 1}),
                                  element({10, 0, 0, 2}, attribute(nft::kElementTimeout, be64(5))))),
                    rule("in", join(source(), lookup(), verdict(1)))));
  EXPECT_TRUE(rules.accepts(1, kSecond));
  EXPECT_TRUE(rules.accepts(2, 4 * kMillisecond));
  EXPECT_FALSE(rules.accepts(2, 5 * kMillisecond));
}

// Those that are in it stay in it, and no longer than they would have.
TEST(DynamicSet, OutlivesAReload) {
  const Octets timed =
      set({.flags = kTimed, .more = join(size_of_set(8), attribute(nft::kSetTimeout, be64(1000)))});
  Rules rules(batch(table(), base_chain(), timed, rule("in", join(source(), dynset(0)))));
  rules.accepts(5, 0);
  const Octets asks =
      batch(table(), base_chain("in", Policy::drop), timed, rule("in", join(source(), lookup(), verdict(1))));
  rules.change(asks, 600 * kMillisecond);
  EXPECT_TRUE(rules.accepts(5, 999 * kMillisecond));
  EXPECT_FALSE(rules.accepts(6, 999 * kMillisecond));
  EXPECT_FALSE(rules.accepts(5, 1000 * kMillisecond));
}

// Who takes an element out of the file and loads it means that.
TEST(DynamicSet, WhatTheTextGaveGoesWithTheText) {
  const Octets timed = set({.flags = kTimed, .more = size_of_set(8)});
  const Octets adds = rule("in", join(payload(1, 16, 4), dynset(0))),
               asks = rule("in", join(source(), lookup(), verdict(1)));
  const Octets before = batch(table(), base_chain("in", Policy::drop), timed,
                              elements(join(element({10, 0, 0, 1}), element({10, 0, 0, 3}))), adds, asks);
  const Octets after =
      batch(table(), base_chain("in", Policy::drop), timed, elements(element({10, 0, 0, 3})), asks);
  Rules rules(before);
  EXPECT_TRUE(rules.accepts(1));
  rules.change(after, 0);
  EXPECT_FALSE(rules.accepts(1)) << "the text gives it no more";
  EXPECT_TRUE(rules.accepts(3));
  EXPECT_TRUE(rules.accepts(2)) << "a rule has put it there";
  rules.change(after, 0);
  EXPECT_TRUE(rules.accepts(2)) << "and so it stays";
}

TEST(DynamicSet, OfAnotherKindBeginsAnew) {
  Rules rules(batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(8)}),
                    rule("in", join(source(), dynset(0)))));
  rules.accepts(5);
  rules.change(batch(table(), base_chain("in", Policy::drop),
                     set({.flags = kDynamic, .key_bytes = 2, .more = size_of_set(8)}),
                     rule("in", join(payload(1, 14, 2), lookup(), verdict(1)))),
               0);
  EXPECT_FALSE(rules.accepts(5));
}

// An address is no mark, though both have four bytes.
TEST(DynamicSet, OfAnotherTypeBeginsAnew) {
  constexpr uint32_t kAddress = 7, kMark = 19;
  const auto rules_of = [](uint32_t type) {
    return batch(table(), base_chain("in", Policy::drop),
                 set({.flags = kDynamic, .more = size_of_set(8), .key_type = type}),
                 rule("in", join(source(), lookup(), verdict(1))), rule("in", join(source(), dynset(0))));
  };
  Rules rules(rules_of(kAddress));
  EXPECT_FALSE(rules.accepts(5));
  rules.change(rules_of(kAddress), 0);
  EXPECT_TRUE(rules.accepts(5));
  rules.change(rules_of(kMark), 0);
  EXPECT_FALSE(rules.accepts(5));
}

// What had no time would stay for ever among what has one, and what had one would end where nothing does.
TEST(DynamicSet, WhoseElementsNowHaveATimeBeginsAnew) {
  const auto rules_of = [](uint32_t flags) {
    return batch(table(), base_chain("in", Policy::drop), set({.flags = flags, .more = size_of_set(8)}),
                 rule("in", join(source(), lookup(), verdict(1))), rule("in", join(source(), dynset(0))));
  };
  for (const auto& [before, after] : {std::pair{kDynamic, kTimed}, {kTimed, kDynamic}}) {
    Rules rules(rules_of(before));
    EXPECT_FALSE(rules.accepts(5));
    rules.change(rules_of(before), 0);
    EXPECT_TRUE(rules.accepts(5));
    rules.change(rules_of(after), 0);
    EXPECT_FALSE(rules.accepts(5));
  }
}

TEST(NamedObject, OutlivesAReload) {
  const auto counter_named = [](const std::string& name) {
    return nft_message(
        nft::kNewObject,
        join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text(name)),
             attribute(nft::kObjectType, be32(nft::kObjectCounter)), attribute(nft::kObjectData, Octets{})));
  };
  const auto counts = [](const std::string& name) {
    return rule("in", expression("objref", join(attribute(nft::kObjrefType, be32(nft::kObjectCounter)),
                                                attribute(nft::kObjrefName, text(name)))));
  };
  Rules rules(batch(table(), base_chain(), counter_named("seen"), counts("seen")));
  rules.accepts(1);
  rules.accepts(1);
  rules.change(batch(table(), base_chain(), counter_named("other"), counter_named("seen"), counts("seen")),
               0);
  rules.accepts(1);
  const Ruleset& ruleset = rules.engine().ruleset();
  ASSERT_EQ(ruleset.objects.size(), 2U);
  EXPECT_EQ(rules.engine().tally(ruleset.objects[0].stateful).packets, 0U);
  EXPECT_EQ(rules.engine().tally(ruleset.objects[1].stateful).packets, 3U);
}

TEST(NamedObject, OfTwoKindsMayHaveOneName) {
  const auto object = [](uint32_t kind, const Octets& data) {
    return nft_message(nft::kNewObject,
                       join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text("web")),
                            attribute(nft::kObjectType, be32(kind)), attribute(nft::kObjectData, data)));
  };
  const Octets both =
      batch(table(), base_chain(), object(nft::kObjectQuota, attribute(nft::kQuotaBytes, be64(1'000'000))),
            object(nft::kObjectCounter, {}),
            rule("in", expression("objref", join(attribute(nft::kObjrefType, be32(nft::kObjectCounter)),
                                                 attribute(nft::kObjrefName, text("web"))))));
  Rules rules(both);
  rules.accepts(1);
  rules.change(both, 0);
  rules.accepts(1);
  const Ruleset& ruleset = rules.engine().ruleset();
  ASSERT_EQ(ruleset.objects.size(), 2U);
  EXPECT_EQ(rules.engine().tally(ruleset.objects[1].stateful).packets, 2U);
}

TEST(DynamicSet, RefusesWhatTheKernelRefuses) {
  struct Refused {
    const char* name;
    Octets bytes;
    int error;
    const char* sentence;
  };
  const Octets add = rule("in", join(source(), dynset(0)));
  const Octets time = attribute(nft::kDynsetTimeout, be64(5));
  const std::vector<Refused> all = {
      {"a set that is not dynamic", batch(table(), base_chain(), set({}), add), EOPNOTSUPP, "flag dynamic"},
      {"an interval set", batch(table(), set({.flags = kDynamic | nft::kSetInterval})), EOPNOTSUPP,
       "without intervals"},
      {"a time without the flag",
       batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(4)}),
             rule("in", join(source(), dynset(0, time)))),
       EOPNOTSUPP, "flag timeout"},
      {"a set's time without the flag",
       batch(table(), set({.flags = kDynamic, .more = attribute(nft::kSetTimeout, be64(5))})), EINVAL,
       "flag timeout"},
      {"an element's time without the flag",
       batch(table(), set({}), elements(element(be32(1), attribute(nft::kElementTimeout, be64(5))))), EINVAL,
       "flag timeout"},
      {"a key that nothing wrote",
       batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(4)}), rule("in", dynset(0))),
       ENODATA, "nothing wrote"},
      {"operation 3",
       batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(4)}),
             rule("in", join(source(), dynset(3)))),
       EOPNOTSUPP, "change"},
      {"a value into a set",
       batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(4)}),
             rule("in", join(source(), dynset(0, attribute(nft::kDynsetData, be32(1)))))),
       EINVAL, "a set or a map"},
      {"other counters elsewhere",
       batch(table(), base_chain(), set({.flags = kDynamic, .more = size_of_set(4)}), add,
             rule("in",
                  join(source(), dynset(0, attribute(nft::kDynsetExpression,
                                                     attribute(nft::kExpressionName, text("counter"))))))),
       EOPNOTSUPP, "elsewhere"},
      {"room for a million", batch(table(), set({.flags = kDynamic, .more = size_of_set(1'000'000)})), E2BIG,
       "smaller size"},
      {"more than its size",
       batch(table(), set({.flags = kTimed, .more = size_of_set(1)}),
             elements(join(element(be32(1)), element(be32(2))))),
       ENFILE, "size"},
  };
  for (const Refused& each : all) {
    Ruleset ruleset;
    const auto found = load(each.bytes, ruleset);
    ASSERT_TRUE(found) << each.name;
    EXPECT_EQ(found->error, each.error) << each.name << ": " << found->sentence;
    EXPECT_THAT(found->sentence, HasSubstr(each.sentence)) << each.name;
  }
}

}  // namespace
}  // namespace skerry::filter
