// `skerry why`: what it says beside the rows that it is given.
#include "fake_supervisor.hpp"
#include "supervisor/attach.hpp"

namespace skerry::ctl {
namespace {

using nlohmann::json;
using supervisor::Command;
using supervisor::Request;
using Answer = FakeSupervisor::Answer;

class WhyCommand : public WithCommand {};

// Also while no other name comes.
TEST_F(WhyCommand, SaysHowManyNamesAreNotShown) {
  supervisor::Plan plan =
      *supervisor::default_plan("lan", supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  ASSERT_TRUE(supervisor::add_program(plan, {.name = "agent", .network = "lan"}));
  const json row{{"what", "refuse"}, {"layer", "names"}, {"packet", "name b.example"}};
  const FakeSupervisor lan(
      "lan",
      {{Command::plan,
        [plan](const Request&) {
          return Answer{{{"ok", true}, {"plan", json::parse(supervisor::plan_to_json(plan))}}};
        }},
       {Command::top,
        [](const Request&) {
          return Answer{{{"ok", true}, {"processes", json::array()}}};
        }},
       {Command::filter, [row, asked = 0](const Request&) mutable {
          if (++asked < 3)
            return Answer{{{"ok", true}, {"next", 0}, {"names_left_out", 140}, {"rows", json::array()}}};
          return Answer{{{"ok", true}, {"next", 1}, {"names_left_out", 150}, {"rows", json::array({row})}}};
        }}});
  const Ended ended = skerry({"why", "agent", "--count", "1"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.out, "refuse  names  name b.example\n");
  EXPECT_EQ(ended.err,
            "140 more names came faster than they are told\n10 more names came faster than they are told\n");
}

}  // namespace
}  // namespace skerry::ctl
