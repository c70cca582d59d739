// What a rule reads it has written: registers are not emptied for a packet (vm.hpp), so every word that
// verify() takes for written has to be, by each expression. What they hold before makes no difference to
// anything.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/check.hpp"
#include "filter/conntrack.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

using Octets = std::vector<uint8_t>;

constexpr Register kFrom = 8, kTo = 0;  // four words each
constexpr size_t kWritten = 80;         // bytes to where a rule puts what it made

struct Writer {
  const char* name;
  Action action;      // from kFrom, into kTo
  unsigned bytes;     // that it writes, in whole words
  bool maps = false;  // it asks set 0
};

Value value_of(size_t length, uint8_t fill) {
  Value value{.length = static_cast<uint8_t>(length)};
  std::fill_n(value.bytes.begin(), length, fill);
  return value;
}

std::vector<Writer> writers() {
  std::vector<Writer> all = {
      {"immediate", LoadImmediate{kTo, value_of(5, 7)}, 8},
      {"payload", LoadPayload{kTo, HeaderBase::network, 7, 1}, 8},
      {"link", LoadPayload{kTo, HeaderBase::link, 15, 0}, 16},
      {"transport", LoadPayload{kTo, HeaderBase::transport, 1, 3}, 4},
      {"number", NextNumber{kTo, {10, 0}, false, 0}, 4},
      {"hash", HashRegisters{kTo, kFrom, 9, {10, 0}, 1, kNone}, 4},
      {"flow's hash", HashFlow{kTo, {10, 0}}, 4},
      {"option", LoadExtension{kTo, ExtensionKind::tcp, 2, 1, 3, false}, 4},
      {"is there", LoadExtension{kTo, ExtensionKind::tcp, 2, 0, 1, true}, 4},
      {"is not there", LoadExtension{kTo, ExtensionKind::tcp, 9, 0, 1, true}, 4},
      {"mask", Mask{kFrom, kTo, value_of(5, 0x3c), value_of(5, 1)}, 8},
      {"shift", Shift{kFrom, kTo, 5, 3, true}, 8},
      {"pairs", SwapBytes{kFrom, kTo, 7, 2}, 8},
      {"fours", SwapBytes{kFrom, kTo, 6, 4}, 8},
      {"eights", SwapBytes{kFrom, kTo, 12, 8}, 12},
      {"map", Lookup{0, kFrom, kTo, true, false, false}, 8, true},
  };
  for (const MetaKey key : {MetaKey::length, MetaKey::protocol, MetaKey::mark, MetaKey::iif, MetaKey::oif,
                            MetaKey::iiftype, MetaKey::nfproto, MetaKey::l4proto, MetaKey::pkttype})
    all.push_back({"meta", LoadMeta{kTo, key}, 4});
  for (const MetaKey key : {MetaKey::iifname, MetaKey::oifname})
    all.push_back({"interface's name", LoadMeta{kTo, key}, 16});
  for (const CtKey key : {CtKey::state, CtKey::direction, CtKey::status, CtKey::mark, CtKey::expiration,
                          CtKey::l3protocol, CtKey::source, CtKey::destination, CtKey::protocol,
                          CtKey::source_port, CtKey::destination_port, CtKey::zone, CtKey::source_v4})
    all.push_back({"ct", LoadCt{kTo, key, false, false}, 4});
  for (const SocketKey key : {SocketKey::transparent, SocketKey::mark, SocketKey::wildcard})
    all.push_back({"socket", LoadSocket{kTo, key}, 4});
  for (const CtKey key : {CtKey::packets, CtKey::bytes, CtKey::packet_bytes})
    all.push_back({"ct counter", LoadCt{kTo, key, false, true}, 8});
  all.push_back({"ct label", LoadCt{kTo, CtKey::labels, false, false}, 16});
  return all;
}

// A rule that leaves all registers as `before`, and one that writes `bytes` of what `writer` makes into the
// packet.
Ruleset rules_of(const Writer& writer, unsigned bytes, uint8_t before) {
  Ruleset ruleset;
  ruleset.tables.push_back({.name = "t", .family = Family::ip});
  ruleset.number_states = 1;
  Chain& chain = ruleset.chains.emplace_back();
  chain.name = "c";
  chain.table = 0;
  chain.is_base = true;
  chain.hook = Hook::prerouting;
  Rule fill, rule;
  for (Register to = 0; to < kRegisters; to += 4)
    fill.expressions.push_back({LoadImmediate{to, value_of(16, before)}});
  rule.expressions.push_back({LoadImmediate{kFrom, value_of(16, 0x5a)}});
  rule.expressions.push_back({writer.action});
  rule.expressions.push_back({StorePayload{
      .from = kTo, .base = HeaderBase::network, .length = static_cast<uint8_t>(bytes), .offset = kWritten}});
  chain.rules = {fill, rule};
  if (!writer.maps) return ruleset;
  Set& set = ruleset.sets.emplace_back();
  set.name = "s";
  set.table = 0;
  set.maps = true;
  set.key_bytes = 4;
  set.data_bytes = 5;
  set.keys = {0x5a, 0x5a, 0x5a, 0x5a};
  Element& element = set.elements.emplace_back();
  element.data = value_of(5, 9);
  return ruleset;
}

// What 120 bytes, a SYN among them, are behind both rules.
Octets judged(const Writer& writer, uint8_t before) {
  Engine engine(rules_of(writer, writer.bytes, before));
  Conntrack conntrack({1, 2});
  engine.track_with(&conntrack);
  engine.ask_sockets([](const void*, const Tuple&) { return std::optional(Socket{}); }, nullptr);
  Octets bytes = {0x45, 0,    0, 120, 0, 1, 0, 0, 64, 6, 0,    0, 10,   0,    0, 1, 10, 0, 0, 2, 0x13, 0x88,
                  0,    0x50, 0, 0,   0, 1, 0, 0, 0,  0, 0x60, 2, 0xff, 0xff, 0, 0, 0,  0, 2, 4, 5,    0xb4};
  bytes.resize(120);
  const Octets link(14, 3);
  const Interface network = network_interface();
  Packet packet;
  packet.link = link;
  packet.in = packet.out = &network;
  CHECK(packet.read(bytes));
  EXPECT_TRUE(engine.judge(Hook::prerouting, packet, kSecond).accepted) << writer.name;
  EXPECT_EQ(engine.hits(0, 1).packets, 1U) << writer.name << ": a part of the rule did not hold";
  return bytes;
}

TEST(Registers, WhatAnExpressionCountsAsWrittenDoesNotDependOnWhatWasThere) {
  for (const Writer& writer : writers()) {
    EXPECT_FALSE(verify(rules_of(writer, writer.bytes, 0))) << writer.name;
    EXPECT_TRUE(verify(rules_of(writer, writer.bytes + 4, 0)))
        << writer.name << " writes more than is looked at";
    EXPECT_EQ(judged(writer, 0), judged(writer, 0xff)) << writer.name << ' ' << writer.action.index();
  }
}

TEST(Registers, OfAnotherRuleAreNotRead) {
  Ruleset ruleset = rules_of({"payload", LoadPayload{kTo, HeaderBase::network, 4, 0}, 4}, 4, 0);
  std::vector<Expression>& rule = ruleset.chains[0].rules[1].expressions;
  rule.erase(rule.begin() + 1);
  EXPECT_TRUE(verify(ruleset)) << "only the rule before has written it";
}

}  // namespace
}  // namespace skerry::filter
