// The resolver between a program and name servers that both say anything, and what a stack hears of a
// resolver that was taken over. The input is a list of events: a byte that says which, a byte of length, so
// many bytes.
#include <algorithm>
#include <vector>

#include "base/check.hpp"
#include "resolver/names.hpp"

namespace skerry::resolver {
namespace {

constexpr std::string_view kNames[] = {"api.example.org", "a.b"};

DnsName name(std::string_view text) {
  DnsName result;
  CHECK(to_dns_name(text, result));
  return result;
}

// Holds everything against what may be said.
class Judge : public Neighbours {
 public:
  void ask(size_t server, ConstBytes message) override {
    CHECK(server < 2);
    const auto question = read_question(message);
    CHECK(question && question->bytes == message.size() &&
          question->type == static_cast<uint16_t>(DnsType::address));
    server_ = server;
    question_.assign(message.begin(), message.end());
    ++questions_;
  }
  bool tell(const Told& told) override {
    uint8_t room[kWordsMax];
    const auto again = read_told(write_told(told, room));
    CHECK(again && again->index() == told.index());
    if (const auto* allow = std::get_if<Allow>(&told)) {
      CHECK(allow->port == AllowedPort({443, false}) && allow->seconds <= kAllowedAtMost);
      CHECK(allow->addresses.size() <= 4 * kAddressesMax);
      for (size_t at = 0; at < allow->addresses.size(); at += 4)
        CHECK(is_public(load_be32(&allow->addresses[at]), {}));
    } else if (const auto* reply = std::get_if<Reply>(&told)) {
      CHECK(reply->message.size() >= 17 && reply->message.size() <= kReplyMax);
    } else {
      const std::string_view text = std::get<RefusedName>(told).name;
      CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; }));
    }
    return true;
  }

  std::vector<uint8_t> question_;
  size_t server_ = 0;
  unsigned questions_ = 0;
};

// A server's answer to the open question: what follows its header and question is the input's.
std::vector<uint8_t> answer(const Judge& judge, ConstBytes rest) {
  std::vector<uint8_t> message = judge.question_;
  if (message.size() < 12 || rest.size() < 2) return message;
  store_be16(&message[2], static_cast<uint16_t>(0x8180 | (rest[0] & 15)));
  store_be16(&message[6], rest[1]);
  message.insert(message.end(), rest.begin() + 2, rest.end());
  return message;
}

void run(ConstBytes input) {
  std::vector<KnownName> known;
  for (const std::string_view text : kNames) known.push_back({name(text), {{443, false}}, {}});
  known.push_back({name("db"), {{443, false}}, {0x0a4d0003}});
  Names names(std::move(known), 2, {}, {1, 2});
  Judge judge;
  TimeNs now = kSecond;
  if (!input.empty() && input[0] >= 128) names.resume(now, judge);
  while (input.size() >= 2) {
    const uint8_t what = input[0];
    const size_t length = std::min<size_t>(input[1], input.size() - 2);
    const ConstBytes bytes = input.subspan(2, length);
    input = input.subspan(2 + length);
    judge.questions_ = 0;
    if (what % 6 == 0) {
      names.asked(now, {{1, 2}, bytes}, judge);
    } else if (what % 6 == 1) {
      uint8_t query[kQuestionMax];
      const size_t size = write_question(7, name(kNames[what / 6 % 2]), DnsType::address, query);
      names.asked(now, {{1, 2}, {query, size}}, judge);
    } else if (what % 6 == 2) {
      names.answered(now, judge.server_, bytes, judge);
    } else if (what % 6 == 3) {
      names.answered(now, judge.server_, answer(judge, bytes), judge);
    } else if (what % 6 == 4) {
      now += uint64_t{what} * kSecond;
      names.tick(now, judge);
    } else {
      static_cast<void>(read_told(bytes));
      static_cast<void>(read_asked(bytes));
    }
    CHECK(judge.questions_ <= 2);  // one for each name that is asked for
  }
}

}  // namespace
}  // namespace skerry::resolver

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  skerry::resolver::run({data, size});
  return 0;
}
