// DNS messages and the files of name resolution, without a network.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "preload/resolver_files.hpp"
#include "preload/resolver_message.hpp"

namespace skerry::preload {
namespace {

DnsName name(std::string_view text) {
  DnsName result;
  EXPECT_TRUE(to_dns_name(text, result)) << text;
  return result;
}

std::string text(const DnsName& name) {
  char buffer[256];
  return std::string(buffer, to_text(name, buffer, sizeof buffer));
}

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

TEST(DnsName, FromAndToText) {
  EXPECT_EQ(text(name("www.Example.ORG")), "www.example.org");
  EXPECT_EQ(text(name("example.org.")), "example.org");
  DnsName unused;
  for (const char* wrong : {"", ".", "a..b", ".a", "a b", "a.."})
    EXPECT_FALSE(to_dns_name(wrong, unused)) << wrong;
  EXPECT_FALSE(to_dns_name(std::string(64, 'a'), unused));
  EXPECT_TRUE(to_dns_name(std::string(63, 'a'), unused));
  std::string longest = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c') + '.';
  EXPECT_TRUE(to_dns_name(longest + std::string(61, 'd'), unused));
  EXPECT_FALSE(to_dns_name(longest + std::string(62, 'd'), unused));
}

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

TEST(ResolverConfig, ReadsWhatResolvConfSays) {
  ResolverConfig config;
  for (const char* line : {"# comment", "; comment", "nameserver 192.0.2.1", "nameserver 2001:db8::1",
                           "nameserver\t192.0.2.2 # second", "search a.example  b.example",
                           "options ndots:2 timeout:99 attempts:0 rotate edns0", "nonsense"})
    read_config_line(line, config);
  ASSERT_EQ(config.server_count, 2u);
  EXPECT_EQ(config.servers[1], 0xc0000202u);
  ASSERT_EQ(config.search_count, 2u);
  EXPECT_STREQ(config.search[1], "b.example");
  EXPECT_EQ(config.ndots, 2u);
  EXPECT_EQ(config.timeout_s, 30u);
  EXPECT_EQ(config.attempts, 1u);
  for (int i = 0; i < 9; ++i) read_config_line("nameserver 192.0.2.9", config);
  EXPECT_EQ(config.server_count, ResolverConfig::kServersMax);
}

TEST(ResolverConfig, ReadsWhomToAskForHosts) {  // nsswitch.conf(5)
  using Kind = HostSources::Kind;
  const auto read = [](std::string_view line) {
    HostSources sources;
    EXPECT_TRUE(read_sources_line(line, sources)) << line;
    std::vector<std::pair<Kind, int>> list;
    for (size_t i = 0; i < sources.count; ++i)
      list.emplace_back(sources.each[i].kind, sources.each[i].ends_with);
    return list;
  };
  constexpr int kFound = HostSources::success;
  using List = std::vector<std::pair<Kind, int>>;
  EXPECT_EQ(read("hosts: files dns"), (List{{Kind::files, kFound}, {Kind::dns, kFound}}));
  EXPECT_EQ(read("hosts:\tdns files # last"), (List{{Kind::dns, kFound}, {Kind::files, kFound}}));
  EXPECT_EQ(read("hosts: files mdns4_minimal [NOTFOUND=return] dns"), read("hosts: files dns"));
  EXPECT_EQ(read("hosts: files resolve [!UNAVAIL=return] dns myhostname"), read("hosts: files dns"));
  EXPECT_EQ(read("hosts: dns [NOTFOUND=return] files")[0].second, kFound | HostSources::notfound);
  EXPECT_EQ(read("hosts: dns [!UNAVAIL=return SUCCESS=continue] files")[0].second & 15,
            HostSources::notfound | HostSources::tryagain);
  EXPECT_TRUE(read("hosts: files files files files files files").size() == HostSources::kMost);
  EXPECT_TRUE(read("hosts: [").empty());
  for (const char* line : {"hosts:files dns", "hosts : files dns", " hosts:\tfiles dns"})
    EXPECT_EQ(read(line), read("hosts: files dns")) << line;
  EXPECT_EQ(read("hosts: files[NOTFOUND=return]dns"), read("hosts: files [NOTFOUND=return] dns"));
  EXPECT_EQ(read("hosts: files [NOTFOUND=return] dns")[0].second, kFound | HostSources::notfound);
  HostSources untouched;
  EXPECT_FALSE(read_sources_line("passwd: files", untouched));
  ASSERT_EQ(untouched.count, 2u);
  EXPECT_EQ(untouched.each[0].kind, Kind::files) << "what glibc does without a line";
  EXPECT_EQ(untouched.each[1].kind, Kind::dns);
}

TEST(ResolverFiles, WordsAndNames) {
  Words words("  one\ttwo # three");
  EXPECT_EQ(words.next(), "one");
  EXPECT_EQ(words.next(), "two");
  EXPECT_EQ(words.next(), "");
  EXPECT_TRUE(same_name("LocalHost", "localhost"));
  EXPECT_FALSE(same_name("localhost", "localhos"));
  Ipv4Address address = 0;
  EXPECT_TRUE(to_ipv4("192.0.2.1", address));
  EXPECT_FALSE(to_ipv4("192.0.2", address));
  EXPECT_FALSE(to_ipv4("192.0.2.1.example.org.is.long", address));
}

TEST(ResolverFiles, LinesOfEveryLength) {
  char path[] = "/tmp/skerry-lines-XXXXXX";
  const int file = ::mkstemp(path);
  ASSERT_GE(file, 0);
  const std::string content =
      "first\n" + std::string(4095, 'x') + "\n" + std::string(10'000, 'y') + "\n\nlast";
  ASSERT_EQ(::write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  ::close(file);
  std::vector<std::string> lines;
  {
    Lines reader(path);
    for (std::string_view line; reader.next(line);) lines.emplace_back(line);
  }
  ::unlink(path);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "first");
  EXPECT_EQ(lines[1].size(), 4095u);
  EXPECT_EQ(lines[2], std::string(4096, 'y')) << "cut, its rest passed over";
  EXPECT_EQ(lines[3], "");
  EXPECT_EQ(lines[4], "last");
  Lines missing("/nonexistent/file");
  std::string_view line;
  EXPECT_FALSE(missing.next(line));
}

}  // namespace
}  // namespace skerry::preload
