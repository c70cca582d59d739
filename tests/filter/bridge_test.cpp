// Family bridge: where its chains may stand, and what rules see of frames at a switch. That they agree with
// the kernel is shown by tests/programs/filter_bridge_kernel.py.
#include <gmock/gmock.h>

#include <cerrno>

#include "filter/engine.hpp"
#include "filter/link_batch.hpp"
#include "filter/load.hpp"

namespace skerry::filter {
namespace {

using testing::HasSubstr;

constexpr Limits kAtSwitch{.place = Place::vswitch};
constexpr uint32_t kLink = 0, kNetwork = 1, kTransport = 2;
constexpr uint32_t kInput = 1, kForward = 2, kOutput = 3, kPostrouting = 4;

template <class... Rules>
Octets bridge(uint32_t at, const Rules&... rules) {
  return batch(table_of(nft::kBridge), chain_of(nft::kBridge, "c", hook(at)),
               rule_of(nft::kBridge, "c", rules)...);
}

// From 02:..:02 to 02:..:03, a datagram over IPv4 to port 53, with four bytes of padding behind.
Octets frame() {
  return {2, 0,  0, 0, 0, 3,  2, 0, 0, 0,    0,    2, 8,  0, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0,
          0, 10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0, 53, 0, 12,   0, 0, 1,  2, 3, 4, 0, 0,  0,  0};
}
Octets name_bytes(const std::string& name) {
  Octets bytes(name.begin(), name.end());
  bytes.resize(16);
  return bytes;
}

bool drops(const Octets& match, Octets bytes = frame(), Hook at = Hook::forward) {
  Ruleset ruleset;
  const auto refused = load(bridge(static_cast<uint32_t>(at), join(match, verdict(0))), ruleset, kAtSwitch);
  EXPECT_FALSE(refused) << refused->sentence;
  Engine engine(std::move(ruleset));
  const Interface one = ethernet_interface(1, "one"), two = ethernet_interface(2, "two"),
                  lan = ethernet_interface(0, "lan");
  Packet packet;
  packet.in = at == Hook::postrouting ? nullptr : &one;
  packet.out = at == Hook::prerouting ? nullptr : &two;
  packet.bridge = &lan;
  packet.type = 3;
  packet.read_bridged(bytes, bytes.size());
  return !engine.judge(at, packet, 0).accepted;
}

TEST(Bridge, RulesSeeAllOfAFrame) {
  EXPECT_TRUE(drops(join(payload(kLink, 6, 6), cmp(0, {2, 0, 0, 0, 0, 2}))));
  EXPECT_TRUE(drops(join(payload(kNetwork, 12, 4), cmp(0, {10, 0, 0, 1}))));
  EXPECT_TRUE(drops(join(payload(kTransport, 2, 2), cmp(0, {0, 53}))));
  EXPECT_FALSE(drops(join(payload(kTransport, 2, 2), cmp(0, {0, 54}))));
  EXPECT_TRUE(drops(join(meta(1), cmp(0, {8, 0})))) << "protocol";
  EXPECT_TRUE(drops(join(meta(15), cmp(0, {7})))) << "nfproto";
  EXPECT_TRUE(drops(join(meta(16), cmp(0, {17})))) << "l4proto";
  EXPECT_TRUE(drops(join(meta(19), cmp(0, {3})))) << "pkttype";
}

TEST(Bridge, TheLinkHeaderNeverCounts) {
  for (const Hook at : {Hook::prerouting, Hook::forward, Hook::postrouting})
    EXPECT_TRUE(drops(join(meta(0), cmp(0, {36, 0, 0, 0})), frame(), at));
  Octets tagged = frame();
  const Octets tag = {0x81, 0, 0, 5};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  EXPECT_TRUE(drops(join(meta(0), cmp(0, {36, 0, 0, 0})), tagged, Hook::postrouting));
  EXPECT_TRUE(drops(join(payload(kLink, 12, 4), cmp(0, tag)), tagged, Hook::postrouting));
}

TEST(Bridge, PortsAndTheSwitchHaveNames) {
  constexpr uint32_t kIifname = 6, kOifname = 7, kIbrname = 17, kObrname = 18;
  const auto named = [](uint32_t key, const std::string& name) {
    return join(meta(key), cmp(0, name_bytes(name)));
  };
  EXPECT_TRUE(drops(named(kIifname, "one")));
  EXPECT_TRUE(drops(named(kOifname, "two")));
  EXPECT_TRUE(drops(named(kIbrname, "lan")));
  EXPECT_TRUE(drops(named(kObrname, "lan")));
  EXPECT_FALSE(drops(named(kIifname, "two")));
  EXPECT_TRUE(drops(named(kObrname, ""), frame(), Hook::prerouting)) << "nobody knows yet where it goes";
  EXPECT_TRUE(drops(named(kOifname, ""), frame(), Hook::prerouting));
  EXPECT_TRUE(drops(named(kIifname, ""), frame(), Hook::postrouting)) << "as on Linux";
  EXPECT_TRUE(drops(named(kIbrname, ""), frame(), Hook::postrouting));
}

TEST(Bridge, ALongNameIsKnownByItsBeginning) {
  const Interface port = ethernet_interface(3, "a-program-with-a-long-name");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(port.name.data())), "a-program-with-");
}

TEST(Bridge, OtherPacketsMeetOtherRules) {
  Ruleset ruleset;
  ASSERT_FALSE(load(bridge(kForward, verdict(0)), ruleset, kAtSwitch));
  const Engine engine(std::move(ruleset));
  EXPECT_TRUE(engine.judges(Hook::forward, Realm::bridge));
  for (const Realm realm : {Realm::ipv4, Realm::ipv6, Realm::arp, Realm::link})
    EXPECT_FALSE(engine.judges(realm));
}

struct Refused {
  const char* name;
  Octets bytes;
  int error;
  const char* sentence;
};

TEST(Bridge, RefusesWhatASwitchCannotDo) {
  const auto with = [](const Octets& what) { return bridge(kForward, what); };
  const Octets ct = expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0))));
  const Octets reject = expression(
      "reject", join(attribute(nft::kRejectType, be32(0)), attribute(nft::kRejectCode, Octets{3})));
  const Octets ether = expression(
      "payload", join(attribute(nft::kPayloadFrom, be32(1)), attribute(nft::kPayloadBase, be32(kLink)),
                      attribute(nft::kPayloadOffset, be32(0)), attribute(nft::kPayloadLength, be32(2))));
  const Octets nat = attribute(nft::kChainType, text("nat"));
  const std::vector<Refused> all = {
      {"input", bridge(kInput), EOPNOTSUPP, "hook input would never see a frame"},
      {"output", bridge(kOutput), EOPNOTSUPP, "hook output would never see a frame"},
      {"no such hook", bridge(5), EOPNOTSUPP, "hook"},
      {"a device", batch(table_of(nft::kBridge), chain_of(nft::kBridge, "c", hook_with(kForward, device()))),
       EOPNOTSUPP, "netdev"},
      {"nat", batch(table_of(nft::kBridge), chain_of(nft::kBridge, "c", join(hook(kPostrouting), nat))),
       ENOENT, "type nat"},
      {"connections", with(ct), EOPNOTSUPP, "knows no connections"},
      {"notrack", with(expression("notrack", {})), EOPNOTSUPP, "knows no connections"},
      {"ct count", with(expression("connlimit", attribute(nft::kConnlimitCount, be32(1)))), EOPNOTSUPP,
       "knows no connections"},
      {"reject", with(reject), EOPNOTSUPP, "write drop"},
      {"iif", with(join(meta(4), cmp(0, {1, 0, 0, 0}))), EOPNOTSUPP, "write iifname"},
      {"oif", with(join(meta(5), cmp(0, {1, 0, 0, 0}))), EOPNOTSUPP, "iifname or oifname"},
      {"writing into the link header", with(join(immediate({1, 2}), ether)), EOPNOTSUPP, "link header"},
      {"another family", batch(table()), EAFNOSUPPORT, "write bridge"},
      {"netdev", batch(table_of(nft::kNetdev)), EAFNOSUPPORT, "write bridge"},
  };
  for (const Refused& each : all) {
    Ruleset ruleset;
    const auto refusal = load(each.bytes, ruleset, kAtSwitch);
    ASSERT_TRUE(refusal) << each.name;
    EXPECT_EQ(refusal->error, each.error) << each.name << ": " << refusal->sentence;
    EXPECT_THAT(refusal->sentence, HasSubstr(each.sentence)) << each.name;
  }
  Ruleset ruleset;
  const auto refusal = load(at_link(0, meta(17)), ruleset);
  ASSERT_TRUE(refusal);
  EXPECT_THAT(refusal->sentence, HasSubstr("tables of family bridge know it")) << "ibrname in a stack";
}

}  // namespace
}  // namespace skerry::filter
