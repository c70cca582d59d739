// Elements in nft's words, of what nft itself gives (the keys are those of `skerry filter test --json`).
#include "ctl/set_words.hpp"

#include <gtest/gtest.h>

namespace skerry::ctl {
namespace {

using nlohmann::json;

constexpr unsigned kService = 13, kMark = 19, kName = 41;  // TYPE_* of nft

std::string text(unsigned type, unsigned bytes, bool ranges, const std::string& key,
                 const std::string& last = "") {
  json row{{"key", key}};
  if (!last.empty()) row["last"] = last;
  return element_text({{"key_type", type}, {"key_bytes", bytes}, {"ranges", ranges}}, row);
}
std::string name(std::string digits, char rest = '0') {
  digits.resize(32, rest);
  return digits;
}

// Alone they lie as the machine has them, in sets with ranges in their order.
TEST(SetWords, AMarkIsOneNumberInEverySet) {
  EXPECT_EQ(text(kMark, 4, false, "05000000"), "0x5");
  EXPECT_EQ(text(kMark, 4, true, "00000005"), "0x5");
  EXPECT_EQ(text(kMark, 4, true, "00000100", "000001ff"), "0x100-0x1ff");
  EXPECT_EQ(text(kMark << 6 | kService, 8, true, "0000000100160000", "0000000500160000"), "0x1-0x5 . 22");
}

TEST(SetWords, ARangeOfNamesIsAllThatBeginSo) {
  EXPECT_EQ(text(kName, 16, true, name("6c6f")), "\"lo\"");
  EXPECT_EQ(text(kName, 16, true, name("657468"), name("657468", 'f')), "\"eth*\"");
  EXPECT_EQ(
      text(kName << 6 | kService, 20, true, name("657468") + "00160000", name("657468", 'f') + "00190000"),
      "\"eth*\" . 22-25");
}

// Without it nft does not read what the elements have counted, and no rule can add one.
TEST(SetWords, WhatElementsCountByIsDeclared) {
  EXPECT_EQ(statement_text({{"kind", "counter"}, {"over", false}}), "counter");
  json limit{{"kind", "limit"}, {"rate", 5U}, {"seconds", 60U}, {"burst", 7U}, {"over", true}};
  EXPECT_EQ(statement_text(limit), "limit rate over 5/minute burst 7 packets");
  limit.update({{"of_bytes", true}, {"over", false}});
  EXPECT_EQ(statement_text(limit), "limit rate 5 bytes/minute burst 7 bytes");
  EXPECT_EQ(statement_text({{"kind", "quota"}, {"over", true}, {"bytes", 9U}}), "quota over 9 bytes");
  EXPECT_EQ(statement_text({{"kind", "ct count"}, {"over", true}, {"connections", 3U}}), "ct count over 3");
  EXPECT_EQ(statement_text({{"kind", "}; drop"}}), "");
  EXPECT_EQ(statement_text("counter"), "");
  EXPECT_EQ(*set_body({{"key_type", 7U}, {"key_bytes", 4U}, {"dynamic", true}, {"timeout", true}}),
            "type ipv4_addr; flags dynamic,timeout;");
}

TEST(SetWords, AnElementTellsAllThatItCountsBy) {
  const json counter{{"kind", "counter"}}, room{{"kind", "ct count"}, {"connections", 3U}},
      counted{{"counter", {{"packets", 5U}, {"bytes", 6U}}}};
  const auto text_with = [](const json& counts, const json& tallies) {
    return element_text({{"key_type", 7U}, {"key_bytes", 4U}, {"counts", counts}},
                        {{"key", "0a000001"}, {"tallies", tallies}});
  };
  const json told = json::array({counted}), none = json::array();
  EXPECT_EQ(text_with(json::array({counter}), told), "10.0.0.1 counter packets 5 bytes 6");
  EXPECT_EQ(text_with(json::array({counter, room}), told), "10.0.0.1 counter packets 5 bytes 6 ct count 3");
  EXPECT_EQ(text_with(json::array({room, counter}), told), "10.0.0.1 ct count 3 counter packets 5 bytes 6");
  EXPECT_EQ(text_with(json::array({room}), none), "10.0.0.1");
}

// It is read by nft, and by a person's terminal.
TEST(SetWords, AStackCannotSayWhatIsNoElement) {
  EXPECT_EQ(text(kName, 16, true, name("1b5d30"), name("1b5d30", 'f')), "?");
  EXPECT_EQ(text(kMark, 4, true, "0000"), "0x0000");
}

}  // namespace
}  // namespace skerry::ctl
