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

// A network with one program, whose stack answers questions about its rules so.
FakeSupervisor agents_supervisor(std::function<Answer(const Request&)> of_filter) {
  supervisor::Plan plan =
      *supervisor::default_plan("lan", supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  EXPECT_TRUE(supervisor::add_program(plan, {.name = "agent", .network = "lan"}));
  return FakeSupervisor(
      "lan", {{Command::plan,
               [plan](const Request&) {
                 return Answer{{{"ok", true}, {"plan", json::parse(supervisor::plan_to_json(plan))}}};
               }},
              {Command::top,
               [](const Request&) {
                 return Answer{{{"ok", true}, {"processes", json::array()}}};
               }},
              {Command::filter, std::move(of_filter)}});
}

// Also while no other name comes.
TEST_F(WhyCommand, SaysHowManyNamesAreNotShown) {
  const json row{{"what", "refuse"}, {"layer", "names"}, {"packet", "name b.example"}};
  const FakeSupervisor lan = agents_supervisor([row, asked = 0](const Request&) mutable {
    if (++asked < 3)
      return Answer{{{"ok", true}, {"next", 0}, {"names_left_out", 140}, {"rows", json::array()}}};
    return Answer{{{"ok", true}, {"next", 1}, {"names_left_out", 150}, {"rows", json::array({row})}}};
  });
  const Ended ended = skerry({"why", "agent", "--count", "1"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.out, "refuse  names  name b.example\n");
  EXPECT_EQ(ended.err,
            "140 more names came faster than they are told\n10 more names came faster than they are told\n");
}

TEST_F(WhyCommand, SaysWhenAsJson) {
  const json row{{"what", "log"}, {"ago_ms", UINT64_MAX}};
  const FakeSupervisor lan = agents_supervisor([row](const Request&) {
    return Answer{{{"ok", true}, {"next", 1}, {"rows", json::array({row})}}};
  });
  EXPECT_EQ(json::parse(skerry({"why", "agent", "--count", "1", "--json"}).out)["time"],
            "1970-01-01T00:00:00.000Z")
      << "no earlier than time itself";
}

}  // namespace
}  // namespace skerry::ctl
