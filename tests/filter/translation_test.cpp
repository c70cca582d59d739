// Packets in which addresses and ports are changed: every checksum that covers them, and what errors quote.
#include "filter/translation.hpp"

#include <gtest/gtest.h>

#include "filter/nat_world.hpp"

namespace skerry::filter {
namespace {

class TranslationTest : public NatTest {};

TEST_F(TranslationTest, AnErrorIsTranslatedWithWhatItQuotes) {
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

TEST_F(TranslationTest, AnErrorOfOursIsTranslatedOnItsWayOut) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", nat(kDnat, kAlso, 8080))));
  const auto came = comes(datagram(kAsked));
  const auto error = leaves(error_about(*came, kAlso, kPeer));
  ASSERT_TRUE(error);
  EXPECT_TRUE(intact(*error));
  EXPECT_EQ(load_be32(&(*error)[12]), kHost);
  EXPECT_EQ(ends_of(*error, 28), kAsked);
}

TEST_F(TranslationTest, AnIdentifierOfIcmpIsItsPort) {
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

TEST_F(TranslationTest, AnUnfinishedChecksumCoversAddressesAlone) {
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

TEST_F(TranslationTest, ADatagramWithoutAChecksumHasNone) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  Octets bare = datagram(kAsked);
  store_be16(&bare[26], 0);
  const auto came = comes(bare);
  ASSERT_TRUE(came);
  EXPECT_EQ(load_be16(&(*came)[26]), 0);
}

TEST_F(TranslationTest, OneWhoseChecksumNeedsAllOfItIsDropped) {
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", redirect(8080))));
  EXPECT_FALSE(comes(v4(kProtocolSctp, kPeer, kHost, Octets(16))));
}

TEST_F(TranslationTest, WhatLeftIsKnownAsItWasSent) {
  use(batch(table(), nat_chain("out", Hook::output), rule("out", nat(kDnat, kOther, 8080))));
  const auto left = leaves(datagram(kAsks));
  const auto sent = conntrack_.before(*left, false, 0, now_);
  ASSERT_TRUE(sent);
  Octets back = *left;
  translate_back(back, false, *sent);
  EXPECT_EQ(back, datagram(kAsks));
  EXPECT_FALSE(conntrack_.before(datagram({kHost, kPeer, 1, 2}), false, 0, now_));
}

// --- IPv6 ---
using Address6 = std::array<uint8_t, 16>;
constexpr Address6 kPeer6{0xfd, 1, 0, 0, 0, 0, 0, 0, 1}, kHost6{0xfd, 1, 0, 0, 0, 0, 0, 0, 2},
    kAlso6{0xfd, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};

Octets v6(uint8_t protocol, const Address6& from, const Address6& to, const Octets& transport) {
  Octets packet(40);
  packet[0] = 0x60;
  store_be16(&packet[4], static_cast<uint16_t>(transport.size()));
  packet[6] = protocol;
  std::copy(from.begin(), from.end(), packet.begin() + 8);
  std::copy(to.begin(), to.end(), packet.begin() + 24);
  packet.insert(packet.end(), transport.begin(), transport.end());
  return packet;
}
uint16_t sum6(const Octets& packet) {
  const auto bytes = static_cast<uint32_t>(packet.size() - 40);
  return sum_of(ConstBytes(packet).subspan(40),
                sum_of(ConstBytes(packet).subspan(8, 32)) + packet[6] + bytes);
}
// With its checksum.
Octets summed6(Octets packet) {
  store_be16(&packet[40 + checksum_at(packet[6])], static_cast<uint16_t>(~sum6(packet)));
  return packet;
}
Octets datagram6(const Address6& from, const Address6& to, uint16_t from_port, uint16_t to_port) {
  return summed6(
      v6(kProtocolUdp, from, to, join(port(from_port), port(to_port), port(11), Octets{0, 0, 1, 2, 3})));
}

TEST_F(TranslationTest, BothFamiliesAreTranslated) {
  const Octets to_also = join(
      immediate(1, Octets(kAlso6.begin(), kAlso6.end())), immediate(2, port(8080)),
      expression("nat",
                 join(attribute(nft::kNatType, be32(kDnat)), attribute(nft::kNatFamily, be32(nft::kIpv6)),
                      attribute(nft::kNatAddressLow, be32(1)), attribute(nft::kNatPortLow, be32(2)))));
  use(batch(table(), nat_chain("pre", Hook::prerouting), rule("pre", to_also),
            rule("pre", nat(kDnat, kAlso))));
  EXPECT_EQ(to(comes(datagram(kAsked))), (Ends{kPeer, kAlso, 40000, 80})) << "the other rule is not for it";
  EXPECT_EQ(comes(datagram6(kPeer6, kHost6, 40000, 80)), datagram6(kPeer6, kAlso6, 40000, 8080));
  EXPECT_EQ(leaves(datagram6(kAlso6, kPeer6, 8080, 40000)), datagram6(kHost6, kPeer6, 80, 40000));

  const auto about = [](const Address6& from, const Address6& to, const Octets& quoted) {
    return summed6(v6(kProtocolIcmp6, from, to, join(Octets{1, 4, 0, 0, 0, 0, 0, 0}, quoted)));
  };
  const auto error = leaves(about(kAlso6, kPeer6, datagram6(kPeer6, kAlso6, 40000, 8080)));
  EXPECT_EQ(error, about(kHost6, kPeer6, datagram6(kPeer6, kHost6, 40000, 80)));
}

}  // namespace
}  // namespace skerry::filter
