// What the resolver believes and allows, in simulated time, against name servers that say anything.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "name_servers.hpp"

namespace skerry::resolver {
namespace {

TEST_F(NamesTest, AnAddressIsAllowedBeforeTheProgramHearsOfIt) {
  ask(kName);
  EXPECT_TRUE(seen.replies.empty());
  ASSERT_EQ(seen.questions.size(), 1u);
  EXPECT_EQ(asked_name(0), kName);
  answer({{.owner = kName, .address = kAddress, .ttl_s = 300}});
  ASSERT_EQ(seen.allowed.size(), 2u) << "both of its ports";
  EXPECT_EQ(seen.allowed[0].address, kAddress);
  EXPECT_EQ(seen.allowed[0].port, 443);
  EXPECT_FALSE(seen.allowed[0].udp);
  EXPECT_TRUE(seen.allowed[1].udp);
  EXPECT_EQ(seen.allowed[0].seconds, 360u) << "with the grace in which it is asked for again";
  const DnsAnswer reply = reply_to(kName);
  ASSERT_EQ(reply.kind, DnsAnswer::Kind::addresses);
  EXPECT_EQ(reply.addresses[0], ipv4(kAddress));
  EXPECT_EQ(reply.ttl_s, 300u);
}

// What was not heard was not allowed.
TEST_F(NamesTest, WithoutItsAllowanceAReplyIsNotSaid) {
  ask(kName);
  const auto hears_but_once = [&](auto speak) {
    seen.forgets_allowance = true;
    speak();
    EXPECT_TRUE(seen.replies.empty());
    seen.forgets_allowance = false;
  };
  hears_but_once([&] { answer({{.owner = kName, .address = kAddress, .ttl_s = 300}}); });
  hears_but_once([&] { ask(kName, 40001); });
  ask(kName);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses) << "who asks again";
  EXPECT_EQ(seen.replies.size(), 1u);
}

TEST_F(NamesTest, NothingOfAnotherNameGoesOut) {
  ask("secret.attacker.example");
  ask("sub.api.example.org");
  ask("example.org");
  EXPECT_TRUE(seen.questions.empty());
  EXPECT_EQ(reply_to("example.org").kind, DnsAnswer::Kind::no_name);
  ASSERT_EQ(seen.refusals.size(), 3u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::not_allowed, std::string("secret.attacker.example")));
}

TEST_F(NamesTest, NothingThatTheProgramChoseGoesOut) {
  ask("API.example.ORG", 40000, 1, 4711);
  ASSERT_EQ(seen.questions.size(), 1u);
  std::set<std::vector<uint8_t>> spellings;
  for (int i = 0; i < 20; ++i) {
    spellings.insert({seen.questions.back().bytes.begin() + 12, seen.questions.back().bytes.end()});
    answer({{.owner = kName, .address = kAddress, .ttl_s = 1}});
    advance(40 * kSecond);
    ask(kName);
  }
  EXPECT_GT(spellings.size(), 10u) << "the spelling is ours, and another each time";
  ask(kName, 40000, 28);
  ask(kName, 40000, 16);
  for (const Seen::Question& question : seen.questions) {
    const auto read = read_question(question.bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, name(kName));
    EXPECT_EQ(read->type, static_cast<uint16_t>(DnsType::address));
    EXPECT_EQ(read->bytes, question.bytes.size());
  }
}

TEST_F(NamesTest, OtherKindsOfRecordsAreNone) {
  ask(kName, 40000, 28);  // AAAA
  EXPECT_TRUE(seen.questions.empty());
  const auto& message = seen.replies.back().second;
  EXPECT_EQ(load_be16(&message[2]) & 15, 0);
  EXPECT_EQ(load_be16(&message[6]), 0);
}

TEST_F(NamesTest, AnAnswerMustMatchServerIdAndSpelling) {
  ask(kName);
  const Seen::Question question = seen.questions.front();
  const std::vector<uint8_t> good = answer_to(question, {{.owner = kName, .address = kAddress}});
  names.answered(now, question.server + 1, good, seen);
  EXPECT_TRUE(seen.allowed.empty()) << "from another server";
  for (const size_t at : {0u, 1u, 13u, 14u, 28u, 30u, 32u}) {
    std::vector<uint8_t> forged = good;
    forged[at] = static_cast<uint8_t>(forged[at] ^ (at < 12 ? 1 : 0x20));
    names.answered(now, question.server, forged, seen);
    EXPECT_TRUE(seen.allowed.empty()) << at;
  }
  names.answered(now, question.server, question.bytes, seen);
  EXPECT_TRUE(seen.allowed.empty()) << "a question is no answer";
  names.answered(now, question.server, good, seen);
  EXPECT_FALSE(seen.allowed.empty());
  seen.allowed.clear();
  names.answered(now, question.server, good, seen);
  EXPECT_TRUE(seen.allowed.empty()) << "nothing is open any more";
}

TEST_F(NamesTest, RecordsOfOtherOwnersAreNotTaken) {
  ask(kName);
  answer({{.owner = "other.example.org", .address = "93.184.215.99"}, {.owner = kName, .address = kAddress}});
  for (const auto& allowed : seen.allowed) EXPECT_EQ(allowed.address, kAddress);
  EXPECT_EQ(reply_to(kName).count, 1u);
}

TEST_F(NamesTest, WhatIsNotOfTheInternetIsNotAllowedNorTold) {
  ask(kName);
  answer({{.owner = kName, .address = "10.0.0.1"},
          {.owner = kName, .address = kAddress},
          {.owner = kName, .address = "169.254.169.254"},
          {.owner = kName, .address = "127.0.0.1"},
          {.owner = kName, .address = "44.1.2.3"}});
  ASSERT_EQ(seen.allowed.size(), 2u);
  EXPECT_EQ(seen.allowed[0].address, kAddress);
  EXPECT_EQ(reply_to(kName).count, 1u);
}

TEST_F(NamesTest, ANameThatLeadsInsideLeadsNowhere) {
  ask(kName);
  answer({{.owner = kName, .address = "192.168.1.1"}});
  EXPECT_TRUE(seen.allowed.empty());
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::no_data);
  ASSERT_EQ(seen.refusals.size(), 1u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::not_public, std::string(kName)));
}

TEST_F(NamesTest, EachWhoWaitsForANameThatLeadsInsideIsSeen) {
  for (uint16_t port = 40000; port < 40020; ++port) ask(kName, port);
  ASSERT_EQ(seen.questions.size(), 1u);
  answer({{.owner = kName, .address = "192.168.1.1"}});
  EXPECT_EQ(seen.refusals.size(), 20u);
}

// The question that found it out may have been ours, when nobody waited.
TEST_F(NamesTest, WhoAsksForANameThatLeadsInsideByNowIsSeen) {
  ask(kName);
  answer({{.owner = kName, .address = kAddress}});
  advance(60 * kSecond);
  answer({{.owner = kName, .address = "10.0.0.1"}});
  EXPECT_TRUE(seen.refusals.empty()) << "nobody has asked";
  ask(kName);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::no_data);
  ASSERT_EQ(seen.refusals.size(), 1u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::not_public, std::string(kName)));
  advance(60 * kSecond);
  answer({});
  ask(kName);
  EXPECT_EQ(seen.refusals.size(), 1u) << "that it leads nowhere at all is no refusal";
}

TEST_F(NamesTest, ADotWithinALabelIsNotShownAsOneBetweenThem) {
  DnsName dotted = name("api-example.org");
  dotted.bytes[4] = '.';
  uint8_t message[kQuestionMax];
  const size_t length = write_question(1, dotted, DnsType::address, message);
  names.asked(now, {{0x7f000001, 40000}, {message, length}}, seen);
  ASSERT_EQ(seen.refusals.size(), 1u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::not_allowed, std::string("api?example.org")));
}

TEST_F(NamesTest, AliasesAreFollowedInOneAnswerOrSeveral) {
  ask(kName);
  answer({{.owner = kName, .target = "edge.cdn.example", .ttl_s = 40}});
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_EQ(asked_name(1), "edge.cdn.example");
  answer({{.owner = "edge.cdn.example", .target = "a.cdn.example", .ttl_s = 3000},
          {.owner = "a.cdn.example", .address = kAddress, .ttl_s = 3000}});
  ASSERT_FALSE(seen.allowed.empty());
  EXPECT_EQ(seen.allowed[0].seconds, 100u) << "the shortest time of all";
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(NamesTest, AliasesEnd) {
  ask(kName);
  for (int i = 0; i < 20 && seen.replies.empty(); ++i)
    answer({{.owner = i == 0 ? kName : "n" + std::to_string(i) + ".example",
             .target = "n" + std::to_string(i + 1) + ".example"}});
  EXPECT_EQ(seen.questions.size(), 1 + Names::kAliasesMax);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
}

TEST_F(NamesTest, TimesHaveBounds) {
  for (const auto& [ttl_s, holds_s] :
       {std::pair(0u, 30u), {29u, 30u}, {31u, 31u}, {3600u, 3600u}, {86400u, 3600u}, {0xffffffffu, 30u}}) {
    names = make(1);
    seen = {};
    ask(kName);
    answer({{.owner = kName, .address = kAddress, .ttl_s = ttl_s}});
    EXPECT_EQ(reply_to(kName).ttl_s, holds_s) << ttl_s;
    EXPECT_EQ(names.deadline(), now + holds_s * kSecond);
  }
}

TEST_F(NamesTest, RubbishFromTheProgramIsPassedOver) {
  for (size_t length = 0; length < 40; ++length) {
    const std::vector<uint8_t> rubbish(length, 0xff);
    names.asked(now, {{1, 2}, rubbish}, seen);
  }
  EXPECT_TRUE(seen.questions.empty() && seen.replies.empty());
}

// A name server that is hostile altogether can give addresses of the Internet, and nothing else.
TEST_F(NamesTest, WhateverAServerSaysOnlyPublicAddressesAreAllowed) {
  uint64_t seed = 1;
  const auto draw = [&] {
    uint8_t bytes[8];
    store_be64(bytes, seed++);
    return siphash24({3, 4}, bytes);
  };
  for (int i = 0; i < 20'000; ++i) {
    if (seen.questions.empty() || draw() % 4 == 0) ask(draw() % 2 ? kName : "other.example.org");
    if (!seen.questions.empty()) {
      const Seen::Question question = seen.questions[seen.questions.size() - 1];
      std::vector<Record> records;
      for (uint64_t n = draw() % 4; n > 0; --n) {
        const bool alias = draw() % 3 == 0;
        records.push_back({.owner = draw() % 3 ? kName : "other.example.org",
                           .target = alias ? "other.example.org" : "",
                           .address = std::to_string(draw() % 256) + ".168.0." + std::to_string(draw() % 256),
                           .ttl_s = static_cast<uint32_t>(draw())});
      }
      std::vector<uint8_t> message = answer_to(question, records);
      for (uint64_t n = draw() % 3; n > 0; --n)
        message[draw() % message.size()] = static_cast<uint8_t>(draw());
      names.answered(now, question.server, message, seen);
    }
    advance(draw() % (20 * kSecond));
    for (const auto& allowed : seen.allowed) {
      ASSERT_TRUE(is_public(ipv4(allowed.address), {})) << allowed.address;
      ASSERT_LE(allowed.seconds, (Names::kLongest + Names::kGrace) / kSecond);
    }
    seen.allowed.clear();
    if (seen.questions.size() > 100) seen.questions.erase(seen.questions.begin(), seen.questions.end() - 1);
  }
}

}  // namespace
}  // namespace skerry::resolver
