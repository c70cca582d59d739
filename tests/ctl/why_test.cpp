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
FakeSupervisor supervisor_of(const char* name, const char* program,
                             std::function<Answer(const Request&)> of_filter) {
  supervisor::Plan plan =
      *supervisor::default_plan(name, supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  EXPECT_TRUE(supervisor::add_program(plan, {.name = program, .network = name}));
  return FakeSupervisor(
      name, {{Command::plan,
              [plan](const Request&) {
                return Answer{{{"ok", true}, {"plan", json::parse(supervisor::plan_to_json(plan))}}};
              }},
             {Command::top,
              [](const Request&) {
                return Answer{{{"ok", true}, {"processes", json::array()}}};
              }},
             {Command::filter, std::move(of_filter)}});
}

FakeSupervisor agents_supervisor(std::function<Answer(const Request&)> of_filter) {
  return supervisor_of("lan", "agent", std::move(of_filter));
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

TEST_F(WhyCommand, FindsTheOneOfSeveralThatHasTheProgram) {
  const auto says = [](const char* what) {
    return [what](const Request&) {
      return Answer{{{"ok", true}, {"next", 1}, {"rows", json::array({{{"what", what}}})}}};
    };
  };
  const FakeSupervisor lan = supervisor_of("lan", "agent", says("in lan")),
                       lab = supervisor_of("lab", "redis", says("in lab"));
  EXPECT_EQ(skerry({"why", "agent", "--count", "1"}).out, "in lan\n");
  EXPECT_EQ(skerry({"why", "redis", "--count", "1"}).out, "in lab\n");
  EXPECT_EQ(skerry({"why", "--switch", "lab", "--count", "1"}).out, "in lab\n");
  EXPECT_EQ(skerry({"why", "redis", "--net", "lan", "--count", "1"}).err,
            "skerry why: there is no stack of a program \"redis\"; write \"agent\"\n");
  EXPECT_EQ(skerry({"why", "rediss", "--count", "1"}).err,
            "skerry why: there is no stack of a program \"rediss\"; did you mean \"redis\"?\n");
  EXPECT_EQ(skerry({"why", "web", "--count", "1"}).err,
            "skerry why: there is no stack of a program \"web\"; choose one of agent, redis\n");
  const FakeSupervisor other = supervisor_of("other", "redis", says("in other"));
  EXPECT_EQ(skerry({"why", "redis", "--count", "1"}).err,
            "skerry why: several have a stack of a program \"redis\": say whose with --net and one of lab, "
            "other\n");
  EXPECT_EQ(skerry({"why", "redis", "--net", "other", "--count", "1"}).out, "in other\n");
}

TEST_F(WhyCommand, OneThatCannotBeAskedMayBeTheOneThatIsMeant) {
  const FakeSupervisor lan = agents_supervisor([](const Request&) {
    return Answer{{{"ok", true}}};
  }),
                       odd("odd", {});
  EXPECT_EQ(
      skerry({"why", "agent", "--count", "1"}).err,
      "skerry why: \"odd\" cannot be asked (the fake has no answer to that): say whose with --net NAME\n");
}

}  // namespace
}  // namespace skerry::ctl
