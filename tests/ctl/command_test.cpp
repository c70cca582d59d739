// The command as people use it: what it prints, where, and how it ends.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fstream>

#include "fake_supervisor.hpp"
#include "link/pcapng.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/rights.hpp"

namespace skerry::ctl {
namespace {

using nlohmann::json;
using supervisor::Command;
using supervisor::Request;
using testing::HasSubstr;
using testing::StartsWith;
using Answer = FakeSupervisor::Answer;

class Commands : public WithCommand {};

struct Wrong {
  std::vector<std::string> words;
  int status;
  const char* sentence;
};

TEST_F(Commands, AWrongCommandLineGetsOneSentence) {
  const std::vector<Wrong> table = {
      {{}, 2, "skerry: say what to do"},
      {{"filter", "chekc"}, 2, "skerry filter: there is no command \"chekc\"; did you mean \"check\"?"},
      {{"filter", "add", "elment", "redis"},
       2,
       "skerry filter add: there is no command \"elment\"; did you mean \"element\"?"},
      {{"filter", "reset"}, 2, "skerry filter reset: say what to do: counters, quotas"},
      {{"filter", "check"}, 2, "skerry filter check: file is required: `skerry filter check --help`"},
      {{"rnu"}, 2, "skerry: there is no command \"rnu\"; did you mean \"run\"?"},
      {{"ps", "--jsn"}, 2, "skerry ps: the following argument was not expected: --jsn"},
      {{"up"}, 2, "skerry up: file is required"},
      {{"up", "/nowhere.toml"}, 1, "skerry up: cannot read /nowhere.toml: there is no such file"},
      {{"rights", "/nowhere.toml"}, 1, "skerry rights: cannot read /nowhere.toml"},
      {{"graph", "/nowhere.toml"}, 1, "skerry graph: cannot read /nowhere.toml"},
      {{"graph", SKERRY_COMPOSITION, "--svg", "/nowhere/x.svg"},
       1,
       "skerry graph: cannot write /nowhere/x.svg"},
      {{"ps"}, 1, "skerry ps: nothing is running: start something with"},
      {{"down", "x"}, 1, "skerry down: nothing is running"},
      {{"capture", "x", "-w", "y"}, 1, "skerry capture: nothing is running"},
      {{"capture", "x"}, 2, "skerry capture: --write is required"},
      {{"top", "--interval", "0"}, 2, "skerry top: --interval"},
      {{"run"}, 125, "skerry run: say what to run"},
      {{"run", "--bogus", "x", "--", "true"}, 125, "skerry run: the following arguments were not expected: "},
      {{"run", "-p", "80", "true"},
       125,
       "skerry run: \"80\" publishes no port: write HOSTPORT:PORT as 8080:80"},
      {{"run", "--filter", "/missing", "true"}, 125, "skerry run: cannot read /missing"},
      {{"filter", "load", "x", "y"}, 1, "skerry filter: nothing is running"},
      {{"why", "x"}, 1, "skerry why: nothing is running"},
      {{"filter", "list"}, 2, "skerry filter list: stack is required"},
      {{"run", "--allow", "a", "true"}, 125, "skerry run: \"a\" says no port to allow: write NAME:PORT"},
      {{"run", "--allow", "*.a.org:1", "true"},
       125,
       "skerry run: \"*.a.org:1\" allows names that nobody wrote down"},
      {{"run", "--resolver", "9.9.9.9", "true"},
       125,
       "skerry run: --resolver is asked for names that --allow lists"},
      {{"run", "--resolver", "x", "--allow", "a:1", "true"},
       125,
       "skerry run: \"x\" is no name server's address"},
      {{"run", "--uplink", "afxdp:", "true"}, 125, "skerry run: there is no uplink \"afxdp:\""},
      {{"run", "--uplink", "x", "true"}, 125, "skerry run: there is no uplink \"x\""},
      {{"run", "--address", "1.2", "true"}, 125, "skerry run: \"1.2\" is no IPv4 address"},
      {{"run", "--core", "x", "true"}, 125, "skerry run: could not convert: --core = x"},
      {{"run", "no-such-program-here"}, 127, "skerry run: there is no program \"no-such-program-here\""},
      {{"run", "/etc/passwd"}, 126, "skerry run: /etc/passwd is not executable"},
  };
  for (const Wrong& wrong : table) {
    const Ended ended = skerry(wrong.words);
    EXPECT_EQ(ended.status, wrong.status) << ended.err;
    EXPECT_THAT(ended.err, StartsWith(wrong.sentence));
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(ended.out, "");
  }
}

TEST_F(Commands, EveryHelpHasAnExample) {
  for (const char* command : {"up", "down", "ps", "ss", "top", "rights", "graph", "run", "capture"}) {
    const Ended ended = skerry({command, "--help"});
    EXPECT_EQ(ended.status, 0);
    EXPECT_THAT(ended.out, HasSubstr(std::string("Example: skerry ") + command));
    EXPECT_EQ(ended.err, "");
  }
}

TEST_F(Commands, GraphDrawsAFile) {
  const Ended dot = skerry({"graph", SKERRY_COMPOSITION});
  EXPECT_EQ(dot.status, 0) << dot.err;
  EXPECT_THAT(dot.out, StartsWith("graph \"redis\" {"));
  if (::access("/usr/bin/dot", X_OK) != 0) GTEST_SKIP() << "graphviz is not installed";
  const std::string path = folder_ + "/picture.svg";
  const Ended drawn = skerry({"graph", SKERRY_COMPOSITION, "--svg", path});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(drawn.out + drawn.err, "");
  std::ifstream file(path);
  const std::string svg{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_THAT(svg, HasSubstr("vswitch"));
}

TEST_F(Commands, WhatAKilledSupervisorLeftIsRemovedAndSaid) {
  std::filesystem::create_directories(folder_ + "/run/lan");
  std::filesystem::permissions(folder_ + "/run", std::filesystem::perms::owner_all);
  const Ended ended = skerry({"ps"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("removed what \"lan\" left when its supervisor was killed"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/run/lan"));
}

TEST_F(Commands, PsListsEveryCompositionThatRuns) {
  const auto ps = [](const std::string& name) {
    return [name](const Request&) {
      return Answer{{{"ok", true},
                     {"processes",
                      {{{"name", name},
                        {"kind", "stack"},
                        {"pid", 12},
                        {"core", 0},
                        {"state", "running"},
                        {"restarts", 1},
                        {"uptime_ms", 61000},
                        {"cpu_ms", 5},
                        {"address", "10.77.0.2"}}}}}};
    };
  };
  const FakeSupervisor one("one", {{Command::ps, ps("a.stack")}}), two("two", {{Command::ps, ps("b.stack")}});
  const Ended all = skerry({"ps"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out,
            "COMPOSITION  NAME     KIND   ADDRESS    PID  CORE  STATE    RESTARTS     UP  CPU\n"
            "one          a.stack  stack  10.77.0.2   12     0  running         1  1m01s  5ms\n"
            "two          b.stack  stack  10.77.0.2   12     0  running         1  1m01s  5ms\n");
  const Ended chosen = skerry({"ps", "two", "--json"});
  const json rows = json::parse(chosen.out)["processes"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["name"], "b.stack");
  EXPECT_EQ(rows[0]["composition"], "two");
  EXPECT_THAT(skerry({"ps", "tow"}).err,
              HasSubstr("nothing named \"tow\" is running; did you mean \"two\"?"));
  EXPECT_THAT(skerry({"down"}).err, HasSubstr("several are running, name one of one, two"));
}

TEST_F(Commands, SsListsSockets) {
  const FakeSupervisor lan("lan", {{Command::ss, [](const Request&) {
                                      return Answer{{{"ok", true},
                                                     {"sockets",
                                                      {{{"program", "redis"},
                                                        {"proto", "tcp"},
                                                        {"state", "LISTEN"},
                                                        {"local", "0.0.0.0:6379"},
                                                        {"peer", "*"},
                                                        {"rx_queue", 0},
                                                        {"tx_queue", 3}}}}}};
                                    }}});
  const Ended ended = skerry({"ss"});
  EXPECT_EQ(ended.out,
            "NETID  STATE   RX-QUEUE  TX-QUEUE  LOCAL         PEER  PROGRAM  COMPOSITION\n"
            "tcp    LISTEN         0         3  0.0.0.0:6379  *     redis    lan\n");
  EXPECT_EQ(json::parse(skerry({"ss", "--json"}).out)["sockets"][0]["tx_queue"], 3);
}

TEST_F(Commands, AnAnswerThatMakesNoSenseIsSaid) {
  const FakeSupervisor lan("lan", {{Command::ps,
                                    [](const Request&) {
                                      return Answer{{{"ok", true}}};
                                    }},
                                   {Command::ss, [](const Request&) { return Answer{json::array()}; }}});
  EXPECT_THAT(skerry({"ps"}).err, HasSubstr("the supervisor's answer has no processes"));
  EXPECT_THAT(skerry({"ss"}).err, HasSubstr("the supervisor's reply is malformed"));
  EXPECT_THAT(skerry({"rights"}).err, HasSubstr("the fake has no answer to that"));
}

TEST_F(Commands, TopSubtractsTwoSamples) {
  uint64_t sample = 0;
  const FakeSupervisor lan(
      "lan",
      {{Command::top, [&](const Request&) {
          ++sample;
          return Answer{{{"ok", true},
                         {"time_ns", sample * 1000000000},
                         {"processes",
                          {{{"name", "redis.stack"},
                            {"kind", "stack"},
                            {"core", 0},
                            {"cpu_ns", sample * 250000000},
                            {"counters", {{"rx_frames", sample * 2000}, {"drop.checksum", sample * 3}}}}}}}};
        }}});
  const Ended once = skerry({"top", "--once", "--interval", "0.1"});
  EXPECT_EQ(once.status, 0) << once.err;
  EXPECT_THAT(once.out,
              testing::MatchesRegex(
                  "NAME +KIND +CORE +CPU% [^\n]*\nredis.stack +stack +0 +25.0 +0 +0 +2.00k [^\n]* 3\n"
                  "\nDROPPED BY +REASON +DROPS/s\nredis.stack +drop.checksum +3\n"));
  const json raw = json::parse(skerry({"top", "--json"}).out);
  EXPECT_EQ(raw["processes"][0]["counters"]["rx_frames"], sample * 2000);
}

TEST_F(Commands, RightsOfAFile) {
  std::ofstream(folder_ + "/net.toml") << "[program.a]\nrun = [\"sh\"]\n";
  const Ended table = skerry({"rights", folder_ + "/net.toml"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("link.region"));
  const json rows = json::parse(skerry({"rights", folder_ + "/net.toml", "--json"}).out)["rights"];
  EXPECT_TRUE(supervisor::rights_from_json(rows));
}

TEST_F(Commands, EveryMistakeOfACompositionIsPrinted) {
  const std::string path = folder_ + "/net.toml";
  std::ofstream(path) << "[program.a]\nrun = [\"sh\"]\ncor = 1\ncore = 4095\n";
  const Ended ended = skerry({"up", path});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, StartsWith("skerry up: " + path + ":3: [program.a] has no key \"cor\""));
  EXPECT_THAT(ended.err, HasSubstr("\n" + path + ":4: core 4095 does not exist here"));
}

TEST_F(Commands, DownWaitsForTheEnd) {
  const FakeSupervisor lan("lan", {{Command::down, [](const Request&) {
                                      return Answer{{{"ok", true}}, {}, true};
                                    }}});
  EXPECT_EQ(skerry({"down"}).status, 0);
  EXPECT_EQ(skerry({"down", "lan"}).status, 0);
}

// A pipe that holds a capture of two frames, as a vswitch leaves it when the link ends.
Fd capture_pipe() {
  std::vector<uint8_t> file(8192);
  size_t bytes = pcapng_file_header(file.data(), "redis");
  const std::vector<uint8_t> frame(60, 7);
  for (int i = 0; i < 2; ++i)
    bytes += pcapng_packet(file.data() + bytes, 1, CaptureDirection::kInbound, frame);
  int ends[2];
  CHECK(::pipe2(ends, O_CLOEXEC) == 0);
  CHECK(::write(ends[1], file.data(), bytes) == static_cast<ssize_t>(bytes));
  ::close(ends[1]);
  return Fd(ends[0]);
}

FakeSupervisor::Answers capturing() {
  supervisor::Plan plan =
      *supervisor::default_plan("lan", supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  const supervisor::Program program{.name = "redis", .network = "lan"};
  CHECK(supervisor::add_program(plan, program));
  return {{Command::plan,
           [plan](const Request&) {
             return Answer{{{"ok", true}, {"plan", json::parse(supervisor::plan_to_json(plan))}}};
           }},
          {Command::mirror, [pipe = std::make_shared<Fd>()](const Request& request) {
             CHECK(request.link == "lan.redis");
             *pipe = capture_pipe();
             return Answer{{{"ok", true}}, {pipe->get()}};
           }}};
}

TEST_F(Commands, CaptureWritesTheFile) {
  const FakeSupervisor lan("lan", capturing());
  const Ended counted = skerry({"capture", "redis", "-w", folder_ + "/a.pcapng", "-c", "2"});
  EXPECT_EQ(counted.status, 0) << counted.err;
  EXPECT_EQ(counted.err, "2 frames of lan.redis in " + folder_ + "/a.pcapng\n");
  EXPECT_GT(std::filesystem::file_size(folder_ + "/a.pcapng"), 200u);
  const Ended ended = skerry({"capture", "lan.redis", "-w", "-"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("the link has ended"));
  EXPECT_EQ(ended.out, RunningCommand::read(folder_ + "/a.pcapng"));
}

TEST_F(Commands, ARefusedCaptureLeavesTheFileAsItIs) {
  FakeSupervisor::Answers answers = capturing();
  answers[Command::mirror] = [](const Request&) {
    return Answer{supervisor::refusal("port 'redis' is being captured already")};
  };
  const FakeSupervisor lan("lan", answers);
  const std::string path = folder_ + "/old.pcapng";
  std::ofstream(path) << "precious";
  const Ended ended = skerry({"capture", "redis", "-w", path});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("is being captured already"));
  EXPECT_EQ(RunningCommand::read(path), "precious");
}

TEST_F(Commands, CaptureSaysWhatIsWrong) {
  const FakeSupervisor lan("lan", capturing());
  const Ended full = skerry({"capture", "redis", "-w", "/dev/full"});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err,
              HasSubstr("cannot write /dev/full: No space left on device: make room, or write elsewhere"));
  EXPECT_THAT(skerry({"capture", "redsi", "-w", "x"}).err, HasSubstr("there is no link \"redsi\""));
  EXPECT_THAT(skerry({"capture", "redis", "-w", "/nowhere/x"}).err, HasSubstr("cannot write /nowhere/x"));
}

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
