#include "wire/ethernet.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

constexpr std::array<uint8_t, 14> kFrame{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x08, 0x06};

TEST(Ethernet, ParsesAndEmits) {
  const auto header = EthernetHeader::parse(kFrame);
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->destination.is_broadcast());
  EXPECT_EQ(header->source, (MacAddress{{2, 0, 0, 0, 0, 7}}));
  EXPECT_EQ(header->type, EtherType::kArp);
  std::array<uint8_t, 14> again{};
  header->emit(again.data());
  EXPECT_EQ(again, kFrame);
}

TEST(Ethernet, ShortFramesDoNotParse) {
  for (size_t length = 0; length < EthernetHeader::kBytes; ++length)
    EXPECT_FALSE(EthernetHeader::parse({kFrame.data(), length}));
}

}  // namespace
}  // namespace skerry
