// What is an announcement and what is none, letter by letter as nf_conntrack_ftp.c has it, and where lines
// begin.
#include "filter/ftp_lines.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skerry::filter {
namespace {

using Says = FtpLine::Says;

FtpLine read(const std::string& text, bool reply, bool v6 = false) {
  const std::vector<uint8_t> bytes(text.begin(), text.end());  // exactly: what lies behind is not its
  return read_ftp_line(bytes, reply, v6);
}
Says client(const std::string& text, bool v6 = false) {
  return read(text, false, v6).says;
}
Says server(const std::string& text) {
  return read(text, true).says;
}
std::array<uint8_t, 16> v4(uint32_t address) {
  std::array<uint8_t, 16> bytes{};
  store_be32(bytes.data(), address);
  return bytes;
}
// Of an EPRT line about IPv6 with this address; empty: it announces none.
std::string v6_of(const std::string& address, const std::string& delimiter = "|") {
  const std::string text =
      "EPRT " + delimiter + "2" + delimiter + address + delimiter + "99" + delimiter + "\r\n";
  const FtpLine line = read(text, false, true);
  if (line.says != Says::announces) return {};
  EXPECT_EQ(line.port, 99);
  std::string hex;
  for (const uint8_t byte : line.address) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

TEST(FtpLines, AClientSaysWhereItWaits) {
  const FtpLine line = read("PORT 10,0,0,1,4,210\r\n", false);
  EXPECT_EQ(line.says, Says::announces);
  EXPECT_EQ(line.form, FtpForm::port);
  EXPECT_TRUE(line.has_address);
  EXPECT_EQ(line.address, v4(0x0a000001));
  EXPECT_EQ(line.port, 4 * 256 + 210);
  EXPECT_EQ(line.begin, 5U);
  EXPECT_EQ(line.bytes, 14U);
  EXPECT_EQ(client("port 10,0,0,1,4,210\r\n"), Says::announces) << "in any case";
  EXPECT_EQ(read("PORTAL to 1,2,3,4,5,6\r\n", false).begin, 0U + std::string("PORTAL ").size());
}

TEST(FtpLines, AServerSaysItInAnyWords) {
  for (const std::string text :
       {"227 Entering Passive Mode (10,0,0,1,4,210).\r\n", "227 Entering Passive Mode. 10,0,0,1,4,210\r\n",
        "227 =10,0,0,1,4,210\r\n", "227 10,0,0,1,4,210 \r\n"}) {
    const FtpLine line = read(text, true);
    EXPECT_EQ(line.says, Says::announces) << text;
    EXPECT_EQ(line.form, FtpForm::pasv);
    EXPECT_EQ(line.address, v4(0x0a000001)) << text;
    EXPECT_EQ(line.port, 1234) << text;
    EXPECT_EQ(text.substr(line.begin, line.bytes), "10,0,0,1,4,210");
  }
}

TEST(FtpLines, TheExtendedFormsHaveADelimiterOfTheirOwn) {
  const FtpLine line = read("EPRT |1|10.0.0.1|1234|\r\n", false);
  EXPECT_EQ(line.says, Says::announces);
  EXPECT_EQ(line.form, FtpForm::eprt);
  EXPECT_EQ(line.address, v4(0x0a000001));
  EXPECT_EQ(line.port, 1234);
  EXPECT_EQ(line.begin, 5U);
  EXPECT_EQ(line.bytes, 17U) << "with its last delimiter";
  EXPECT_EQ(client("EPRT !1!10.0.0.1!1234!\r\n"), Says::announces);
  EXPECT_EQ(client("EPRT |2|10.0.0.1|1234|\r\n"), Says::unclear) << "the connection is of IPv4";
  EXPECT_EQ(client("EPRT 31310.0.0.1312343\r\n"), Says::unclear) << "a digit is no delimiter";
  EXPECT_EQ(client("EPRT |1|10.0.0.1,1234|\r\n"), Says::unclear);
  EXPECT_EQ(client("EPRT |1|10.0.0.1|0|\r\n"), Says::unclear);
  EXPECT_EQ(client("EPRT |1|10.0.0.1|12"), Says::unclear);

  const FtpLine passive = read("229 Entering Extended Passive Mode (|||1234|)\r\n", true);
  EXPECT_EQ(passive.says, Says::announces);
  EXPECT_EQ(passive.form, FtpForm::epsv);
  EXPECT_FALSE(passive.has_address);
  EXPECT_EQ(passive.port, 1234);
  EXPECT_EQ(passive.bytes, 8U);
  EXPECT_EQ(server("229 no brackets |||1234|\r\n"), Says::unclear);
  EXPECT_EQ(server("229 (||!1234|)\r\n"), Says::unclear);
  EXPECT_EQ(server("229 (|||)\r\n"), Says::unclear);
}

TEST(FtpLines, AddressesOfIpv6AreReadAsText) {
  EXPECT_EQ(v6_of("fd00::1"), "fd000000000000000000000000000001");
  EXPECT_EQ(v6_of("FD00:1:2:3:4:5:6:7"), "fd000001000200030004000500060007");
  EXPECT_EQ(v6_of("::"), "00000000000000000000000000000000");
  EXPECT_EQ(v6_of("1::"), "00010000000000000000000000000000");
  EXPECT_EQ(v6_of("::ffff:10.0.0.1"), "00000000000000000000ffff0a000001");
  EXPECT_EQ(v6_of("1:2:3:4:5:6:10.0.0.1"), "0001000200030004000500060a000001");
  EXPECT_EQ(v6_of("fd00::1", "!"), "fd000000000000000000000000000001");
  for (const char* none : {"", ":", ":::", ":1::2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
                           "12345::", "1:2:", "1::2:", "::10.0.0.256", "::10.0.0", "fd00::g", "10.0.0.1"})
    EXPECT_EQ(v6_of(none), "") << none;
  EXPECT_EQ(v6_of("fd00::1", ":"), "");
  EXPECT_EQ(client("EPRT |2|fd00::1", true), Says::unclear);
  EXPECT_EQ(client("EPRT |1|10.0.0.1|99|\r\n", true), Says::unclear);
}

TEST(FtpLines, WhatIsCutIsUnclear) {
  const std::string whole = "PORT 10,0,0,1,4,210\r";
  for (size_t bytes = 1; bytes < whole.size(); ++bytes)
    EXPECT_EQ(client(whole.substr(0, bytes)), Says::unclear) << bytes;
  EXPECT_EQ(client(whole), Says::announces);
  const std::string reply = "227 (10,0,0,1,4,210)";
  for (size_t bytes = 1; bytes < reply.size(); ++bytes)
    EXPECT_EQ(server(reply.substr(0, bytes)), Says::unclear) << bytes;
  EXPECT_EQ(server(reply), Says::announces);
  EXPECT_EQ(client("PORT"), Says::unclear);
  EXPECT_EQ(client("PORT\r\n"), Says::unclear);
  EXPECT_EQ(server("227 no numbers\r\n"), Says::unclear);
}

TEST(FtpLines, NumbersAreNotTooLargeAsLinuxHasIt) {
  EXPECT_EQ(client("PORT 10,0,0,1,4\r\n"), Says::unclear);
  EXPECT_EQ(client("PORT 10,0,0,1,4,210,5\r\n"), Says::unclear);
  EXPECT_EQ(client("PORT 10,0,0,1,4,210 \r\n"), Says::unclear);
  EXPECT_EQ(client("PORT -10,0,0,1,4,210\r\n"), Says::unclear);
  EXPECT_EQ(read("PORT 10,0,0,1,0,65536\r\n", false).port, 0);
  EXPECT_EQ(read("PORT 266,0,0,1,4,466\r\n", false).address, v4(0x0a000001));
  EXPECT_EQ(read("PORT 4294967306,0,0,1,4,210\r\n", false).address, v4(0x0a000001));
  EXPECT_EQ(read("229 (|||65537|)\r\n", true).port, 1);
}

TEST(FtpLines, AllElseSaysNothing) {
  for (const char* text :
       {"USER me\r\n", "P", "226 done\r\n", " PORT 1,2,3,4,5,6\r\n", "227 (1,2,3,4,5,6)\r\n"})
    EXPECT_EQ(client(text), text == std::string("P") ? Says::unclear : Says::nothing) << text;
  for (const char* text : {"220 hello\r\n", "PORT 1,2,3,4,5,6\r\n", "227-a\r\n", "2270 a\r\n"})
    EXPECT_EQ(server(text), Says::nothing) << text;
}

TEST(LineStarts, TheLastTwoAreKnown) {
  LineStarts lines{};
  EXPECT_FALSE(lines.has(0));
  lines.add(100);
  lines.add(200);
  EXPECT_TRUE(lines.has(100) && lines.has(200));
  lines.add(300);
  EXPECT_FALSE(lines.has(100));
  EXPECT_TRUE(lines.has(200) && lines.has(300));
  lines.add(50);
  EXPECT_FALSE(lines.has(50)) << "it is older than both";
  lines.add(300);
  EXPECT_TRUE(lines.has(200));
}

TEST(LineStarts, SequenceNumbersGoRound) {
  LineStarts lines{};
  lines.add(0xfffffff0);
  lines.add(0xfffffffe);
  lines.add(16);
  EXPECT_FALSE(lines.has(0xfffffff0));
  EXPECT_TRUE(lines.has(16));
}

}  // namespace
}  // namespace skerry::filter
