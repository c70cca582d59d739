// The files of name resolution.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "preload/resolver_files.hpp"

namespace skerry::preload {
namespace {

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

TEST(ResolverFiles, AliasesWithoutRoomAreLeftOut) {
  HostNames names;
  const std::string longest(sizeof names.aliases - 10, 'x');
  for (const std::string& alias : {std::string("one"), longest, longest, std::string("four5")})
    names.add_alias(alias);
  EXPECT_EQ(std::string(names.aliases, names.aliases_bytes), std::string("one\0", 4) + longest + '\0');
  names.add_alias("four");
  EXPECT_EQ(names.aliases_bytes, sizeof names.aliases);
  names.add_alias("");
  EXPECT_EQ(names.aliases_bytes, sizeof names.aliases);
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
