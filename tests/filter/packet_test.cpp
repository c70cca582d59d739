// Where the headers of a packet lie, as the kernel's ipv6_find_hdr() and nft_set_pktinfo() see it.
#include "filter/packet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace skerry::filter {
namespace {

using Octets = std::vector<uint8_t>;

Octets v6(uint8_t next, const Octets& rest) {
  Octets bytes(40 + rest.size());
  bytes[0] = 0x60;
  bytes[6] = next;
  store_be16(bytes.data() + 4, static_cast<uint16_t>(rest.size()));
  std::copy(rest.begin(), rest.end(), bytes.begin() + 40);
  return bytes;
}

TEST(Packet, WhatIsShorterThanItSaysIsNone) {
  Octets bytes(28);
  bytes[0] = 0x45;
  bytes[3] = 28;
  Packet packet;
  EXPECT_TRUE(packet.read(bytes));
  EXPECT_FALSE(packet.read(Bytes(bytes).first(27)));
  EXPECT_FALSE(packet.read(Bytes(bytes).first(19)));
  bytes[3] = 19;
  EXPECT_FALSE(packet.read(bytes)) << "shorter than its header";
  bytes[0] = 0x44;
  EXPECT_FALSE(packet.read(bytes)) << "a header of 16 bytes";
  bytes[0] = 0x55;
  EXPECT_FALSE(packet.read(bytes)) << "version 5";
  EXPECT_FALSE(packet.read({}));
}

TEST(Packet, PaddingBehindThePacketIsCutOff) {
  Octets bytes(46);
  bytes[0] = 0x45;
  bytes[3] = 28;
  Packet packet;
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_EQ(packet.bytes.size(), 28U);
}

TEST(Packet, ExtensionHeadersAreFollowedToTheTransport) {
  Packet packet;
  // Destination options of 8 bytes, routing of 16, then UDP.
  Octets rest = {43, 0, 1, 4, 0, 0, 0, 0, 17, 1, 0, 0, 0, 0, 0, 0,
                 0,  0, 0, 0, 0, 0, 0, 0, 0,  1, 0, 2, 0, 8, 0, 0};
  Octets bytes = v6(60, rest);
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_TRUE(packet.has_transport);
  EXPECT_EQ(packet.protocol, 17);
  EXPECT_EQ(packet.transport, 64);
  EXPECT_EQ(find_extension(packet.bytes, 43)->offset, 48U);
  EXPECT_FALSE(find_extension(packet.bytes, 44));
}

TEST(Packet, AChainThatIsCutOffHasNoTransport) {
  Packet packet;
  Octets cut = v6(60, {17, 3, 0, 0, 0, 0, 0, 0});
  ASSERT_TRUE(packet.read(cut));
  EXPECT_TRUE(packet.has_transport) << "the next header is known, only nothing lies there";
  EXPECT_EQ(packet.transport, 72);
  Octets one_byte = v6(60, {17});
  ASSERT_TRUE(packet.read(one_byte));
  EXPECT_FALSE(packet.has_transport);
}

TEST(Packet, ALaterFragmentIsOne) {
  Packet packet;
  Octets bytes = v6(44, {17, 0, 0, 8, 0, 0, 0, 1, 0, 1, 0, 2, 0, 8, 0, 0});
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_EQ(packet.protocol, 17);
  EXPECT_EQ(packet.fragment, 8);
  Octets first = v6(44, {17, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 2, 0, 8, 0, 0});
  ASSERT_TRUE(packet.read(first));
  EXPECT_EQ(packet.fragment, 0);
  EXPECT_EQ(packet.transport, 48);
}

// Linux ipv6_find_hdr(): three bytes of a routing header are none.
TEST(Packet, ARoutingHeaderThatIsCutOffIsNotThere) {
  EXPECT_FALSE(find_extension(v6(43, {17, 0, 0}), 43));
  EXPECT_EQ(find_extension(v6(43, {17, 0, 0, 0}), 43)->offset, 40U);
}

TEST(Packet, AnAuthenticationHeaderEndsTheChain) {
  Packet packet;
  Octets bytes = v6(51, Octets(24));
  ASSERT_TRUE(packet.read(bytes));
  EXPECT_EQ(packet.protocol, 51);
  EXPECT_EQ(packet.transport, 40);
}

}  // namespace
}  // namespace skerry::filter
