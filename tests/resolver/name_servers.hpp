// A program that asks, name servers that answer what a test says, and what went out to whom, for tests of
// Names.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "resolver/names.hpp"

namespace skerry::resolver {

inline DnsName name(std::string_view text) {
  DnsName result;
  EXPECT_TRUE(to_dns_name(text, result)) << text;
  return result;
}

inline Ipv4Address ipv4(std::string_view text) {
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

inline std::vector<uint8_t> answer_to(const Seen::Question& question, const std::vector<Record>& records,
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

inline constexpr const char* kName = "api.example.org";
inline constexpr const char* kAddress = "93.184.215.14";

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

}  // namespace skerry::resolver
