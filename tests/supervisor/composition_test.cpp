// Every mistake that a composition can hold gets one sentence with its line; a sound one becomes a plan.
#include "supervisor/composition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fake_machine.hpp"

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string report(std::string_view text, bool root = true) {
  const Machine machine = fake_machine(root);
  const Reading reading = read_composition(text, "/srv/redis.toml", machine);
  return format_mistakes("redis.toml", reading.mistakes);
}

Plan plan_of(std::string_view text) {
  const Machine machine = fake_machine();
  Reading reading = read_composition(text, "/srv/redis.toml", machine);
  EXPECT_EQ(format_mistakes("redis.toml", reading.mistakes), "");
  return std::move(reading.plan);
}

constexpr std::string_view kSound = R"(
[network.lan]
subnet = "10.77.0.0/24"

[program.redis]
run = ["redis-server", "--save", ""]
network = "lan"
address = "10.77.0.2"
core = 0
share = ["/srv/data"]
environment = { LANG = "C", MODE = "x=y" }

[program.client]
run = ["redis-cli"]
joins = ["redis"]

[stack.redis]
sockets = 1024
stream_bytes = 65536
)";

TEST(Composition, BecomesAPlan) {
  const Plan plan = plan_of(kSound);
  EXPECT_THAT(check_plan(plan), ElementsAre());
  EXPECT_EQ(plan.name, "redis");
  ASSERT_NE(plan.program("redis"), nullptr);
  const Program& redis = *plan.program("redis");
  EXPECT_EQ(redis.executable, "/usr/bin/redis-server");
  EXPECT_THAT(redis.argv, ElementsAre("redis-server", "--save", ""));
  EXPECT_EQ(redis.working_directory, "/srv");
  EXPECT_THAT(redis.shares, ElementsAre("/srv/data"));
  EXPECT_THAT(redis.env, ElementsAre("LANG=C", "MODE=x=y"));
  EXPECT_EQ(redis.restart, Restart::on_failure);
  EXPECT_EQ(redis.stack.sockets, 1024u);
  EXPECT_EQ(redis.stack.stream_bytes, 65536u);
  EXPECT_EQ(redis.address, 0x0a4d0002u);
  EXPECT_EQ(plan.program("client")->address, 0x0a4d0003u) << "the lowest free one";
  EXPECT_THAT(plan.program("client")->joins, ElementsAre("redis"));
  EXPECT_EQ(plan.process("redis.stack")->settings["sockets"], 1024);
  EXPECT_EQ(plan.process("redis")->settings["environment"]["MODE"], "x=y");
}

TEST(Composition, AnAllowListNamesWhoComesLater) {
  const Plan plan =
      plan_of("[program.a]\nrun = [\"curl\"]\nallow = [\"b:80\", \":81\"]\n[program.b]\nrun = [\"curl\"]\n");
  EXPECT_THAT(check_plan(plan), ElementsAre());
  EXPECT_EQ(plan.process("a.stack")->settings["allow"]["fixed"][0]["address"], "10.77.0.3");
  EXPECT_EQ(plan.process("b.resolver"), nullptr);
}

TEST(Composition, AFilterAtTheTopIsForAllThatHaveNone) {
  const Plan plan = plan_of(
      "filter = \"all.nft\"\n[program.a]\nrun = [\"curl\"]\n"
      "[program.b]\nrun = [\"curl\"]\nfilter = \"own.nft\"\n");
  EXPECT_EQ(plan.filter, "/srv/all.nft");
  EXPECT_EQ(plan.program("a")->filter, "/srv/all.nft");
  EXPECT_EQ(plan.program("b")->filter, "/srv/own.nft");
}

TEST(Composition, ASwitchHasRulesOfItsOwn) {
  const Plan plan = plan_of(
      "filter = \"all.nft\"\n[network.lan]\nsubnet = \"10.77.0.0/24\"\n[network.dmz]\nsubnet = "
      "\"10.78.0.0/24\"\n[switch.lan]\nfilter = \"ports.nft\"\n");
  EXPECT_EQ(plan.network("lan")->filter, "/srv/ports.nft");
  EXPECT_EQ(plan.network("dmz")->filter, "") << "what is for all is for programs";
  EXPECT_THAT(check_plan(plan), ElementsAre());
  const std::vector<Grant>& grants = plan.process("lan.vswitch")->grants;
  const auto rules =
      std::find_if(grants.begin(), grants.end(), [](const Grant& g) { return g.fd == "rules"; });
  ASSERT_NE(rules, grants.end());
  EXPECT_EQ(rules->object, "lan.vswitch.rules");
  EXPECT_EQ(rules->access, Access::read);
  const Result<Plan> again = plan_from_json(plan_to_json(plan));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->network("lan")->filter, "/srv/ports.nft");
}

TEST(Composition, NeedsNoNetworkTable) {
  const Plan plan = plan_of("[program.a]\nrun = [\"curl\"]\n");
  ASSERT_EQ(plan.networks.size(), 1u);
  EXPECT_EQ(plan.program("a")->network, plan.networks.front().name);
}

TEST(Composition, MayBeANetworkThatProgramsJoinLater) {
  const Plan plan = plan_of("[network.lan]\nsubnet = \"10.77.0.0/24\"\n");
  EXPECT_EQ(plan.programs.size(), 0u);
  EXPECT_NE(plan.process("lan.vswitch"), nullptr);
}

TEST(Composition, HandsOutNoAddressTwice) {
  const Plan plan = plan_of(
      "[program.a]\nrun = [\"curl\"]\n[program.b]\nrun = [\"curl\"]\naddress = \"10.77.0.2\"\n"
      "[program.c]\nrun = [\"curl\"]\naddress = \"10.77.0.3\"\n");
  EXPECT_EQ(plan.program("a")->address, 0x0a4d0004u);
}

TEST(Composition, AllMistakesAreReportedInTheOrderOfTheFile) {
  EXPECT_EQ(report(R"([network.lan]
subnet = "10.77.0.0/24"
[program.redis]
run = ["redis-serve"]
core = 7
adress = "10.77.0.2"
)"),
            "redis.toml:4: the program \"redis-serve\" is not on PATH: install it, or write its whole path\n"
            "redis.toml:5: core 7 does not exist here: write one of 0, 1\n"
            "redis.toml:6: [program.redis] has no key \"adress\"; did you mean \"address\"?\n");
}

struct Case {
  const char* name;
  const char* text;
  const char* sentence;  // "LINE: words", a part of the only mistake
};

class CompositionMistake : public testing::TestWithParam<Case> {};

TEST_P(CompositionMistake, GetsOneSentence) {
  const std::string text = report(GetParam().text);
  EXPECT_THAT(text, HasSubstr("redis.toml:" + std::string(GetParam().sentence)));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

#define NETWORK "[network.lan]\nsubnet = \"10.77.0.0/24\"\n"                           // lines 1 and 2
#define PROGRAM NETWORK "[program.redis]\nrun = [\"curl\"]\n"                          // lines 3 and 4
#define USER_PROGRAM NETWORK "uplink = \"user\"\n[program.redis]\nrun = [\"curl\"]\n"  // lines 4 and 5

INSTANTIATE_TEST_SUITE_P(
    Every, CompositionMistake,
    testing::Values(
        Case{"Syntax", "[program.redis\nrun = 1\n", "1: this is no TOML: "},
        Case{"DuplicateProgram", PROGRAM "[program.redis]\n", "5: this is no TOML: "},
        Case{"DuplicateKey", PROGRAM "core = 0\ncore = 1\n", "6: this is no TOML: "},
        Case{"Empty", "", "1: nothing is to run here: write at least one [program.NAME]"},
        Case{"UnknownTable", PROGRAM "[programm.x]\nrun = [\"curl\"]\n",
             "5: the top of the file has no key \"programm\"; did you mean \"program\"?"},
        Case{"UnknownKey", PROGRAM "cor = 1\n",
             "5: [program.redis] has no key \"cor\"; did you mean \"core\"?"},
        Case{"UnknownNetworkKey", NETWORK "subnett = \"10.0.0.0/8\"\n",
             "3: [network.lan] has no key \"subnett\"; did you mean \"subnet\"?"},
        Case{"KeyLikeNoOther", PROGRAM "zzzzzz = 1\n",
             "5: [program.redis] has no key \"zzzzzz\"; choose one of run,"},
        Case{"ProgramWithoutName", "[program]\nrun = [\"curl\"]\n",
             "2: \"program\" must be a table with a name: write [program.NAME], and \"run\" below it"},
        Case{"ProgramIsNoTable", NETWORK "[x]\n", "3: the top of the file has no key \"x\""},
        Case{"CoreIsText", PROGRAM "core = \"0\"\n",
             "5: \"core\" in [program.redis] must be a whole number, not a text: write core = 0"},
        Case{"RunIsText", "[program.redis]\nrun = \"curl\"\n",
             "2: \"run\" in [program.redis] must be an array of texts, not a text: write run = "
             "[\"redis-server\""},
        Case{"RunHoldsNumber", "[program.redis]\nrun = [\"curl\", 6379]\n",
             "2: \"run\" in [program.redis] must be an array of texts, not a whole number"},
        Case{"RunIsMissing", NETWORK "[program.redis]\ncore = 0\n",
             "3: [program.redis] does not say what to run: write run = ["},
        Case{"RunIsEmpty", "[program.redis]\nrun = []\n",
             "2: \"run\" in [program.redis] is empty: write run = ["},
        Case{"NotOnPath", "[program.redis]\nrun = [\"redis-serve\"]\n",
             "2: the program \"redis-serve\" is not on PATH: install it"},
        Case{"NoSuchFile", "[program.redis]\nrun = [\"./nothing\"]\n",
             "2: there is no file \"./nothing\" to run"},
        Case{"NotExecutable", "[program.redis]\nrun = [\"./plain.txt\"]\n",
             "2: /srv/plain.txt is not executable: chmod +x it"},
        Case{"NoSuchCore", PROGRAM "core = 2\n", "5: core 2 does not exist here: write one of 0, 1"},
        Case{"NegativeCore", PROGRAM "core = -1\n", "5: core -1 does not exist here"},
        Case{"SubnetMissing", "[network.lan]\n",
             "1: [network.lan] has no subnet: write subnet = \"10.77.0.0/24\""},
        Case{"SubnetMalformed", "[network.lan]\nsubnet = \"10.77.0.0\"\n",
             "2: \"10.77.0.0\" is no IPv4 network"},
        Case{"SubnetHostPart", "[network.lan]\nsubnet = \"10.77.0.1/24\"\n",
             "2: \"10.77.0.1/24\" is no IPv4 network"},
        Case{"SubnetTooSmall", "[network.lan]\nsubnet = \"10.77.0.0/31\"\n",
             "2: \"10.77.0.0/31\" is no IPv4 network"},
        Case{"SubnetsOverlap", NETWORK "[network.b]\nsubnet = \"10.77.0.128/25\"\n",
             "4: 10.77.0.128/25 overlaps 10.77.0.0/24 of network \"lan\": write another"},
        Case{"SubnetOfHost", "[network.lan]\nsubnet = \"192.168.0.0/16\"\nuplink = \"tap\"\n",
             "2: 192.168.0.0/16 overlaps 192.168.1.0/24 on eth0 of this machine"},
        Case{"UnknownUplink", NETWORK "uplink = \"tun\"\n",
             "3: there is no uplink \"tun\": write \"user\", \"tap\", \"afxdp:INTERFACE\" or \"none\""},
        Case{"UplinkWithoutInterface", NETWORK "uplink = \"afxdp:\"\n", "3: there is no uplink \"afxdp:\""},
        Case{"UplinkInterfaceAbsent", NETWORK "uplink = \"afxdp:eth7\"\n",
             "3: there is no interface \"eth7\" here: write one that `ip link` shows"},
        Case{"UplinkInterfaceInUse", NETWORK "uplink = \"afxdp:eth0\"\n",
             "3: the host itself uses eth0 as a member of br0, and would hear nothing through it any more: "
             "write "
             "another interface, or take it out of there"},
        Case{"UplinkInterfaceTooWide", NETWORK "uplink = \"afxdp:eth9\"\n",
             "3: eth9 has 99 queues and at most 64 can be had"},
        Case{"FilterIsMissing", PROGRAM "filter = \"missing.nft\"\n",
             "5: there is no file /srv/missing.nft with rules: write it, or write another path"},
        Case{"SwitchOfNobody", NETWORK "[switch.lam]\nfilter = \"ports.nft\"\n",
             "3: [switch.lam] is the switch of no network; did you mean \"lan\"?"},
        Case{"SwitchHasOnlyAFilter", NETWORK "[switch.lan]\nfiltre = \"ports.nft\"\n",
             "4: [switch.lan] has no key \"filtre\"; did you mean \"filter\"?"},
        Case{"PublishWithoutUplink", PROGRAM "publish = [\"8080:80\"]\n",
             "5: ports are published by the uplink \"user\", and network \"lan\" has \"none\": choose that "
             "one"},
        Case{"PublishWithoutHost", USER_PROGRAM "publish = [\"8080:80\"]\njoins = []\n",
             "6: \"redis\" publishes a port but is not joined with \"host\": add it to joins"},
        Case{"PublishTwice", USER_PROGRAM "publish = [\"8080:80\", \"127.0.0.1:8080:81\"]\n",
             "6: port 8080 of the host is published twice by \"redis\""},
        Case{"PublishOnTwoAddresses",
             USER_PROGRAM "publish = [\"127.0.0.1:8080:80\", \"192.168.1.5:8080:80\"]\n",
             "6: port 8080 of the host is published twice by \"redis\", and passt listens on a number once"},
        Case{"PublishTaken",
             USER_PROGRAM "publish = [\"8080:80\"]\n[program.b]\nrun = [\"curl\"]\npublish = [\"8080:80\"]\n",
             "9: port 8080 of the host is published by \"redis\" already: choose another"},
        Case{"PublishMalformed", USER_PROGRAM "publish = [\"80\"]\n",
             "6: \"80\" publishes no port: write HOSTPORT:PORT as 8080:80"},
        Case{"NetworkNameTooLong", "[network.averylongname]\nsubnet = \"10.77.0.0/24\"\n",
             "1: the name \"averylongname\" is longer than 12 characters"},
        Case{"ProgramName", "[program.Redis]\nrun = [\"curl\"]\n", "1: the name \"Redis\" may hold only a-z"},
        Case{"ProgramNamedHost", "[program.host]\nrun = [\"curl\"]\n",
             "1: the name \"host\" means the machine itself"},
        Case{"CompositionName", "name = \"a b\"\n" PROGRAM, "1: the name \"a b\" may hold only"},
        Case{"UnknownNetwork", PROGRAM "network = \"lam\"\n",
             "5: there is no network \"lam\"; did you mean \"lan\"?"},
        Case{"WhichNetwork", PROGRAM "[network.b]\nsubnet = \"10.78.0.0/24\"\n",
             "3: [program.redis] does not say which network it is in: write network = \"lan\""},
        Case{"AddressMalformed", PROGRAM "address = \"10.77.0\"\n",
             "5: \"10.77.0\" is no IPv4 address: write \"10.77.0.2\""},
        Case{"AddressLeadingZero", PROGRAM "address = \"10.77.0.02\"\n",
             "5: \"10.77.0.02\" is no IPv4 address"},
        Case{"AddressOutside", PROGRAM "address = \"10.78.0.2\"\n",
             "5: address 10.78.0.2 is outside network \"lan\" (10.77.0.0/24): write \"10.77.0.2\""},
        Case{"AddressOfNetwork", PROGRAM "address = \"10.77.0.0\"\n",
             "5: address 10.77.0.0 is the network's own"},
        Case{"AddressBroadcast", PROGRAM "address = \"10.77.0.255\"\n",
             "5: address 10.77.0.255 is the broadcast address"},
        Case{"AddressOfHost", PROGRAM "address = \"10.77.0.1\"\n",
             "5: address 10.77.0.1 is kept for the host"},
        Case{"AddressTwice",
             PROGRAM "address = \"10.77.0.2\"\n[program.b]\nrun = [\"curl\"]\naddress = \"10.77.0.2\"\n",
             "8: address 10.77.0.2 is taken by program \"redis\""},
        Case{"MacMalformed", PROGRAM "mac = \"02:00\"\n", "5: \"02:00\" is no MAC address of one host"},
        Case{"MacMulticast", PROGRAM "mac = \"03:00:00:00:00:01\"\n",
             "5: \"03:00:00:00:00:01\" is no MAC address of one host"},
        Case{"MacTwice",
             PROGRAM
             "mac = \"02:00:00:00:00:01\"\n[program.b]\nrun = [\"curl\"]\nmac = \"02:00:00:00:00:01\"\n",
             "8: MAC address 02:00:00:00:00:01 is taken by program \"redis\""},
        Case{"JoinsUnknown", PROGRAM "joins = [\"clint\"]\n[program.client]\nrun = [\"curl\"]\n",
             "5: there is no \"clint\" in network \"lan\" to join; did you mean \"client\"?"},
        Case{"JoinsItself", PROGRAM "joins = [\"redis\"]\n",
             "5: program \"redis\" cannot join itself; leave it out"},
        Case{"JoinsHostWithoutUplink", PROGRAM "joins = [\"host\"]\n",
             "5: network \"lan\" has no uplink by which to join the host"},
        Case{"AllowWithoutPort", PROGRAM "allow = [\"a.example\"]\n",
             "5: \"a.example\" says no port to allow"},
        Case{"AllowBeyondTheNetwork", PROGRAM "allow = [\"a.example:1\"]\n",
             "5: \"a.example\" names nobody in network \"lan\", which has no uplink"},
        Case{"ResolverMalformed", PROGRAM "allow = [\"10.77.0.9:1\"]\nresolver = \"quad9\"\n",
             "6: \"quad9\" is no name server's address"},
        Case{"ResolverOfNobody", PROGRAM "resolver = \"9.9.9.9\"\n",
             "5: the resolver of [program.redis] is asked for names that \"allow\" lists"},
        Case{"RestartRule", PROGRAM "restart = \"allways\"\n",
             "5: there is no restart rule \"allways\"; did you mean \"always\"?"},
        Case{"DirectoryMissing", PROGRAM "directory = \"missing\"\n",
             "5: there is no directory /srv/missing"},
        Case{"ShareMissing", PROGRAM "share = [\"/missing\"]\n", "5: there is nothing at /missing to share"},
        Case{"StdoutNowhere", PROGRAM "stdout = \"missing/log\"\n",
             "5: there is no directory /srv/missing for stdout"},
        Case{"EnvironmentType", PROGRAM "environment = { A = 1 }\n",
             "5: \"environment\" in [program.redis] must be a table of texts, not a whole number"},
        Case{"StackOfNobody", PROGRAM "[stack.redsi]\nsockets = 64\n",
             "5: [stack.redsi] is the stack of no program; did you mean \"redis\"?"},
        Case{"SocketsTooFew", PROGRAM "[stack.redis]\nsockets = 10\n",
             "6: sockets = 10 must be a multiple of 64 from 64 to 65536: write sockets = 16384"},
        Case{"StreamTooSmall", PROGRAM "[stack.redis]\nstream_bytes = 1024\n",
             "6: stream_bytes = 1024 must be a power of two from 16384"},
        Case{"StreamNoPower", PROGRAM "[stack.redis]\nstream_bytes = 100000\n",
             "6: stream_bytes = 100000 must be"},
        Case{"LayoutPlanned", "layout = \"direct\"\n" PROGRAM,
             "1: layout \"direct\" is not there yet: write \"split\""},
        Case{"LayoutUnknown", "layout = \"fast\"\n" PROGRAM,
             "1: there is no layout \"fast\": write \"split\""}),
    [](const testing::TestParamInfo<Case>& each) { return each.param.name; });

TEST(Composition, EveryExampleIsSound) {
  size_t examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SKERRY_COMPOSITIONS)) {
    const Result<Plan> plan = load_composition(entry.path().string(), fake_machine());
    EXPECT_TRUE(plan) << plan.error().message;
    ++examples;
  }
  EXPECT_GE(examples, 3u);
}

TEST(Composition, TapNeedsRoot) {
  EXPECT_THAT(report(NETWORK "uplink = \"tap\"\n", false),
              HasSubstr("redis.toml:3: uplink \"tap\" needs root: start with sudo, or write \"none\""));
  EXPECT_EQ(report(NETWORK "uplink = \"tap\"\n", true), "");
}

TEST(Composition, UserNeedsPasstAndNoRoot) {
  constexpr const char* kUser = NETWORK "uplink = \"user\"\n";
  EXPECT_EQ(report(kUser, false), "");
  const Reading without = read_composition(kUser, "redis.toml", fake_machine(false, false));
  ASSERT_EQ(without.mistakes.size(), 1u);
  EXPECT_EQ(without.mistakes.front().sentence,
            "uplink \"user\" needs passt: apt install passt, or write \"none\"");
}

TEST(Composition, FileThatIsNotThere) {
  const Result<Plan> plan = load_composition("/nowhere/redis.toml", fake_machine());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message, "cannot read /nowhere/redis.toml: there is no such file");
  const Result<Plan> directory = load_composition("/", fake_machine());
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, "/ is a directory: give a composition file");
}

}  // namespace
}  // namespace skerry::supervisor
