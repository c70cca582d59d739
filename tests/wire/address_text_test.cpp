#include "wire/address_text.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(AddressText, ReadsWhatPeopleWrite) {
  EXPECT_EQ(parse_ipv4("10.77.0.2"), 0x0a4d0002u);
  EXPECT_EQ(parse_ipv4("0.0.0.0"), 0u);
  EXPECT_EQ(parse_ipv4("255.255.255.255"), 0xffffffffu);
  EXPECT_EQ(parse_ipv4_prefix("10.77.0.2/24"), (Ipv4Prefix{0x0a4d0002, 24}));
  EXPECT_EQ(parse_ipv4_prefix("0.0.0.0/0"), (Ipv4Prefix{0, 0}));
  EXPECT_EQ(parse_mac("02:5b:0a:4D:00:02"), (MacAddress{{0x02, 0x5b, 0x0a, 0x4d, 0x00, 0x02}}));
}

TEST(AddressText, RefusesLooserForms) {
  for (const char* text :
       {"", "10", "10.77.2", "10.77.0.2.1", "010.77.0.2", "10.77.0.256", "10.77..2", "10.77.0.2 ",
        " 10.77.0.2", "10.77.0.+2", "10.77.0.-2", "0xa.77.0.2", "10.77.0.2/24", "::1"})
    EXPECT_FALSE(parse_ipv4(text)) << text;
  for (const char* text : {"10.77.0.2", "10.77.0.2/", "10.77.0.2/33", "10.77.0.2/024", "/24", "10.77.0/24"})
    EXPECT_FALSE(parse_ipv4_prefix(text)) << text;
  for (const char* text : {"", "02:5b:0a:4d:00", "02:5b:0a:4d:00:2", "02-5b-0a-4d-00-02", "02:5b:0a:4d:00:0g",
                           "025b:0a:4d:00:02:", "02:5b:0a:4d:00:02:"})
    EXPECT_FALSE(parse_mac(text)) << text;
}

}  // namespace
}  // namespace skerry
