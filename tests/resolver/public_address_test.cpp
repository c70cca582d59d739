#include "resolver/public_address.hpp"

#include <gtest/gtest.h>

namespace skerry::resolver {
namespace {

Ipv4Address ipv4(std::string_view text) {
  const auto address = parse_ipv4(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(0);
}

TEST(PublicAddress, IsNoneOfTheSpecialOnes) {
  for (const char* special :
       {"0.0.0.0",         "0.255.255.255",   "10.0.0.0",        "10.255.255.255", "100.64.0.1",
        "100.127.255.255", "127.0.0.1",       "127.255.255.255", "169.254.0.1",    "169.254.169.254",
        "172.16.0.1",      "172.31.255.255",  "192.0.0.8",       "192.0.2.1",      "192.88.99.1",
        "192.168.0.1",     "192.168.255.255", "198.18.0.1",      "198.19.255.255", "198.51.100.1",
        "203.0.113.9",     "224.0.0.1",       "239.255.255.250", "240.0.0.1",      "255.255.255.255"})
    EXPECT_FALSE(is_public(ipv4(special), {})) << special;
}

TEST(PublicAddress, BeginsAndEndsWhereTheSpecialOnesDo) {
  for (const char* plain :
       {"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
        "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"})
    EXPECT_TRUE(is_public(ipv4(plain), {})) << plain;
}

TEST(PublicAddress, IsNoneOfOurOwn) {
  const Ipv4Prefix own[] = {{ipv4("93.184.0.0"), 24}, {ipv4("44.0.0.0"), 9}};
  EXPECT_FALSE(is_public(ipv4("93.184.0.255"), own));
  EXPECT_TRUE(is_public(ipv4("93.184.1.0"), own));
  EXPECT_FALSE(is_public(ipv4("44.127.0.1"), own));
  EXPECT_TRUE(is_public(ipv4("44.128.0.1"), own));
}

}  // namespace
}  // namespace skerry::resolver
