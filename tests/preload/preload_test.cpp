// The preload library as a file, and as it works inside a program that knows nothing of it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "../sockets/fake_stack.hpp"

namespace skerry {
namespace {

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), got);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return text;
}

// The third column of nm -D without versions.
std::set<std::string> symbols(const std::string& which) {
  std::set<std::string> names;
  std::istringstream lines(output_of(std::string("nm -D ") + which + " " + SKERRY_PRELOAD));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, name;
    while (words >> word) name = word;
    names.insert(name.substr(0, name.find('@')));
  }
  return names;
}

// Whatever it calls may be replaced by the program (malloc) or lead back to it (read): then it would hang or
// recurse in places that cannot be tested for.
TEST(PreloadLibrary, CallsNothingThatAllocatesOrThatItReplaces) {
  const std::set<std::string> needed = symbols("--undefined-only");
  const std::set<std::string> offered = symbols("--defined-only");
  for (const char* forbidden : {"malloc", "free", "realloc", "calloc", "_Znwm", "_ZdlPv", "stderr", "printf",
                                "fopen", "open", "_dl_find_object", "__cxa_throw", "__tls_get_addr"})
    EXPECT_FALSE(needed.contains(forbidden)) << forbidden;
  for (const std::string& name : needed) {
    EXPECT_FALSE(name.starts_with("_Z")) << name << " is C++'s run-time";
    EXPECT_FALSE(offered.contains(name)) << name << " would lead back here";
  }
}

TEST(PreloadLibrary, OffersLibcNamesAlone) {
  const std::set<std::string> offered = symbols("--defined-only");
  for (const char* name :
       {"read", "write", "socket", "accept4", "epoll_wait", "poll", "close", "getaddrinfo"})
    EXPECT_TRUE(offered.contains(name)) << name;
  for (const std::string& name : offered) EXPECT_FALSE(name.starts_with("_Z")) << name;
}

TEST(PreloadLibrary, NeedsLibcAlone) {
  const std::string dynamic = output_of(std::string("readelf -d ") + SKERRY_PRELOAD);
  size_t count = 0;
  for (size_t at = 0; (at = dynamic.find("(NEEDED)", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 1u) << dynamic;
  EXPECT_NE(dynamic.find("libc.so.6"), std::string::npos);
}

int run(const std::string& scenario) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("LD_PRELOAD", SKERRY_PRELOAD, 1);
    ::alarm(20);
    ::execl(SKERRY_SCENARIOS, SKERRY_SCENARIOS, scenario.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A network namespace of the test's own, with the fake stack where a cell has its stack.
class PreloadInCell : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    can_isolate_ = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  }
  void SetUp() override {
    if (!can_isolate_) GTEST_SKIP() << "no network namespace may be made here";
    sockets::SessionSize size = sockets::FakeStack::default_size();
    size.long_bytes = 128 << 20;  // so that the session is large beside the program, as a stack's is
    stack_.emplace("skerry", size);
  }
  void TearDown() override { stack_.reset(); }

 private:
  static inline bool can_isolate_ = false;
  std::optional<sockets::FakeStack> stack_;
};

TEST_P(PreloadInCell, Scenario) {
  EXPECT_EQ(run(GetParam()), 0);
}

INSTANTIATE_TEST_SUITE_P(All, PreloadInCell,
                         ::testing::Values("exec_keeps", "exec_bare", "exec_closes", "spawn",
                                           "standard_output", "vfork_and_exec", "close_everything", "threads",
                                           "names", "names_of_servers", "interfaces", "stdio", "many_streams",
                                           "asynchronous", "a_library_bound_to_itself",
                                           "before_another_library", "pass_to_a_child", "pass_to_itself",
                                           "same_inode_elsewhere", "pass_and_lose", "many_datagrams",
                                           "send_a_file", "few_system_calls", "calls_by_number",
                                           "closed_under_a_thread", "a_child_by_number", "a_range_is_closed",
                                           "fork_while_passing", "limited_memory", "locked_memory"),
                         [](const auto& one) { return std::string(one.param); });

TEST(PreloadOutside, PassesThrough) {
  EXPECT_EQ(run("outside"), 0);
}

}  // namespace
}  // namespace skerry
