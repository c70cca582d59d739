// An engine that remembers against one that judges each packet: over rulesets and packets drawn from seeds,
// every verdict, counter, limit, quota and hit is the same, and what limits or logs is never remembered.
#include "filter/verdict_memory.hpp"

#include <gtest/gtest.h>

#include "base/check.hpp"
#include "base/random.hpp"
#include "filter/batch.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kNetwork = 1, kTransport = 2;
constexpr int32_t kDrop = 0, kAccept = 1, kJump = -3, kReturn = -5;

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  Octets rules(const std::string& chain_name, uint32_t count, bool may_jump) {
    Octets all;
    for (uint32_t i = 0; i < count; ++i)
      all = join(all, rule(chain_name, join(test(), does(), end(may_jump))));
    return all;
  }
  // Of few flows, between two of which all else differs.
  Octets packet() {
    Octets bytes(60);
    bytes[0] = one_of({0x45, 0x45, 0x45, 0x45, 0x46});
    bytes[3] = static_cast<uint8_t>(50 + random_.below(3));
    bytes[5] = small();
    bytes[7] = one_of({0, 0, 0, 0, 0, 0, 5});
    bytes[8] = one_of({64, 64, 63});
    bytes[9] = one_of({6, 6, 17, 1});
    bytes[15] = one_of({1, 2});
    bytes[19] = one_of({1, 2});
    bytes[21] = one_of({1, 2});
    bytes[23] = one_of({1, 2});
    bytes[27] = small();  // sequence number, or UDP's checksum
    bytes[32] = 5 << 4;
    bytes[33] = one_of({0x10, 0x10, 0x18, 2});
    return bytes;
  }

 private:
  uint8_t small() { return static_cast<uint8_t>(random_.below(6)); }
  uint8_t one_of(std::initializer_list<uint8_t> values) {
    return values.begin()[random_.below(static_cast<uint32_t>(values.size()))];
  }
  static Octets meta(uint32_t key) {
    return expression("meta", join(attribute(nft::kMetaTo, be32(1)), attribute(nft::kMetaKey, be32(key))));
  }
  Octets test() {
    const uint32_t comparison = random_.below(2);
    switch (random_.below(40)) {
      case 0:
        return join(payload(kTransport, 4, 4), cmp(comparison, {0, 0, 0, small()}));
      case 1:
        return join(payload(kNetwork, 4, 2), cmp(comparison, {0, small()}));
      case 2:
        return join(meta(0), cmp(comparison, {51, 0, 0, 0}));
      case 3:
        return join(meta(3), cmp(comparison, {small(), 0, 0, 0}));
      case 4:
        return join(payload(kTransport, 13, 1), cmp(comparison, {one_of({0x10, 2})}));
      case 5:
        return join(payload(kNetwork, 8, 2), cmp(comparison, {64, one_of({6, 17})}));
      case 6:
        return join(payload(kNetwork, 12, 8), cmp(comparison, {0, 0, 0, 1, 0, 0, 0, 2}));
      case 7:
        return join(payload(kNetwork, 40, 1), cmp(comparison, {0}));
      case 8:
        return {};
      default:
        return join(payload(kTransport, one_of({0, 2}), 2), cmp(comparison, {0, one_of({1, 2})}));
    }
  }
  Octets does() {
    switch (random_.below(40)) {
      case 0:
        return expression("quota", join(attribute(nft::kQuotaBytes, be64(500)),
                                        attribute(nft::kQuotaFlags, be32(random_.below(2)))));
      case 1:
        return expression("limit",
                          join(attribute(nft::kLimitRate, be64(1)), attribute(nft::kLimitUnit, be64(1)),
                               attribute(nft::kLimitBurst, be32(5 + random_.below(30)))));
      case 2:
        return expression("log", attribute(nft::kLogPrefix, text("seen")));
      case 3:
      case 4: {
        const Octets value_of = expression("immediate", join(attribute(nft::kImmediateTo, be32(1)),
                                                             value(nft::kImmediateData, {small(), 0, 0, 0})));
        return join(value_of, expression("meta", join(attribute(nft::kMetaKey, be32(3)),
                                                      attribute(nft::kMetaFrom, be32(1)))));
      }
      case 5:
      case 6:
        return {};
      default:
        return counter();
    }
  }
  Octets end(bool may_jump) {
    const uint32_t chosen = random_.below(8);
    if (chosen == 0) return verdict(kDrop);
    if (chosen <= 2) return verdict(kAccept);
    if (chosen == 3) return verdict(kReturn);
    return chosen == 4 && may_jump ? verdict(kJump, "below") : Octets{};
  }

  Random random_;
};

struct Seen {
  bool accepted;
  unsigned logs = 0;
};

// As a stack does it, on the way in.
Seen judge(Engine& engine, Octets bytes, TimeNs now, size_t* recalled) {
  Packet packet;
  CHECK(packet.read(bytes));
  std::optional<VerdictMemory::Look> look;
  if (recalled != nullptr) {
    look = engine.look(packet.bytes, false, false, {});
    if (look && engine.recall(*look, packet.length, now)) {
      ++*recalled;
      return {true};
    }
    engine.record();
  }
  const Judgement first = engine.judge(Hook::prerouting, packet, now);
  if (!first.accepted) return {false, first.logs};
  const Judgement second = engine.judge(Hook::input, packet, now);
  if (second.accepted && look) engine.remember(*look);
  return {second.accepted, unsigned{first.logs} + second.logs};
}

TEST(VerdictMemory, ChangesNoVerdictAndNoCount) {
  size_t recalled = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Draw draw(seed);
    Ruleset ruleset;
    const auto refused = load(batch(table(), chain("pre", hook(0)), base_chain("in"), chain("below"),
                                    draw.rules("pre", seed % 4, true), draw.rules("in", seed % 13, true),
                                    draw.rules("below", 3, false)),
                              ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    Engine remembers(ruleset), judges(ruleset);
    for (TimeNs i = 1; i <= 300; ++i) {
      const Octets packet = draw.packet();
      const TimeNs now = i * kSecond / 10;
      const Seen got = judge(remembers, packet, now, &recalled);
      const Seen expected = judge(judges, packet, now, nullptr);
      ASSERT_EQ(got.accepted, expected.accepted) << "seed " << seed << ", packet " << i;
      ASSERT_EQ(got.logs, expected.logs) << "seed " << seed << ", packet " << i;
    }
    for (uint32_t i = 0; i < ruleset.stateful.size(); ++i) {
      ASSERT_EQ(remembers.tally(i).packets, judges.tally(i).packets) << "seed " << seed;
      ASSERT_EQ(remembers.tally(i).bytes, judges.tally(i).bytes) << "seed " << seed;
      ASSERT_EQ(remembers.tally(i).consumed, judges.tally(i).consumed) << "seed " << seed;
    }
    for (uint32_t i = 0; i < ruleset.chains.size(); ++i) {
      for (uint32_t rule = 0; rule <= ruleset.chains[i].rules.size(); ++rule) {
        const uint32_t index = rule < ruleset.chains[i].rules.size() ? rule : kNone;
        ASSERT_EQ(remembers.hits(i, index).packets, judges.hits(i, index).packets) << "seed " << seed;
        ASSERT_EQ(remembers.hits(i, index).last, judges.hits(i, index).last) << "seed " << seed;
      }
    }
  }
  EXPECT_GT(recalled, 10'000U) << "so that it cannot pass because nothing was remembered";
}

TEST(VerdictMemory, KnowsWhichWayAndInWhichState) {
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), base_chain()), ruleset));
  Engine engine(ruleset);
  Octets plain(60);
  plain[0] = 0x45;
  plain[9] = 6;
  const auto look = [&](bool leaves, bool loops, Tracked tracked) {
    const auto found = engine.look(plain, leaves, loops, tracked);
    CHECK(found.has_value());
    return *found;
  };
  engine.record();
  engine.remember(look(false, false, {}));
  EXPECT_TRUE(engine.recall(look(false, false, {}), 60, 1));
  EXPECT_FALSE(engine.recall(look(true, false, {}), 60, 1));
  EXPECT_FALSE(engine.recall(look(false, true, {}), 60, 1));
  EXPECT_FALSE(engine.recall(look(false, false, {.reply = true}), 60, 1));
  EXPECT_FALSE(engine.recall(look(false, false, {.state = CtState::established}), 60, 1));
  EXPECT_FALSE(engine.look(ConstBytes(plain).first(33), false, false, {})) << "too short";
}

// A pair of ports is a place that packets of several flows share: each is found there or elsewhere, and as
// itself.
TEST(VerdictMemory, FindsOthersBehindTheSamePorts) {
  Ruleset ruleset;
  ASSERT_FALSE(
      load(batch(table(), base_chain(),
                 rule("in", join(payload(kTransport, 13, 1), cmp(0, {0x02}), counter(), verdict(kDrop)))),
           ruleset));
  Engine engine(std::move(ruleset));
  const auto packet = [](uint16_t source, uint8_t last = 1, uint8_t flags = 0x10) {
    Octets plain(60);
    plain[0] = 0x45, plain[3] = 60, plain[9] = 6;
    plain[15] = last;
    store_be16(plain.data() + 20, source);
    plain[33] = flags;
    return plain;
  };
  const auto transport = [](const Octets& bytes) {
    return TransportSeen::read(bytes.data() + VerdictMemory::kHeaderBytes);
  };
  const auto recall = [&](const Octets& bytes, bool leaves, bool loops = false) {
    return engine.recall(bytes.data(), transport(bytes), leaves, loops, 60, 1);
  };
  const auto remember = [&](const Octets& bytes, bool leaves, bool loops = false) {
    engine.record();
    engine.remember(*engine.look(bytes, leaves, loops, {}));
  };
  const auto pair = [&](uint16_t source) { return VerdictMemory::pair_of(transport(packet(source))); };
  ASSERT_EQ(pair(1), pair(1 + 1024));
  ASSERT_NE(pair(1), pair(2));
  EXPECT_EQ(VerdictMemory::pair_of({0x1234'5678, 0}), VerdictMemory::pair_of({0x5678'1234, 0}))
      << "the way back";
  EXPECT_NE(VerdictMemory::is_upwards({0x1234'5678, 0}), VerdictMemory::is_upwards({0x5678'1234, 0}));

  for (const bool leaves : {true, false}) {
    remember(packet(1), leaves);
    remember(packet(1, 2), leaves);
    remember(packet(1 + 1024), leaves);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(recall(packet(1), leaves));
      EXPECT_TRUE(recall(packet(1, 2), leaves)) << "another address";
      EXPECT_TRUE(recall(packet(1 + 1024), leaves));
      EXPECT_FALSE(recall(packet(1, 3), leaves));
      EXPECT_FALSE(recall(packet(1 + 2048), leaves));
      EXPECT_FALSE(recall(packet(1, 1, 0x02), leaves)) << "rules look at its flags";
      EXPECT_FALSE(recall(packet(1), leaves, true)) << "it did not loop";
    }
    if (leaves) EXPECT_FALSE(recall(packet(1), false)) << "it left, and did not arrive";
  }
  remember(packet(7), true, true);
  EXPECT_FALSE(recall(packet(7), true));
  remember(packet(7), true);
  Octets back = packet(0);
  store_be16(back.data() + 22, 7);
  remember(back, true, true);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(recall(packet(7), true, true));
    EXPECT_TRUE(recall(packet(7), true));
    EXPECT_TRUE(recall(back, true, true));
    EXPECT_FALSE(recall(back, true));
  }
  // A piece and one with options are never those that passed.
  Octets piece = packet(1), options = packet(1);
  piece[6] = 0x20;
  options[0] = 0x46;
  EXPECT_FALSE(recall(piece, false));
  EXPECT_FALSE(recall(options, false));
  EXPECT_FALSE(engine.look(piece, false, false, {}));
  EXPECT_FALSE(engine.look(options, false, false, {}));
  engine.remember_none(true);
  EXPECT_FALSE(recall(packet(1), false));
  engine.remember_none(false);
  EXPECT_FALSE(recall(packet(1), false)) << "what was known is known no more";
}

TEST(VerdictMemory, RemembersFiveEffectsAndNotSix) {
  const auto is_remembered = [](uint32_t counters) {
    Octets rules;
    for (uint32_t i = 0; i < counters; ++i) rules = join(rules, counter());
    Ruleset ruleset;
    CHECK(!load(batch(table(), base_chain(), rule("in", rules)), ruleset));
    Engine engine(ruleset);
    Octets bytes(60);
    bytes[0] = 0x45, bytes[3] = 60, bytes[9] = 17;
    Packet packet;
    CHECK(packet.read(bytes));
    engine.record();
    CHECK(engine.judge(Hook::input, packet, 1).accepted);
    const auto look = engine.look(bytes, false, false, {});
    engine.remember(*look);
    const bool found = engine.recall(*look, 60, 2);
    EXPECT_EQ(engine.tally(counters - 1).packets, found ? 2U : 1U);
    EXPECT_EQ(engine.hits(0, 0).packets, found ? 2U : 1U);
    EXPECT_EQ(engine.hits(0, kNone).packets, found ? 2U : 1U);
    return found;
  };
  EXPECT_TRUE(is_remembered(3)) << "and the rule, and the policy";
  EXPECT_FALSE(is_remembered(4));
}

// A switch judges for ever and never begins anew.
TEST(VerdictMemory, WhatDoesNotFitIsNotCountedOn) {
  VerdictMemory::Effects effects;
  for (uint32_t i = 0; i < 100; ++i) i % 2 == 0 ? effects.hit(i) : effects.count(i);
  EXPECT_FALSE(effects.fit());
  EXPECT_EQ(effects.hits + effects.counters, VerdictMemory::Effects::kMost + 1);
}

// More different ways than there is room for: all is forgotten, and the later ones are remembered.
TEST(VerdictMemory, MakesRoomForOtherWays) {
  Octets rules;
  for (uint32_t i = 0; i < 2000; ++i) {
    const auto high = static_cast<uint8_t>(i >> 8), low = static_cast<uint8_t>(i);
    rules = join(
        rules, rule("in", join(payload(kTransport, 2, 2), cmp(0, {high, low}), counter(), verdict(kAccept))));
  }
  Ruleset ruleset;
  ASSERT_FALSE(load(batch(table(), base_chain(), rules), ruleset));
  Engine engine(std::move(ruleset));
  uint32_t remembered = 0;
  for (uint32_t round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 2000; ++i) {
      Octets bytes(60);
      bytes[0] = 0x45, bytes[3] = 60, bytes[9] = 17;
      store_be16(bytes.data() + 22, static_cast<uint16_t>(i));
      size_t recalled = 0;
      ASSERT_TRUE(judge(engine, bytes, 1, &recalled).accepted);
      ASSERT_TRUE(judge(engine, bytes, 1, &recalled).accepted);
      ASSERT_TRUE(judge(engine, bytes, 1, &recalled).accepted);
      remembered += recalled > 0;
      ASSERT_EQ(engine.tally(i).packets, 3 * (round + 1)) << i;
    }
  }
  EXPECT_GT(remembered, 3900U);
}

// Elements of a set that changes are asked for packet by packet; so who changes it makes nobody else be
// judged again.
TEST(VerdictMemory, OutlivesWhatChangesInASetThatIsAskedEachTime) {
  const auto is_remembered_after_change = [](const Octets& changing) {
    Ruleset ruleset;
    CHECK(!load(batch(table(), base_chain(), changing,
                      rule("in", join(payload(kTransport, 2, 2), cmp(0, {0, 2}), verdict(kAccept))),
                      rule("in", join(payload(kNetwork, 12, 4), lookup(), verdict(kDrop)))),
                ruleset));
    Engine engine(std::move(ruleset), 0);
    const std::vector<GivenElement> one = {{.key = {10, 0, 0, 9}}};
    CHECK(!engine.change(0, Change::add, one, 0));
    Octets bytes(60);
    bytes[0] = 0x45, bytes[3] = 60, bytes[9] = 17, bytes[23] = 2;
    const auto look = engine.look(bytes, false, false, {});
    CHECK(look.has_value());
    engine.record();
    Packet packet;
    CHECK(packet.read(bytes) && engine.judge(Hook::input, packet, 0).accepted);
    engine.remember(*look);
    CHECK(engine.recall(*look, 60, 0));
    CHECK(!engine.change(0, Change::prolong, one, 1));
    return engine.recall(*engine.look(bytes, false, false, {}), 60, 1);
  };
  EXPECT_TRUE(is_remembered_after_change(set({.flags = nft::kSetEval | nft::kSetHasTimeout})));
  EXPECT_FALSE(is_remembered_after_change(set({})))
      << "its packet may have been let through by what is not there";
}

TEST(VerdictMemory, AStackWithoutRulesHasNone) {
  Engine engine{Ruleset{}};
  Octets plain(60);
  plain[0] = 0x45;
  plain[9] = 6;
  EXPECT_FALSE(engine.look(plain, false, false, {}));
}

}  // namespace
}  // namespace skerry::filter
