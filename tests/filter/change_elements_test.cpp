// Elements that come and go while packets pass: what each kind of set makes of them, that a refused change
// changes nothing, and that the whole does what a plain map of keys does.
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

constexpr uint32_t kInterval = nft::kSetInterval, kTimed = nft::kSetEval | nft::kSetHasTimeout;

Octets size_of_set(uint32_t size) {
  return attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, be32(size)));
}
Octets source() {
  return payload(1, 12, 4);
}
Octets asks() {
  return rule("in", join(source(), lookup(), verdict(1)));
}
GivenElement given(uint8_t first, uint8_t last = 0, uint64_t timeout_ns = 0) {
  GivenElement element;
  element.key = {10, 0, 0, first};
  if (last != 0) element.last = {10, 0, 0, last};
  element.timeout_ns = timeout_ns;
  return element;
}

// Rules whose set "s" decides who passes at input; all else is dropped.
class Rules {
 public:
  explicit Rules(const SetWords& words, const Octets& more = {}, const Octets& rules = asks())
      : Rules(batch(table(), base_chain("in", Policy::drop), set(words), more, rules)) {}
  explicit Rules(const Octets& bytes) : engine_(loaded(bytes)) {}

  static Engine loaded(const Octets& bytes) {
    Ruleset ruleset;
    const auto refused = load(bytes, ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    return Engine(std::move(ruleset));
  }
  // As a stack asks: what passed before passes without a look at the rules.
  bool accepts(uint8_t last, TimeNs now = 0) {
    Octets bytes = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10,   0,  0, last, 10, 0, 0, 2,
                    0,    1, 0, 2,  0, 0, 0, 0, 0,  0, 0, 0, 0x50, 16, 0, 0,    0,  0, 0, 0};
    const auto look = engine_.look(bytes, false, false, {});
    CHECK(look.has_value());
    if (engine_.recall(*look, 40, now)) return true;
    Packet packet;
    CHECK(packet.read(bytes));
    engine_.record();
    const bool accepted = engine_.judge(Hook::input, packet, now).accepted;
    if (accepted) engine_.remember(*look);
    return accepted;
  }
  // 0 or the error.
  int add(std::vector<GivenElement> elements, TimeNs now = 0) { return change(Change::add, elements, now); }
  int remove(std::vector<GivenElement> elements, TimeNs now = 0) {
    return change(Change::remove, elements, now);
  }
  int change(Change change, const std::vector<GivenElement>& elements, TimeNs now = 0) {
    const auto refusal = engine_.change(0, change, elements, now);
    sentence = refusal ? refusal->sentence : "";
    EXPECT_EQ(verify(engine_.ruleset()), std::nullopt);
    return refusal ? refusal->error : 0;
  }
  void load_again(const Octets& bytes, TimeNs now = 0) {
    Engine next = loaded(bytes);
    next.take_over(engine_, now);
    engine_ = std::move(next);
  }
  Engine& engine() { return engine_; }

  std::string sentence;

 private:
  Engine engine_;
};

TEST(Elements, ComeAndGoBetweenTwoPackets) {
  Rules rules(SetWords{}, elements(element({10, 0, 0, 5})));
  EXPECT_FALSE(rules.accepts(6));
  EXPECT_EQ(rules.add({given(6), given(4)}), 0);
  EXPECT_TRUE(rules.accepts(4) && rules.accepts(5) && rules.accepts(6));
  EXPECT_EQ(rules.add({given(6)}), 0) << "it is there already";
  EXPECT_TRUE(rules.accepts(6));
  EXPECT_EQ(rules.remove({given(6), given(5)}), 0);
  EXPECT_FALSE(rules.accepts(6)) << "not even one like it that passed before";
  EXPECT_FALSE(rules.accepts(5));
  EXPECT_TRUE(rules.accepts(4));
}

TEST(Elements, AChangeThatIsRefusedChangesNothing) {
  Rules rules({.more = size_of_set(3)}, elements(element({10, 0, 0, 5})));
  EXPECT_EQ(rules.remove({given(5), given(6)}), ENOENT);
  EXPECT_TRUE(rules.accepts(5));
  EXPECT_EQ(rules.remove({given(5), given(5)}), ENOENT) << "it is there once";
  EXPECT_TRUE(rules.accepts(5));
  EXPECT_EQ(rules.add({given(6), given(7), given(8)}), ENFILE);
  EXPECT_THAT(rules.sentence, HasSubstr("full: it has room for 3"));
  EXPECT_FALSE(rules.accepts(6));
  EXPECT_EQ(rules.add({given(6), given(6)}), EEXIST) << "one key twice";
  EXPECT_EQ(rules.add({given(6)}), 0);
  EXPECT_LE(rules.engine().ruleset().sets[0].keys.size(), 12U) << "and what was refused takes no room";
}

// As Linux counts (nft_add_set_elem()).
TEST(Elements, TheOneForAllOthersTakesNoRoom) {
  const Octets others =
      attribute(nft::kListElement, attribute(nft::kElementFlags, be32(nft::kElementCatchall)));
  Rules rules({.more = size_of_set(1)}, elements(join(element({10, 0, 0, 5}), others)));
  EXPECT_TRUE(rules.accepts(6));
  GivenElement all;
  EXPECT_EQ(rules.remove({all}), 0);
  EXPECT_EQ(rules.add({given(6)}), ENFILE);
  EXPECT_EQ(rules.add({all}), 0);
  EXPECT_TRUE(rules.accepts(6));
  EXPECT_EQ(rules.remove({given(5)}), 0);
  EXPECT_EQ(rules.add({given(7)}), 0);
  EXPECT_EQ(rules.add({given(8)}), ENFILE);
}

TEST(Elements, WhatDoesNotFitTheSetIsRefused) {
  Rules plain(SetWords{});
  GivenElement one = given(6);
  EXPECT_EQ(plain.add({given(6, 7)}), EINVAL);
  EXPECT_THAT(plain.sentence, HasSubstr("interval"));
  EXPECT_EQ(plain.add({given(6, 0, kSecond)}), EINVAL);
  EXPECT_THAT(plain.sentence, HasSubstr("timeout"));
  one.key.pop_back();
  EXPECT_EQ(plain.add({one}), EINVAL);
  one = given(6);
  one.data.length = 4;
  EXPECT_EQ(plain.add({one}), EINVAL);
  one = given(6);
  one.verdict.code = Code::drop;
  EXPECT_EQ(plain.add({one}), EINVAL);
  one = given(6);
  one.stateful = 0;
  EXPECT_EQ(plain.add({one}), EINVAL);
  one = given(6);
  one.key.clear();
  one.last = {10, 0, 0, 5};
  EXPECT_EQ(plain.add({one}), EINVAL);
  EXPECT_FALSE(plain.accepts(6));
  Rules constant(SetWords{.flags = nft::kSetConstant});
  EXPECT_EQ(constant.add({given(6)}), EINVAL);
  Rules intervals(SetWords{.flags = kInterval});
  EXPECT_EQ(intervals.add({given(7, 6)}), EINVAL);
  Rules timed(SetWords{.flags = kTimed, .more = size_of_set(4)});
  one = given(6);
  one.key.clear();
  EXPECT_EQ(timed.add({one}), EINVAL);
  one = given(6, 0, UINT64_MAX);
  EXPECT_EQ(timed.add({one}), EINVAL);
}

TEST(Elements, OneForAllOthers) {
  Rules rules(SetWords{}, elements(element({10, 0, 0, 5})));
  GivenElement all;
  EXPECT_EQ(rules.remove({all}), ENOENT);
  EXPECT_EQ(rules.add({all, all}), EEXIST);
  EXPECT_EQ(rules.add({all, given(3)}), 0);
  EXPECT_TRUE(rules.accepts(3) && rules.accepts(5) && rules.accepts(200));
  EXPECT_EQ(rules.remove({all}), 0);
  EXPECT_FALSE(rules.accepts(200));
  EXPECT_TRUE(rules.accepts(3) && rules.accepts(5));
}

TEST(Elements, IntervalsThatTouchComeAndGoAlone) {
  // Of 10.0.0.4 to 10.0.0.7 and 10.0.0.8 to 10.0.0.9 the text says no end of the first, as nft does.
  const Octets end = attribute(nft::kElementFlags, be32(nft::kElementIntervalEnd));
  Rules rules({.flags = kInterval},
              elements(join(element({10, 0, 0, 4}), element({10, 0, 0, 8}), element({10, 0, 0, 10}, end))));
  EXPECT_EQ(rules.add({given(10, 12)}), 0);
  EXPECT_EQ(rules.remove({given(8, 9)}), 0);
  EXPECT_TRUE(rules.accepts(4) && rules.accepts(7) && rules.accepts(10) && rules.accepts(12));
  EXPECT_FALSE(rules.accepts(8) || rules.accepts(9) || rules.accepts(3) || rules.accepts(13));
  EXPECT_EQ(rules.add({given(7, 8)}), EEXIST) << "it overlaps";
  EXPECT_EQ(rules.add({given(8, 10)}), EEXIST);
  EXPECT_EQ(rules.add({given(1, 50)}), EEXIST);
  EXPECT_EQ(rules.remove({given(4, 6)}), ENOENT) << "a part of one is none";
  EXPECT_EQ(rules.add({given(4, 7)}), 0) << "it is there already";
  EXPECT_EQ(rules.add({given(20, 30), given(25, 40)}), EEXIST);
  EXPECT_EQ(rules.add({given(8)}), 0);
  EXPECT_TRUE(rules.accepts(8));
  EXPECT_FALSE(rules.accepts(9));
}

TEST(Elements, AnIntervalUpToTheLastKey) {
  Rules rules({.flags = kInterval, .key_bytes = 1}, {},
              rule("in", join(payload(1, 15, 1), lookup(), verdict(1))));
  GivenElement high, low, all;
  high.key = {200};
  high.last = {255};
  low.key = {0};
  low.last = {3};
  EXPECT_EQ(rules.add({high, low, all}), 0);
  EXPECT_TRUE(rules.accepts(255) && rules.accepts(200) && rules.accepts(0) && rules.accepts(100));
  EXPECT_EQ(rules.remove({all}), 0);
  EXPECT_TRUE(rules.accepts(255) && rules.accepts(200) && rules.accepts(0));
  EXPECT_FALSE(rules.accepts(100));
  EXPECT_EQ(rules.remove({high}), 0);
  EXPECT_FALSE(rules.accepts(255));
  EXPECT_TRUE(rules.accepts(3));
}

TEST(Elements, ConcatenatedRanges) {
  const Octets field = attribute(nft::kListElement, attribute(nft::kFieldLength, be32(2)));
  Rules rules(
      {.flags = kInterval | nft::kSetConcat,
       .key_bytes = 8,
       .more = attribute(nft::kSetDescription, attribute(nft::kDescriptionConcat, join(field, field)))},
      {},
      rule("in", join(payload(1, 14, 2, 8), payload(2, 2, 2, 9),
                      expression("lookup", join(attribute(nft::kLookupSet, text("s")),
                                                attribute(nft::kLookupFrom, be32(8)))),
                      verdict(1))));
  const auto box = [](uint8_t low, uint8_t high, uint8_t port) {
    GivenElement element;
    element.key = {0, low, 0, 0, 0, port, 0, 0};
    element.last = {0, high, 0, 0, 0, 9, 0, 0};
    return element;
  };
  EXPECT_EQ(rules.add({box(4, 6, 2), box(7, 9, 2)}), 0);
  EXPECT_TRUE(rules.accepts(4) && rules.accepts(8));
  EXPECT_EQ(rules.add({box(6, 7, 3)}), EEXIST);
  EXPECT_EQ(rules.add({box(6, 5, 3)}), EINVAL);
  EXPECT_EQ(rules.add({box(20, 22, 3)}), 0);
  EXPECT_FALSE(rules.accepts(21)) << "another port";
  EXPECT_EQ(rules.remove({box(4, 6, 3)}), ENOENT);
  EXPECT_EQ(rules.remove({box(4, 6, 2)}), 0);
  EXPECT_FALSE(rules.accepts(4));
  EXPECT_TRUE(rules.accepts(8));
}

// Whether that is so is looked at where a set has become twice as large; else it would take as long as all
// rules.
TEST(Elements, OfConcatenatedRangesAreNoMoreThanAPacketCouldMeet) {
  const Octets field = attribute(nft::kListElement, attribute(nft::kFieldLength, be32(2)));
  const auto key = [](uint16_t number, uint8_t port) {
    Octets bytes(8);
    store_be16(bytes.data(), number);
    bytes[5] = port;
    return bytes;
  };
  Octets given, asking;
  for (uint16_t i = 0; i < 512; ++i) given = join(given, element(key(i, 1)));
  for (int i = 0; i < 2000; ++i)
    asking = join(asking, rule("in", join(payload(1, 14, 2, 8), payload(2, 2, 2, 9),
                                          expression("lookup", join(attribute(nft::kLookupSet, text("s")),
                                                                    attribute(nft::kLookupFrom, be32(8)))),
                                          verdict(1))));
  Rules rules(
      {.flags = nft::kSetInterval | nft::kSetConcat,
       .key_bytes = 8,
       .more = attribute(nft::kSetDescription, attribute(nft::kDescriptionConcat, join(field, field)))},
      elements(given), asking);
  GivenElement one, other;
  one.key = key(1000, 1);
  other.key = key(1001, 1);
  EXPECT_EQ(rules.add({one}), EMLINK);
  EXPECT_EQ(rules.engine().ruleset().sets[0].size(), 512U);
  GivenElement old;
  old.key = key(7, 1);
  EXPECT_EQ(rules.remove({old}), 0);
  EXPECT_EQ(rules.add({one, other}), EMLINK);
  EXPECT_EQ(rules.add({one}), 0);
  EXPECT_EQ(rules.engine().ruleset().sets[0].size(), 512U);
}

TEST(Elements, TheirTime) {
  Rules rules(
      SetWords{.flags = kTimed, .more = join(size_of_set(2), attribute(nft::kSetTimeout, be64(1000)))});
  EXPECT_EQ(rules.add({given(5), given(6, 0, 50 * kMillisecond)}), 0);
  EXPECT_TRUE(rules.accepts(5, 999 * kMillisecond));
  EXPECT_TRUE(rules.accepts(6, 49 * kMillisecond));
  EXPECT_EQ(rules.add({given(7)}, 49 * kMillisecond), ENFILE);
  EXPECT_EQ(rules.add({given(6, 0, 20 * kMillisecond)}, 40 * kMillisecond), 0) << "a new time";
  EXPECT_EQ(rules.change(Change::prolong, {given(6, 0, 5 * kMillisecond)}, 41 * kMillisecond), 0);
  EXPECT_TRUE(rules.accepts(6, 59 * kMillisecond));
  EXPECT_FALSE(rules.accepts(6, 60 * kMillisecond));
  EXPECT_EQ(rules.add({given(7)}, 61 * kMillisecond), 0) << "its time is over, so there is room";
  EXPECT_EQ(rules.remove({given(6)}, 61 * kMillisecond), ENOENT);
  EXPECT_EQ(rules.remove({given(5), given(6)}, 61 * kMillisecond), ENOENT);
  EXPECT_TRUE(rules.accepts(5, 61 * kMillisecond));
  EXPECT_EQ(rules.change(Change::prolong, {given(5, 0, 950 * kMillisecond)}, 61 * kMillisecond), 0);
  EXPECT_TRUE(rules.accepts(5, 1010 * kMillisecond)) << "ten more than it had";
  EXPECT_EQ(rules.remove({given(5)}, 61 * kMillisecond), 0);
  EXPECT_FALSE(rules.accepts(5, 61 * kMillisecond));
}

TEST(Elements, OfAVerdictMapLeadNowhereThatRulesCouldNot) {
  const auto asks_map = [](const std::string& where) {
    return rule(where, join(source(), lookup("s", attribute(nft::kLookupTo, be32(0)))));
  };
  Rules rules(
      batch(table(), base_chain("in", Policy::drop), chain("a"), chain("b"),
            set({.flags = nft::kSetMap, .more = attribute(nft::kSetDataType, be32(nft::kDataTypeVerdict))}),
            asks_map("in"), rule("a", verdict(1)), asks_map("b")));
  const auto goes = [](uint8_t key, Code code, uint32_t chain = kNone) {
    GivenElement element = given(key);
    element.verdict = {code, chain};
    return element;
  };
  EXPECT_EQ(rules.add({goes(3, Code::accept), goes(4, Code::drop), goes(5, Code::jump, 1)}), 0);
  EXPECT_TRUE(rules.accepts(3) && rules.accepts(5));
  EXPECT_FALSE(rules.accepts(4));
  EXPECT_EQ(rules.add({goes(4, Code::accept)}), EEXIST) << "it maps to something else";
  EXPECT_EQ(rules.add({goes(6, Code::jump, 0)}), EOPNOTSUPP) << "a base chain";
  EXPECT_EQ(rules.add({goes(6, Code::jump, 7)}), EINVAL);
  EXPECT_EQ(rules.add({goes(6, Code::jump)}), EINVAL);
  EXPECT_EQ(rules.add({goes(6, Code::accept, 1)}), EINVAL);
  EXPECT_EQ(rules.add({goes(6, static_cast<Code>(17))}), EINVAL);
  EXPECT_EQ(rules.add({goes(7, Code::accept), goes(6, Code::go, 2)}), EMLINK) << "b asks the map too";
  EXPECT_EQ(rules.add({goes(6, Code::go, 2)}), EMLINK) << "and it does so still";
  EXPECT_FALSE(rules.accepts(7)) << "so neither is in it";
}

// Two maps: the first leads from `in` to a, the second from a to b, and b asks the first.
TEST(Elements, ThatAreGoneLeadNowhere) {
  const Octets verdicts = attribute(nft::kSetDataType, be32(nft::kDataTypeVerdict));
  const auto asks_map = [](const std::string& where, const std::string& map) {
    return rule(where, join(source(), lookup(map, attribute(nft::kLookupTo, be32(0)))));
  };
  Rules rules(batch(table(), base_chain("in", Policy::drop), chain("a"), chain("b"),
                    set({.flags = nft::kSetMap, .more = verdicts}),
                    set({.flags = nft::kSetMap, .id = 2, .name = "further", .more = verdicts}),
                    asks_map("in", "s"), asks_map("a", "further"), asks_map("b", "s")));
  const auto jumps = [](uint8_t key, uint32_t chain) {
    GivenElement element = given(key);
    element.verdict = {Code::jump, chain};
    return element;
  };
  constexpr uint32_t kA = 1, kB = 2;
  const auto closes_circle = [&] {
    const GivenElement element = jumps(9, kB);
    const auto refusal = rules.engine().change(1, Change::add, {&element, 1}, 0);
    return refusal ? refusal->error : 0;
  };
  EXPECT_EQ(rules.add({jumps(5, kA), jumps(6, kA)}), 0);
  EXPECT_EQ(closes_circle(), EMLINK);
  EXPECT_EQ(rules.remove({jumps(5, kA)}), 0);
  EXPECT_EQ(closes_circle(), EMLINK) << "the other leads there still";
  EXPECT_EQ(rules.remove({jumps(6, kA)}), 0);
  EXPECT_EQ(closes_circle(), 0);
  EXPECT_EQ(rules.add({jumps(5, kA)}), EMLINK);
}

// Chains and objects have other numbers in the next text, and some are no more.
TEST(Elements, ThatLeadToNamesOutliveAReload) {
  constexpr uint32_t kCounters = nft::kObjectCounter;
  const auto counter_named = [](const std::string& name) {
    return nft_message(
        nft::kNewObject,
        join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text(name)),
             attribute(nft::kObjectType, be32(kCounters)), attribute(nft::kObjectData, Octets{})));
  };
  const auto text_with = [&](const Octets& chains, const Octets& objects) {
    return batch(
        table(), base_chain("in", Policy::drop), chains, objects,
        set({.flags = nft::kSetMap, .more = attribute(nft::kSetDataType, be32(nft::kDataTypeVerdict))}),
        set({.flags = nft::kSetObject,
             .id = 2,
             .name = "counts",
             .more = attribute(nft::kSetObjectType, be32(kCounters))}),
        rule("in", join(source(), lookup("s", attribute(nft::kLookupTo, be32(0))))));
  };
  const auto both = [&](const std::string& one, const std::string& other) {
    return text_with(join(chain(one), chain(other)), join(counter_named(one), counter_named(other)));
  };
  Rules rules(both("a", "b"));
  const auto jumps = [](uint8_t key, uint32_t chain) {
    GivenElement element = given(key);
    element.verdict = {Code::jump, chain};
    return element;
  };
  const auto stateful_of = [&](const std::string& name) {
    for (const NamedObject& object : rules.engine().ruleset().objects)
      if (object.name == name) return object.stateful;
    return kNone;
  };
  ASSERT_EQ(rules.add({jumps(5, 1), jumps(6, 2)}), 0);
  for (const char* name : {"a", "b"}) {
    GivenElement element = given(static_cast<uint8_t>(*name));
    element.stateful = stateful_of(name);
    ASSERT_EQ(rules.engine().change(1, Change::add, {&element, 1}, 0), std::nullopt);
  }
  const auto told = [&](uint32_t set) {
    std::map<uint8_t, std::string> names;
    const Ruleset& ruleset = rules.engine().ruleset();
    for_each_element(ruleset.sets[set], [&](const GivenElement& each, const Element&) {
      std::string& name = names[each.key[3]];
      if (each.verdict.chain != kNone) name = ruleset.chains[each.verdict.chain].name;
      for (const NamedObject& object : ruleset.objects)
        if (object.stateful == each.stateful) name = object.name;
      return true;
    });
    return names;
  };
  rules.load_again(text_with(join(chain("c"), chain("b"), chain("a")),
                             join(counter_named("c"), counter_named("b"), counter_named("a"))));
  EXPECT_EQ(told(0), (std::map<uint8_t, std::string>{{5, "a"}, {6, "b"}}));
  EXPECT_EQ(told(1), (std::map<uint8_t, std::string>{{'a', "a"}, {'b', "b"}}));
  rules.load_again(both("b", "c"));
  EXPECT_EQ(told(0), (std::map<uint8_t, std::string>{{6, "b"}}));
  EXPECT_EQ(told(1), (std::map<uint8_t, std::string>{{'b', "b"}}));
}

TEST(Elements, CountByThemselvesAndLeaveTheirRoom) {
  const Octets counts = attribute(nft::kSetExpression, attribute(nft::kExpressionName, text("counter")));
  Rules rules({.more = counts}, elements(element({10, 0, 0, 5})));
  const auto packets_of = [&](size_t index) {
    return rules.engine().tally(rules.engine().ruleset().sets[0].elements[index].counters[0]).packets;
  };
  ASSERT_EQ(rules.add({given(6)}), 0);
  rules.accepts(5), rules.accepts(6), rules.accepts(6);
  EXPECT_EQ(packets_of(0), 1U);
  EXPECT_EQ(packets_of(1), 2U);
  const size_t stateful = rules.engine().ruleset().stateful.size();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(rules.remove({given(6)}), 0);
    ASSERT_EQ(rules.add({given(6)}), 0);
  }
  EXPECT_EQ(packets_of(1), 0U) << "it begins anew";
  EXPECT_EQ(rules.engine().ruleset().stateful.size(), stateful);
  EXPECT_LT(rules.engine().ruleset().sets[0].keys.size(), 100U);
}

// What was blocked by hand stays blocked when the file is loaded again; the file still says what it gives.
TEST(Elements, OutliveAReload) {
  for (const uint32_t flags : {0U, kInterval, kTimed}) {
    const auto text_with = [&](const Octets& more) {
      return batch(table(), base_chain("in", Policy::drop),
                   set({.flags = flags, .more = flags == kTimed ? size_of_set(9) : Octets{}}), more, asks());
    };
    const Octets end = attribute(nft::kElementFlags, be32(nft::kElementIntervalEnd));
    const auto gives = [&](uint8_t last) {
      const Octets begin = element({10, 0, 0, last});
      const auto behind = static_cast<uint8_t>(last + 1);
      return elements(flags == kInterval ? join(begin, element({10, 0, 0, behind}, end)) : begin);
    };
    Rules rules(text_with(gives(5)));
    ASSERT_EQ(rules.add({given(7)}), 0);
    ASSERT_EQ(rules.remove({given(5)}), 0);
    ASSERT_FALSE(rules.accepts(5));
    for (int i = 0; i < 3; ++i) {
      rules.load_again(text_with(gives(5)));
      EXPECT_TRUE(rules.accepts(5) && rules.accepts(7)) << flags;
      EXPECT_FALSE(rules.accepts(6) || rules.accepts(8)) << flags;
    }
    rules.load_again(text_with(gives(7)));
    EXPECT_FALSE(rules.accepts(5)) << flags;
    EXPECT_EQ(rules.remove({given(7)}), 0) << flags;
    EXPECT_FALSE(rules.accepts(7)) << flags;
  }
}

// Against a map from each key to whether it is in the set; intervals are drawn that meet often.
TEST(Elements, DoWhatAMapDoes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const bool interval = seed % 2 == 0;
    Rules rules(SetWords{.flags = interval ? kInterval : 0});
    std::map<uint8_t, uint8_t> expected;  // first key of each element to its last
    const auto covers = [&](uint8_t key) {
      const auto behind = expected.upper_bound(key);
      return behind != expected.begin() && std::prev(behind)->second >= key;
    };
    for (int i = 0; i < 200; ++i) {
      const auto first = static_cast<uint8_t>(1 + random.below(40));
      const auto last = static_cast<uint8_t>(first + (interval ? random.below(6) : 0));
      const bool there = expected.contains(first) && expected[first] == last;
      if (random.chance(.4)) {
        ASSERT_EQ(rules.remove({given(first, last)}), there ? 0 : ENOENT) << "seed " << seed << " step " << i;
        if (there) expected.erase(first);
      } else {
        bool free = true;
        for (uint8_t key = first; key <= last; ++key) free = free && !covers(key);
        ASSERT_EQ(rules.add({given(first, last)}), there || free ? 0 : EEXIST)
            << "seed " << seed << " step " << i;
        if (free) expected[first] = last;
      }
      for (uint8_t key = 0; key < 50; ++key)
        ASSERT_EQ(rules.accepts(key), covers(key)) << "seed " << seed << " step " << i << " key " << int{key};
    }
  }
}

}  // namespace
}  // namespace skerry::filter
