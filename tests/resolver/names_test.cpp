// What the resolver believes, asks and allows, in simulated time, against name servers that say anything.
#include "resolver/names.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

namespace skerry::resolver {
namespace {

DnsName name(std::string_view text) {
  DnsName result;
  EXPECT_TRUE(to_dns_name(text, result)) << text;
  return result;
}

Ipv4Address ipv4(std::string_view text) {
  return parse_ipv4(text).value();
}

// What went out, copied.
class Seen : public Neighbours {
 public:
  struct Question {
    size_t server;
    std::vector<uint8_t> bytes;
  };
  struct Allowed {
    std::string address;
    uint16_t port;
    bool udp;
    uint32_t seconds;
  };
  void ask(size_t server, ConstBytes message) override {
    questions.push_back({server, {message.begin(), message.end()}});
  }
  bool tell(const Told& told) override {
    if (forgets_allowance && std::holds_alternative<Allow>(told)) return false;
    if (const auto* reply = std::get_if<Reply>(&told))
      replies.push_back({reply->asker.port, {reply->message.begin(), reply->message.end()}});
    if (const auto* allow = std::get_if<Allow>(&told)) {
      for (size_t at = 0; at < allow->addresses.size(); at += 4) {
        const uint8_t* a = &allow->addresses[at];
        std::string text;
        for (int i = 0; i < 4; ++i) text += (i > 0 ? "." : "") + std::to_string(a[i]);
        allowed.push_back({text, allow->port.port, allow->port.udp, allow->seconds});
      }
    }
    if (const auto* refused = std::get_if<RefusedName>(&told))
      refusals.emplace_back(refused->why, std::string(refused->name));
    return true;
  }

  std::vector<Question> questions;
  std::vector<std::pair<uint16_t, std::vector<uint8_t>>> replies;
  std::vector<Allowed> allowed;
  std::vector<std::pair<NoAnswer, std::string>> refusals;
  bool forgets_allowance = false;
};

// The last name of a name server's zone: aliases first, then addresses, each with its time.
struct Record {
  std::string owner, target;  // of an alias
  std::string address;
  uint32_t ttl_s = 60;
};

std::vector<uint8_t> answer_to(const Seen::Question& question, const std::vector<Record>& records,
                               uint16_t flags = 0x8180) {
  std::vector<uint8_t> bytes = question.bytes;
  store_be16(bytes.data() + 2, flags);
  store_be16(bytes.data() + 6, static_cast<uint16_t>(records.size()));
  const auto put16 = [&](uint16_t value) {
    bytes.push_back(static_cast<uint8_t>(value >> 8));
    bytes.push_back(static_cast<uint8_t>(value));
  };
  for (const Record& record : records) {
    const DnsName owner = name(record.owner);
    bytes.insert(bytes.end(), owner.bytes.begin(), owner.bytes.begin() + owner.length);
    put16(record.target.empty() ? 1 : 5);
    put16(1);
    put16(static_cast<uint16_t>(record.ttl_s >> 16));
    put16(static_cast<uint16_t>(record.ttl_s));
    if (record.target.empty()) {
      const Ipv4Address address = ipv4(record.address);
      put16(4);
      put16(static_cast<uint16_t>(address >> 16));
      put16(static_cast<uint16_t>(address));
    } else {
      const DnsName target = name(record.target);
      put16(static_cast<uint16_t>(target.length));
      bytes.insert(bytes.end(), target.bytes.begin(), target.bytes.begin() + target.length);
    }
  }
  return bytes;
}

constexpr const char* kName = "api.example.org";
constexpr const char* kAddress = "93.184.215.14";

class NamesTest : public testing::Test {
 protected:
  static std::vector<KnownName> known() {
    return {{name(kName), {{443, false}, {443, true}}, {}},
            {name("other.example.org"), {{80, false}}, {}},
            {name("db"), {{5432, false}}, {ipv4("10.77.0.3")}}};
  }
  static Names make(size_t servers) { return Names(known(), servers, {{ipv4("44.0.0.0"), 8}}, {1, 2}); }

  void ask(std::string_view text, uint16_t port = 40000, uint16_t type = 1, uint16_t id = 77) {
    uint8_t message[kQuestionMax];
    const size_t length = write_question(id, name(text), DnsType::address, message);
    store_be16(message + length - 4, type);
    names.asked(now, {{0x7f000001, port}, {message, length}}, seen);
  }
  void answer(const std::vector<Record>& records, uint16_t flags = 0x8180) {
    const Seen::Question question = seen.questions.back();
    names.answered(now, question.server, answer_to(question, records, flags), seen);
  }
  // Of the last reply.
  DnsAnswer reply_to(std::string_view text, uint16_t id = 77) {
    EXPECT_FALSE(seen.replies.empty());
    return seen.replies.empty() ? DnsAnswer{}
                                : read_answer(seen.replies.back().second, id, name(text), DnsType::address);
  }
  std::string asked_name(size_t question) const {
    const auto read = read_question(seen.questions[question].bytes);
    char text[256] = "";
    if (read) to_text(read->name, text, sizeof text);
    return text;
  }
  void advance(DurationNs by) {
    now += by;
    names.tick(now, seen);
  }

  Names names = make(2);
  Seen seen;
  TimeNs now = 1000 * kSecond;
};

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

TEST_F(NamesTest, WhileAnAnswerHoldsNobodyIsAsked) {
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

TEST_F(NamesTest, ANameIsAskedForAgainAndWhatLeftItIsNotRenewed) {
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

TEST_F(NamesTest, ANameNobodyAskedForIsNotAsked) {
  advance(100'000 * kSecond);
  EXPECT_TRUE(seen.questions.empty());
  EXPECT_EQ(names.deadline(), kNever);
}

TEST_F(NamesTest, AServerThatIsSilentIsPassedOver) {
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

TEST_F(NamesTest, AServerThatFailsOrIsNotThereIsPassedOver) {
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

TEST_F(NamesTest, AServerThatIsNotThereYetHasTheTimeOfOneThatIsSilent) {
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

TEST_F(NamesTest, WhoGuessesMeetsAnotherQuestionSoon) {
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

TEST_F(NamesTest, OfAnAnswerThatWasCutTheBeginningIsTaken) {
  ask(kName);
  answer({}, 0x8380);
  ASSERT_EQ(seen.questions.size(), 2u) << "nothing came of it";
  answer({{.owner = kName, .address = kAddress}}, 0x8380);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::addresses);
}

TEST_F(NamesTest, OfAnAnswerThatWasCutTheAliasIsFollowed) {
  ask(kName);
  answer({{.owner = kName, .target = "edge.cdn.example", .ttl_s = 40}}, 0x8380);
  ASSERT_EQ(seen.questions.size(), 2u);
  EXPECT_EQ(asked_name(1), "edge.cdn.example");
  EXPECT_EQ(seen.questions[1].server, seen.questions[0].server);
  answer({{.owner = "edge.cdn.example", .address = kAddress, .ttl_s = 3000}});
  ASSERT_FALSE(seen.allowed.empty());
  EXPECT_EQ(seen.allowed[0].seconds, 100u);
}

TEST_F(NamesTest, AFailureIsNotAskedAboutAgainAtOnce) {
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

TEST_F(NamesTest, ThatThereIsNoneHoldsForAWhile) {
  ask(kName);
  answer({}, 0x8183);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::no_name);
  ask(kName);
  EXPECT_EQ(seen.questions.size(), 1u);
  now += Names::kShortest;
  ask(kName);
  EXPECT_EQ(seen.questions.size(), 2u);
}

TEST_F(NamesTest, ANameThatLedSomewhereIsAskedForAfterAFailureToo) {
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
TEST_F(NamesTest, ANameIsAskedForAgainWhateverItLedToLast) {
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

TEST_F(NamesTest, WhoFollowsAnotherAsksForAllNames) {
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

TEST_F(NamesTest, IsCutOffWhenNobodyHasAnsweredForLong) {
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

TEST_F(NamesTest, AllWhoWaitAreAnsweredEachWithItsQuestion) {
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

TEST_F(NamesTest, WhoAsksAgainWaitsOnce) {
  for (int i = 0; i < 1000; ++i) ask(kName);
  ask(kName, 40000, 1, 78);
  ask(kName, 40001);
  EXPECT_TRUE(seen.replies.empty());
  answer({{.owner = kName, .address = kAddress}});
  EXPECT_EQ(seen.replies.size(), 3u);
  EXPECT_EQ(names.turned_away(), 0u);
}

TEST_F(NamesTest, WhoFindsNoRoomToWaitHearsOfItAtOnce) {
  for (size_t i = 0; i < Names::kWaitingMax; ++i)
    ask(i % 2 ? kName : "other.example.org", static_cast<uint16_t>(i));
  EXPECT_TRUE(seen.replies.empty());
  ask(kName, 50000);
  ASSERT_EQ(seen.replies.size(), 1u);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  EXPECT_EQ(names.turned_away(), 1u);
  ask("db");
  EXPECT_EQ(reply_to("db").kind, DnsAnswer::Kind::addresses);
  for (size_t i = 0; i < 2; ++i)
    names.answered(now, 0, answer_to(seen.questions[i], {{.owner = asked_name(i), .address = kAddress}}),
                   seen);
  EXPECT_EQ(seen.replies.size(), 2 + Names::kWaitingMax);
}

TEST_F(NamesTest, WhatIsKnownIsNotAskedFor) {
  ask("db");
  EXPECT_TRUE(seen.questions.empty());
  EXPECT_TRUE(seen.allowed.empty()) << "the stack has it from the beginning";
  EXPECT_EQ(reply_to("db").addresses[0], ipv4("10.77.0.3"));
  EXPECT_EQ(names.deadline(), kNever);
}

TEST_F(NamesTest, WithoutServersTheOthersFail) {
  names = make(0);
  ask(kName);
  EXPECT_EQ(reply_to(kName).kind, DnsAnswer::Kind::failure);
  ask("db");
  EXPECT_EQ(reply_to("db").kind, DnsAnswer::Kind::addresses);
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
