#include "supervisor/spawn.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace skerry::supervisor {
namespace {

using nlohmann::json;

struct Pipe {
  Fd read, write;
};

Pipe make_pipe() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::string read_all(const Fd& fd) {
  std::string text;
  std::array<char, 4096> piece;
  for (ssize_t got; (got = ::read(fd.get(), piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(got));
  return text;
}

int exit_status(const Child& child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child.pid, &status, 0), child.pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Launch witness(Pipe& report) {
  Launch launch;
  launch.executable = SKERRY_WITNESS;
  launch.name = "redis.stack";
  launch.kind = "stack";
  launch.settings = {{"mtu", 1500}};
  launch.grants = {{"report", report.write.get()}};
  return launch;
}

json ask(Launch launch, Pipe& report) {
  Result<Child> child = spawn(launch);
  EXPECT_TRUE(child) << child.error().message;
  if (!child) return {};
  report.write.reset();
  const std::string text = read_all(report.read);
  EXPECT_EQ(exit_status(*child), 7);
  return json::parse(text, nullptr, false);
}

TEST(Spawn, TellsNameKindAndSettings) {
  Pipe report = make_pipe();
  const json said = ask(witness(report), report);
  EXPECT_EQ(said["arguments"], json::array({SKERRY_WITNESS, "redis.stack"}));
  EXPECT_EQ(said["name"], "redis.stack");
  EXPECT_EQ(said["kind"], "stack");
  EXPECT_EQ(said["settings"], json({{"mtu", 1500}}));
  EXPECT_EQ(said["stdin"], "/dev/null");
  EXPECT_EQ(said["surrounding"], "");
}

TEST(Spawn, OpensExactlyWhatIsGranted) {
  // Descriptors of the caller, some inheritable, some at numbers that the process will use for other things.
  const Fd low(::open("/dev/zero", O_RDONLY)), high(::fcntl(low.get(), F_DUPFD, 700));
  Pipe report = make_pipe(), second = make_pipe();
  Launch launch = witness(report);
  launch.grants = {
      {"second", second.read.get()}, {"report", report.write.get()}, {"again", second.read.get()}};
  EXPECT_EQ(ask(launch, report)["descriptors"], json({0, 1, 2, 3, 4, 5, 6}));
}

TEST(Spawn, TableIsWhatProcShows) {
  Pipe report = make_pipe(), hold = make_pipe();
  Launch launch = witness(report);
  launch.grants.push_back({"hold", hold.read.get()});
  Result<Child> child = spawn(launch);
  ASSERT_TRUE(child) << child.error().message;
  report.write.reset();
  EXPECT_FALSE(read_all(report.read).empty());
  std::vector<std::string> names;
  for (const NamedFd& row : child->table) names.push_back(row.name + "=" + std::to_string(row.fd));
  EXPECT_THAT(names,
              testing::ElementsAre("stdin=0", "stdout=1", "stderr=2", "environment=3", "report=4", "hold=5"));
  pollfd ended{child->pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 0), 0);
  ::kill(child->pid, SIGKILL);
  EXPECT_EQ(::poll(&ended, 1, 5000), 1);
  EXPECT_EQ(exit_status(*child), 128 + SIGKILL);
}

TEST(Spawn, ManyGrantsKeepTheirOrder) {
  Pipe report = make_pipe();
  Launch launch = witness(report);
  std::vector<Pipe> pipes;
  for (int i = 0; i < 200; ++i) {
    pipes.push_back(make_pipe());
    launch.grants.insert(launch.grants.begin(), {"pipe" + std::to_string(i), pipes.back().read.get()});
  }
  const json said = ask(launch, report);
  EXPECT_EQ(said["descriptors"].size(), 4U + 201U);
}

TEST(Spawn, AppliesLimitsCoreAndGroup) {
  Pipe report = make_pipe();
  Launch launch = witness(report);
  launch.limits = {64, false};
  launch.core = 0;
  const json said = ask(launch, report);
  EXPECT_EQ(said["open_files"], 64);
  EXPECT_EQ(said["core_bytes"], 0);
  EXPECT_EQ(said["core_count"], 1);
  EXPECT_EQ(said["on_core_0"], true);
  EXPECT_EQ(said["leads_group"], true);
  EXPECT_EQ(said["session"], ::getsid(0)) << "the kernel shares a core out by sessions";
  EXPECT_EQ(said["death_signal"], SIGKILL);
}

TEST(Spawn, BlockedAndIgnoredSignalsAreNotInherited) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const auto pipe_before = ::signal(SIGPIPE, SIG_IGN);
  Pipe report = make_pipe();
  const json said = ask(witness(report), report);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGPIPE, pipe_before);
  EXPECT_EQ(said["sigterm_blocked"], false);
  EXPECT_EQ(said["sigpipe_ignored"], false);
}

TEST(Spawn, SaysWhyAProgramCannotBeExecuted) {
  Pipe report = make_pipe();
  Launch launch = witness(report);
  launch.executable = "/nonexistent/skerry-stack";
  Result<Child> child = spawn(launch);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().system_error, ENOENT);
  EXPECT_THAT(child.error().message, testing::AllOf(testing::HasSubstr("redis.stack"),
                                                    testing::HasSubstr("/nonexistent/skerry-stack"),
                                                    testing::HasSubstr("No such file")));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "the failed child must be reaped";
}

TEST(Spawn, RefusesACoreThatIsNotThere) {
  Pipe report = make_pipe();
  Launch launch = witness(report);
  launch.core = 1023;
  Result<Child> child = spawn(launch);
  ASSERT_FALSE(child);
  EXPECT_THAT(child.error().message, testing::HasSubstr("core"));
}

TEST(Spawn, RefusesTheSameNameTwice) {
  Pipe report = make_pipe();
  Launch launch = witness(report);
  launch.grants.push_back(launch.grants.front());
  EXPECT_FALSE(spawn(launch));
}

// A supervisor that is killed takes what it started with it.
TEST(Spawn, ProcessDiesWithItsParent) {
  Pipe report = make_pipe(), hold = make_pipe(), pid_pipe = make_pipe();
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    Launch launch = witness(report);
    launch.grants.push_back({"hold", hold.read.get()});
    Result<Child> child = spawn(launch);
    if (!child || ::write(pid_pipe.write.get(), &child->pid, sizeof child->pid) < 0) ::_exit(1);
    report.write.reset();
    ::pause();
  }
  pid_t child = 0;
  ASSERT_EQ(::read(pid_pipe.read.get(), &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 1);
  report.write.reset();
  EXPECT_FALSE(read_all(report.read).empty());
  // Not its pid: that is there until somebody else reaps it.
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0U)));
  ASSERT_TRUE(pidfd);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  pollfd ended{pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 10'000), 1) << "process " << child << " outlived its supervisor";
}

}  // namespace
}  // namespace skerry::supervisor
