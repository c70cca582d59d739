// One supervisor a composition, nothing left behind, and what a killed one left is found.
#include "supervisor/runtime_directory.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RuntimeDirectory : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/skerry-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    place_ = directory_ + "/run";
    ASSERT_EQ(::setenv("SKERRY_RUNTIME_DIR", place_.c_str(), 1), 0);
  }
  void TearDown() override {
    ::unsetenv("SKERRY_RUNTIME_DIR");
    std::filesystem::remove_all(directory_);
  }

  std::string directory_;
  std::string place_;
};

TEST_F(RuntimeDirectory, ClaimIsExclusiveAndLeavesNothing) {
  {
    const Result<RuntimeClaim> claim = RuntimeClaim::take("lan");
    ASSERT_TRUE(claim) << claim.error().message;
    EXPECT_EQ(claim->control_path(), place_ + "/lan/control");
    EXPECT_EQ(*control_path("lan"), claim->control_path());
    EXPECT_THAT(*running_compositions(), ElementsAre("lan"));
    EXPECT_THAT(*clear_leftovers(), ElementsAre()) << "it is alive";
    const Result<RuntimeClaim> second = RuntimeClaim::take("lan");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().system_error, EADDRINUSE);
    EXPECT_THAT(second.error().message, HasSubstr("`skerry down lan` ends it"));
    EXPECT_TRUE(RuntimeClaim::take("other"));
  }
  EXPECT_FALSE(std::filesystem::exists(place_ + "/lan"));
  EXPECT_THAT(*running_compositions(), ElementsAre());
}

// `skerry run` takes the claim, its supervisor holds it: in between nobody else can.
TEST_F(RuntimeDirectory, AClaimIsPassedOn) {
  Result<RuntimeClaim> first = RuntimeClaim::take("lan");
  ASSERT_TRUE(first);
  Fd passed(::fcntl(first->lock_fd(), F_DUPFD_CLOEXEC, 0));
  first->hand_over();
  EXPECT_THAT(*clear_leftovers(), ElementsAre());
  EXPECT_FALSE(RuntimeClaim::adopt("lan", Fd(::open("/dev/null", O_RDONLY))));
  EXPECT_FALSE(RuntimeClaim::adopt("other", Fd(::fcntl(passed.get(), F_DUPFD_CLOEXEC, 0))));
  {
    const Result<RuntimeClaim> second = RuntimeClaim::adopt("lan", std::move(passed));
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_FALSE(RuntimeClaim::take("lan"));
  }
  EXPECT_FALSE(std::filesystem::exists(place_ + "/lan"));
}

TEST_F(RuntimeDirectory, AClaimThatWasGivenUpLeavesTheNextOneAlone) {
  std::optional<Result<RuntimeClaim>> starter(RuntimeClaim::take("lan"));
  ASSERT_TRUE(*starter);
  { const auto supervisor = RuntimeClaim::adopt("lan", Fd(::fcntl((*starter)->lock_fd(), F_DUPFD, 0))); }
  const Result<RuntimeClaim> next = RuntimeClaim::take("lan");
  ASSERT_TRUE(next) << next.error().message;
  starter.reset();
  EXPECT_THAT(*running_compositions(), ElementsAre("lan"));
}

TEST_F(RuntimeDirectory, WhatAKilledSupervisorLeftIsCleared) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Result<RuntimeClaim> claim = RuntimeClaim::take("lan");
    (void)!::write(ready[1], claim ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char claimed = 0;
  ASSERT_EQ(::read(ready[0], &claimed, 1), 1);
  EXPECT_EQ(claimed, 'y');
  EXPECT_THAT(*running_compositions(), ElementsAre("lan"));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(place_ + "/lan"));
  EXPECT_THAT(*running_compositions(), ElementsAre());
  EXPECT_THAT(*clear_leftovers(), ElementsAre("lan"));
  EXPECT_FALSE(std::filesystem::exists(place_ + "/lan"));
  EXPECT_THAT(*clear_leftovers(), ElementsAre());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RuntimeDirectory, PlaceOfOthersIsRefused) {
  ASSERT_TRUE(runtime_directory());
  std::filesystem::permissions(place_, std::filesystem::perms::all);
  const Result<RuntimeClaim> open = RuntimeClaim::take("lan");
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().message, HasSubstr("not a directory that only you can write to"));
  std::filesystem::remove_all(place_);
  std::filesystem::create_symlink("/tmp", place_);
  EXPECT_FALSE(RuntimeClaim::take("lan")) << "a link leads to somebody else's place";
}

}  // namespace
}  // namespace skerry::supervisor
