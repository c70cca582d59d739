#include "wire/ipv4.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace skerry {
namespace {

// 192.168.0.1 to 192.168.0.199, UDP, 115 bytes, do not fragment; the checksum is b861.
constexpr std::array<uint8_t, 20> kHeader{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                          0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

std::vector<uint8_t> with_options(std::vector<uint8_t> options) {
  std::vector<uint8_t> bytes(kHeader.size() + options.size());
  std::copy(kHeader.begin(), kHeader.end(), bytes.begin());
  std::copy(options.begin(), options.end(), bytes.begin() + kHeader.size());
  bytes[0] = static_cast<uint8_t>(0x45 + options.size() / 4);
  return bytes;
}

TEST(Ipv4, ParsesAndEmits) {
  const auto header = Ipv4Header::parse(kHeader);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->source, 0xc0a80001u);
  EXPECT_EQ(header->destination, 0xc0a800c7u);
  EXPECT_EQ(header->total_bytes, 115);
  EXPECT_EQ(header->payload_bytes(), 95);
  EXPECT_EQ(header->ttl, 64);
  EXPECT_EQ(header->protocol, IpProtocol::kUdp);
  EXPECT_TRUE(header->dont_fragment);
  EXPECT_FALSE(header->is_fragment());
  EXPECT_TRUE(Ipv4Header::checksum_intact(kHeader));
  std::array<uint8_t, 20> again{};
  header->emit(again.data());
  EXPECT_EQ(again, kHeader);
}

TEST(Ipv4, EveryFlippedBitBreaksTheChecksum) {
  for (size_t bit = 8; bit < 160; ++bit) {  // from the second byte: the first says how much is summed
    std::array<uint8_t, Ipv4Header::kMaxBytes> bytes{};
    std::copy(kHeader.begin(), kHeader.end(), bytes.begin());
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Ipv4Header::checksum_intact(bytes)) << bit;
  }
}

TEST(Ipv4, FragmentFieldsAreInBytes) {
  auto bytes = kHeader;
  bytes[6] = 0x20;
  bytes[7] = 0xb9;  // 185 units of 8
  const auto header = Ipv4Header::parse(bytes);
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->more_fragments);
  EXPECT_FALSE(header->dont_fragment);
  EXPECT_EQ(header->fragment_offset, 1480);
  EXPECT_TRUE(header->is_fragment());
  std::array<uint8_t, 20> again{};
  header->emit(again.data());
  EXPECT_EQ(load_be16(again.data() + 6), 0x20b9);
}

TEST(Ipv4, MalformedHeadersDoNotParse) {
  for (size_t length = 0; length < 20; ++length) EXPECT_FALSE(Ipv4Header::parse({kHeader.data(), length}));
  auto version = kHeader;
  version[0] = 0x65;
  EXPECT_FALSE(Ipv4Header::parse(version));
  auto short_header = kHeader;
  short_header[0] = 0x44;
  EXPECT_FALSE(Ipv4Header::parse(short_header));
  auto beyond = kHeader;
  beyond[0] = 0x46;
  EXPECT_FALSE(Ipv4Header::parse(beyond));
  auto short_total = kHeader;
  short_total[3] = 19;
  EXPECT_FALSE(Ipv4Header::parse(short_total));
}

TEST(Ipv4, OptionsAreSteppedOver) {
  const auto router_alert = Ipv4Header::parse(with_options({148, 4, 0, 0}));
  ASSERT_TRUE(router_alert);
  EXPECT_EQ(router_alert->header_bytes, 24);
  EXPECT_FALSE(router_alert->source_route);
  EXPECT_TRUE(Ipv4Header::parse(with_options({1, 1, 1, 0})));
  EXPECT_TRUE(Ipv4Header::parse(with_options({0, 99, 99, 99})));  // nothing after the end is read
}

TEST(Ipv4, SourceRoutesAreSeen) {
  for (const uint8_t kind : std::array<uint8_t, 2>{131, 137}) {
    const auto header = Ipv4Header::parse(with_options({1, kind, 7, 4, 10, 0, 0, 1}));
    ASSERT_TRUE(header);
    EXPECT_TRUE(header->source_route);
  }
}

TEST(Ipv4, OptionLengthsStayWithinTheHeader) {
  EXPECT_FALSE(Ipv4Header::parse(with_options({148, 0, 0, 0})));
  EXPECT_FALSE(Ipv4Header::parse(with_options({148, 1, 0, 0})));
  EXPECT_FALSE(Ipv4Header::parse(with_options({148, 5, 0, 0})));
  EXPECT_FALSE(Ipv4Header::parse(with_options({1, 1, 1, 148})));  // no room for its length
}

}  // namespace
}  // namespace skerry
