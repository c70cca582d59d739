// Allow-lists as people write them, and what becomes of them in a plan.
#include "supervisor/allow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fake_machine.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/rights.hpp"

namespace skerry::supervisor {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Allow allow(std::string_view text) {
  const Result<Allow> parsed = parse_allow(text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : Allow{};
}

TEST(Allow, IsANameOrAnAddressAndAPort) {
  EXPECT_EQ(allow("api.example.org:443"), (Allow{"api.example.org", {}, 443, false}));
  EXPECT_EQ(allow("API.Example.org.:443/tcp"), (Allow{"api.example.org", {}, 443, false}));
  EXPECT_EQ(allow("time.example.org:123/udp"), (Allow{"time.example.org", {}, 123, true}));
  EXPECT_EQ(allow("db_2:5432"), (Allow{"db_2", {}, 5432, false}));
  EXPECT_EQ(allow("10.77.0.3:65535"), (Allow{"", {0x0a4d0003}, 65535, false}));
  EXPECT_TRUE(allow(":80").is_incoming());
  for (const char* text :
       {"api.example.org:443", "time.example.org:123/udp", "10.77.0.3:80", ":80", ":53/udp"})
    EXPECT_EQ(format_allow(allow(text)), text);
}

TEST(Allow, WhatIsNoneIsToldInOneSentence) {
  for (const auto& [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "says no port"},
           {"api.example.org", "says no port"},
           {"api.example.org:", "says no port"},
           {"api.example.org:0", "says no port"},
           {"api.example.org:65536", "says no port"},
           {"api.example.org:https", "says no port"},
           {"api.example.org:443/sctp", "protocol"},
           {"*.example.org:443", "write each name"},
           {"[2001:db8::1]:443", "IPv6"},
           {"2001:db8::1:443", "IPv6"},
           {"1.2.3:80", "neither a name nor an address"},
           {"1.2.3.256:80", "neither a name nor an address"},
           {"0.0.0.0:80", "nobody has"},
           {"a..b:80", "neither"},
           {"a b:80", "neither"},
           {"https://a.example:443", "protocol"},
           {"a\"b:80", "neither"}}) {
    const Result<Allow> parsed = parse_allow(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, StartsWith("\"" + std::string(text) + "\" "));
    EXPECT_THAT(parsed.error().message, HasSubstr(why));
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("\n")));
  }
}

Plan lan(Uplink uplink = Uplink::user) {
  Plan plan{.name = "test"};
  add_network(plan, {.name = "lan", .subnet = *parse_subnet("10.77.0.0/29"), .uplink = uplink});
  return plan;
}

Program program(const std::string& name, std::initializer_list<const char*> allowed = {}) {
  Program program{
      .name = name, .argv = {name}, .executable = "/bin/" + name, .working_directory = "/", .network = "lan"};
  for (const char* text : allowed) program.allow.push_back(allow(text));
  if (!program.allow.empty()) program.name_servers = {"9.9.9.9:53", "[::1]:53"};
  return program;
}

TEST(AllowList, BringsAResolverWithAWayToItsStackAndToEachServer) {
  Plan plan = lan();
  ASSERT_TRUE(add_program(plan, program("curl", {"api.example.org:443"})));
  EXPECT_THAT(check_plan(plan), ElementsAre());
  const Process* resolver = plan.process("curl.resolver");
  ASSERT_NE(resolver, nullptr);
  EXPECT_EQ(resolver->kind, ProcessKind::resolver);
  EXPECT_TRUE(serves_one_program(*resolver));
  EXPECT_EQ(resolver->settings["servers"], json::parse(R"(["9.9.9.9:53","[::1]:53"])"));
  EXPECT_EQ(plan.object("curl.resolver.server1")->host_address, "[::1]:53");
  EXPECT_EQ(plan.process("curl")->settings["resolver"], "127.0.0.53") << "instead of passt's";
  EXPECT_EQ(plan_to_json(*plan_from_json(plan_to_json(plan))), plan_to_json(plan));
  place(plan, {0, 1});
  EXPECT_EQ(plan.process("curl.resolver")->core, plan.process("curl")->core) << "who asks much pays for it";
  std::map<std::string, std::string> shared;
  for (const Right& right : rights(plan))
    if (right.process == "curl.resolver") shared[right.fd] = right.shared_with;
  EXPECT_EQ(shared["names"], "curl.stack");
  EXPECT_EQ(shared["server0"], "9.9.9.9:53");
  remove_program(plan, "curl");
  EXPECT_THAT(check_plan(plan), ElementsAre());
  EXPECT_EQ(plan.object("curl.names"), nullptr);
}

TEST(AllowList, WithoutOneThereIsNoResolver) {
  Plan plan = lan();
  ASSERT_TRUE(add_program(plan, program("curl")));
  EXPECT_EQ(plan.process("curl.resolver"), nullptr);
  EXPECT_FALSE(plan.process("curl.stack")->settings.contains("allow"));
  EXPECT_EQ(plan.process("curl")->settings["resolver"], "10.77.0.1");
}

TEST(AllowList, TellsStackAndResolverWhatIsKnown) {
  Plan plan = lan();
  Program curl = program(
      "curl", {"api.example.org:443", "api.example.org:53/udp", "db:5432", "host:22", "1.2.3.4:80", ":81"});
  curl.allow[2].addresses = {0xc0a80105};  // hosts(5) knows one of this name, who is not meant
  ASSERT_TRUE(add_program(plan, curl));
  ASSERT_TRUE(add_program(plan, program("db")));
  const json& stack = plan.process("curl.stack")->settings["allow"];
  EXPECT_EQ(stack["of_names"], json::parse(R"([{"port":443,"udp":false},{"port":53,"udp":true}])"));
  EXPECT_EQ(stack["fixed"], json::parse(R"([{"address":"10.77.0.3","port":5432,"udp":false},
      {"address":"10.77.0.1","port":22,"udp":false},{"address":"1.2.3.4","port":80,"udp":false}])"));
  EXPECT_EQ(stack["own"], json::parse(R"(["10.77.0.0/29"])"));
  const json& resolver = plan.process("curl.resolver")->settings;
  EXPECT_EQ(resolver["own"], stack["own"]);
  EXPECT_EQ(resolver["names"], json::parse(R"([
      {"name":"api.example.org","fixed":[],"ports":[{"port":443,"udp":false},{"port":53,"udp":true}]},
      {"name":"db","fixed":["10.77.0.3"],"ports":[{"port":5432,"udp":false}]},
      {"name":"host","fixed":["10.77.0.1"],"ports":[{"port":22,"udp":false}]}])"));
}

TEST(AllowList, MeansWhomItMeantWhenItsProgramWasStarted) {
  Plan plan = lan();
  Program first = program("one", {"db:5432", "store:80"}), second = program("db"), third = program("store");
  for (Program* each : {&second, &first, &third}) {
    each->attached = true;
    ASSERT_TRUE(add_program(plan, *each));
  }
  const auto settings = [&] {
    return std::pair(plan.process("one.stack")->settings["allow"], plan.process("one.resolver")->settings);
  };
  const auto before = settings();
  EXPECT_EQ(before.first["fixed"], json::parse(R"([{"address":"10.77.0.2","port":5432,"udp":false}])"));
  EXPECT_EQ(before.first["of_names"], json::parse(R"([{"port":80,"udp":false}])")) << "store came later";
  remove_program(plan, "db");
  EXPECT_EQ(settings(), before);
}

TEST(AllowList, BecomesRules) {
  EXPECT_EQ(allow_rules(program("curl")), "");
  EXPECT_FALSE(has_rules(program("curl")));
  Program server = program("web", {"db:5432", ":80", ":53/udp"});
  server.publish = {{0, 8080, 8000, false}};
  EXPECT_TRUE(has_rules(server));
  const std::string rules = allow_rules(server);
  EXPECT_THAT(rules, HasSubstr("tcp dport 80 accept\n"));
  EXPECT_THAT(rules, HasSubstr("udp dport 53 accept\n"));
  EXPECT_THAT(rules, HasSubstr("tcp dport 8000 accept\n"));
  EXPECT_THAT(rules, Not(HasSubstr("5432"))) << "that is for the set";
}

std::string defect(const Program& program, Uplink uplink, const std::vector<std::string>& members = {}) {
  return allow_defect(program, {.name = "lan", .subnet = {0x0a4d0000, 24}, .uplink = uplink}, members);
}

TEST(AllowList, ThatCannotBeKeptIsRefused) {
  EXPECT_EQ(defect(program("curl", {"api.example.org:443"}), Uplink::user), "");
  EXPECT_EQ(defect(program("curl", {"api.example.org:443"}), Uplink::afxdp), "");
  EXPECT_EQ(defect(program("curl", {"db:1", "1.2.3.4:5", ":80"}), Uplink::none, {"db"}), "");
  EXPECT_THAT(defect(program("curl", {"bd:1"}), Uplink::none, {"db"}),
              StartsWith("\"bd\" names nobody in network \"lan\", which has no uplink"));
  Program inside = program("curl", {"api.example.org:443"});
  inside.joins = {"db"};
  EXPECT_THAT(defect(inside, Uplink::user), HasSubstr("add \"host\" to joins"));
  Program without = program("curl", {"api.example.org:443"});
  without.name_servers.clear();
  EXPECT_THAT(defect(without, Uplink::user), HasSubstr("/etc/resolv.conf names no server that can be asked"));
  Program much = program("curl");
  much.allow.assign(65, allow("1.2.3.4:5"));
  EXPECT_THAT(defect(much, Uplink::user), HasSubstr("room for 64 entries"));
}

TEST(AllowList, TheMachinesHostsAndServersAreTaken) {
  Machine machine = fake_machine();
  machine.name_servers = {"127.0.0.53:53"};
  machine.hosts = {{"nas", 0xc0a80105}, {"myhost", 0x7f000101}, {"localhost", 0x7f000001}};
  Plan plan = lan();
  RunRequest request{.argv = {"curl"}, .executable = "/usr/bin/curl", .working_directory = "/"};
  request.allow = {allow("nas:80"), allow("api.example.org:443")};
  Result<Program> admitted = admit(request, plan, machine);
  ASSERT_TRUE(admitted) << admitted.error().message;
  EXPECT_THAT(admitted->allow[0].addresses, ElementsAre(0xc0a80105u));
  EXPECT_THAT(admitted->allow[1].addresses, ElementsAre());
  EXPECT_THAT(admitted->name_servers, ElementsAre("127.0.0.53:53"));
  request.allow[1] = allow("myhost:80");
  admitted = admit(request, plan, machine);
  ASSERT_TRUE(admitted) << admitted.error().message;
  EXPECT_THAT(admitted->allow[1].addresses, ElementsAre()) << "in the cell that is another's loopback";
  EXPECT_THAT(admitted->name_servers, ElementsAre("127.0.0.53:53")) << "so they are asked";
  request.allow[1] = allow("localhost:80");
  EXPECT_THAT(admit(request, plan, machine)->allow[1].addresses, ElementsAre(0x7f000001u));
  request.allow.pop_back();
  EXPECT_THAT(admit(request, plan, machine)->name_servers, ElementsAre()) << "nobody is asked for anything";
  request.allow.push_back(allow("api.example.org:443"));
  request.name_servers = {"9.9.9.9:53"};
  EXPECT_THAT(admit(request, plan, machine)->name_servers, ElementsAre("9.9.9.9:53"));
  request.network = "lan";
  Plan closed = lan(Uplink::none);
  admitted = admit(request, closed, machine);
  ASSERT_FALSE(admitted);
  EXPECT_THAT(admitted.error().message, StartsWith("\"api.example.org\" names nobody"));
  request.name = "web";
  request.allow = {allow("web:80")};
  admitted = admit(request, closed, machine);
  EXPECT_TRUE(admitted) << "its own name is known as in a composition: " << admitted.error().message;
}

}  // namespace
}  // namespace skerry::supervisor
