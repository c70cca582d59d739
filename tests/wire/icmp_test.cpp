#include "wire/icmp.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace skerry {
namespace {

TEST(Icmp, EchoParsesAndEmits) {
  const std::array<uint8_t, 8> bytes{8, 0, 0x4d, 0x56, 0x00, 0x01, 0x00, 0x05};
  const auto header = IcmpHeader::parse(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, IcmpType::kEcho);
  EXPECT_EQ(header->identifier, 1);
  EXPECT_EQ(header->sequence, 5);
  EXPECT_FALSE(header->is_error());
  std::array<uint8_t, 8> again{};
  header->emit(again.data());
  EXPECT_EQ(again, bytes);
}

TEST(Icmp, FragmentationNeededCarriesTheMtu) {
  const std::array<uint8_t, 8> bytes{3, 4, 0, 0, 0, 0, 0x05, 0xaa};
  const auto header = IcmpHeader::parse(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->code, kFragmentationNeeded);
  EXPECT_EQ(header->next_hop_mtu(), 1450);
  EXPECT_TRUE(header->is_error());
}

TEST(Icmp, ShortMessagesDoNotParse) {
  const std::array<uint8_t, 8> bytes{8};
  for (size_t length = 0; length < 8; ++length) EXPECT_FALSE(IcmpHeader::parse({bytes.data(), length}));
}

class Embedded : public testing::Test {
 protected:
  // A TCP segment from 10.0.0.2:49152 to 10.0.0.1:6379, sequence number 0x01020304, cut after 8 bytes of TCP.
  std::vector<uint8_t> body_ = [] {
    std::vector<uint8_t> bytes(28);
    Ipv4Header ip;
    ip.source = 0x0a000002;
    ip.destination = 0x0a000001;
    ip.total_bytes = 1500;
    ip.ttl = 60;
    ip.protocol = IpProtocol::kTcp;
    ip.emit(bytes.data());
    store_be16(bytes.data() + 20, 49152);
    store_be16(bytes.data() + 22, 6379);
    store_be32(bytes.data() + 24, 0x01020304);
    return bytes;
  }();
};

TEST_F(Embedded, GivesThePortsAndTheSequenceNumber) {
  const auto embedded = IcmpEmbedded::parse(body_);
  ASSERT_TRUE(embedded);
  EXPECT_EQ(embedded->ip.source, 0x0a000002u);
  EXPECT_EQ(embedded->ip.destination, 0x0a000001u);
  EXPECT_EQ(embedded->source_port, 49152);
  EXPECT_EQ(embedded->destination_port, 6379);
  EXPECT_EQ(embedded->tcp_seq, 0x01020304u);
}

TEST_F(Embedded, TooShortDoesNotParse) {
  for (size_t length = 0; length < body_.size(); ++length)
    EXPECT_FALSE(IcmpEmbedded::parse({body_.data(), length}));
}

TEST_F(Embedded, LaterFragmentsDoNotParse) {
  body_[7] = 1;
  EXPECT_FALSE(IcmpEmbedded::parse(body_));
}

}  // namespace
}  // namespace skerry
