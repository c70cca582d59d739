#include "resolver/words.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace skerry::resolver {
namespace {

TEST(Words, ComeBackAsTheyWereWritten) {
  uint8_t room[kWordsMax];
  const uint8_t message[] = {1, 2, 3};
  const auto asked = read_asked(write_asked({{0x0a4d0002, 40000}, message}, room));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->asker.address, 0x0a4d0002u);
  EXPECT_EQ(asked->asker.port, 40000);
  EXPECT_EQ(asked->message.size(), 3u);

  auto told = read_told(write_told(Reply{{0x0a4d0002, 40000}, message, true}, room));
  ASSERT_TRUE(told && std::holds_alternative<Reply>(*told));
  EXPECT_EQ(std::get<Reply>(*told).asker.port, 40000);
  EXPECT_EQ(std::get<Reply>(*told).message[2], 3);
  EXPECT_TRUE(std::get<Reply>(*told).leads);
  told = read_told(write_told(Reply{{0x0a4d0002, 40000}, message}, room));
  ASSERT_TRUE(told && std::holds_alternative<Reply>(*told));
  EXPECT_FALSE(std::get<Reply>(*told).leads);

  const uint8_t addresses[] = {1, 2, 3, 4, 5, 6, 7, 8};
  told = read_told(write_told(Allow{{443, true}, 90, addresses, false, "api.example.org"}, room));
  ASSERT_TRUE(told && std::holds_alternative<Allow>(*told));
  EXPECT_EQ(std::get<Allow>(*told).port, (AllowedPort{443, true}));
  EXPECT_EQ(std::get<Allow>(*told).seconds, 90u);
  ASSERT_EQ(std::get<Allow>(*told).addresses.size(), 8u);
  EXPECT_EQ(load_be32(std::get<Allow>(*told).addresses.data() + 4), 0x05060708u);
  EXPECT_FALSE(std::get<Allow>(*told).last);
  EXPECT_EQ(std::get<Allow>(*told).name, "api.example.org");

  told = read_told(write_told(RefusedName{NoAnswer::not_public, "evil.example"}, room));
  ASSERT_TRUE(told && std::holds_alternative<RefusedName>(*told));
  EXPECT_EQ(std::get<RefusedName>(*told).why, NoAnswer::not_public);
  EXPECT_EQ(std::get<RefusedName>(*told).name, "evil.example");
}

TEST(Words, ThatNobodySaysAreRefused) {
  const auto refused = [](std::vector<uint8_t> bytes) { return !read_told(bytes).has_value(); };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({0}));
  EXPECT_TRUE(refused({1, 0, 0, 0, 0, 0, 0})) << "a reply without its asker";
  EXPECT_TRUE(refused({1, 2, 10, 77, 0, 2, 0, 53})) << "it leads, or it does not";
  EXPECT_FALSE(refused({1, 1, 10, 77, 0, 2, 0, 53}));
  EXPECT_TRUE(refused({2, 1, 187, 0, 0, 0, 0, 60})) << "an end too early";
  EXPECT_TRUE(refused({2, 1, 187, 4, 0, 0, 0, 60, 0})) << "more than TCP or UDP, and the last";
  EXPECT_TRUE(refused({2, 1, 187, 0, 0, 0, 0, 60, 1, 1, 2, 3})) << "half an address";
  EXPECT_FALSE(refused({2, 1, 187, 0, 0, 0, 0, 60, 1, 1, 2, 3, 4}));
  EXPECT_TRUE(refused({3, 3, 'a'})) << "for a reason that there is not";
  EXPECT_TRUE(refused({4}));
  EXPECT_FALSE(read_asked(std::vector<uint8_t>{1, 2, 3, 4, 5}));
}

TEST(Words, WhatIsTooLongIsCut) {
  uint8_t room[kWordsMax];
  const std::vector<uint8_t> long_message(4096, 7);
  EXPECT_EQ(write_asked({{1, 2}, long_message}, room).size(), kWordsMax);
  EXPECT_EQ(write_told(Reply{{1, 2}, long_message}, room).size(), kWordsMax);
}

// As nft(8) lays out inet_proto . ipv4_addr . inet_service.
TEST(Words, AKeyOfTheSet) {
  uint8_t key[kAllowKeyBytes];
  write_allow_key(0x01020304, {443, false}, key);
  EXPECT_EQ(std::vector<uint8_t>(key, key + 12),
            (std::vector<uint8_t>{6, 0, 0, 0, 1, 2, 3, 4, 1, 187, 0, 0}));
  write_allow_key(0x01020304, {53, true}, key);
  EXPECT_EQ(key[0], 17);
}

}  // namespace
}  // namespace skerry::resolver
