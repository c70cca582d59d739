// Names of DNS as texts, and back.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "wire/dns.hpp"

namespace skerry {

inline DnsName name(std::string_view text) {
  DnsName result;
  EXPECT_TRUE(to_dns_name(text, result)) << text;
  return result;
}

inline std::string text(const DnsName& name) {
  char buffer[256];
  return std::string(buffer, to_text(name, buffer, sizeof buffer));
}

}  // namespace skerry
