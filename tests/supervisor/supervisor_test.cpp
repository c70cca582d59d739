// The running system: real processes, asked as the command line asks, and killed as life does.
#include "supervisor/supervisor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "running_skerry.hpp"
#include "supervisor/sandbox.hpp"

namespace skerry::supervisor {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A program that sends orders to its stack, one session each, once everything serves, and prints the answers.
std::vector<std::string> orders(const std::string& script) {
  return {"/usr/bin/python3", "-uc",
          "import os, socket, sys, time\n"
          "def order(text):\n"
          "    while True:\n"
          "        try:\n"
          "            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
          "            s.connect('\\0skerry')\n"
          "            s.send(text.encode())\n"
          "            return s.recv(64).decode()\n"
          "        except OSError:\n"
          "            time.sleep(0.02)\n"
          "while not os.path.exists('" +
              everything_serves_mark() + "'):\n    time.sleep(0.01)\n" + script};
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool no_children_left(const std::vector<pid_t>& pids) {
  return eventually([&] { return std::ranges::none_of(pids, runs); });
}

TEST(Supervisor, StartsAndEndsInOrder) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const json vswitch = skerry.row("test.vswitch");
  EXPECT_EQ(vswitch["state"], "running");
  EXPECT_EQ(vswitch["restarts"], 0);
  const pid_t pid = vswitch["pid"];
  EXPECT_TRUE(!confinement_is_complete() || walls_of(pid).complete());
  EXPECT_EQ(skerry.ask(Command::down), json({{"ok", true}}));
  EXPECT_EQ(skerry.wait_end(), 0);
  EXPECT_TRUE(no_children_left({pid}));
  EXPECT_FALSE(std::filesystem::exists(skerry.directory() + "/run/test"));
  EXPECT_EQ(skerry.log(), "");
}

TEST(Supervisor, EndsOnCtrlC) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const std::vector<pid_t> children = children_of(skerry.pid());
  EXPECT_EQ(children.size(), 1U);
  skerry.signal(SIGINT);
  EXPECT_EQ(skerry.wait_end(), 0);
  EXPECT_TRUE(no_children_left(children));
  EXPECT_FALSE(std::filesystem::exists(skerry.directory() + "/run/test"));
}

TEST(Supervisor, SaysWhatCouldNotStart) {
  Plan plan = empty_plan("test");
  add(plan, "broken", {"/nonexistent/program"});
  RunningSkerry skerry(plan);
  const json line = skerry.ready_line();
  EXPECT_EQ(line["ok"], false);
  EXPECT_EQ(line["error"], "broken ended with status 127");
  EXPECT_THAT(skerry.log(), HasSubstr("/nonexistent/program cannot be run: No such file or directory"));
  EXPECT_EQ(skerry.wait_end(), 1);
  EXPECT_FALSE(std::filesystem::exists(skerry.directory() + "/run/test"));
}

// A program that fails at first, for want of a neighbour perhaps, has its `restart` already while others
// start.
TEST(Supervisor, RestartCountsBeforeEverythingServes) {
  Plan plan = empty_plan("test");
  const std::string mark = "/tmp/sk-mark-" + std::to_string(::getpid());
  add(plan, "early", {"/bin/sh", "-c", "test -e " + mark + " && exec sleep 1000; touch " + mark + "; exit 1"},
      Restart::on_failure);
  add(plan, "slow", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  EXPECT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("early")["restarts"] == 1; }));
  EXPECT_THAT(skerry.log(), HasSubstr("early ended with status 1; it starts again"));
  std::filesystem::remove(mark);
}

TEST(Supervisor, StartsAgainWhatWasKilled) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const pid_t first = skerry.row("test.vswitch")["pid"];
  kill_process(first);
  EXPECT_TRUE(eventually([&] {
    const json row = skerry.row("test.vswitch");
    return row["state"] == "running" && row["pid"] != first && row["restarts"] == 1;
  }));
  EXPECT_THAT(skerry.log(),
              HasSubstr("test.vswitch was killed by signal 9 (Killed); it starts again in 100 ms"));
}

TEST(Supervisor, GivesUpWhatDiesYoungAgainAndAgain) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] {
    const json row = skerry.row("test.vswitch");
    if (row["state"] == "running") kill_process(row["pid"]);
    return row["state"] == "failed";
  }));
  EXPECT_EQ(skerry.row("test.vswitch")["restarts"], RestartBudget::kYoungDeaths);
  EXPECT_THAT(skerry.log(), HasSubstr("is given up"));
}

TEST(Supervisor, RunsAProgramOnItsStack) {
  Plan plan = empty_plan("test");
  const std::string output = "/tmp/sk-output-" + std::to_string(::getpid());
  add(plan, "asks", orders("print(order('inode'))"), Restart::never, output);
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] {
    return skerry.row("asks")["state"] == "ended" && skerry.row("asks.stack")["state"] == "ended";
  })) << skerry.ask(Command::ps).dump(1);
  EXPECT_GT(std::atoll(contents(output).c_str()), 0);
  std::filesystem::remove(output);
  EXPECT_EQ(skerry.row("test.vswitch")["state"], "running");
  EXPECT_THAT(skerry.log(), HasSubstr("asks ended with status 0"));
}

TEST(Supervisor, StartsAProgramAgainAsItsPlanSays) {
  Plan plan = empty_plan("test");
  const std::string output = "/tmp/sk-output-" + std::to_string(::getpid());
  add(plan, "fails", orders("print(order('inode')); sys.exit(1)"), Restart::on_failure, output);
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("fails")["restarts"] >= 2; }));
  EXPECT_TRUE(eventually([&] { return std::ranges::count(contents(output), '\n') >= 2; }));
  std::istringstream lines(contents(output));
  uint64_t first = 0, second = 0;
  lines >> first >> second;
  EXPECT_NE(first, second) << "a new program got the memory of the last one's session";
  std::filesystem::remove(output);
}

// What the program's library holds is the dead stack's memory: nothing would ever move in it again.
TEST(Supervisor, EndsAProgramWhoseStackDied) {
  Plan plan = empty_plan("test");
  add(plan, "asks", orders("order('die'); time.sleep(1000)"));
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("asks")["state"] == "ended"; })) << skerry.log();
  EXPECT_EQ(skerry.row("asks.stack")["state"], "ended");
  EXPECT_EQ(skerry.row("asks.stack")["restarts"], 0);
  EXPECT_THAT(skerry.log(), HasSubstr("asks.stack ended with status 3: asks cannot go on without it"));
}

TEST(Supervisor, StartsAProgramAgainWithANewStack) {
  Plan plan = empty_plan("test");
  const std::string output = "/tmp/sk-output-" + std::to_string(::getpid());
  add(plan, "asks",
      orders("print(order('inode'))\n"
             "if open('" +
             output +
             "').read().split()[1:] == []: order('die')\n"
             "time.sleep(1000)"),
      Restart::on_failure, output);
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return std::ranges::count(contents(output), '\n') >= 2; })) << skerry.log();
  std::istringstream lines(contents(output));
  uint64_t first = 0, second = 0;
  lines >> first >> second;
  EXPECT_NE(first, second);
  EXPECT_TRUE(eventually([&] { return skerry.row("asks.stack")["state"] == "running"; }));
  EXPECT_GE(skerry.row("asks.stack")["restarts"], 1);
  EXPECT_GE(skerry.row("asks")["restarts"], 1);
  EXPECT_THAT(skerry.log(), HasSubstr("asks ended without its stack; it starts again"));
  EXPECT_EQ(skerry.log().find("not joined again"), std::string::npos) << skerry.log();
  EXPECT_EQ(skerry.log().find("skerry-vswitch: the link of"), std::string::npos) << skerry.log();
  std::filesystem::remove(output);
}

TEST(Supervisor, GivesNeighboursOfADeadVswitchNewLinks) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  kill_process(skerry.row("test.vswitch")["pid"]);
  EXPECT_TRUE(eventually([&] { return skerry.counter("one.stack", "relinks") == 1; }));
  EXPECT_TRUE(eventually([&] { return skerry.counter("two.stack", "relinks") == 1; }));
  EXPECT_TRUE(eventually([&] { return skerry.row("test.vswitch")["state"] == "running"; }));
  EXPECT_EQ(skerry.row("one.stack")["restarts"], 0);
}

TEST(Supervisor, KillsWhatHangs) {
  Plan plan = empty_plan("test");
  add(plan, "asks", orders("order('hang'); time.sleep(1000)"), Restart::always);
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("asks.stack")["restarts"] == 1; }));
  EXPECT_THAT(skerry.log(), HasSubstr("asks.stack hangs: no breath for 5 s"));
}

// A link that closed by a fault stays closed; only a new pair of ends brings the port back.
TEST(Supervisor, EndsWhoeverBrokeHisLink) {
  Plan plan = empty_plan("test");
  add(plan, "asks", orders("order('lie'); time.sleep(1000)"));
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("asks")["state"] == "ended"; })) << skerry.log();
  EXPECT_THAT(skerry.log(), HasSubstr("asks.stack broke its link to test.vswitch and is ended"));
  EXPECT_EQ(skerry.row("test.vswitch")["restarts"], 0);
}

TEST(Supervisor, SaysThatASandboxWasViolated) {
  if (!confinement_is_complete()) GTEST_SKIP();
  Plan plan = empty_plan("test");
  add(plan, "asks", orders("order('forbidden'); time.sleep(1000)"));
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("asks")["state"] == "ended"; }));
  EXPECT_THAT(skerry.log(), HasSubstr("asks.stack was killed by its sandbox"));
}

Request run_request(const std::string& name, std::vector<std::string> argv) {
  Request request{.command = Command::run};
  request.run.name = name;
  request.run.executable = argv.front();
  request.run.argv = std::move(argv);
  request.run.working_directory = "/";
  return request;
}

std::string read_all(const Fd& fd) {
  std::string text;
  std::array<char, 4096> piece;
  for (ssize_t got; (got = ::read(fd.get(), piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(got));
  return text;
}

// `skerry run`: joins, starts the launcher itself, and the network ends with its last program.
TEST(Supervisor, LetsAProgramJoinAndEndsWithTheLast) {
  RunningSkerry skerry(empty_plan("test", true));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  int output[2];
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  const Fd output_read(output[0]);
  Fd output_write(output[1]);
  const pid_t one = skerry.launch(
      skerry.call(run_request("one", orders("print(order('inode')); sys.exit(7)"))), output_write.get());
  const pid_t two =
      skerry.launch(skerry.call(run_request("two", {"/bin/sleep", "1000"})), output_write.get());
  output_write.reset();
  EXPECT_TRUE(eventually([&] { return skerry.row("two.stack")["state"] == "running"; }));
  EXPECT_EQ(skerry.row("two")["address"].get<std::string>().substr(0, 3), "10.");
  EXPECT_EQ(skerry.row("two")["pid"], two);
  EXPECT_EQ(skerry.wait_launched(one), 7);
  EXPECT_TRUE(eventually([&] { return skerry.row("one").is_null() && skerry.row("one.stack").is_null(); }));
  EXPECT_EQ(skerry.row("two")["state"], "running");
  kill_process(two, SIGTERM);
  EXPECT_EQ(skerry.wait_launched(two), 128 + SIGTERM);
  EXPECT_GT(std::atoll(read_all(output_read).c_str()), 0);
  EXPECT_EQ(skerry.wait_end(), 0);
  EXPECT_FALSE(std::filesystem::exists(skerry.directory() + "/run/test"));
  EXPECT_EQ(skerry.log(), "");
}

TEST(Supervisor, AnAttachedProgramEndsWithItsStackAndSaysSo) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  int output[2];
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  const Fd output_read(output[0]);
  Fd output_write(output[1]);
  const pid_t one =
      skerry.launch(skerry.call(run_request("one", {"/bin/sleep", "1000"})), output_write.get());
  output_write.reset();
  // The program runs once its cell's init has a child.
  EXPECT_TRUE(eventually([&] {
    const std::vector<pid_t> init = children_of(one);
    return init.size() == 1 && !children_of(init.front()).empty();
  }));
  kill_process(skerry.row("one.stack")["pid"]);
  EXPECT_EQ(skerry.wait_launched(one), 128 + SIGTERM);
  EXPECT_EQ(read_all(output_read),
            "skerry: one: its stack was killed by signal 9 (Killed), so it is told to end\n");
  EXPECT_TRUE(eventually([&] { return skerry.row("one").is_null(); }));
  EXPECT_EQ(skerry.row("test.vswitch")["state"], "running");
}

TEST(Supervisor, ForgetsAProgramWhoseLauncherNeverCame) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  { const ControlLine dropped = skerry.call(run_request("one", {"/bin/true"})); }
  EXPECT_TRUE(eventually([&] { return skerry.row("one").is_null(); }));
  EXPECT_EQ(skerry.row("test.vswitch")["state"], "running");
}

TEST(Supervisor, RefusesATakenName) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const ControlLine first = skerry.call(run_request("one", {"/bin/sleep", "1000"}));
  const json second =
      json::parse(skerry.call(run_request("one", {"/bin/sleep", "1000"})).line, nullptr, false);
  EXPECT_EQ(second["ok"], false);
  EXPECT_EQ(second["code"], 125);
  EXPECT_THAT(second["error"].get<std::string>(), HasSubstr("runs already"));
}

TEST(Supervisor, AsksEveryStackForItsSockets) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const json reply = skerry.ask(Command::ss);
  EXPECT_THAT(reply["sockets"], testing::UnorderedElementsAre(json({{"program", "one"}, {"proto", "tcp"}}),
                                                              json({{"program", "two"}, {"proto", "tcp"}})));
}

// Nobody is there to clean up, so everybody cleans up after himself; what is left on disk, the next one
// clears.
TEST(Supervisor, LeavesNothingRunningWhenItIsKilled) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  std::vector<pid_t> pids;
  EXPECT_TRUE(eventually([&] {
    pids = children_of(skerry.pid());
    for (size_t at = 0; at < pids.size(); ++at) {
      for (const pid_t child : children_of(pids[at])) pids.push_back(child);
    }
    return pids.size() == 5;  // vswitch, stack, launcher, init, program
  }));
  skerry.signal(SIGKILL);
  EXPECT_EQ(skerry.wait_end(), 1000 + SIGKILL);
  EXPECT_TRUE(no_children_left(pids));
  const Result<std::vector<std::string>> cleared = clear_leftovers();
  ASSERT_TRUE(cleared);
  EXPECT_THAT(*cleared, testing::ElementsAre("test"));
}

TEST(Supervisor, AttachedProgramsEndWithAKilledSupervisor) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  int output[2];
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  const Fd output_read(output[0]);
  Fd output_write(output[1]);
  const pid_t one =
      skerry.launch(skerry.call(run_request("one", {"/bin/sleep", "1000"})), output_write.get());
  output_write.reset();
  EXPECT_TRUE(eventually([&] { return skerry.row("one.stack")["state"] == "running"; }));
  skerry.signal(SIGKILL);
  EXPECT_EQ(skerry.wait_launched(one), 125);
  EXPECT_THAT(read_all(output_read), HasSubstr("the supervisor ended"));
}

TEST(Supervisor, DownEndsAttachedPrograms) {
  RunningSkerry skerry(empty_plan("test"));
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const pid_t one = skerry.launch(skerry.call(run_request("one", {"/bin/sleep", "1000"})), null.get());
  EXPECT_TRUE(eventually([&] { return skerry.row("one.stack")["state"] == "running"; }));
  EXPECT_EQ(skerry.ask(Command::down)["ok"], true);
  EXPECT_EQ(skerry.wait_launched(one), 128 + SIGTERM);
  EXPECT_EQ(skerry.wait_end(), 0);
}

std::string interfaces_of(pid_t pid) {
  return contents("/proc/" + std::to_string(pid) + "/net/dev");
}

// The device outlives its driver, so the host's address, routes and connections do.
TEST(Supervisor, KeepsTheTapDeviceWhileItsDriverIsReplaced) {
  if (::geteuid() != 0 || ::access("/dev/net/tun", F_OK) != 0) GTEST_SKIP() << "needs root and /dev/net/tun";
  RunningSkerry skerry(empty_plan("test", false, Uplink::tap), true);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_THAT(interfaces_of(skerry.pid()), HasSubstr("sk-test:"));
  const json driver = skerry.row("test.tap");
  EXPECT_EQ(driver["state"], "running");
  kill_process(driver["pid"]);
  EXPECT_TRUE(eventually([&] {
    EXPECT_THAT(interfaces_of(skerry.pid()), HasSubstr("sk-test:"));
    const json row = skerry.row("test.tap");
    return row["restarts"] == 1 && row["state"] == "running";
  }));
  // A vswitch that dies takes its driver along, which is no death of the driver's.
  const pid_t second = skerry.row("test.tap")["pid"];
  kill_process(skerry.row("test.vswitch")["pid"]);
  EXPECT_TRUE(eventually([&] {
    const json row = skerry.row("test.tap");
    return row["state"] == "running" && row["pid"] != second &&
           skerry.row("test.vswitch")["state"] == "running";
  }));
  EXPECT_EQ(skerry.row("test.tap")["restarts"], 1);
  EXPECT_EQ(skerry.log().find("skerry-vswitch: the link of"), std::string::npos) << skerry.log();
  EXPECT_EQ(skerry.ask(Command::down)["ok"], true);
  EXPECT_EQ(skerry.wait_end(), 0);
}

// Nothing happens, so nothing is done: the supervisor looks at its heartbeats once a second.
TEST(Supervisor, IsIdleWhenNothingHappens) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  const auto cpu_ns = [&](pid_t pid) {
    clockid_t clock;
    timespec used{};
    EXPECT_EQ(::clock_getcpuclockid(pid, &clock), 0);
    ::clock_gettime(clock, &used);
    return static_cast<uint64_t>(used.tv_sec) * kSecond + static_cast<uint64_t>(used.tv_nsec);
  };
  ::usleep(200'000);
  // A sanitizer makes everything a few times slower.
  const uint64_t allowed_ns = (confinement_is_complete() ? 6 : 30) * kMillisecond;
  // A stranger on the machine makes one window dear; who does not rest makes all of them so.
  uint64_t least = UINT64_MAX;
  for (int window = 0; window < 3 && least >= allowed_ns; ++window) {
    const uint64_t before = cpu_ns(skerry.pid());
    ::usleep(3'000'000);
    least = std::min(least, cpu_ns(skerry.pid()) - before);
  }
  EXPECT_LT(least, allowed_ns);
}

class PasstOfAProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_passt(this_machine())) GTEST_SKIP() << "passt is not installed";
    Plan plan = empty_plan("test", false, Uplink::user);
    add(plan, "one", {"/bin/sleep", "1000"});
    skerry_.emplace(plan);
    ASSERT_EQ(skerry_->ready_line()["ok"], true) << skerry_->log();
  }
  pid_t pid_of(const std::string& process) {
    const json row = skerry_->row(process);
    return row.is_null() ? -1 : row["pid"].get<pid_t>();
  }
  bool both_are_new(pid_t driver, pid_t passt) {
    return eventually([&] {
      const json row = skerry_->row("one.uplink");
      return row["state"] == "running" && row["pid"] != driver && pid_of("one.uplink.passt") != passt &&
             runs(pid_of("one.uplink.passt"));
    });
  }

  std::optional<RunningSkerry> skerry_;
};

TEST_F(PasstOfAProgram, ComesBackWithItsDriverWhicheverOfThemDies) {
  for (const char* victim : {"one.uplink.passt", "one.uplink"}) {
    const pid_t driver = pid_of("one.uplink"), passt = pid_of("one.uplink.passt");
    kill_process(pid_of(victim));
    EXPECT_TRUE(both_are_new(driver, passt)) << skerry_->log();
    EXPECT_FALSE(runs(driver) || runs(passt));
  }
  EXPECT_EQ(skerry_->row("one")["restarts"], 0) << "the program noticed nothing";
}

TEST_F(PasstOfAProgram, ComesBackWithItsVswitch) {
  const pid_t driver = pid_of("one.uplink"), passt = pid_of("one.uplink.passt");
  kill_process(pid_of("test.vswitch"));
  EXPECT_TRUE(both_are_new(driver, passt)) << skerry_->log();
}

// A program that is over for good needs nobody who leads out, also while its composition lives.
TEST(PasstOfAProgramThatEnded, EndsWithItsDriver) {
  if (!has_passt(this_machine())) GTEST_SKIP() << "passt is not installed";
  Plan plan = empty_plan("test", false, Uplink::user);
  add(plan, "one", {"/bin/sleep", "1"});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  EXPECT_TRUE(eventually([&] { return skerry.row("one")["state"] == "ended"; }));
  EXPECT_TRUE(eventually([&] { return skerry.row("one.uplink")["state"] == "ended"; })) << skerry.log();
  EXPECT_TRUE(skerry.row("one.uplink.passt").is_null());
  EXPECT_TRUE(runs(skerry.row("two.uplink.passt")["pid"].get<pid_t>()));
  EXPECT_EQ(skerry.row("two.uplink")["state"], "running");
}

TEST(ResolverOfAProgram, ComesBackAndEndsWithIt) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"}, Restart::never, "", {{"", {0x0a4d0003}, 80, false}});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line(), json({{"ok", true}})) << skerry.log();
  kill_process(skerry.row("one.resolver")["pid"]);
  EXPECT_TRUE(eventually([&] { return skerry.row("one.resolver")["restarts"] == 1; })) << skerry.log();
  kill_process(skerry.row("one")["pid"]);
  EXPECT_TRUE(eventually([&] { return skerry.row("one.resolver")["state"] == "ended"; })) << skerry.log();
  EXPECT_EQ(skerry.row("two.stack")["state"], "running");
}

// What cannot be had at one moment may be there at the next.
TEST(PasstThatIsAway, IsTriedAgain) {
  const ProgramFile file = this_machine().find_program("passt", "/");
  if (!file.executable) GTEST_SKIP() << "passt is not installed";
  char folder[] = "/tmp/skerry-passt-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string link = std::string(folder) + "/passt", path = ::getenv("PATH");
  ASSERT_EQ(::symlink(file.path.c_str(), link.c_str()), 0);
  ::setenv("PATH", folder, 1);
  {
    Plan plan = empty_plan("test", false, Uplink::user);
    add(plan, "one", {"/bin/sleep", "1000"});
    RunningSkerry skerry(plan);
    EXPECT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
    const auto pid = [&] {
      const json row = skerry.row("one.uplink.passt");
      return row.is_null() ? -1 : row["pid"].get<pid_t>();
    };
    const pid_t first = pid();
    EXPECT_EQ(::unlink(link.c_str()), 0);
    kill_process(first);
    EXPECT_TRUE(eventually([&] { return skerry.log().find("passt is not installed") != std::string::npos; }));
    EXPECT_EQ(::symlink(file.path.c_str(), link.c_str()), 0);
    EXPECT_TRUE(eventually([&] { return pid() > 0 && pid() != first && runs(pid()); })) << skerry.log();
    EXPECT_TRUE(eventually([&] { return skerry.row("one.uplink")["state"] == "running"; })) << skerry.log();
  }
  ::setenv("PATH", path.c_str(), 1);
  std::filesystem::remove_all(folder);
}

TEST_F(PasstOfAProgram, IsNeverLeftBehind) {
  const pid_t passt = pid_of("one.uplink.passt");
  EXPECT_EQ(skerry_->ask(Command::down), json({{"ok", true}}));
  EXPECT_EQ(skerry_->wait_end(), 0);
  EXPECT_FALSE(runs(passt));
}

TEST_F(PasstOfAProgram, EndsWithAKilledSupervisor) {
  const pid_t passt = pid_of("one.uplink.passt");
  kill_process(skerry_->pid());
  EXPECT_TRUE(no_children_left({passt}));
}

}  // namespace
}  // namespace skerry::supervisor
