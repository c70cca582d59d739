#include "wire/arp.hpp"

#include <gtest/gtest.h>

#include <array>

namespace skerry {
namespace {

constexpr std::array<uint8_t, 28> kRequest{0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
                                           10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

TEST(Arp, ParsesAndEmits) {
  const auto arp = ArpPacket::parse(kRequest);
  ASSERT_TRUE(arp);
  EXPECT_EQ(arp->operation, ArpOperation::kRequest);
  EXPECT_EQ(arp->sender_mac, (MacAddress{{2, 0, 0, 0, 0, 1}}));
  EXPECT_EQ(arp->sender, 0x0a000001u);
  EXPECT_EQ(arp->target_mac, MacAddress{});
  EXPECT_EQ(arp->target, 0x0a000002u);
  std::array<uint8_t, 28> again{};
  arp->emit(again.data());
  EXPECT_EQ(again, kRequest);
}

TEST(Arp, OtherHardwareProtocolLengthsAndOperationsDoNotParse) {
  for (const size_t place : {0, 1, 2, 3, 4, 5, 6}) {
    auto bytes = kRequest;
    bytes[place] ^= 0x40;
    EXPECT_FALSE(ArpPacket::parse(bytes)) << place;
  }
  for (const uint8_t operation : std::array<uint8_t, 3>{0, 3, 8}) {
    auto bytes = kRequest;
    bytes[7] = operation;
    EXPECT_FALSE(ArpPacket::parse(bytes)) << int{operation};
  }
}

TEST(Arp, ShortPacketsDoNotParse) {
  for (size_t length = 0; length < ArpPacket::kBytes; ++length)
    EXPECT_FALSE(ArpPacket::parse({kRequest.data(), length}));
}

}  // namespace
}  // namespace skerry
