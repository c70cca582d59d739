// A plan stays sound whatever is added and removed, and says who may touch what.
#include "supervisor/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fake_machine.hpp"
#include "lan_plan.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/composition.hpp"
#include "supervisor/rights.hpp"

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

}  // namespace
}  // namespace skerry::supervisor
