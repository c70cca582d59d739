// `skerry filter` as people use it: nft's own words about a text, ours about what nft lets pass, and dry
// runs.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "filter_command.hpp"
#include "run/confine.hpp"
#include "supervisor/attach.hpp"

namespace skerry::ctl {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(FilterCommand, CheckSaysWhatItUnderstood) {
  const Ended ended = check(
      "flush ruleset\ntable inet web {\n counter total { }\n set ours { type ipv4_addr; elements = { "
      "10.0.0.1 "
      "} }\n"
      " chain in {\n  type filter hook input priority 5; policy drop;\n  iifname lo accept\n"
      "  ip saddr @ours tcp dport { ssh, 80 } counter name total accept\n }\n}\n");
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(
      ended.out,
      "table inet web\n  chain in: hook input, priority 5, policy drop, 2 rules\n  set ours: 1 element\n"
      "  counter total\nunderstood: 1 table, 1 chain, 2 rules, 2 sets\n");
}

TEST_F(FilterCommand, CheckWarnsOfRulesThatNoPacketComesTo) {
  const Ended ended = check(
      "table inet t {\n chain unused { accept; }\n chain in {\n  type filter hook input priority 0;\n"
      "  ip saddr 10.0.0.0/8 drop\n  tcp dport 80 accept\n  ip saddr 10.1.2.3 tcp dport 81 accept\n"
      "  tcp dport 80-90 tcp dport 91 accept\n  drop\n  counter\n }\n}\n");
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.err, HasSubstr("r.nft: warning: no packet comes to chain unused of table inet t\n"));
  EXPECT_THAT(ended.err, HasSubstr("r.nft:7: warning: no packet comes so far: " + folder_ +
                                   "/r.nft:5 decides about all that"));
  EXPECT_THAT(ended.err, HasSubstr("r.nft:8: warning: no packet is what this rule asks for\n"));
  EXPECT_THAT(ended.err, HasSubstr("r.nft:9 decides about all packets\n"));
  EXPECT_THAT(ended.err, Not(HasSubstr(":6:")));
}

// Rules lead there, but no packet comes to those.
TEST_F(FilterCommand, CheckWarnsOfChainsThatNoPacketComesTo) {
  const Ended ended = check(
      "table inet t {\n chain b { accept; }\n chain a { jump b; }\n chain in {\n"
      "  type filter hook input priority 0;\n  drop\n  jump b\n }\n}\n");
  for (const char* chain : {"a", "b"})
    EXPECT_THAT(ended.err,
                HasSubstr("no packet comes to chain " + std::string(chain) + " of table inet t\n"));
}

struct Wrong {
  const char* rules;
  const char* place;  // behind the file's name
  const char* sentence;
};

TEST_F(FilterCommand, CheckNamesLineAndColumn) {
  const std::vector<Wrong> all = {
      // nft's
      {"table inet t {\n chain c { type filter hook inptu priority 0; }\n}\n",
       ":2:29-33: Error: ", "unknown chain hook"},
      {"table ip t {\n chain c {\n  ip saddr example.org drop\n }\n}\n",
       ":3:12-22: Error: ", "Could not resolve hostname"},
      {"table ip t {\n chain c {\n  iif wlan0 drop\n }\n}\n", ":3:7-11: Error: ", "Interface does not exist"},
      {"table ip t {\n chain c {\n  meta skuid root drop\n }\n}\n",
       ":3:14-17: Error: ", "User does not exist"},
      // ours
      {"table ip t {\n chain a { type filter hook input priority 0; jump b; }\n chain b { jump c; }\n chain "
       "c { jump b; }\n}\n",
       ":4:17-17: Error: ", "chain b leads back to itself"},
      {"table ip t {\n chain c { type filter hook forward priority 0; }\n}\n",
       ":2:", "a stack forwards nothing"},
      {"table ip t {\n chain c {\n  fib daddr type local drop\n }\n}\n",
       ":3:3-27: Error: ", "the expression fib is not supported"},
      {"table ip t {\n chain c {\n  ether saddr set 2:0:0:0:0:1\n }\n}\n",
       ":3:3-29: Error: ", "nobody would see what is written into the link header"},
      {"table bridge t {\n}\n", ":1:", "a stack bridges nothing"},
  };
  for (const Wrong& wrong : all) {
    const Ended ended = check(wrong.rules);
    EXPECT_EQ(ended.status, 1) << wrong.rules;
    EXPECT_EQ(ended.out, "");
    EXPECT_THAT(ended.err, AllOf(HasSubstr(folder_ + "/r.nft" + wrong.place), HasSubstr(wrong.sentence),
                                 HasSubstr("skerry filter: " + folder_ + "/r.nft is refused")));
  }
}

TEST_F(FilterCommand, RulesOfASwitchAreCheckedAsSuch) {
  const auto at_switch = [&](const std::string& rules) {
    return skerry({"filter", "check", "--switch", "lan", file("r.nft", rules)});
  };
  const Ended sound = at_switch(
      "table bridge t {\n chain c {\n  type filter hook forward priority filter; policy drop;\n"
      "  iifname \"web\" oifname \"host\" ibrname \"lan\" vlan id 5 ip saddr 10.0.0.1 tcp dport 80 accept\n "
      "}\n}\n");
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_THAT(sound.out, HasSubstr("chain c: hook forward, priority -200, policy drop, 1 rule\n"));
  const std::vector<Wrong> all = {
      {"table inet t {\n}\n", ":1:", "write bridge"},
      {"table bridge t {\n chain c { type filter hook input priority 0; }\n}\n",
       ":2:", "hook input would never see a frame"},
      {"table bridge t {\n chain c {\n  iif lan drop\n }\n}\n", ":3:", "write iifname"},
      {"table bridge t {\n chain c {\n  ct state new drop\n }\n}\n", ":3:", "knows no connections"},
      {"table bridge t {\n chain c {\n  type filter hook prerouting priority 0\n  ip protocol tcp reject\n "
       "}\n}\n",
       ":4:", "write drop"},
  };
  for (const Wrong& wrong : all) {
    const Ended ended = at_switch(wrong.rules);
    EXPECT_EQ(ended.status, 1) << wrong.rules;
    EXPECT_THAT(ended.err, AllOf(HasSubstr(folder_ + "/r.nft" + wrong.place), HasSubstr(wrong.sentence)));
  }
}

TEST_F(FilterCommand, ASwitchStandsInThePlaceOfAStack) {
  const Ended late = skerry({"filter", "load", file("r.nft", ""), "--switch", "lan"});
  EXPECT_EQ(late.status, 2);
  EXPECT_THAT(late.err, HasSubstr("before all other words"));
  const Ended alone = skerry({"filter", "list", "--switch", "lan"});
  EXPECT_EQ(alone.status, 1) << "nothing runs, and nothing else is wrong";
}

TEST_F(FilterCommand, WordsOfNftThatMeanSomethingElseHereAreExplained) {
  if (!confinement_is_complete()) GTEST_SKIP() << "a sanitizer needs more than a confined process may do";
  const auto explained = [&](const std::string& rule, const char* nft, const char* here) {
    const Ended ended = check(fmt::format("table inet t {{\n chain c {{\n  {} accept\n }}\n}}\n", rule));
    EXPECT_EQ(ended.status, 1) << rule;
    EXPECT_THAT(ended.err, AllOf(HasSubstr(nft), HasSubstr(here)));
  };
  explained("ip saddr example.org", ":3:12-22: Error: Could not resolve hostname", "write an address");
  explained("ip saddr 2001:db8::1", "Could not resolve hostname", "of the family that is asked for");
  explained("iif eth9", ":3:7-10: Error: Interface does not exist", "not the host's");
  explained("iif \"eth 9\" log prefix \"Could not resolve hostname\"", "Interface does not exist",
            "not the host's");
  explained("meta skuid nobody", "User does not exist", "a stack knows no users");
}

TEST_F(FilterCommand, WhatIsQuotedIsNotExplained) {
  const Ended ended =
      check("table inet t {\n chain c {\n  log prefix \"Interface does not exist\" nonsense\n }\n}\n");
  EXPECT_THAT(ended.err, AllOf(HasSubstr("syntax error"), Not(HasSubstr("not the host's"))));
}

// Of what was to write the rules and did not; everything would pass.
TEST_F(FilterCommand, NothingStandsForNoRules) {
  for (const char* text : {"", "# nothing\n", "define a = 1\n"}) {
    const Ended checked = check(text);
    EXPECT_EQ(checked.status, 1) << text;
    EXPECT_THAT(checked.err, HasSubstr("r.nft says nothing: `flush ruleset` in it stands for no rules"));
    const Ended begun = skerry({"run", "--filter", file("r.nft", text), "--", "/bin/true"});
    EXPECT_EQ(begun.status, 125) << text;
    EXPECT_THAT(begun.err, HasSubstr("says nothing"));
  }
  EXPECT_EQ(check("flush ruleset\n").status, 0);
  const Ended unset = skerry({"run", "--filter", "", "--", "/bin/true"});
  EXPECT_EQ(unset.status, 125);
  EXPECT_THAT(unset.err, HasSubstr("--filter names no file"));
}

TEST_F(FilterCommand, TheCompilerHasNoFiles) {
  if (!confinement_is_complete()) GTEST_SKIP() << "a sanitizer needs more than a confined process may do";
  for (const char* pattern :
       {"/etc/passwd", "/etc/nftables.d/*.nft", "./none*.nft", "/etc/", "more.nft", "*.nft"}) {
    const Ended ended = check(fmt::format("table inet t {{\n}}\ninclude \"{}\"\n", pattern));
    EXPECT_EQ(ended.status, 1) << pattern;
    EXPECT_THAT(ended.err, AllOf(HasSubstr(fmt::format(":3:1-{}: Error: ", std::string(pattern).size() + 11)),
                                 HasSubstr("nothing can be included")));
  }
}

// Sorting that many, libc asks how much memory there is.
TEST_F(FilterCommand, ARuleOfHundredsOfMatchesIsRefusedWithItsLine) {
  std::string matches;
  for (int i = 0; i < 200; ++i) matches += "tcp dport 1 ";
  EXPECT_THAT(check("table ip t {\n chain c {\n  " + matches + "accept\n }\n}\n").err,
              AllOf(HasSubstr("r.nft:3:"), HasSubstr("a rule has too many expressions")));
}

TEST_F(FilterCommand, AMeterIsUnderstood) {
  const Ended ended = check(
      "table ip t {\n chain c {\n  type filter hook input priority 0\n  tcp dport 80 meter flood { ip saddr "
      "timeout 10s limit rate over 9/second "
      "} drop\n"
      " }\n}\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_THAT(ended.out, HasSubstr("set flood: 0 elements"));
}

TEST_F(FilterCommand, AFileThatSaysNothingTakesNoRulesAway) {
  using supervisor::Command;
  supervisor::Plan plan =
      *supervisor::default_plan("lan", supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  ASSERT_TRUE(supervisor::add_program(plan, {.name = "web", .network = "lan"}));
  int loads = 0;
  const FakeSupervisor lan(
      "lan", {{Command::plan,
               [plan](const supervisor::Request&) {
                 return FakeSupervisor::Answer{
                     {{"ok", true}, {"plan", nlohmann::json::parse(supervisor::plan_to_json(plan))}}};
               }},
              {Command::load_rules, [&loads](const supervisor::Request&) {
                 ++loads;
                 return FakeSupervisor::Answer{{{"ok", true}}};
               }}});
  for (const char* text : {"", "# nothing\n", "define a = 1\n"}) {
    const Ended ended = skerry({"filter", "load", "web", file("r.nft", text)});
    EXPECT_EQ(ended.status, 1) << text;
    EXPECT_THAT(ended.err, HasSubstr("says nothing, so web keeps its rules"));
  }
  EXPECT_EQ(loads, 0);
  EXPECT_EQ(skerry({"filter", "load", "web", file("r.nft", "flush ruleset\n")}).status, 0);
  EXPECT_EQ(loads, 1);
}

TEST_F(FilterCommand, AFileThatCannotBeReadIsNamed) {
  EXPECT_THAT(skerry({"filter", "check", "/nowhere.nft"}).err,
              HasSubstr("cannot read /nowhere.nft: No such file"));
  EXPECT_THAT(skerry({"filter", "check", folder_}).err, HasSubstr("it is a directory"));
  EXPECT_EQ(skerry({"filter"}).status, 2);
}

TEST_F(FilterCommand, TestSaysWhatBecomesOfEachPacket) {
  const std::string rules = file(
      "r.nft",
      "table ip t {\n chain in {\n  type filter hook input priority 0; policy drop;\n"
      "  udp dport 53 counter accept comment \"names\"\n  udp dport 54 counter reject comment \"no\"\n }\n"
      " chain out {\n  type filter hook output priority 0;\n  udp dport 7 drop\n }\n}\n");
  const std::string packets =
      file("p.pcap", capture({packet(53), packet(53), packet(54), packet(9), packet(7, 2), "\x45"}));
  const Ended all = skerry({"filter", "test", rules, "--pcap", packets});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out,
            "PACKETS  FATE\n      2  accept\n      1  reject by ip t in handle 4 \"no\"\n      2  drop by ip "
            "t in policy\n"
            "      1  not ip\n");
  // With an address, what comes from it leaves and what is for others is none of ours.
  const Ended ours = skerry({"filter", "test", rules, "--pcap", packets, "--address", "10.0.0.1"});
  EXPECT_EQ(ours.out, "PACKETS  FATE\n      4  accept\n      1  foreign\n      1  not ip\n");
  const auto json = nlohmann::json::parse(skerry({"filter", "test", rules, "--pcap", packets, "--json"}).out);
  EXPECT_EQ(json["packets"][2]["verdict"], "drop");
  EXPECT_EQ(json["packets"][2]["hook"], "input");
  EXPECT_EQ(json["rules"][0]["tallies"][0]["packets"], 2);
  EXPECT_EQ(json["rules"][0]["tallies"][0]["bytes"], 56);
}

// What the link shows: ARP from 10.0.0.1, and a frame of another kind.
TEST_F(FilterCommand, TestJudgesFramesAtTheLink) {
  const std::string from("\x02\0\0\0\0\x01", 6), to("\x02\0\0\0\0\x02", 6), sender("\x0a\0\0\x01", 4);
  const std::string arp = to + from + std::string("\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10) + from + sender +
                          std::string(6, '\0') + std::string("\x0a\0\0\x02", 4);
  const std::string packets =
      file("p.pcap",
           capture({to + from + "\x08" + '\0' + packet(53), arp, to + from + "\x88\xcc" + "something"}, 1));
  const std::string rules = file(
      "r.nft",
      "table netdev t {\n chain in { type filter hook ingress device eth0 priority 0; ether type 0x88cc "
      "drop; }\n"
      " chain out { type filter hook egress device eth0 priority 0; arp operation request drop; }\n}\n"
      "table arp a {\n chain in { type filter hook input priority 0; arp saddr ip 10.0.0.1 drop; }\n}\n");
  const auto verdicts = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"filter", "test", rules, "--pcap", packets, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<std::string> said;
    const Ended ended = skerry(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    const auto all = nlohmann::json::parse(ended.out);
    for (const auto& each : all["packets"])
      said.push_back(each["verdict"].get<std::string>() + " " + each.value("hook", ""));
    return said;
  };
  using testing::ElementsAre;
  EXPECT_THAT(verdicts({}), ElementsAre("accept ", "drop input", "drop ingress"));
  EXPECT_THAT(verdicts({"--address", "02:00:00:00:00:01"}), ElementsAre("accept ", "drop egress", "accept "));
  const std::string others =
      file("o.nft", "table ip t {\n chain in { type filter hook input priority 0; drop; }\n}\n");
  EXPECT_EQ(skerry({"filter", "diff", rules, others, "--pcap", packets}).status, 1);
  EXPECT_EQ(skerry({"filter", "test", others, "--pcap", packets}).out,
            "PACKETS  FATE\n      1  drop by ip t in handle 2\n      2  not ip\n");
}

TEST_F(FilterCommand, TestWritesWhatPasses) {
  const std::string rules =
      file("r.nft", "table ip t {\n chain in { type filter hook input priority 0; udp dport 53 drop; }\n}\n");
  const std::string packets = file("p.pcap", capture({packet(53), packet(54), "\x45", packet(55)}));
  const std::string passed = folder_ + "/out.pcap";
  ASSERT_EQ(skerry({"filter", "test", rules, "--pcap", packets, "--pcap-out", passed}).status, 0);
  std::ifstream stream(passed, std::ios::binary);
  const std::string written(std::istreambuf_iterator<char>(stream), {});
  EXPECT_EQ(written.size(), 24U + 3 * 16 + 28 + 1 + 28);
  EXPECT_EQ(written.find(packet(53)), std::string::npos);
  EXPECT_EQ(written.find(packet(54)), 24U + 16);
  EXPECT_EQ(skerry({"filter", "test", rules, "--pcap", passed}).out,
            "PACKETS  FATE\n      2  accept\n      1  not ip\n");
  EXPECT_THAT(skerry({"filter", "test", rules, "--pcap", packets, "--pcap-out", "/nowhere/out.pcap"}).err,
              HasSubstr("cannot write /nowhere/out.pcap"));
}

TEST_F(FilterCommand, APacketThatTheCaptureHoldsInPartIsJudgedByItsBeginning) {
  const std::string rules =
      file("r.nft", "table ip t {\n chain in { type filter hook input priority 0; udp dport 53 drop; }\n}\n");
  std::string longer = packet(53);
  store_be16(reinterpret_cast<uint8_t*>(longer.data()) + 2, 1028);  // as its header says
  std::string packets = capture({longer});
  const uint32_t original = 1028;
  std::memcpy(packets.data() + 24 + 12, &original, sizeof original);
  EXPECT_EQ(skerry({"filter", "test", rules, "--pcap", file("p.pcap", packets)}).out,
            "PACKETS  FATE\n      1  drop by ip t in handle 2\n");
}

TEST_F(FilterCommand, TestWritesWhatIsTranslatedAsItIsThen) {
  const std::string rules = file("r.nft",
                                 "table ip t {\n chain pre { type nat hook prerouting priority -100; udp "
                                 "dport 53 redirect to :5353; }\n}\n");
  const std::string packets = file("p.pcap", capture({packet(53)})), passed = folder_ + "/out.pcap";
  ASSERT_EQ(skerry({"filter", "test", rules, "--pcap", packets, "--pcap-out", passed}).status, 0);
  std::ifstream stream(passed, std::ios::binary);
  const std::string written(std::istreambuf_iterator<char>(stream), {});
  ASSERT_EQ(written.size(), 24U + 16 + 28);
  EXPECT_EQ(load_be16(reinterpret_cast<const uint8_t*>(written.data()) + 24 + 16 + 22), 5353);
}

TEST_F(FilterCommand, TestRefusesWhatIsNoCapture) {
  const std::string rules = file("r.nft", "table ip t {\n}\n"), other = file("p.pcap", "hello, world");
  EXPECT_THAT(skerry({"filter", "test", rules, "--pcap", other}).err,
              HasSubstr("p.pcap: this is no capture"));
  const std::string cut = file("c.pcap", capture({packet(53)}).substr(0, 50));
  EXPECT_THAT(skerry({"filter", "test", rules, "--pcap", cut}).err, HasSubstr("damaged or cut off"));
  EXPECT_THAT(skerry({"filter", "test", rules, "--pcap", cut, "--address", "10.1"}).err,
              HasSubstr("is no address"));
}

}  // namespace
}  // namespace skerry::ctl
