// What `skerry graph` draws: every process once, every link, the session and the way out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/graph_dot.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::ctl {
namespace {

using supervisor::Uplink;
using testing::HasSubstr;
using testing::Not;

supervisor::Plan plan_with(Uplink uplink) {
  supervisor::Plan plan{.name = "test"};
  supervisor::add_network(
      plan, {.name = "lan", .subnet = *supervisor::parse_subnet("10.77.0.0/24"), .uplink = uplink});
  supervisor::Program web{
      .name = "web", .argv = {"nginx"}, .executable = "/usr/sbin/nginx", .network = "lan"};
  if (uplink == Uplink::user) {
    web.publish = {{0, 8080, 80, false}};
    web.allow = {{"", {0x0a4d0009}, 80, false}};
  }
  EXPECT_TRUE(supervisor::add_program(plan, web));
  supervisor::place(plan, {0, 1});
  return plan;
}

TEST(Graph, ShowsEveryProcessAndWhatJoinsThem) {
  const std::string dot = dot_of(plan_with(Uplink::none), nlohmann::json::array());
  EXPECT_THAT(dot, HasSubstr("graph \"test\" {"));
  EXPECT_THAT(dot, HasSubstr("label=\"lan 10.77.0.0/24\""));
  EXPECT_THAT(dot, HasSubstr(R"("web" [label="web\nprogram\n10.77.0.2\ncore 0" style="bold"];)"));
  EXPECT_THAT(dot, HasSubstr(R"("lan.vswitch" [label="lan.vswitch\nvswitch\ncore 1" style="solid"];)"));
  EXPECT_THAT(dot, HasSubstr(R"("web" -- "web.stack" [label="session"];)"));
  EXPECT_THAT(dot, HasSubstr(R"("web.stack" -- "lan.vswitch" [label="lan.web"];)"));
  EXPECT_THAT(dot, Not(HasSubstr("\"host\"")));
}

TEST(Graph, ShowsTheWayOut) {
  const std::string tap = dot_of(plan_with(Uplink::tap), nlohmann::json::array());
  EXPECT_THAT(tap, HasSubstr(R"("lan.tap" -- "host" [label="sk-lan"];)"));
  const std::string user = dot_of(plan_with(Uplink::user), nlohmann::json::array());
  EXPECT_THAT(user, HasSubstr(R"("web.uplink" -- "lan.vswitch" [label="lan.web.uplink"];)"));
  EXPECT_THAT(user, HasSubstr(R"("web.uplink" -- "web.uplink.passt" [label="socket"];)"));
  EXPECT_THAT(user, HasSubstr(R"("web.uplink.passt" -- "host" [label="8080:80"];)"));
  EXPECT_THAT(user, HasSubstr(R"("web.stack" -- "web.resolver" [label="names"];)"));
}

TEST(Graph, ShowsWhoDoesNotRun) {
  const nlohmann::json rows = {{{"name", "web"}, {"state", "running"}, {"restarts", 2U}},
                               {{"name", "web.stack"}, {"state", "failed"}, {"restarts", 0U}}};
  const std::string dot = dot_of(plan_with(Uplink::none), rows);
  EXPECT_THAT(dot, HasSubstr(R"(core 0\nstarted 3 times" style="bold"];)"));
  EXPECT_THAT(dot, HasSubstr(R"(core 0\nfailed" style="dashed" color="gray50" fontcolor="gray50"];)"));
}

}  // namespace
}  // namespace skerry::ctl
