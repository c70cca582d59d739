// DNS messages of both directions, without a network.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/dns.hpp"
#include "wire/dns_names.hpp"

namespace skerry {
namespace {

// An answer, written a piece at a time.
class Message {
 public:
  Message(uint16_t id, uint16_t flags, std::string_view question, uint16_t answers,
          DnsType type = DnsType::address) {
    put16(id);
    put16(flags);
    put16(1);
    put16(answers);
    put16(0);
    put16(0);
    put_name(question);
    put16(static_cast<uint16_t>(type));
    put16(1);
  }
  void put16(uint16_t value) {
    bytes.push_back(static_cast<uint8_t>(value >> 8));
    bytes.push_back(static_cast<uint8_t>(value));
  }
  void put_name(std::string_view text) {
    const DnsName wire = name(text);
    bytes.insert(bytes.end(), wire.bytes.begin(), wire.bytes.begin() + static_cast<long>(wire.length));
  }
  void put_record(uint16_t type, const std::vector<uint8_t>& data) {
    put16(type);
    put16(1);
    put16(0);
    put16(60);
    put16(static_cast<uint16_t>(data.size()));
    bytes.insert(bytes.end(), data.begin(), data.end());
  }
  void put_address(std::string_view owner, uint8_t last) {
    put_name(owner);
    put_record(1, {192, 0, 2, last});
  }
  void put_alias(std::string_view owner, std::string_view target) { put_target(5, owner, target); }
  void put_target(uint16_t type, std::string_view owner, std::string_view target) {
    put_name(owner);
    const DnsName wire = name(target);
    put_record(type, {wire.bytes.begin(), wire.bytes.begin() + static_cast<long>(wire.length)});
  }
  std::vector<uint8_t> bytes;
};

constexpr uint16_t kResponse = 0x8180;

TEST(DnsQuestion, IsWhatRfc1035Says) {
  uint8_t message[kQuestionMax];
  const size_t length = write_question(0x1234, name("a.bc"), DnsType::address, message);
  const std::vector<uint8_t> expected = {0x12, 0x34, 1,   0, 0,   1,   0, 0, 0, 0, 0,
                                         0,    1,    'a', 2, 'b', 'c', 0, 0, 1, 0, 1};
  EXPECT_EQ(std::vector<uint8_t>(message, message + length), expected);
}

TEST(DnsAnswer, GivesAddresses) {
  Message message(7, kResponse, "x.example", 2);
  message.put_address("X.Example", 1);
  message.bytes.push_back(0xc0);  // the second owner is a pointer to the question
  message.bytes.push_back(12);
  message.put_record(1, {192, 0, 2, 2});
  const DnsAnswer answer = read_answer(message.bytes, 7, name("x.example"), DnsType::address);
  ASSERT_EQ(answer.kind, DnsAnswer::Kind::addresses);
  ASSERT_EQ(answer.count, 2u);
  EXPECT_EQ(answer.addresses[0], 0xc0000201u);
  EXPECT_EQ(answer.addresses[1], 0xc0000202u);
}

// What a program wrote itself, of any type, and what may come back for it.
TEST(DnsAnswer, BelongsToItsQuestion) {
  constexpr auto kService = static_cast<DnsType>(33);
  const Message question(7, 0x0100, "x.example", 0, kService);
  EXPECT_TRUE(is_answer_to(Message(7, kResponse, "X.Example", 0, kService).bytes, question.bytes));
  EXPECT_FALSE(is_answer_to(question.bytes, question.bytes));
  EXPECT_FALSE(is_answer_to(Message(8, kResponse, "x.example", 0, kService).bytes, question.bytes));
  EXPECT_FALSE(is_answer_to(Message(7, kResponse, "y.example", 0, kService).bytes, question.bytes));
  EXPECT_FALSE(is_answer_to(Message(7, kResponse, "x.example", 0).bytes, question.bytes));
  const Message answer(7, kResponse, "x.example", 0, kService);
  for (size_t length = 0; length < answer.bytes.size(); ++length)
    EXPECT_FALSE(is_answer_to({answer.bytes.data(), length}, question.bytes)) << length;
}

TEST(DnsAnswer, FollowsAliasesInAnyOrder) {
  Message message(7, kResponse, "a.example", 3);
  message.put_address("c.example", 9);
  message.put_alias("b.example", "c.example");
  message.put_alias("a.example", "b.example");
  const DnsAnswer answer = read_answer(message.bytes, 7, name("a.example"), DnsType::address);
  ASSERT_EQ(answer.kind, DnsAnswer::Kind::addresses);
  EXPECT_EQ(answer.addresses[0], 0xc0000209u);
  EXPECT_EQ(text(answer.canonical), "c.example");
}

// RFC 1035 section 3.5; RFC 2317 puts aliases in between.
TEST(DnsAnswer, SaysWhatAnAddressPointsTo) {
  const DnsName asked = name_of_address(0xc000024d);
  EXPECT_EQ(text(asked), "77.2.0.192.in-addr.arpa");
  Message message(7, kResponse, text(asked), 3, DnsType::pointer);
  message.put_address("77.below.example", 1);
  message.put_target(12, "77.below.example", "Host.Example");
  message.put_alias(text(asked), "77.below.example");
  const DnsAnswer answer = read_answer(message.bytes, 7, asked, DnsType::pointer);
  ASSERT_EQ(answer.kind, DnsAnswer::Kind::pointer);
  EXPECT_EQ(answer.count, 0u);
  EXPECT_EQ(text(answer.canonical), "host.example");
  EXPECT_EQ(read_answer(message.bytes, 7, asked, DnsType::address).kind, DnsAnswer::Kind::not_ours);
  EXPECT_EQ(text(name_of_address(0xffffffff)), "255.255.255.255.in-addr.arpa");
}

TEST(DnsAnswer, AliasAloneIsAskedFurther) {
  Message message(7, kResponse, "a.example", 1);
  message.put_alias("a.example", "b.example");
  const DnsAnswer answer = read_answer(message.bytes, 7, name("a.example"), DnsType::address);
  EXPECT_EQ(answer.kind, DnsAnswer::Kind::alias);
  EXPECT_EQ(text(answer.canonical), "b.example");
}

TEST(DnsAnswer, AliasLoopEnds) {
  Message message(7, kResponse, "a.example", 2);
  message.put_alias("a.example", "b.example");
  message.put_alias("b.example", "a.example");
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).kind,
            DnsAnswer::Kind::failure);
}

TEST(DnsAnswer, SaysWhyThereIsNone) {
  const auto kind = [](uint16_t flags) {
    return read_answer(Message(7, flags, "a.example", 0).bytes, 7, name("a.example"), DnsType::address).kind;
  };
  EXPECT_EQ(kind(kResponse), DnsAnswer::Kind::no_data);
  EXPECT_EQ(kind(kResponse | 3), DnsAnswer::Kind::no_name);
  EXPECT_EQ(kind(kResponse | 2), DnsAnswer::Kind::failure);
}

TEST(DnsAnswer, OneThatWasCutIsNotAllOfIt) {
  Message message(7, kResponse | 0x0200, "a.example", 1);
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).kind, DnsAnswer::Kind::cut);
  message.put_address("a.example", 1);
  const DnsAnswer answer = read_answer(message.bytes, 7, name("a.example"), DnsType::address);
  EXPECT_EQ(answer.kind, DnsAnswer::Kind::cut);
  EXPECT_EQ(answer.count, 1u) << "better than none, if there is no more to be had";
}

TEST(DnsAnswer, OthersAnswersAreNotOurs) {
  Message message(7, kResponse, "a.example", 1);
  message.put_address("a.example", 1);
  EXPECT_EQ(read_answer(message.bytes, 8, name("a.example"), DnsType::address).kind,
            DnsAnswer::Kind::not_ours);
  EXPECT_EQ(read_answer(message.bytes, 7, name("b.example"), DnsType::address).kind,
            DnsAnswer::Kind::not_ours);
  EXPECT_EQ(
      read_answer(Message(7, 0x0100, "a.example", 0).bytes, 7, name("a.example"), DnsType::address).kind,
      DnsAnswer::Kind::not_ours)
      << "a question";
  for (size_t length = 0; length < 27; ++length)
    EXPECT_EQ(read_answer({message.bytes.data(), length}, 7, name("a.example"), DnsType::address).kind,
              DnsAnswer::Kind::not_ours);
}

TEST(DnsAnswer, OtherNamesAddressesAreNotTaken) {
  Message message(7, kResponse, "a.example", 1);
  message.put_address("b.example", 1);
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).kind,
            DnsAnswer::Kind::no_data);
}

TEST(DnsAnswer, PointersMustLeadBack) {
  for (const uint8_t target : {uint8_t{27}, uint8_t{28}, uint8_t{40}}) {  // the owner begins at 27
    Message message(7, kResponse, "a.example", 1);
    ASSERT_EQ(message.bytes.size(), 27u);
    message.bytes.push_back(0xc0);
    message.bytes.push_back(target);
    message.put_record(1, {192, 0, 2, 1});
    EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).kind,
              DnsAnswer::Kind::no_data);
  }
}

TEST(DnsAnswer, ItsTimeIsTheShortestOfTheRecordsThatLedThere) {
  Message message(7, kResponse, "a.example", 4);
  message.put_alias("a.example", "b.example");
  message.put_address("b.example", 1);
  message.put_address("b.example", 2);
  message.put_address("c.example", 3);  // of no concern
  const size_t ttl_in_record = message.bytes.size() - 10;
  message.bytes[ttl_in_record + 3] = 1;
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).ttl_s, 60u);
  message.bytes[ttl_in_record - 25 + 3] = 20;
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).ttl_s, 20u);
  message.bytes[ttl_in_record - 25] = 0x80;
  EXPECT_EQ(read_answer(message.bytes, 7, name("a.example"), DnsType::address).ttl_s, 0u)
      << "RFC 2181 section 8";
}

TEST(DnsQuestion, IsReadAsItIsWritten) {
  uint8_t message[kQuestionMax];
  const size_t length = write_question(7, name("www.a.example"), DnsType::address, message);
  const auto question = read_question({message, length});
  ASSERT_TRUE(question);
  EXPECT_EQ(question->id, 7);
  EXPECT_EQ(text(question->name), "www.a.example");
  EXPECT_EQ(question->type, static_cast<uint16_t>(DnsType::address));
  EXPECT_EQ(question->class_, kDnsClassIn);
  EXPECT_EQ(question->bytes, length);
  for (size_t shorter = 0; shorter < length; ++shorter) EXPECT_FALSE(read_question({message, shorter}));
}

TEST(DnsQuestion, WhatIsNoQuestionIsRefused) {
  uint8_t message[kQuestionMax];
  const size_t length = write_question(7, name("a.example"), DnsType::address, message);
  const auto with = [&](size_t at, uint8_t value) {
    std::vector<uint8_t> changed(message, message + length);
    changed[at] = value;
    return read_question(changed).has_value();
  };
  EXPECT_TRUE(with(2, 1));
  EXPECT_FALSE(with(2, 0x81)) << "an answer";
  EXPECT_FALSE(with(2, 0x29)) << "an update";
  EXPECT_FALSE(with(5, 2)) << "two questions";
  EXPECT_FALSE(with(5, 0)) << "none";
  EXPECT_FALSE(with(12, 0xc0)) << "a name by a pointer";
  EXPECT_FALSE(with(12, 0x40));
}

TEST(DnsReply, SaysWhatAnAskerUnderstands) {
  uint8_t query[kQuestionMax];
  const size_t length = write_question(7, name("a.example"), DnsType::address, query);
  query[13] = 'A';
  uint8_t reply[kReplyMax];
  const Ipv4Address addresses[] = {0x01020304, 0x05060708};
  const size_t bytes = write_reply({query, length}, DnsCode::no_error, addresses, 33, reply);
  EXPECT_EQ(reply[13], 'A') << "in the asker's spelling";
  EXPECT_EQ(load_be16(reply + 2), 0x8180);
  const DnsAnswer answer = read_answer({reply, bytes}, 7, name("a.example"), DnsType::address);
  ASSERT_EQ(answer.kind, DnsAnswer::Kind::addresses);
  ASSERT_EQ(answer.count, 2u);
  EXPECT_EQ(answer.addresses[1], 0x05060708u);
  EXPECT_EQ(answer.ttl_s, 33u);

  const auto kind = [&](DnsCode code) {
    const size_t without = write_reply({query, length}, code, {}, 0, reply);
    return read_answer({reply, without}, 7, name("a.example"), DnsType::address).kind;
  };
  EXPECT_EQ(kind(DnsCode::no_error), DnsAnswer::Kind::no_data);
  EXPECT_EQ(kind(DnsCode::no_name), DnsAnswer::Kind::no_name);
  EXPECT_EQ(kind(DnsCode::server_failure), DnsAnswer::Kind::failure);
  EXPECT_EQ(kind(DnsCode::refused), DnsAnswer::Kind::failure);
}

TEST(DnsReply, HoldsAsManyAddressesAsFit) {
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  uint8_t query[kQuestionMax];
  const size_t length = write_question(7, name(longest + "b"), DnsType::address, query);
  ASSERT_EQ(length, kQuestionMax);
  uint8_t reply[kReplyMax];
  const std::vector<Ipv4Address> many(40, 0x01020304);
  const size_t bytes = write_reply({query, length}, DnsCode::no_error, many, 1, reply);
  EXPECT_LE(bytes, kReplyMax);
  EXPECT_EQ(read_answer({reply, bytes}, 7, name(longest + "b"), DnsType::address).count, 15u);
}

}  // namespace
}  // namespace skerry
