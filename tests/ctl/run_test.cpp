// `skerry run` as people and scripts use it: whose status, output and signals are whose.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fstream>

#include "fake_supervisor.hpp"

namespace skerry::ctl {
namespace {

using supervisor::Command;
using supervisor::Request;
using testing::HasSubstr;
using Answer = FakeSupervisor::Answer;

class Run : public WithCommand {
 protected:
  // What whoever runs the tests left open is nothing that the command hands on.
  void SetUp() override {
    WithCommand::SetUp();
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  }

  // What stands in for skerry-cell: a script, which finds the memory "hello" at descriptor 7.
  FakeSupervisor::Answers launching(const std::string& script, bool hang_up = false) {
    const std::string path = folder_ + "/cell";
    std::ofstream(path) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    memory_.reset(::memfd_create("test", MFD_CLOEXEC));
    CHECK(::pwrite(memory_.get(), "hello\n", 6, 0) == 6);
    return {{Command::run, [this, path, hang_up](const Request& request) {
               request_ = request.run;
               return Answer{supervisor::to_json({"prog", "10.77.0.2", path, {7}}), {memory_.get()}, hang_up};
             }}};
  }

  Fd memory_;
  supervisor::RunRequest request_;
};

TEST_F(Run, StatusOutputAndDescriptorsAreTheProgramsOwn) {
  const FakeSupervisor net("default", launching("cat /dev/fd/7\necho $1\nls /dev/fd >&2\nexit 42\n"));
  const Ended ended =
      skerry({"run", "--core", "0", "--address", "10.77.0.2", "--name", "prog", "--", "true", "-x", "--"});
  EXPECT_EQ(ended.status, 42);
  EXPECT_EQ(ended.out, "hello\nprog\n");
  EXPECT_THAT(ended.err, testing::Not(HasSubstr("4\n"))) << "our own descriptors stay ours";
  EXPECT_THAT(request_.argv, testing::ElementsAre("true", "-x", "--"));
  EXPECT_THAT(request_.executable, testing::EndsWith("/true"));
  EXPECT_EQ(request_.name, "prog");
  EXPECT_EQ(request_.core, 0u);
  EXPECT_EQ(request_.address, 0x0a4d0002u);
  EXPECT_EQ(request_.uplink, std::nullopt);
}

TEST_F(Run, ASignalThatEndsItIsTold) {
  const FakeSupervisor net("lan", launching("kill -SEGV $$\n"));
  EXPECT_EQ(skerry({"run", "--net", "lan/x", "true"}).status, 128 + SIGSEGV);
  EXPECT_EQ(request_.network, "x");
}

TEST_F(Run, SignalsArePassedOn) {
  const FakeSupervisor net("default",
                           launching("trap 'exit 7' TERM\necho ready\nwhile :; do sleep 0.05; done\n"));
  RunningCommand command(folder_, {"run", "true"});
  ASSERT_TRUE(RunningCommand::wait_for(folder_ + "/out", "ready"));
  ASSERT_EQ(::kill(command.pid(), SIGTERM), 0);
  EXPECT_EQ(command.wait().status, 7);
}

TEST_F(Run, TheProgramEndsWithAKilledCommand) {
  const FakeSupervisor net("default", launching("echo $$\nexec sleep 60\n"));
  RunningCommand command(folder_, {"run", "true"});
  ASSERT_TRUE(RunningCommand::wait_for(folder_ + "/out", "\n"));
  const pid_t program = std::atoi(RunningCommand::read(folder_ + "/out").c_str());
  ASSERT_GT(program, 1);
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, program, 0U)));
  ASSERT_EQ(::kill(command.pid(), SIGKILL), 0);
  EXPECT_EQ(command.wait().status, 128 + SIGKILL);
  pollfd ended{pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 10'000), 1) << "process " << program << " outlived its command";
}

// A supervisor that leaves hangs up; the next one answers.
TEST_F(Run, ANetworkThatIsLeavingIsAskedAgain) {
  FakeSupervisor::Answers answers = launching("exit 3\n");
  int asked = 0;
  answers[Command::run] = [&asked, serve = answers[Command::run]](const Request& request) {
    return ++asked < 10 ? Answer{{}, {}, true, true} : serve(request);
  };
  const FakeSupervisor net("default", answers);
  EXPECT_EQ(skerry({"run", "true"}).status, 3);
  EXPECT_EQ(asked, 10);
}

TEST_F(Run, TheProgramEndsWithItsNetwork) {
  const FakeSupervisor net("default", launching("exec sleep 60\n", true));
  const Ended ended = skerry({"run", "true"});
  EXPECT_EQ(ended.status, 125);
  EXPECT_EQ(ended.err, "skerry run: the network \"default\" has ended, and with it prog\n");
}

// A pipe can be read once, and what the list's rules stand behind must be in the result.
TEST_F(Run, RulesFromAPipeHoldBesideAnAllowList) {
  const FakeSupervisor net("default", launching("exit 0\n"));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Fd read_end(ends[0]), write_end(ends[1]);
  const std::string rules =
      "table ip mine {\n chain c {\n  type filter hook input priority 0;\n  tcp dport 80 drop\n }\n}\n";
  ASSERT_EQ(::write(write_end.get(), rules.data(), rules.size()), static_cast<ssize_t>(rules.size()));
  write_end.reset();
  const std::string pipe = "/dev/fd/" + std::to_string(read_end.get());
  const Ended ended = skerry({"run", "--filter", pipe, "--allow", "10.9.8.7:80", "--", "true"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(request_.filter_lines, testing::Contains(4U)) << "where the file's only rule stands";
}

TEST_F(Run, ARefusalIsOneSentence) {
  const FakeSupervisor net(
      "default", {{Command::run, [](const Request&) {
                     return Answer{supervisor::refusal("address 10.77.0.2 is in use by \"a\"", 125)};
                   }}});
  const Ended ended = skerry({"run", "true"});
  EXPECT_EQ(ended.status, 125);
  EXPECT_EQ(ended.err, "skerry run: address 10.77.0.2 is in use by \"a\"\n");
}

}  // namespace
}  // namespace skerry::ctl
