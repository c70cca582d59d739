// What a flow is translated to, and where rules that say so may stand. That it is Linux's is for
// tests/programs/filter_nat_kernel.py, where it leaves nothing to chance; what is drawn is here.
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "filter/nat_world.hpp"

namespace skerry::filter {
namespace {

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

TEST_F(NatTest, OneSourceMayHaveAllFlows) {
  use(batch(table(), nat_chain("post", Hook::postrouting), rule("post", nat(kSnat, kAlso))));
  for (uint32_t i = 0; i < 20'000; ++i)  // the table has room for 4096
    EXPECT_EQ(to(leaves(datagram({kHost, kPeer + i, 100, 80}))).from_port, 100);
  EXPECT_EQ(conntrack_.flows(), 4096U);
  now_ += 3600 * kSecond;
  for (uint32_t i = 0; i < 20'000; i += 3) EXPECT_TRUE(leaves(datagram({kHost, kPeer + i, 101, 80})));
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
