// Translation, packet by packet. That it is Linux's is for tests/programs/filter_nat_kernel.py, where it
// leaves nothing to chance; what is drawn is here.
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/nat_batch.hpp"
#include "filter/protocols.hpp"
#include "filter/translation.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kHost = 0x0a000001, kAlso = 0x0a000005, kPeer = 0x0a630001, kOther = 0x0a630002;
constexpr uint8_t kSyn = 2, kRst = 4, kAck = 16;

// --- packets ---
struct Ends {
  uint32_t from, to;
  uint16_t from_port, to_port;
  Ends answer() const { return {to, from, to_port, from_port}; }
  friend bool operator==(const Ends&, const Ends&) = default;
};

uint16_t sum_of(ConstBytes bytes, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  if (bytes.size() % 2 != 0) sum += uint32_t{bytes.back()} << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
size_t checksum_at(uint8_t protocol) {
  return protocol == kProtocolTcp ? 16 : protocol == kProtocolUdp ? 6 : 2;
}
uint32_t pseudo_header(const Octets& packet) {
  if (packet[9] == kProtocolIcmp) return 0;
  return sum_of(ConstBytes(packet).subspan(12, 8)) + packet[9] + static_cast<uint32_t>(packet.size() - 20);
}
Octets v4(uint8_t protocol, uint32_t from, uint32_t to, const Octets& transport) {
  Octets packet(20);
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<uint16_t>(20 + transport.size()));
  packet[8] = 64;
  packet[9] = protocol;
  store_be32(&packet[12], from);
  store_be32(&packet[16], to);
  store_be16(&packet[10], static_cast<uint16_t>(~sum_of(packet)));
  packet.insert(packet.end(), transport.begin(), transport.end());
  if (protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolIcmp) {
    const uint16_t sum = sum_of(ConstBytes(packet).subspan(20), pseudo_header(packet));
    store_be16(&packet[20 + checksum_at(protocol)], static_cast<uint16_t>(~sum));
  }
  return packet;
}
bool intact(const Octets& packet) {
  return sum_of(ConstBytes(packet).first(20)) == 0xffff &&
         sum_of(ConstBytes(packet).subspan(20), pseudo_header(packet)) == 0xffff;
}
Octets datagram(const Ends& ends, const Octets& payload = {1, 2, 3}) {
  Octets udp(8);
  store_be16(&udp[0], ends.from_port);
  store_be16(&udp[2], ends.to_port);
  store_be16(&udp[4], static_cast<uint16_t>(8 + payload.size()));
  return v4(kProtocolUdp, ends.from, ends.to, join(udp, payload));
}
Octets segment(const Ends& ends, uint8_t flags, uint32_t seq = 100, uint32_t ack = 0) {
  Octets tcp(20);
  store_be16(&tcp[0], ends.from_port);
  store_be16(&tcp[2], ends.to_port);
  store_be32(&tcp[4], seq);
  store_be32(&tcp[8], ack);
  tcp[12] = 5 << 4;
  tcp[13] = flags;
  store_be16(&tcp[14], 1000);
  return v4(kProtocolTcp, ends.from, ends.to, tcp);
}
Octets error_about(const Octets& quoted, uint32_t from, uint32_t to, uint8_t type = 3) {
  return v4(kProtocolIcmp, from, to, join(Octets{type, 1, 0, 0, 0, 0, 0, 0}, quoted));
}
Ends ends_of(const Octets& packet, size_t ip = 0) {
  return {load_be32(&packet[ip + 12]), load_be32(&packet[ip + 16]), load_be16(&packet[ip + 20]),
          load_be16(&packet[ip + 22])};
}

class NatTest : public testing::Test {
 protected:
  void use(const Octets& bytes) {
    Ruleset ruleset;
    const auto refused = load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    engine_.emplace(std::move(ruleset));
    engine_->track_with(&conntrack_);
  }
  // None: it was dropped.
  std::optional<Octets> pass(Octets bytes, bool leaves, bool unfinished = false) {
    packet_ = {};
    EXPECT_TRUE(packet_.read(bytes));
    packet_.unfinished = unfinished;
    store_be32(packet_.address.data(), kHost);
    for (const Hook hook :
         leaves ? std::array{Hook::output, Hook::postrouting} : std::array{Hook::prerouting, Hook::input}) {
      judgement_ = engine_->judge(hook, packet_, now_);
      if (!judgement_.accepted) return std::nullopt;
    }
    packet_.bytes = {};
    return bytes;
  }
  std::optional<Octets> comes(Octets bytes) { return pass(std::move(bytes), false); }
  std::optional<Octets> leaves(Octets bytes) { return pass(std::move(bytes), true); }
  Ends to(const std::optional<Octets>& packet) {
    EXPECT_TRUE(packet);
    if (!packet) return {};
    EXPECT_TRUE(intact(*packet));
    return ends_of(*packet);
  }

  TimeNs now_ = 1000 * kSecond;
  Conntrack conntrack_{SipKey{1, 2}, 4096};
  std::optional<Engine> engine_;
  Packet packet_;
  Judgement judgement_;
};

const Ends kAsked{kPeer, kHost, 40000, 80}, kAsks{kHost, kPeer, 40000, 80};

TEST_F(NatTest, ADestinationIsTranslatedAndItsAnswersBack) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", nat(kDnat, kAlso, 8080))));
  EXPECT_EQ(to(comes(datagram(kAsked))), (Ends{kPeer, kAlso, 40000, 8080}));
  EXPECT_TRUE(packet_.translated);
  EXPECT_EQ(to(leaves(datagram({kAlso, kPeer, 8080, 40000}))), kAsked.answer());
  EXPECT_EQ(to(comes(segment(kAsked, kSyn))), (Ends{kPeer, kAlso, 40000, 8080}));
  EXPECT_EQ(to(leaves(segment({kAlso, kPeer, 8080, 40000}, kSyn | kAck, 7, 101))), kAsked.answer());
  EXPECT_EQ(to(comes(segment(kAsked, kAck, 101, 8))), (Ends{kPeer, kAlso, 40000, 8080}));
}

TEST_F(NatTest, ChainsAreAskedByTheFirstPacketAlone) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), nat_chain("post", Hook::postrouting),
            rule("pre", join(counter(), port_is(80), redirect(8080))), rule("post", counter())));
  for (int i = 0; i < 3; ++i) comes(datagram(kAsked));
  leaves(datagram({kHost, kPeer, 8080, 40000}));
  EXPECT_EQ(engine_->tally(0).packets, 1U);
  EXPECT_EQ(engine_->tally(1).packets, 0U) << "an answer is settled by what began it";
  for (int i = 0; i < 3; ++i) leaves(datagram(kAsks));
  EXPECT_EQ(engine_->tally(1).packets, 1U);
}

TEST_F(NatTest, APortIsKeptWhereItIsFreeAndElseStaysInItsClass) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", masquerade())));
  for (const auto& [port, least, most] :
       {std::array<uint16_t, 3>{40000, 1024, 65535}, {700, 600, 1023}, {53, 1, 511}}) {
    EXPECT_EQ(to(leaves(datagram({kHost, kPeer, port, 80}))).from_port, port);
    std::set<uint16_t> drawn{port};
    for (uint32_t i = 1; i < 20; ++i) {
      const Ends seen = to(leaves(datagram({kHost + i, kPeer, port, 80})));
      EXPECT_EQ(seen.from, kHost);
      EXPECT_TRUE(seen.from_port >= least && seen.from_port <= most) << seen.from_port;
      EXPECT_TRUE(drawn.insert(seen.from_port).second) << "it is taken";
      EXPECT_EQ(to(comes(datagram(seen.answer()))), (Ends{kPeer, kHost + i, 80, port}));
    }
    EXPECT_EQ(to(leaves(datagram({kHost + 30, kOther, port, 80}))).from_port, port) << "to another peer";
  }
}

TEST_F(NatTest, WhatNobodyTranslatesKeepsItsAnswersToItself) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  EXPECT_EQ(to(comes(datagram({kPeer, kHost, 40000, 80}))), (Ends{kPeer, kHost, 40000, 8080}));
  const Ends second = to(comes(datagram({kPeer, kHost, 40000, 81})));
  EXPECT_NE(second.from_port, 40000) << "else both would have the same answers";
  EXPECT_GE(second.from_port, 1024);
  EXPECT_EQ(to(leaves(datagram(second.answer()))), (Ends{kHost, kPeer, 81, 40000}));
}

TEST_F(NatTest, WhereNoPortIsLeftThePacketIsDropped) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", nat(kSnat, kAlso, 5000, 5001))));
  for (uint16_t i = 0; i < 2; ++i) EXPECT_TRUE(leaves(datagram({kHost, kPeer, uint16_t(100 + i), 80})));
  EXPECT_FALSE(leaves(datagram({kHost, kPeer, 102, 80})));
  EXPECT_EQ(judgement_.chain, kNone);
  EXPECT_TRUE(leaves(datagram({kHost, kOther, 102, 80})));
}

TEST_F(NatTest, AConnectionThatIsOverMakesWayForItsSuccessor) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", nat(kSnat, kAlso, 5000))));
  const Ends first{kHost, kPeer, 100, 80}, outside{kPeer, kAlso, 80, 5000};
  ASSERT_TRUE(leaves(segment(first, kSyn, 100)));
  ASSERT_TRUE(comes(segment(outside, kSyn | kAck, 500, 101)));
  ASSERT_TRUE(leaves(segment(first, kAck, 101, 501)));
  EXPECT_FALSE(leaves(segment({kHost, kPeer, 101, 80}, kSyn, 900)));
  ASSERT_TRUE(comes(segment(outside, kRst | kAck, 501, 101)));
  EXPECT_FALSE(leaves(segment({kHost, kPeer, 101, 80}, kSyn, 50))) << "its segments could be the old one's";
  EXPECT_EQ(to(leaves(segment({kHost, kPeer, 101, 80}, kSyn, 900))), (Ends{kAlso, kPeer, 5000, 80}));
}

TEST_F(NatTest, OneSocketHasOneSourceForAllItsPeers) {
  constexpr uint32_t kRandom = 0x4;
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", nat(kSnat, kAlso, 5000, 6000))));
  const uint16_t port = to(leaves(datagram({kHost, kPeer, 100, 80}))).from_port;
  for (uint16_t i = 0; i < 5; ++i)
    EXPECT_EQ(to(leaves(datagram({kHost, kOther, 100, uint16_t(90 + i)}))).from_port, port);
  use(batch(table(), nat_chain("post", Hook::postrouting),
            rule("post", nat(kSnat, kAlso, 5000, 6000, kRandom))));
  std::set<uint16_t> drawn;
  for (uint16_t i = 0; i < 5; ++i)
    drawn.insert(to(leaves(datagram({kHost, kOther, 100, uint16_t(190 + i)}))).from_port);
  EXPECT_GT(drawn.size(), 1U);
}

TEST_F(NatTest, AnErrorIsTranslatedWithWhatItQuotes) {
  use(batch(table(), nat_chain("out", Hook::output), nat_chain("post", Hook::postrouting),
            rule("out", nat(kDnat, kOther, 8080)), rule("post", nat(kSnat, kAlso, 5000))));
  for (const Octets& sent : {datagram(kAsks), segment(kAsks, kSyn)}) {
    const auto left = leaves(sent);
    ASSERT_EQ(to(left), (Ends{kAlso, kOther, 5000, 8080}));
    for (const size_t quoted : {left->size(), size_t{28}}) {
      const auto error = comes(error_about(Octets(left->begin(), left->begin() + quoted), 0x0a630099, kAlso));
      ASSERT_TRUE(error);
      EXPECT_TRUE(intact(*error));
      EXPECT_EQ(load_be32(&(*error)[16]), kHost);
      EXPECT_EQ(ends_of(*error, 28), kAsks);
      Octets inside(error->begin() + 28, error->end());
      EXPECT_EQ(inside, Octets(sent.begin(), sent.begin() + quoted)) << "with its checksums";
    }
    EXPECT_FALSE(comes(error_about(Octets(left->begin(), left->begin() + 27), kPeer, kAlso)))
        << "too little of the transport header to translate";
    EXPECT_FALSE(comes(error_about(*left, kPeer, kAlso, 5))) << "a redirect";
  }
}

TEST_F(NatTest, AnErrorOfOursIsTranslatedOnItsWayOut) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", nat(kDnat, kAlso, 8080))));
  const auto came = comes(datagram(kAsked));
  const auto error = leaves(error_about(*came, kAlso, kPeer));
  ASSERT_TRUE(error);
  EXPECT_TRUE(intact(*error));
  EXPECT_EQ(load_be32(&(*error)[12]), kHost);
  EXPECT_EQ(ends_of(*error, 28), kAsked);
}

TEST_F(NatTest, AnIdentifierOfIcmpIsItsPort) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", masquerade())));
  const auto ping = [](uint8_t type, uint32_t from, uint32_t to, uint16_t id) {
    return v4(kProtocolIcmp, from, to, join(Octets{type, 0, 0, 0}, port(id), Octets{0, 1, 5, 6, 7}));
  };
  ASSERT_TRUE(leaves(ping(8, kHost, kPeer, 77)));
  const auto second = leaves(ping(8, kHost + 1, kPeer, 77));
  ASSERT_TRUE(second);
  EXPECT_TRUE(intact(*second));
  const uint16_t id = load_be16(&(*second)[24]);
  EXPECT_NE(id, 77);
  EXPECT_EQ(comes(ping(0, kPeer, kHost, id)), ping(0, kPeer, kHost + 1, 77));
}

TEST_F(NatTest, AnUnfinishedChecksumCoversAddressesAlone) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", nat(kSnat, kAlso, 5000))));
  for (Octets packet : {datagram(kAsks), segment(kAsks, kSyn)}) {
    uint8_t* const field = &packet[20 + checksum_at(packet[9])];
    store_be16(field, sum_of({}, pseudo_header(packet)));
    auto left = pass(packet, true, true);
    ASSERT_TRUE(left);
    const uint16_t sum = load_be16(&(*left)[20 + checksum_at(packet[9])]);
    EXPECT_EQ(sum, sum_of({}, pseudo_header(*left)));
  }
}

TEST_F(NatTest, ADatagramWithoutAChecksumHasNone) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  Octets bare = datagram(kAsked);
  store_be16(&bare[26], 0);
  const auto came = comes(bare);
  ASSERT_TRUE(came);
  EXPECT_EQ(load_be16(&(*came)[26]), 0);
}

TEST_F(NatTest, OneWhoseChecksumNeedsAllOfItIsDropped) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  EXPECT_FALSE(comes(v4(kProtocolSctp, kPeer, kHost, Octets(16))));
}

TEST_F(NatTest, RulesSeeThePacketAsItIsAtTheirPlace) {
  const auto told = [](int32_t priority) { return chain("f" + std::to_string(priority), hook(0, priority)); };
  const Octets is_8080 = join(port_is(8080), counter());
  use(batch(table(), told(-150), told(-100), nat_chain("pre", Hook::prerouting, 300), told(-50),
            rule("pre", redirect(8080)), rule("f-150", is_8080), rule("f-100", is_8080),
            rule("f-50", is_8080)));
  comes(datagram(kAsked));
  EXPECT_EQ(engine_->tally(0).packets, 0U);
  EXPECT_EQ(engine_->tally(1).packets, 1U)
      << "of one priority the newer comes first: translation is older here";
  EXPECT_EQ(engine_->tally(2).packets, 1U);
}

TEST_F(NatTest, BindingsOutliveTheirRules) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  comes(datagram(kAsked));
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(9090))));
  EXPECT_EQ(to(comes(datagram(kAsked))), (Ends{kPeer, kHost, 40000, 8080}));
  EXPECT_EQ(to(comes(datagram({kPeer, kHost, 40001, 80}))).to_port, 9090);
}

TEST_F(NatTest, AFlowThatIsOlderThanTheRulesStaysAsItIs) {
  const Octets asks_state =
      expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(0))));
  use(batch(table(), base_chain("in"), rule("in", asks_state)));
  comes(datagram(kAsked));
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", join(counter(), redirect(8080)))));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(to(comes(datagram(kAsked))), kAsked);
  EXPECT_EQ(engine_->tally(0).packets, 2U) << "asked, as by Linux, to no effect";
}

TEST_F(NatTest, ATranslatedPacketIsNotPassedByMemory) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", join(port_is(80), redirect(8080)))));
  for (const uint16_t port : {uint16_t{80}, uint16_t{81}}) {
    const Ends ends{kPeer, kHost, 40000, port};
    const Ends inside = to(comes(datagram(ends, Octets(20))));
    leaves(datagram(inside.answer()));
    Octets bytes = datagram(ends, Octets(20));
    Packet packet;
    ASSERT_TRUE(packet.read(bytes));
    engine_->track(Hook::prerouting, packet, now_);
    EXPECT_EQ(engine_->look(packet.bytes, false, false, packet.tracked).has_value(), port == 81);
  }
}

TEST_F(NatTest, WhatLeftIsKnownAsItWasSent) {
  use(batch(table(), nat_chain("out", Hook::output), rule("out", nat(kDnat, kOther, 8080))));
  const auto left = leaves(datagram(kAsks));
  const auto sent = conntrack_.before(*left, false, now_);
  ASSERT_TRUE(sent);
  Octets back = *left;
  translate_back(back, false, *sent);
  EXPECT_EQ(back, datagram(kAsks));
  EXPECT_FALSE(conntrack_.before(datagram({kHost, kPeer, 1, 2}), false, now_));
}

// --- what is refused ---
std::optional<Refusal> refusal(const Octets& bytes) {
  Ruleset ruleset;
  return load(bytes, ruleset);
}

TEST(NatRules, StandWhereTheKernelLetsThem) {
  const Octets dnat = nat(kDnat, kOther), snat = nat(kSnat, kOther);
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::output, Hook::postrouting}) {
    const bool destination = hook == Hook::prerouting || hook == Hook::output;
    for (const auto& [statement, fits] : {std::pair{dnat, destination},
                                          {redirect(80), destination},
                                          {snat, !destination},
                                          {masquerade(), hook == Hook::postrouting}}) {
      const auto refused = refusal(batch(table(), nat_chain("c", hook), rule("c", statement)));
      EXPECT_EQ(!refused, fits) << (refused ? refused->sentence : "it is taken");
      EXPECT_EQ(refused ? refused->error : EOPNOTSUPP, EOPNOTSUPP);
    }
  }
  EXPECT_EQ(refusal(batch(table(), base_chain("in"), rule("in", snat)))->error, EOPNOTSUPP)
      << "in a chain of type filter";
  EXPECT_EQ(refusal(batch(table(), base_chain("in"), chain("sub"), rule("sub", snat),
                          rule("in", verdict(-3, "sub"))))
                ->error,
            EOPNOTSUPP)
      << "nor by way of another";
  EXPECT_FALSE(refusal(batch(table(), chain("sub"), rule("sub", snat)))) << "where no packet comes";
}

TEST(NatRules, AChainComesBehindTracking) {
  EXPECT_EQ(refusal(batch(table(), nat_chain("c", Hook::prerouting, -200)))->error, EOPNOTSUPP);
  EXPECT_FALSE(refusal(batch(table(), nat_chain("c", Hook::prerouting, -199))));
}

TEST(NatRules, ReadWhatWasWritten) {
  const Octets words =
      join(attribute(nft::kNatType, be32(kDnat)), attribute(nft::kNatFamily, be32(nft::kIpv4)));
  const auto refused = [&](const Octets& statement) {
    return refusal(batch(table(), nat_chain("c", Hook::prerouting), rule("c", statement)))->error;
  };
  EXPECT_EQ(refused(expression("nat", words)), EINVAL) << "to nowhere";
  EXPECT_EQ(refused(expression("nat", join(words, attribute(nft::kNatAddressLow, be32(1))))), ENODATA);
  EXPECT_EQ(refused(expression("nat", join(words, attribute(nft::kNatPortLow, be32(1))))), ENODATA);
  EXPECT_EQ(refused(join(immediate(1, be32(kOther)),
                         expression("nat", join(words, attribute(nft::kNatAddressLow, be32(1)),
                                                attribute(nft::kNatFlags, be32(0x20)))))),
            EOPNOTSUPP);
}

}  // namespace
}  // namespace skerry::filter
