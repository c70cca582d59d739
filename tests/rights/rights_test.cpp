// What `skerry rights` says is what the kernel says: every descriptor that a process of ours holds, and every
// piece of shared memory that it maps, is one of its grants or of a kind that it made itself and that leads
// nowhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "running_skerry.hpp"
#include "supervisor/composition.hpp"

namespace skerry::supervisor {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Holding {
  std::string process;
  pid_t pid = -1;
  std::set<uint64_t> granted;  // inodes
};

// The table of rights, by process.
std::vector<Holding> holdings(RunningSkerry& skerry) {
  std::map<std::string, Holding> by_process;
  const json reply = skerry.ask(Command::rights);
  for (const json& row : reply["rights"]) {
    if (row["kind"] == "program") continue;
    Holding& holding = by_process[row["process"]];
    holding.process = row["process"];
    holding.pid = row["pid"];
    if (row["inode"] != 0) holding.granted.insert(row["inode"].get<uint64_t>());
  }
  std::vector<Holding> result;
  for (auto& [name, holding] : by_process) result.push_back(std::move(holding));
  return result;
}

// Descriptors that the table does not know, as "7 -> socket:[1234]".
std::vector<std::string> strangers(const Holding& holding) {
  std::vector<std::string> found;
  std::error_code error;  // it may end meanwhile
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(holding.pid) + "/fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    struct stat status {};
    if (error || ::stat(entry.path().c_str(), &status) != 0) continue;
    const bool own =
        target == "anon_inode:[eventpoll]" || target == "anon_inode:[signalfd]" || target == "/dev/null";
    if (!own && !holding.granted.contains(status.st_ino))
      found.push_back(holding.process + ": " + entry.path().filename().string() + " -> " + target);
  }
  return found;
}

// Shared memory that the table does not know.
std::vector<std::string> strange_memory(const Holding& holding) {
  std::vector<std::string> found;
  std::ifstream maps("/proc/" + std::to_string(holding.pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream columns(line);
    std::string range, rights, offset, device, path;
    uint64_t inode = 0;
    columns >> range >> rights >> offset >> device >> inode >> path;
    if (path.starts_with("/memfd:") && !holding.granted.contains(inode))
      found.push_back(holding.process + ": " + line);
  }
  return found;
}

// Who has just begun still holds what it opens to begin with, and who was just told of a new link may still
// hold the old one; so this waits until everybody has been seen clean ten times in a row.
void expect_no_strangers(RunningSkerry& skerry) {
  std::vector<std::string> found;
  int clean = 0;
  EXPECT_TRUE(eventually([&] {
    found.clear();
    for (const Holding& holding : holdings(skerry)) {
      if (holding.pid <= 0) {
        found.push_back(holding.process + " has no process");
        continue;
      }
      std::ranges::move(strangers(holding), std::back_inserter(found));
      std::ranges::move(strange_memory(holding), std::back_inserter(found));
    }
    clean = found.empty() ? clean + 1 : 0;
    return clean == 10;
  }));
  EXPECT_THAT(found, testing::IsEmpty());
}

class Rights : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root may look into processes that nobody may trace";
  }
};

TEST_F(Rights, AreExactlyWhatProcShows) {
  const bool tap = ::access("/dev/net/tun", F_OK) == 0;
  Plan plan = empty_plan("test", false, tap ? Uplink::tap : Uplink::none);
  add(plan, "one", {"/bin/sleep", "1000"});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan, tap);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  EXPECT_EQ(holdings(skerry).size(), tap ? 4U : 3U);
  expect_no_strangers(skerry);
}

// In a network namespace of the test's own, which ends with it.
TEST_F(Rights, CoverAnInterfaceThatWasTaken) {
  const Fd before(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  ASSERT_EQ(::system("ip link add sk-test type veth peer name sk-far; ip link set sk-test up"), 0);
  Network network{.name = "lan", .subnet = {0x0a630000, 24}};
  ASSERT_EQ(choose_uplink(network, {Uplink::afxdp, "sk-test"}, this_machine()), "");
  Plan plan{.name = "test"};
  add_network(plan, network);
  {
    RunningSkerry skerry(plan);
    EXPECT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
    expect_no_strangers(skerry);
    kill_process(skerry.row("lan.afxdp")["pid"]);
    EXPECT_TRUE(eventually([&] {
      const json row = skerry.row("lan.afxdp");
      return row["restarts"] == 1 && row["state"] == "running";
    }));
    expect_no_strangers(skerry);
  }
  EXPECT_EQ(::setns(before.get(), CLONE_NEWNET), 0);
}

TEST_F(Rights, OfADriverToPasstAreExactToo) {
  if (!has_passt(this_machine())) GTEST_SKIP() << "passt is not installed";
  Plan plan = empty_plan("test", false, Uplink::user);
  add(plan, "one", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  EXPECT_EQ(holdings(skerry).size(), 3U) << "vswitch, stack and driver";
  expect_no_strangers(skerry);
}

// A resolver has its sockets and nothing else, also the one that takes its place; and the pair that leads to
// its stack is the same.
TEST_F(Rights, OfAResolverAreExactToo) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"}, Restart::never, "", {{"", {0x0a4d0003}, 80, false}});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  EXPECT_EQ(holdings(skerry).size(), 3U) << "vswitch, stack and resolver";
  expect_no_strangers(skerry);
  const auto inode = [&](const std::string& fd) {
    const json reply = skerry.ask(Command::rights);
    for (const json& row : reply["rights"])
      if (row["process"] == "one.resolver" && row["fd"] == fd) return row["inode"].get<uint64_t>();
    return uint64_t{0};
  };
  const uint64_t names = inode("names"), server = inode("server0");
  EXPECT_NE(names, 0u);
  kill_process(skerry.row("one.resolver")["pid"]);
  EXPECT_TRUE(eventually([&] {
    const json row = skerry.row("one.resolver");
    return row["restarts"] == 1 && row["state"] == "running";
  }));
  expect_no_strangers(skerry);
  EXPECT_EQ(inode("names"), names);
  EXPECT_NE(inode("server0"), server) << "from another port";
}

TEST_F(Rights, StayExactAfterADeath) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"}, Restart::always);
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  kill_process(skerry.row("one.stack")["pid"]);
  EXPECT_TRUE(eventually([&] {
    const json row = skerry.row("one.stack");
    return row["restarts"] == 1 && row["state"] == "running";
  }));
  expect_no_strangers(skerry);
}

// No region has more than the two neighbours that share it.
TEST_F(Rights, NoMemoryIsSharedByThree) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  add(plan, "two", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  std::map<uint64_t, std::set<std::string>> holders;
  const json reply = skerry.ask(Command::rights);
  for (const json& row : reply["rights"]) {
    if (row["what"].get<std::string>().starts_with("region "))
      holders[row["inode"].get<uint64_t>()].insert(row["process"].get<std::string>());
  }
  EXPECT_EQ(holders.size(), 2U);
  for (const auto& [inode, processes] : holders) EXPECT_EQ(processes.size(), 2U);
}

// A program holds its terminal, or what its plan gives it instead, and nothing of ours.
TEST_F(Rights, AProgramHoldsThreeDescriptors) {
  Plan plan = empty_plan("test");
  add(plan, "one", {"/bin/sleep", "1000"});
  RunningSkerry skerry(plan);
  ASSERT_EQ(skerry.ready_line()["ok"], true) << skerry.log();
  const std::vector<pid_t> init = children_of(skerry.row("one")["pid"]);
  ASSERT_EQ(init.size(), 1U);
  std::vector<pid_t> program;
  ASSERT_TRUE(eventually([&] { return !(program = children_of(init.front())).empty(); }));
  // While it starts it is still its cell's init, then the dynamic loader with a library open.
  std::set<std::string> numbers;
  eventually([&] {
    numbers.clear();
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator("/proc/" + std::to_string(program.front()) + "/fd", error))
      numbers.insert(entry.path().filename().string());
    return numbers == std::set<std::string>{"0", "1", "2"};
  });
  EXPECT_THAT(numbers, testing::ElementsAre("0", "1", "2"));
}

}  // namespace
}  // namespace skerry::supervisor
