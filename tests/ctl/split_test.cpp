// Where the options of `skerry run` end and the program begins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/command.hpp"

namespace skerry::ctl {
namespace {

using testing::ElementsAre;
using Words = std::vector<std::string>;

TEST(SplitProgram, AtTwoDashes) {
  Words words = {"run", "--core", "1", "--", "redis-server", "--", "--port"};
  EXPECT_THAT(split_program(words), ElementsAre("redis-server", "--", "--port"));
  EXPECT_THAT(words, ElementsAre("run", "--core", "1"));
}

TEST(SplitProgram, AtTheFirstWordThatIsNoOption) {
  Words words = {"run", "--net=lan", "--share", "/a", "ps", "--json"};
  EXPECT_THAT(split_program(words), ElementsAre("ps", "--json")) << "a program, not our command of that name";
  EXPECT_THAT(words, ElementsAre("run", "--net=lan", "--share", "/a"));
}

TEST(SplitProgram, FlagsTakeNoValue) {
  Words words = {"run", "--strict", "ls"};
  EXPECT_THAT(split_program(words), ElementsAre("ls"));
}

TEST(SplitProgram, AShortOptionMayHoldItsValue) {
  Words words = {"run", "-p8080:80", "-p", "81:81", "nginx", "-p", "/tmp"};
  EXPECT_THAT(split_program(words), ElementsAre("nginx", "-p", "/tmp"));
  EXPECT_THAT(words, ElementsAre("run", "-p8080:80", "-p", "81:81"));
}

TEST(SplitProgram, NothingToRun) {
  for (Words words : {Words{"run"}, Words{"run", "--"}, Words{"run", "--core"}, Words{"run", "--help"}}) {
    EXPECT_TRUE(split_program(words).empty());
  }
}

}  // namespace
}  // namespace skerry::ctl
