// A plan stays sound whatever is added and removed, places processes by the rules, and says who may touch
// what.
#include "supervisor/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fake_machine.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/composition.hpp"
#include "supervisor/rights.hpp"

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Plan lan(Uplink uplink = Uplink::none) {
  Plan plan{.name = "test"};
  add_network(plan, {.name = "lan", .subnet = *parse_subnet("10.77.0.0/29"), .uplink = uplink});
  return plan;
}

Program program(const std::string& name) {
  return {
      .name = name, .argv = {name}, .executable = "/bin/" + name, .working_directory = "/", .network = "lan"};
}

Addition add(Plan& plan, const std::string& name) {
  Result<Addition> added = add_program(plan, program(name));
  EXPECT_TRUE(added);
  return *added;
}

TEST(Plan, ProgramBringsStackLinkAndPort) {
  Plan plan = lan(Uplink::tap);
  const Addition added = add(plan, "redis");
  EXPECT_THAT(check_plan(plan), ElementsAre());
  EXPECT_EQ(added.port["name"], "redis");
  EXPECT_EQ(added.port["addresses"], nlohmann::json::array({"10.77.0.2"}));
  EXPECT_EQ(plan.process("redis.stack")->settings["addresses"], nlohmann::json::array({"10.77.0.2/29"}));
  EXPECT_EQ(added.port["end"], "port1") << "port0 is the host's";
  ASSERT_EQ(added.grants.size(), 3u);
  EXPECT_EQ(added.grants[0].fd, "port1.region");
  EXPECT_EQ(added.grants[1].object, "lan.redis.to_b");
  EXPECT_EQ(added.grants[2].object, "lan.redis.to_a");
  EXPECT_EQ(plan.process("lan.vswitch")->settings["ports"].size(), 2u);
  EXPECT_EQ(plan.process("redis.stack")->settings["gateway"], "10.77.0.1");
  EXPECT_FALSE(plan.process("redis.stack")->settings.contains("gateway_holds")) << "a TAP device waits";
  EXPECT_EQ(plan.process("redis.stack")->settings["hosts"]["host"], "10.77.0.1");
  EXPECT_EQ(plan.object("lan.tap.device")->interface, "sk-lan");
}

// A socket for each queue, and a port that is cut and finished for.
TEST(Plan, AnInterfaceBringsADriverWithASocketForEachQueue) {
  Plan plan{.name = "test"};
  Network network{.name = "lan", .subnet = *parse_subnet("10.77.0.0/29")};
  EXPECT_EQ(choose_uplink(network, {Uplink::afxdp, "eth1"}, fake_machine()), "");
  add_network(plan, network);
  add(plan, "redis");
  EXPECT_THAT(check_plan(plan), ElementsAre());
  const Process* driver = plan.process("lan.afxdp");
  ASSERT_NE(driver, nullptr);
  EXPECT_EQ(driver->kind, ProcessKind::driver_afxdp);
  EXPECT_EQ(driver->settings["interface"], "eth1");
  EXPECT_EQ(driver->settings["queues"], 2);
  EXPECT_EQ(plan.object("lan.afxdp.map")->interface, "eth1");
  EXPECT_NE(plan.object("lan.afxdp.socket1"), nullptr);
  EXPECT_EQ(plan.object("lan.afxdp.socket2"), nullptr);
  EXPECT_EQ(plan.process("lan.vswitch")->settings["ports"][0]["super_frames"], false);
  EXPECT_FALSE(plan.process("lan.vswitch")->settings["ports"][1].contains("super_frames"));
  EXPECT_EQ(plan.process("redis.stack")->settings["gateway"], "10.77.0.1");
  EXPECT_FALSE(plan.process("redis.stack")->settings["hosts"].contains("host")) << "the host is not there";
  EXPECT_EQ(plan_to_json(*plan_from_json(plan_to_json(plan))), plan_to_json(plan));
}

// passt serves one guest, so each program has a driver and a gateway of its own.
TEST(Plan, WithUplinkUserEachProgramHasADriverThatIsJoinedWithItAlone) {
  Plan plan = lan(Uplink::user);
  const Addition redis = add(plan, "redis");
  add(plan, "curl");
  EXPECT_THAT(check_plan(plan), ElementsAre());
  EXPECT_EQ(redis.uplink_port["name"], "redis.uplink");
  EXPECT_EQ(redis.uplink_port["joins"], nlohmann::json::array({"redis"}));
  EXPECT_EQ(redis.uplink_port["uplink"], true);
  EXPECT_EQ(redis.uplink_port["addresses"], nlohmann::json::array());
  EXPECT_EQ(redis.port["joins"], nlohmann::json::array({"*"}));
  EXPECT_EQ(redis.grants[1].object, "lan.redis.to_b") << "those of the stack's port";
  const nlohmann::json& settings = plan.process("curl.uplink")->settings;
  EXPECT_EQ(settings["address"], "10.77.0.3");
  EXPECT_EQ(settings["gateway"], "10.77.0.1");
  EXPECT_EQ(settings["mac"], plan.process("curl.stack")->settings["mac"]);
  EXPECT_EQ(plan.process("curl.stack")->settings["gateway_holds"], 262144u);
  EXPECT_FALSE(settings.contains("hosts"));
  EXPECT_EQ(plan.process("curl")->settings["resolver"], "10.77.0.1");
  EXPECT_EQ(plan.process("curl")->settings["hosts"]["host"], "10.77.0.1");
  EXPECT_EQ(plan.object("curl.uplink.passt")->host_address, "10.77.0.1/29");
  EXPECT_EQ(plan.object("curl.uplink.passt")->guest_address, "10.77.0.3");
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("redis.uplink")->core, plan.process("lan.vswitch")->core);
}

TEST(Plan, WhoDoesNotJoinTheHostHasNoUplinkOfItsOwn) {
  Plan plan = lan(Uplink::user);
  Program inside = program("redis");
  inside.joins = {"curl"};
  const Result<Addition> added = add_program(plan, inside);
  ASSERT_TRUE(added);
  EXPECT_TRUE(added->uplink_port.is_null());
  EXPECT_EQ(plan.process("redis.uplink"), nullptr);
  EXPECT_FALSE(plan.process("redis")->settings.contains("resolver"));
  Program outside = program("curl");
  outside.joins = {"redis", "host"};
  const Result<Addition> joined = add_program(plan, outside);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->port["joins"], nlohmann::json::array({"redis", "curl.uplink"}));
}

TEST(Plan, RemovingUndoesAdding) {
  for (const Uplink uplink : {Uplink::none, Uplink::tap, Uplink::user}) {
    Plan plan = lan(uplink);
    add(plan, "keep");
    const std::string before = plan_to_json(plan);
    add(plan, "gone");
    remove_program(plan, "gone");
    EXPECT_EQ(plan_to_json(plan), before);
  }
}

TEST(Plan, PortOfALeaverIsReused) {
  Plan plan = lan();
  add(plan, "a");
  add(plan, "b");
  remove_program(plan, "a");
  EXPECT_EQ(add(plan, "c").port["end"], "port0");
  EXPECT_THAT(check_plan(plan), ElementsAre());
}

TEST(Plan, NetworkRunsOutOfAddresses) {
  Plan plan = lan();  // .2 to .6 are for programs
  for (const char* name : {"a", "b", "c", "d", "e"}) add(plan, name);
  const std::string before = plan_to_json(plan);
  const Result<Addition> refused = add_program(plan, program("f"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no free address left in 10.77.0.0/29"));
  EXPECT_EQ(plan_to_json(plan), before);
}

TEST(Plan, NameIsTaken) {
  Plan plan = lan();
  add(plan, "a");
  EXPECT_FALSE(add_program(plan, program("a")));
}

TEST(Plan, SurvivesJson) {
  Plan plan = lan(Uplink::user);
  add(plan, "redis");
  Program publishes = program("web");
  publishes.publish = {{0x7f000001, 8080, 80, false}, {0, 53, 53, true}};
  ASSERT_TRUE(add_program(plan, publishes));
  place(plan, {0, 1});
  const Result<Plan> back = plan_from_json(plan_to_json(plan));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(plan_to_json(*back), plan_to_json(plan));
  EXPECT_EQ(back->process("redis")->core, plan.process("redis")->core);
}

TEST(Plan, UnsoundJsonIsRefused) {
  Plan plan = lan();
  add(plan, "redis");
  Plan stolen = plan;
  stolen.processes.back().grants.push_back({"link.region", "lan.redis.region", Access::read_write});
  EXPECT_FALSE(plan_from_json(plan_to_json(stolen))) << "a third holder of a region";
  Plan both_ends = plan;
  for (Process& process : both_ends.processes) {
    for (Grant& grant : process.grants) {
      if (grant.object == "lan.redis.to_a") grant.access = Access::write;
    }
  }
  Plan two_guests = lan(Uplink::user);
  add(two_guests, "redis");
  two_guests.processes.back().grants.push_back({"passt", "redis.uplink.passt", Access::read_write});
  EXPECT_FALSE(plan_from_json(plan_to_json(two_guests))) << "a passt with two guests";
  EXPECT_FALSE(plan_from_json(plan_to_json(both_ends))) << "a doorbell that nobody hears";
  EXPECT_FALSE(plan_from_json("{}"));
  EXPECT_FALSE(plan_from_json("not json"));
}

TEST(Placement, ProgramAndStackShareACoreAndTheVswitchTakesTheOther) {
  Plan plan = lan();
  add(plan, "redis");
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("redis")->core, 0u);
  EXPECT_EQ(plan.process("redis.stack")->core, 0u);
  EXPECT_EQ(plan.process("lan.vswitch")->core, 1u);
}

TEST(Placement, BehindATapTheHostsProgramsHaveTheOtherCore) {
  Plan plan = lan(Uplink::tap);
  Program pinned = program("redis");
  pinned.core = 1;
  ASSERT_TRUE(add_program(plan, pinned));
  add(plan, "second");
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("lan.vswitch")->core, 1u);
  EXPECT_EQ(plan.process("lan.tap")->core, 1u);
  EXPECT_EQ(plan.process("second")->core, 0u);
}

TEST(Placement, BehindATapThatIsThereFirstProgramsSpreadAsEver) {
  for (const std::optional<unsigned> chosen : {std::optional<unsigned>(), std::optional<unsigned>(1)}) {
    Plan plan = *default_plan("lan", Uplink::tap, std::nullopt, chosen, fake_machine());
    Program first = program("first");
    first.core = chosen;
    ASSERT_TRUE(add_program(plan, first));
    add(plan, "second");
    place(plan, {0, 1});
    EXPECT_EQ(plan.process("first")->core, plan.process("lan.tap")->core);
    EXPECT_NE(plan.process("second")->core, plan.process("first")->core);
  }
}

TEST(Placement, ProgramsSpreadAndTheVswitchAvoidsTheFirst) {
  Plan plan = lan();
  add(plan, "server");
  add(plan, "client");
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("server")->core, 0u);
  EXPECT_EQ(plan.process("client")->core, 1u);
  EXPECT_EQ(plan.process("lan.vswitch")->core, 1u);
}

TEST(Placement, ExplicitCoresStay) {
  Plan plan = lan();
  Program pinned = program("pinned");
  pinned.core = 1;
  ASSERT_TRUE(add_program(plan, pinned));
  add(plan, "free");
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("pinned.stack")->core, 1u);
  EXPECT_EQ(plan.process("free")->core, 0u);
}

TEST(Placement, OneCoreTakesAll) {
  Plan plan = lan();
  add(plan, "a");
  place(plan, {3});
  for (const Process& process : plan.processes) EXPECT_EQ(process.core, 3u) << process.name;
}

TEST(Placement, SaysWhetherASecondCoreIsInTheGame) {
  Plan plan = lan(Uplink::tap);
  add(plan, "a");
  place(plan, {3});
  for (const char* name : {"lan.vswitch", "a.stack"})
    EXPECT_TRUE(plan.process(name)->settings.at("one_core")) << name;

  Program elsewhere = program("b");
  elsewhere.core = 4;
  ASSERT_TRUE(add_program(plan, elsewhere));
  place(plan, {3, 4});
  for (const char* name : {"lan.vswitch", "a.stack", "b.stack"})
    EXPECT_FALSE(plan.process(name)->settings.at("one_core")) << name;
}

TEST(Rights, NobodySharesARegionWithTwo) {
  Plan plan = lan(Uplink::tap);
  add(plan, "redis");
  add(plan, "client");
  std::map<std::string, int> holders;
  bool session_seen = false;
  for (const Right& right : rights(plan)) {
    if (right.what.starts_with("region ")) ++holders[right.what];
    if (right.process == "redis.stack" && right.fd == "link.region") {
      EXPECT_EQ(right.shared_with, "lan.vswitch");
    }
    if (right.process == "redis.stack" && right.fd == "session.region") {
      session_seen = true;
      EXPECT_EQ(right.shared_with, "redis");
    }
    if (right.fd == "tap") {
      EXPECT_EQ(right.process, "lan.tap");
    }
  }
  EXPECT_TRUE(session_seen);
  EXPECT_EQ(holders.size(), 3u);
  for (const auto& [what, count] : holders) EXPECT_EQ(count, 2) << what;
}

TEST(Rights, NumbersAreConsecutivePerProcess) {
  Plan plan = lan();
  add(plan, "redis");
  std::map<std::string, int> next;
  for (const Right& right : rights(plan)) EXPECT_EQ(right.number, next[right.process]++) << right.process;
}

TEST(Rights, SurviveJson) {
  Plan plan = lan();
  add(plan, "redis");
  const nlohmann::json table = rights_to_json(rights(plan));
  const auto back = rights_from_json(table);
  ASSERT_TRUE(back);
  EXPECT_EQ(rights_to_json(*back), table);
  EXPECT_FALSE(rights_from_json(nlohmann::json::parse(R"([{"process":1}])")));
}

RunRequest curl() {
  return {.argv = {"curl"}, .executable = "/usr/bin/curl", .working_directory = "/"};
}

TEST(Attach, DefaultPlanIsSoundAndEndsWithItsLastProgram) {
  const Result<Plan> plan = default_plan("default", Uplink::none, std::nullopt, std::nullopt, fake_machine());
  ASSERT_TRUE(plan);
  EXPECT_THAT(check_plan(*plan), ElementsAre());
  EXPECT_TRUE(plan->ends_with_last);
  EXPECT_EQ(format_subnet(plan->networks.front().subnet), "10.77.0.0/16");
}

TEST(Attach, TapAvoidsTheHostsOwnNetworks) {
  Machine machine = fake_machine();
  machine.host_subnets = {{"eth0", *parse_subnet("10.76.0.0/15")}};
  const Result<Plan> plan = default_plan("default", Uplink::tap, std::nullopt, std::nullopt, machine);
  ASSERT_TRUE(plan);
  EXPECT_EQ(format_subnet(plan->networks.front().subnet), "10.78.0.0/16");
  EXPECT_FALSE(default_plan("default", Uplink::tap, std::nullopt, std::nullopt, fake_machine(false)));
}

TEST(Attach, ACoreThatDoesNotExistIsTheProgramsMistakeBehindATapToo) {
  const Result<Plan> plan = default_plan("default", Uplink::tap, std::nullopt, 4095, fake_machine());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->process("default.tap")->core, 0u);
  RunRequest request = curl();
  request.core = 4095;
  const Result<Program> program = admit(request, *plan, fake_machine());
  ASSERT_FALSE(program);
  EXPECT_THAT(program.error().message, HasSubstr("core 4095 does not exist here"));
}

TEST(Attach, WithoutRootTheUplinkIsUserWherePasstIs) {
  EXPECT_EQ(default_uplink(fake_machine(false, true)), Uplink::user);
  EXPECT_EQ(default_uplink(fake_machine(false, false)), Uplink::none);
  EXPECT_EQ(default_uplink(fake_machine(true, true)), Uplink::none);
  EXPECT_TRUE(default_plan("default", Uplink::user, std::nullopt, std::nullopt, fake_machine(false, true)));
  const Result<Plan> without =
      default_plan("default", Uplink::user, std::nullopt, std::nullopt, fake_machine(false, false));
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().message, "uplink \"user\" needs passt: apt install passt, or write \"none\"");
}

TEST(Attach, APortIsPublishedOnce) {
  Plan plan = *default_plan("default", Uplink::user, std::nullopt, std::nullopt, fake_machine());
  RunRequest request = curl();
  request.publish = {{0, 8080, 80, false}};
  ASSERT_TRUE(add_program(plan, *admit(request, plan, fake_machine())));
  const Result<Program> second = admit(request, plan, fake_machine());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, "port 8080 of the host is published by \"curl\" already: choose another");
  request.publish = {{0, 8080, 80, true}};
  EXPECT_TRUE(admit(request, plan, fake_machine())) << "UDP has ports of its own";
}

TEST(Attach, NamesAreMadeUnique) {
  Plan plan = *default_plan("default", Uplink::none, std::nullopt, std::nullopt, fake_machine());
  for (const char* expected : {"curl", "curl-2", "curl-3"}) {
    const Result<Program> admitted = admit(curl(), plan, fake_machine());
    ASSERT_TRUE(admitted);
    EXPECT_EQ(admitted->name, expected);
    EXPECT_TRUE(admitted->attached);
    ASSERT_TRUE(add_program(plan, *admitted));
  }
}

TEST(Attach, RefusalsSayWhatToDo) {
  Plan plan = *default_plan("default", Uplink::none, std::nullopt, std::nullopt, fake_machine());
  RunRequest first = curl();
  first.address = 0x0a4d0005;
  first.name = "taken";
  ASSERT_TRUE(add_program(plan, *admit(first, plan, fake_machine())));

  const auto refusal_of = [&](auto change) {
    RunRequest request = curl();
    change(request);
    const Result<Program> result = admit(request, plan, fake_machine());
    return result ? std::string("admitted") : result.error().message;
  };
  EXPECT_EQ(refusal_of([](RunRequest& r) { r.address = 0x0a4d0005; }),
            "address 10.77.0.5 is in use by \"taken\": choose another, or leave --address out");
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.address = 0x0a000005; }), HasSubstr("is outside network"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.name = "taken"; }), HasSubstr("runs already"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.name = "A"; }), HasSubstr("may hold only"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.core = 9; }), HasSubstr("core 9 does not exist here"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.uplink = Uplink::tap; }),
              HasSubstr("runs with --uplink none"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.uplink = UplinkName(Uplink::afxdp, "eth1"); }),
              HasSubstr("runs with --uplink none"));
  EXPECT_THAT(refusal_of([](RunRequest& r) {
                r.publish = {{0, 8080, 80, false}};
              }),
              HasSubstr("ports are published by the uplink \"user\", and network \"default\" has \"none\""));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.network = "defualt"; }),
              HasSubstr("did you mean \"default\"?"));
  EXPECT_THAT(refusal_of([](RunRequest& r) { r.shares = {"/missing"}; }),
              HasSubstr("nothing at /missing to share"));
}

}  // namespace
}  // namespace skerry::supervisor
