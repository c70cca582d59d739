// What rules read of sockets: for which packets somebody is asked, about which tuple, and what is loaded.
// What Linux does was measured (tests/programs/filter_sockets_test.py compares it).
#include "filter/socket.hpp"

#include <gmock/gmock.h>

#include "base/check.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

constexpr uint8_t kUs[] = {10, 0, 0, 1}, kPeer[] = {10, 0, 0, 2};

Octets socket(uint32_t key) {
  return expression("socket", join(number(nft::kSocketKey, key), number(nft::kSocketTo, 1),
                                   number(nft::kSocketLevel, 0)));  // which nft always says
}
Octets is_mark(uint32_t mark) {
  Octets bytes(4);
  std::memcpy(bytes.data(), &mark, sizeof mark);
  return join(socket(1), cmp(0, bytes));
}
Octets is_transparent(uint8_t value) {
  return join(socket(0), cmp(0, {value}));
}
Octets is_wildcard(uint8_t value) {
  return join(socket(2), cmp(0, {value}));
}

// A rule at a hook that drops what has such a socket.
Octets rules(Hook hook, const Octets& matches) {
  return batch(table(), chain("c", filter::hook(static_cast<uint32_t>(hook))),
               rule("c", join(matches, verdict(0))));
}

struct Host {
  std::optional<Socket> socket;
  std::optional<Tuple> asked;

  static std::optional<Socket> find(const void* self, const Tuple& tuple) {
    auto* const host = static_cast<Host*>(const_cast<void*>(self));
    host->asked = tuple;
    return host->socket;
  }
};

class Sockets : public testing::Test {
 protected:
  Engine& use(Hook hook, const Octets& matches) {
    Ruleset ruleset;
    const auto refused = load(rules(hook, matches), ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    engine_.emplace(std::move(ruleset));
    engine_->ask_sockets(&Host::find, &host_);
    return *engine_;
  }
  bool holds(Hook hook, const Octets& matches, Octets bytes) {
    Packet packet;
    CHECK(packet.read(bytes));
    host_.asked.reset();
    return !use(hook, matches).judge(hook, packet, 0).accepted;
  }
  bool holds(Hook hook, const Octets& matches) { return holds(hook, matches, datagram()); }

  static Octets ip(uint8_t protocol, const Octets& payload, bool to_us = true, uint16_t fragment = 0) {
    Octets bytes = {0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0};
    store_be16(bytes.data() + 6, fragment);
    const auto& from = to_us ? kPeer : kUs;
    const auto& to = to_us ? kUs : kPeer;
    bytes.insert(bytes.end(), std::begin(from), std::end(from));
    bytes.insert(bytes.end(), std::begin(to), std::end(to));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    store_be16(bytes.data() + 2, static_cast<uint16_t>(bytes.size()));
    return bytes;
  }
  // From port 1000 to port 80.
  static Octets datagram(bool to_us = true, uint16_t fragment = 0) {
    return ip(17, {3, 232, 0, 80, 0, 8, 0, 0}, to_us, fragment);
  }
  static Octets error_about(const Octets& packet, uint8_t type = 3) {
    return ip(1, join(Octets{type, 3, 0, 0, 0, 0, 0, 0}, packet));
  }
  void expect_asked(const uint8_t (&from)[4], uint16_t from_port, const uint8_t (&to)[4], uint16_t to_port) {
    ASSERT_TRUE(host_.asked);
    EXPECT_EQ(std::memcmp(host_.asked->source.data(), from, 4), 0);
    EXPECT_EQ(std::memcmp(host_.asked->destination.data(), to, 4), 0);
    EXPECT_EQ(load_be16(host_.asked->source_port.data()), from_port);
    EXPECT_EQ(load_be16(host_.asked->destination_port.data()), to_port);
  }

  Host host_;
  std::optional<Engine> engine_;
};

TEST_F(Sockets, ARuleHoldsForNoPacketWithoutOne) {
  for (const Octets& matches : {is_transparent(0), is_mark(0), is_wildcard(0), is_wildcard(1)})
    EXPECT_FALSE(holds(Hook::prerouting, matches));
  EXPECT_FALSE(holds(Hook::prerouting, join(socket(0), cmp(1, {1})))) << "also one that asks what it is not";
}

TEST_F(Sockets, NobodyAsksWhereThereAreNone) {
  Ruleset ruleset;
  ASSERT_FALSE(load(rules(Hook::output, is_transparent(0)), ruleset));
  Engine engine(std::move(ruleset));
  Octets bytes = datagram();
  Packet packet;
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_TRUE(engine.judge(Hook::output, packet, 0).accepted);
}

TEST_F(Sockets, OneIsNeitherTransparentNorMarked) {
  host_.socket = Socket{};
  EXPECT_TRUE(holds(Hook::input, is_transparent(0)));
  EXPECT_FALSE(holds(Hook::input, is_transparent(1)));
  EXPECT_TRUE(holds(Hook::input, is_mark(0)));
  EXPECT_FALSE(holds(Hook::input, is_mark(1)));
}

TEST_F(Sockets, AWildcardIsOneOfAnyAddress) {
  host_.socket = Socket{.any_address = true};
  EXPECT_TRUE(holds(Hook::prerouting, is_wildcard(1)));
  EXPECT_FALSE(holds(Hook::prerouting, is_wildcard(0)));
  host_.socket = Socket{.any_address = false};
  EXPECT_FALSE(holds(Hook::prerouting, is_wildcard(1)));
  EXPECT_TRUE(holds(Hook::prerouting, is_wildcard(0)));
}

TEST_F(Sockets, OneThatIsNotWholeIsOnlyNotTransparent) {
  host_.socket = Socket{.whole = false};
  EXPECT_TRUE(holds(Hook::prerouting, is_transparent(0)));
  EXPECT_FALSE(holds(Hook::prerouting, is_mark(0)));
  EXPECT_FALSE(holds(Hook::prerouting, is_wildcard(0)));
}

TEST_F(Sockets, WhatComesIsForItsDestinationAndWhatLeavesIsFromItsSource) {
  host_.socket = Socket{};
  EXPECT_TRUE(holds(Hook::prerouting, is_transparent(0), datagram()));
  expect_asked(kPeer, 1000, kUs, 80);
  EXPECT_TRUE(holds(Hook::output, is_transparent(0), datagram(false)));
  expect_asked(kPeer, 80, kUs, 1000);
}

TEST_F(Sockets, AnErrorIsForWhoSentWhatItQuotes) {
  host_.socket = Socket{};
  EXPECT_TRUE(holds(Hook::input, is_transparent(0), error_about(datagram(false))));
  expect_asked(kPeer, 80, kUs, 1000);
  EXPECT_FALSE(holds(Hook::input, is_transparent(0), error_about(datagram(false), 8)))
      << "it only looks like one";
  EXPECT_FALSE(holds(Hook::input, is_transparent(0), error_about(ip(47, Octets(8), false))));
  Octets cut = error_about(datagram(false));
  cut.resize(50);
  store_be16(cut.data() + 2, 50);
  EXPECT_FALSE(holds(Hook::input, is_transparent(0), cut));
  EXPECT_FALSE(host_.asked);
}

TEST_F(Sockets, PortsThatAnErrorQuotesAreSeenBehindTheLongestHeaders) {
  EXPECT_GE(use(Hook::input, is_transparent(0)).needed_bytes(), 60U + 8 + 60 + 4);
}

TEST_F(Sockets, OtherProtocolsAndLaterPiecesHaveNone) {
  host_.socket = Socket{};
  EXPECT_FALSE(holds(Hook::prerouting, is_transparent(0), ip(47, Octets(8))));
  EXPECT_FALSE(holds(Hook::prerouting, is_transparent(0), datagram(true, 5)));
  Octets v6(48);
  v6[0] = 0x60, v6[5] = 8, v6[6] = 17;
  EXPECT_FALSE(holds(Hook::prerouting, is_transparent(0), v6));
  EXPECT_FALSE(host_.asked);
}

// Measured: a reset or an error comes from a socket of the kernel's own.
TEST_F(Sockets, WhatTheHostItselfSaysIsFromAWildcard) {
  EXPECT_TRUE(holds(Hook::output, is_wildcard(1), datagram(false)));
  EXPECT_TRUE(holds(Hook::output, is_mark(0), error_about(datagram())));
  EXPECT_FALSE(holds(Hook::output, is_wildcard(0), datagram(false)));
}

// A host that stands behind another address to its peer: before the answer is translated back it is for that.
TEST_F(Sockets, AnAnswerToATranslatedFlowIsForWhoBeganIt) {
  Flow flow{};
  Octets question = datagram(false);
  flow.tuples[0] = *Tuple::read(question, false, 17, 20);
  flow.status = Flow::kSourceNat;
  host_.socket = Socket{};
  Octets answer = ip(17, {0, 80, 7, 208, 0, 8, 0, 0});  // to port 2000
  Packet packet;
  ASSERT_TRUE(packet.read(answer));
  packet.tracked = {.looked_up = true, .state = CtState::established, .reply = true, .flow = &flow};
  EXPECT_FALSE(use(Hook::prerouting, is_transparent(0)).judge(Hook::prerouting, packet, 0).accepted);
  expect_asked(kPeer, 80, kUs, 1000);
}

// What leaves has been led elsewhere before these rules.
TEST_F(Sockets, WhatIsLedElsewhereIsFromWhoBeganTheFlow) {
  Flow flow{};
  const Octets before = datagram(false);
  flow.tuples[0] = *Tuple::read(before, false, 17, 20);
  host_.socket = Socket{};
  Octets led = ip(17, {3, 232, 31, 144, 0, 8, 0, 0}, false);  // to port 8080
  Packet packet;
  ASSERT_TRUE(packet.read(led));
  packet.tracked = {.looked_up = true, .state = CtState::established, .flow = &flow};
  EXPECT_FALSE(use(Hook::output, is_transparent(0)).judge(Hook::output, packet, 0).accepted);
  expect_asked(kPeer, 80, kUs, 1000);
}

TEST_F(Sockets, WhereNoneAreKnownRulesAboutThemAreRefused) {
  struct Refused {
    Octets bytes;
    const char* sentence;
  };
  const Octets cgroup = expression(
      "socket", join(number(nft::kSocketKey, 3), number(nft::kSocketTo, 1), number(nft::kSocketLevel, 1)));
  const Octets at_link =
      batch(nft_message(nft::kNewTable, attribute(nft::kTableName, text("t")), nft::kArp),
            nft_message(
                nft::kNewChain,
                join(attribute(nft::kChainTable, text("t")), attribute(nft::kChainName, text("c")), hook(0)),
                nft::kArp),
            nft_message(nft::kNewRule,
                        join(attribute(nft::kRuleTable, text("t")), attribute(nft::kRuleChain, text("c")),
                             attribute(nft::kRuleExpressions, is_transparent(0))),
                        nft::kArp));
  for (const Refused& each :
       {Refused{rules(Hook::postrouting, is_transparent(0)), "at prerouting, input and output"},
        Refused{at_link, "no sockets"}, Refused{rules(Hook::input, cgroup), "no cgroups"},
        Refused{rules(Hook::input, socket(4)), "cannot be asked for"},
        Refused{rules(Hook::input, expression("socket", number(nft::kSocketKey, 0))), "socket"}}) {
    Ruleset ruleset;
    const auto refusal = load(each.bytes, ruleset);
    ASSERT_TRUE(refusal) << each.sentence;
    EXPECT_THAT(refusal->sentence, HasSubstr(each.sentence));
  }
}

// A rule may write a header that is longer than its packet: what lies behind that is another's.
TEST_F(Sockets, NothingBehindAPacketIsAskedAbout) {
  constexpr uint32_t kNetwork = 1, kPrerouting = static_cast<uint32_t>(Hook::prerouting);
  Ruleset ruleset;
  const auto refused = load(
      batch(table(), chain("writes", hook(kPrerouting, -1)), chain("asks", hook(kPrerouting, 0)),
            rule("writes", write(kNetwork, 0, {0x4f})), rule("asks", join(is_transparent(0), verdict(0)))),
      ruleset);
  ASSERT_FALSE(refused) << refused->sentence;
  Engine engine(std::move(ruleset));
  engine.ask_sockets(&Host::find, &host_);
  constexpr size_t kPacketBytes = 28, kHeaderBytes = 60;
  Octets bytes = ip(1, {8, 0, 0, 0, 0, 1, 0, 1});
  ASSERT_EQ(bytes.size(), kPacketBytes);
  bytes.resize(kHeaderBytes);
  bytes = join(bytes, join(Octets{3, 3, 0, 0, 0, 0, 0, 0}, datagram(false)));
  Packet packet;
  ASSERT_TRUE(packet.read(bytes));
  ASSERT_EQ(packet.bytes.size(), kPacketBytes);
  EXPECT_TRUE(engine.judge(Hook::prerouting, packet, 0).accepted);
  EXPECT_FALSE(host_.asked);
}

// Sockets come and go, and packets stay alike.
TEST_F(Sockets, APacketThatPassedIsAskedAboutAgain) {
  Engine& engine = use(Hook::input, is_wildcard(1));
  const Octets bytes = ip(17, {3, 232, 0, 80, 0, 20, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const auto passes = [&] {
    const auto look = engine.look(bytes, false, false, {});
    if (look && engine.recall(*look, 40, 0)) return true;
    engine.record();
    Octets copy = bytes;
    Packet packet;
    CHECK(packet.read(copy));
    const bool accepted = engine.judge(Hook::input, packet, 0).accepted;
    if (accepted && look) engine.remember(*look);
    return accepted;
  };
  EXPECT_TRUE(passes());
  host_.socket = Socket{.any_address = true};
  EXPECT_FALSE(passes());
}

}  // namespace
}  // namespace skerry::filter
