// Names of DNS and their texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "wire/dns.hpp"
#include "wire/dns_names.hpp"

namespace skerry {
namespace {

TEST(DnsName, FromAndToText) {
  EXPECT_EQ(text(name("www.Example.ORG")), "www.example.org");
  EXPECT_EQ(text(name("example.org.")), "example.org");
  DnsName unused;
  for (const char* wrong : {"", ".", "a..b", ".a", "a b", "a.."})
    EXPECT_FALSE(to_dns_name(wrong, unused)) << wrong;
  EXPECT_FALSE(to_dns_name(std::string(64, 'a'), unused));
  EXPECT_TRUE(to_dns_name(std::string(63, 'a'), unused));
  std::string longest = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c') + '.';
  EXPECT_TRUE(to_dns_name(longest + std::string(61, 'd'), unused));
  EXPECT_FALSE(to_dns_name(longest + std::string(62, 'd'), unused));
}

// As glibc's res_hnok: a server may put any byte into a label.
TEST(DnsName, OfAHostHasNothingThatALogOrATerminalMinds) {
  for (const char* good : {"a", "host.example", "3com.example", "_dmarc.a_b", "x-.example", "a.-b.example"})
    EXPECT_TRUE(is_host_name(name(good))) << good;
  const auto is_told = [](std::string_view label) {
    DnsName wire = name(std::string(label.size(), 'x') + ".example");
    std::copy(label.begin(), label.end(), wire.bytes.begin() + 1);
    return is_host_name(wire);
  };
  EXPECT_TRUE(is_told("good"));
  for (const char* bad : {"bad\x1b[2Jx", "line\nfeed", "trusted.example", "a b", "a*", "a\\b", "a/b", "\x7f",
                          "caf\xc3\xa9", "-lead"})
    EXPECT_FALSE(is_told(bad)) << bad;
  EXPECT_FALSE(is_told({"nul\0x", 5}));
  DnsName root;
  root.length = 1;
  EXPECT_FALSE(is_host_name(root));
  EXPECT_FALSE(is_host_name({})) << "no name at all";
  EXPECT_TRUE(is_host_name(name(std::string(63, 'a') + '.' + std::string(63, 'b') + '.' +
                                std::string(63, 'c') + '.' + std::string(61, 'd'))));
}

}  // namespace
}  // namespace skerry
