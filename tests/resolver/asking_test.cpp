// When the resolver asks, and which name server; who waits meanwhile, and what for.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "name_servers.hpp"

namespace skerry::resolver {
namespace {

class Asking : public NamesTest {};

TEST_F(Asking, WhileAnAnswerHoldsNobodyIsAsked) {
  ask(kName);
  answer({{.owner = kName, .address = kAddress, .ttl_s = 100}});
  seen.allowed.clear();
  for (int i = 0; i < 50; ++i) ask(kName);
  EXPECT_EQ(seen.questions.size(), 1u);
  EXPECT_EQ(seen.replies.size(), 51u);
  EXPECT_EQ(seen.allowed.size(), 100u) << "said again each time";
  now += 40 * kSecond;
  ask(kName);
  EXPECT_EQ(reply_to(kName).ttl_s, 60u);
  EXPECT_EQ(seen.allowed.back().seconds, 120u);
}

TEST_F(Asking, ANameIsAskedForAgainAndWhatLeftItIsNotRenewed) {
  ask(kName);
  answer({{.owner = kName, .address = kAddress}, {.owner = kName, .address = "93.184.215.15"}});
  seen.allowed.clear();
  advance(60 * kSecond);
  ASSERT_EQ(seen.questions.size(), 2u) << "without the program";
  EXPECT_TRUE(seen.replies.size() == 1);
  answer({{.owner = kName, .address = "93.184.215.15"}});
  ASSERT_EQ(seen.allowed.size(), 2u);
  EXPECT_EQ(seen.allowed[0].address, "93.184.215.15");
  advance(60 * kSecond);
  EXPECT_EQ(seen.questions.size(), 3u) << "and so on";
}

TEST_F(Asking, ANameNobodyAskedForIsNotAsked) {
  advance(100'000 * kSecond);
  EXPECT_TRUE(seen.questions.empty());
  EXPECT_EQ(names.deadline(), kNever);
}

TEST_F(Asking, AServerThatIsSilentIsPassedOver) {
  ask(kName);
  for (unsigned i = 1; i < Names::kRounds * 2; ++i) {
    EXPECT_EQ(names.deadline(), now + Names::kPatience);
    advance(Names::kPatience);
    ASSERT_EQ(seen.questions.size(), i + 1);
    EXPECT_EQ(seen.questions[i].server, i % 2);
  }
  EXPECT_NE(load_be16(seen.questions[0].bytes.data()), load_be16(seen.questions[2].bytes.data()));
  EXPECT_TRUE(seen.replies.empty());
  advance(Names::kPatience);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  EXPECT_EQ(names.deadline(), now + Names::kShortest) << "then all of it again, for whoever asks next";
  ASSERT_EQ(seen.refusals.size(), 1u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::unanswered, std::string(kName)));
}

TEST_F(Asking, AServerThatFailsOrIsNotThereIsPassedOver) {
  ask(kName);
  answer({}, 0x8182);
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_EQ(seen.questions[1].server, 1u);
  names.answered(now, 1, {}, seen);
  EXPECT_EQ(seen.questions.size(), 2u) << "nobody else is left, so it may come up";
  advance(Names::kPatience);
  ASSERT_EQ(seen.questions.size(), 3u);
  EXPECT_EQ(seen.questions[2].server, 0u);
  names.answered(now, 0, {}, seen);
  ASSERT_EQ(seen.questions.size(), 4u);
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(Asking, AServerThatIsNotThereYetHasTheTimeOfOneThatIsSilent) {
  names = make(1);
  ask(kName);
  for (unsigned i = 1; i < Names::kRounds; ++i) {
    names.answered(now, 0, {}, seen);
    ASSERT_EQ(seen.questions.size(), i);
    advance(Names::kPatience);
    ASSERT_EQ(seen.questions.size(), i + 1);
  }
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(Asking, WhoGuessesMeetsAnotherQuestionSoon) {
  ask(kName);
  const Seen::Question question = seen.questions.front();
  const std::vector<uint8_t> good = answer_to(question, {{.owner = kName, .address = kAddress}});
  const auto guess = [&](unsigned number) {
    std::vector<uint8_t> guessed = good;
    store_be16(guessed.data(), static_cast<uint16_t>(load_be16(good.data()) + number));
    names.answered(now, question.server, guessed, seen);
  };
  std::vector<uint8_t> elsewhere = answer_to(question, {{.owner = "other.example.org", .address = kAddress}});
  elsewhere[13] = 'x';
  for (int i = 0; i < 100; ++i) names.answered(now, question.server, elsewhere, seen);
  for (unsigned i = 1; i < Names::kGuessesMax; ++i) guess(i);
  EXPECT_EQ(seen.questions.size(), 1u) << "an old answer may come late, and those to others are no guesses";
  guess(Names::kGuessesMax);
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_NE(load_be16(seen.questions[1].bytes.data()), load_be16(question.bytes.data()));
  names.answered(now, question.server, good, seen);
  EXPECT_TRUE(seen.allowed.empty());
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(Asking, OfAnAnswerThatWasCutTheBeginningIsTaken) {
  ask(kName);
  answer({}, 0x8380);
  ASSERT_EQ(seen.questions.size(), 2u) << "nothing came of it";
  answer({{.owner = kName, .address = kAddress}}, 0x8380);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(Asking, OfAnAnswerThatWasCutTheAliasIsFollowed) {
  ask(kName);
  answer({{.owner = kName, .target = "edge.cdn.example", .ttl_s = 40}}, 0x8380);
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_EQ(asked_name(1), "edge.cdn.example");
  EXPECT_EQ(seen.questions[1].server, seen.questions[0].server);
  answer({{.owner = "edge.cdn.example", .address = kAddress, .ttl_s = 3000}});
  ASSERT_FALSE(seen.allowed.empty());
  EXPECT_EQ(seen.allowed[0].seconds, 100u);
}

TEST_F(Asking, AFailureIsNotAskedAboutAgainAtOnce) {
  names = make(1);
  ask(kName);
  for (unsigned round = 0; round < Names::kRounds; ++round) answer({}, 0x8185);
  const size_t asked = seen.questions.size();
  for (int i = 0; i < 10; ++i) ask(kName);
  EXPECT_EQ(seen.questions.size(), asked);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  now += Names::kFailureHolds;
  ask(kName);
  EXPECT_EQ(seen.questions.size(), asked + 1);
}

TEST_F(Asking, ThatThereIsNoneHoldsForAWhile) {
  ask(kName);
  answer({}, 0x8183);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::no_name);
  ask(kName);
  EXPECT_EQ(seen.questions.size(), 1u);
  now += Names::kShortest;
  ask(kName);
  EXPECT_EQ(seen.questions.size(), 2u);
}

TEST_F(Asking, ANameThatLedSomewhereIsAskedForAfterAFailureToo) {
  names = make(1);
  ask(kName);
  answer({{.owner = kName, .address = kAddress}});
  seen.allowed.clear();
  advance(60 * kSecond);
  for (unsigned round = 0; round < Names::kRounds; ++round) advance(Names::kPatience);
  EXPECT_TRUE(seen.allowed.empty());
  EXPECT_TRUE(seen.refusals.empty()) << "nobody waits for it";
  const size_t asked = seen.questions.size();
  advance(Names::kShortest);
  ASSERT_EQ(seen.questions.size(), asked + 1);
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(seen.allowed.size(), 2u);
}

// Whatever came of it: an address that it led to before is still allowed to whoever speaks to it.
TEST_F(Asking, ANameIsAskedForAgainWhateverItLedToLast) {
  const auto private_one = [&] { answer({{.owner = kName, .address = "10.0.0.1"}}); };
  const auto none = [&] { answer({}, 0x8183); };
  const auto no_data = [&] { answer({}); };
  for (const std::function<void()>& last :
       std::initializer_list<std::function<void()>>{private_one, none, no_data}) {
    names = make(2);
    seen = {};
    ask(kName);
    answer({{.owner = kName, .address = kAddress}});
    for (int again = 0; again < 3; ++again) {
      const size_t asked = seen.questions.size();
      advance(60 * kSecond);
      ASSERT_EQ(seen.questions.size(), asked + 1) << "without the program";
      last();
    }
    EXPECT_TRUE(seen.refusals.empty()) << "nobody waits to hear of it";
    seen.allowed.clear();
    advance(Names::kShortest);
    answer({{.owner = kName, .address = kAddress}});
    EXPECT_EQ(seen.allowed.size(), 2u);
  }
}

TEST_F(Asking, WhoFollowsAnotherAsksForAllNames) {
  names.resume(now, seen);
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_EQ(asked_name(0), kName);
  EXPECT_EQ(asked_name(1), "other.example.org");
  names.answered(now, 0, answer_to(seen.questions[0], {{.owner = kName, .address = kAddress}}), seen);
  EXPECT_EQ(seen.allowed.size(), 2u);
  EXPECT_TRUE(seen.replies.empty());
  advance(60 * kSecond);
  ASSERT_GT(seen.questions.size(), 2u);
  EXPECT_EQ(asked_name(2), kName) << "and so on";
}

TEST_F(Asking, IsCutOffWhenNobodyHasAnsweredForLong) {
  EXPECT_FALSE(names.is_cut_off(now + 1000 * kSecond)) << "nobody was asked";
  ask(kName);
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_FALSE(names.is_cut_off(now + 1000 * kSecond));
  TimeNs end = now + 60 * kSecond + Names::kSilenceMax;  // it is asked for again then
  while (now < end) {
    EXPECT_FALSE(names.is_cut_off(now));
    advance(std::min(names.deadline(), end) - now);
  }
  EXPECT_TRUE(names.is_cut_off(now));
  advance(Names::kShortest);
  answer({}, 0x8182);
  EXPECT_FALSE(names.is_cut_off(now)) << "one that fails is there";
  names = make(0);
  ask(kName);
  EXPECT_TRUE(names.is_cut_off(now + Names::kSilenceMax)) << "no way led to any, and one may by now";
}

TEST_F(Asking, AllWhoWaitAreAnsweredEachWithItsQuestion) {
  for (uint16_t i = 0; i < 20; ++i) ask(kName, static_cast<uint16_t>(40000 + i), 1, i);
  ask("other.example.org");
  EXPECT_EQ(seen.questions.size(), 2u);
  names.answered(now, 0, answer_to(seen.questions[0], {{.owner = kName, .address = kAddress}}), seen);
  ASSERT_EQ(seen.replies.size(), 20u);
  for (uint16_t i = 0; i < 20; ++i) {
    EXPECT_EQ(seen.replies[i].first, 40000 + i);
    EXPECT_EQ(load_be16(seen.replies[i].second.data()), i);
  }
  names.answered(now, 0, answer_to(seen.questions[1], {{.owner = "other.example.org", .address = kAddress}}),
                 seen);
  EXPECT_EQ(seen.replies.size(), 21u);
}

TEST_F(Asking, WhoAsksAgainWaitsOnce) {
  for (int i = 0; i < 1000; ++i) ask(kName);
  ask(kName, 40000, 1, 78);
  ask(kName, 40001);
  EXPECT_TRUE(seen.replies.empty());
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(seen.replies.size(), 3u);
  EXPECT_EQ(names.turned_away(), 0u);
}

TEST_F(Asking, WhoFindsNoRoomToWaitHearsOfItAtOnce) {
  for (size_t i = 0; i < Names::kWaitingMax; ++i)
    ask(i % 2 ? kName : "other.example.org", static_cast<uint16_t>(i));
  EXPECT_TRUE(seen.replies.empty());
  ask(kName, 50000);
  ASSERT_EQ(seen.replies.size(), 1u);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  EXPECT_EQ(names.turned_away(), 1u);
  ASSERT_EQ(seen.refusals.size(), 1u);
  EXPECT_EQ(seen.refusals[0], std::pair(NoAnswer::unanswered, std::string(kName)));
  ask("db");
  EXPECT_EQ(reply_to("db").kind, DnsAnswer::Kind::addresses);
  for (size_t i = 0; i < 2; ++i)
    names.answered(now, 0, answer_to(seen.questions[i], {{.owner = asked_name(i), .address = kAddress}}),
                   seen);
  EXPECT_EQ(seen.replies.size(), 2 + Names::kWaitingMax);
}

TEST_F(Asking, WhatIsKnownIsNotAskedFor) {
  ask("db");
  EXPECT_TRUE(seen.questions.empty());
  EXPECT_TRUE(seen.allowed.empty()) << "the stack has it from the beginning";
  EXPECT_EQ(reply_to("db").addresses[0], ipv4("10.77.0.3"));
  EXPECT_EQ(names.deadline(), kNever);
}

TEST_F(Asking, WithoutServersTheOthersFail) {
  names = make(0);
  ask(kName);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  ask("db");
  EXPECT_EQ(reply_to("db").kind, DnsAnswer::Kind::addresses);
}

}  // namespace
}  // namespace skerry::resolver
