// Which core each process of a plan runs on.
#include <gtest/gtest.h>

#include "fake_machine.hpp"
#include "lan_plan.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {
namespace {

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

}  // namespace
}  // namespace skerry::supervisor
