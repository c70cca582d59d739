#include "wire/udp.hpp"

#include <gtest/gtest.h>

#include <array>

namespace skerry {
namespace {

constexpr std::array<uint8_t, 8> kHeader{0x00, 0x35, 0xc0, 0x01, 0x00, 0x0c, 0xab, 0xcd};

TEST(Udp, ParsesAndEmits) {
  const auto header = UdpHeader::parse(kHeader);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->source_port, 53);
  EXPECT_EQ(header->destination_port, 49153);
  EXPECT_EQ(header->length_bytes, 12);
  EXPECT_EQ(header->checksum, 0xabcd);
  std::array<uint8_t, 8> again{};
  header->emit(again.data());
  EXPECT_EQ(again, kHeader);
}

TEST(Udp, LengthsBelowTheHeaderDoNotParse) {
  for (size_t length = 0; length < 8; ++length) EXPECT_FALSE(UdpHeader::parse({kHeader.data(), length}));
  auto bytes = kHeader;
  bytes[5] = 7;
  EXPECT_FALSE(UdpHeader::parse(bytes));
  bytes[5] = 8;
  EXPECT_TRUE(UdpHeader::parse(bytes));
}

}  // namespace
}  // namespace skerry
