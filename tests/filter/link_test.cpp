// Families netdev and arp: where their chains may stand, and what rules see there. That they agree with the
// kernel is shown by tests/programs/filter_link_test.py.
#include "filter/link_batch.hpp"

#include <gmock/gmock.h>

#include <cerrno>

#include "base/check.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

constexpr uint32_t kLink = 0, kNetwork = 1, kTransport = 2;
constexpr uint32_t kProtocol = 1, kLength = 0, kNfproto = 15, kL4proto = 16;

Engine engine_of(const Octets& bytes) {
  Ruleset ruleset;
  const auto refused = load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return Engine(std::move(ruleset));
}

// To everybody from 02:..:02, a datagram over IPv4 to port 53, with four bytes of padding behind.
Octets frame() {
  return {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0,  0, 2, 8, 0,  0x45, 0, 0,
          32,   0,    1,    0,    0,    64,   17, 0, 0, 10, 0, 0, 1, 10, 0,    0, 2,
          0x13, 0x88, 0,    53,   0,    12,   0,  0, 1, 2,  3, 4, 0, 0,  0,    0};
}
Octets arp_request() {
  return {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};
}

// True if it passes; `bytes` becomes what rules made of it.
bool passes(const Octets& batch, Octets& bytes, bool leaves = false) {
  Engine engine = engine_of(batch);
  const Interface network = network_interface();
  Packet packet;
  (leaves ? packet.out : packet.in) = &network;
  packet.read_frame(bytes, bytes.size(), leaves);
  return engine.judge(leaves ? Hook::egress : Hook::ingress, packet, 0).accepted;
}
bool drops(const Octets& match, Octets bytes, bool leaves = false) {
  return !passes(at_link(leaves ? 1 : 0, join(match, verdict(0))), bytes, leaves);
}

TEST(Link, RulesSeeAllOfAFrame) {
  EXPECT_TRUE(drops(join(payload(kLink, 6, 6), cmp(0, {2, 0, 0, 0, 0, 2})), frame()));
  EXPECT_TRUE(drops(join(payload(kNetwork, 12, 4), cmp(0, {10, 0, 0, 1})), frame()));
  EXPECT_TRUE(drops(join(payload(kTransport, 2, 2), cmp(0, {0, 53})), frame()));
  EXPECT_FALSE(drops(join(payload(kTransport, 2, 2), cmp(0, {0, 54})), frame()));
  EXPECT_TRUE(drops(join(payload(kNetwork, 32, 4), cmp(0, {0, 0, 0, 0})), frame())) << "padding";
  EXPECT_TRUE(drops(join(meta(kProtocol), cmp(0, {8, 0})), frame()));
  EXPECT_TRUE(drops(join(meta(kNfproto), cmp(0, {5})), frame()));
  EXPECT_TRUE(drops(join(meta(kL4proto), cmp(0, {17})), frame()));
}

TEST(Link, LengthIsWithoutTheHeaderOfWhatComesAndWithThatOfWhatLeaves) {
  EXPECT_TRUE(drops(join(meta(kLength), cmp(0, {36, 0, 0, 0})), frame()));
  EXPECT_TRUE(drops(join(meta(kLength), cmp(0, {50, 0, 0, 0})), frame(), true));
}

TEST(Link, WhatLeavesIsOfTheKindOfItsLinkAndComesFromNone) {
  constexpr uint32_t kIif = 4, kIiftype = 8, kOif = 5;
  EXPECT_TRUE(drops(join(meta(kIiftype), cmp(0, {1, 0})), frame(), true));
  EXPECT_TRUE(drops(join(meta(kIif), cmp(0, {0, 0, 0, 0})), frame(), true));
  EXPECT_TRUE(drops(join(meta(kOif), cmp(0, {2, 0, 0, 0})), frame(), true));
}

TEST(Arp, OfWhatLeavesTheLinkHeaderCountsAndIsNotSeen) {
  const auto drops_arp = [](const Octets& match) {
    Engine engine = engine_of(in_arp(1, join(match, verdict(0))));
    const Interface network = network_interface();
    const Octets link(14, 2);
    Octets bytes = arp_request();
    Packet packet;
    packet.out = &network;
    packet.link = link;
    packet.read_arp(bytes, bytes.size(), true);
    return !engine.judge(Hook::output, packet, 0).accepted;
  };
  EXPECT_TRUE(drops_arp(join(meta(kLength), cmp(0, {42, 0, 0, 0}))));
  EXPECT_TRUE(drops_arp(join(meta(8), cmp(0, {1, 0})))) << "iiftype";
  EXPECT_FALSE(drops_arp(payload(kLink, 0, 1)));
}

TEST(Link, WithoutASoundHeaderThereIsNoTransport) {
  const Octets to_53 = join(payload(kTransport, 2, 2), cmp(0, {0, 53}));
  for (const size_t byte : {size_t{14}, size_t{16}}) {  // version, and a length that is too much
    Octets bytes = frame();
    bytes[byte] = 0xff;
    EXPECT_FALSE(drops(to_53, bytes));
    EXPECT_TRUE(drops(join(payload(kNetwork, 12, 4), cmp(0, {10, 0, 0, 1})), bytes));
    EXPECT_FALSE(drops(meta(kL4proto), bytes));
  }
  Octets piece = frame();
  piece[21] = 1;
  EXPECT_FALSE(drops(to_53, piece));
}

TEST(Link, OneTagBelongsToTheLinkHeader) {
  Octets bytes = frame();
  const Octets tag = {0x81, 0, 0, 5};
  bytes.insert(bytes.begin() + 12, tag.begin(), tag.end());
  EXPECT_TRUE(drops(join(payload(kLink, 12, 4), cmp(0, tag)), bytes));
  EXPECT_TRUE(drops(join(meta(kProtocol), cmp(0, {8, 0})), bytes));
  EXPECT_TRUE(drops(join(payload(kTransport, 2, 2), cmp(0, {0, 53})), bytes));
  bytes.insert(bytes.begin() + 12, tag.begin(), tag.end());
  EXPECT_TRUE(drops(join(meta(kProtocol), cmp(0, {0x81, 0})), bytes));
}

TEST(Link, FramesWithoutATypeAreEither) {
  Octets bytes = frame();
  bytes[12] = 0;
  bytes[13] = 36;
  EXPECT_TRUE(drops(join(meta(kProtocol), cmp(0, {0, 4})), bytes));
  bytes[14] = bytes[15] = 0xff;
  EXPECT_TRUE(drops(join(meta(kProtocol), cmp(0, {0, 1})), bytes));
}

TEST(Link, OnlyItsOwnChainsSeeFrames) {
  Engine engine = engine_of(batch(table(), base_chain("in", Policy::drop)));
  EXPECT_FALSE(engine.judges(Realm::link));
  Packet packet;
  Octets bytes = frame();
  packet.read_frame(bytes, bytes.size(), false);
  EXPECT_TRUE(engine.judge(Hook::ingress, packet, 0).accepted);

  engine = engine_of(at_link(0, verdict(0)));
  EXPECT_FALSE(engine.judges(Realm::ipv4));
  EXPECT_TRUE(engine.judges(Hook::ingress, Realm::link));
  EXPECT_FALSE(engine.judges(Hook::egress, Realm::link));
  Packet inside;
  ASSERT_TRUE(inside.read(Bytes(bytes).subspan(14)));
  EXPECT_TRUE(engine.judge(Hook::prerouting, inside, 0).accepted);
}

TEST(Link, WhatRulesWriteIsSeenByTheNextChain) {
  const Octets write = join(
      immediate({0, 80}),
      expression("payload",
                 join(attribute(nft::kPayloadFrom, be32(1)), attribute(nft::kPayloadBase, be32(kTransport)),
                      attribute(nft::kPayloadOffset, be32(2)), attribute(nft::kPayloadLength, be32(2)))));
  Octets bytes = frame();
  EXPECT_TRUE(passes(at_link(0, write), bytes));
  EXPECT_EQ(bytes[37], 80);
  EXPECT_EQ(bytes.size(), frame().size());
}

TEST(Arp, RulesSeeItsPacket) {
  const auto drops_arp = [](const Octets& match, Octets bytes = arp_request()) {
    Engine engine = engine_of(in_arp(0, join(match, verdict(0))));
    Packet packet;
    packet.read_arp(bytes, bytes.size(), false);
    EXPECT_TRUE(engine.judge(Hook::output, packet, 0).accepted);
    return !engine.judge(Hook::input, packet, 0).accepted;
  };
  EXPECT_TRUE(drops_arp(join(payload(kNetwork, 6, 2), cmp(0, {0, 1}))));
  EXPECT_TRUE(drops_arp(join(payload(kNetwork, 14, 4), cmp(0, {10, 0, 0, 1}))));
  EXPECT_FALSE(drops_arp(join(payload(kNetwork, 14, 4), cmp(0, {10, 0, 0, 9}))));
  EXPECT_TRUE(drops_arp(join(meta(kNfproto), cmp(0, {3}))));
  EXPECT_TRUE(drops_arp(join(meta(kProtocol), cmp(0, {8, 6}))));
  EXPECT_FALSE(drops_arp(meta(kL4proto)));
  EXPECT_FALSE(drops_arp(payload(kTransport, 0, 1)));
  EXPECT_FALSE(drops_arp(payload(kNetwork, 27, 2))) << "behind its end";
}

struct Refused {
  const char* name;
  Octets bytes;
  int error;
  const char* sentence;
};

TEST(Link, RefusesWhereNoChainCanStand) {
  const auto at = [](const Octets& hook) {
    return batch(table_of(nft::kNetdev), chain_of(nft::kNetdev, "c", hook));
  };
  const auto arp_at = [](const Octets& hook) {
    return batch(table_of(nft::kArp), chain_of(nft::kArp, "c", hook));
  };
  const auto devices = [](const Octets& list) { return attribute(nft::kHookDevices, list); };
  const auto named = [](const std::string& name) { return attribute(nft::kDeviceName, text(name)); };
  const auto type = [](const std::string& name) { return attribute(nft::kChainType, text(name)); };
  const Octets ct = expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0))));
  const Octets count = expression("connlimit", attribute(nft::kConnlimitCount, be32(1)));
  const Octets symhash =
      expression("hash", join(attribute(nft::kHashTo, be32(1)), attribute(nft::kHashModulus, be32(2)),
                              attribute(nft::kHashType, be32(1))));
  const Octets reject = expression(
      "reject", join(attribute(nft::kRejectType, be32(0)), attribute(nft::kRejectCode, Octets{3})));
  const std::vector<Refused> all = {
      {"no device", at(hook(0)), EINVAL, "device eth0"},
      {"no devices", at(hook_with(0, devices({}))), EINVAL, "device eth0"},
      {"another device", at(hook_with(0, device("eth1"))), ENOENT, "eth0"},
      {"the loopback", at(hook_with(0, device("lo"))), EOPNOTSUPP, "leave lo out"},
      {"the loopback too", at(hook_with(0, devices(join(named("eth0"), named("lo"))))), EOPNOTSUPP,
       "leave lo out"},
      {"twice", at(hook_with(0, devices(join(named("eth0"), named("eth0"))))), EEXIST, "twice"},
      {"no such hook", at(hook_with(2, device())), EOPNOTSUPP, "hook"},
      {"nat", at(join(hook_with(0, device()), type("nat"))), ENOENT, "type nat"},
      {"a device in another family", batch(table(), chain("c", hook_with(0, device()))), EOPNOTSUPP,
       "netdev"},
      {"ingress in inet", batch(table(), chain("c", hook_with(5, device()))), EOPNOTSUPP, "netdev"},
      {"forward", arp_at(hook(2)), EOPNOTSUPP, "forwards nothing"},
      {"no such hook of arp", arp_at(hook(3)), EOPNOTSUPP, "hook"},
      {"bridge", batch(table_of(nft::kBridge)), EAFNOSUPPORT, "bridges nothing"},
      {"connections", at_link(0, ct), EOPNOTSUPP, "no connections"},
      {"connections in arp", in_arp(0, ct), EOPNOTSUPP, "no connections"},
      {"ct count", at_link(0, count), EOPNOTSUPP, "no connections"},
      {"notrack in arp", in_arp(0, expression("notrack", {})), EOPNOTSUPP, "no connections"},
      {"symhash", at_link(0, symhash), EOPNOTSUPP, "no connections"},
      {"reject in arp", in_arp(0, reject), EOPNOTSUPP, "write drop"},
      {"reject of what leaves", at_link(1, reject), EOPNOTSUPP, "rejected at this hook"},
  };
  for (const Refused& each : all) {
    Ruleset ruleset;
    const auto refusal = load(each.bytes, ruleset);
    ASSERT_TRUE(refusal) << each.name;
    EXPECT_EQ(refusal->error, each.error) << each.name;
    EXPECT_THAT(refusal->sentence, HasSubstr(each.sentence)) << each.name;
  }
  Ruleset ruleset;
  EXPECT_FALSE(load(at_link(0, reject), ruleset));
  Ruleset several;
  EXPECT_FALSE(load(at(hook_with(1, devices(named("eth0")))), several));
  EXPECT_EQ(several.chains[0].hook, Hook::egress);
}

}  // namespace
}  // namespace skerry::filter
