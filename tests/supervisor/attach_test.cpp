// Programs that join a network which nobody wrote down: the network, and whom it takes.
#include "supervisor/attach.hpp"
#include <gmock/gmock.h>

#include "fake_machine.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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
