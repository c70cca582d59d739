// The command as people use it: what it prints, where, and how it ends.
#include <gmock/gmock.h>

#include <fstream>

#include "ctl/capture_file.hpp"
#include "fake_supervisor.hpp"
#include "supervisor/rights.hpp"

namespace skerry::ctl {
namespace {

using nlohmann::json;
using supervisor::Command;
using supervisor::Request;
using testing::HasSubstr;
using testing::StartsWith;
using Answer = FakeSupervisor::Answer;

class Commands : public WithCommand {};

// 1 would say that there are some, of rules that nobody has compared to the end.
TEST_F(Commands, ADifferenceThatCannotBeWrittenIsTrouble) {
  const std::string table = "table ip t {\n chain c {\n type filter hook input priority 0; policy ";
  std::ofstream(folder_ + "/old.nft") << table << "accept;\n}\n}\n";
  std::ofstream(folder_ + "/new.nft") << table << "drop;\n}\n}\n";
  const uint8_t datagram[] = {0x45, 0, 0,  28, 0, 1, 0,  0,   64, 17, 0, 0, 10, 0,
                              0,    1, 10, 0,  0, 2, 19, 136, 0,  53, 0, 8, 0,  0};
  // So few that they are written at the end, and so many that writing fails in the middle.
  for (const size_t count : {1, 10'000}) {
    const std::vector<CapturedPacket> packets(count, {0, CaptureLink::raw_ip, datagram, sizeof datagram});
    const std::vector<uint8_t> capture = *write_pcap(packets);
    std::ofstream(folder_ + "/p.pcap", std::ios::binary)
        .write(reinterpret_cast<const char*>(capture.data()), static_cast<std::streamsize>(capture.size()));
    const auto diff = [&](const std::string& to) {
      return std::system(("cd " + folder_ +
                          " && " SKERRY_COMMAND " filter diff old.nft new.nft --pcap p.pcap >" + to +
                          " 2>err")
                             .c_str());
    };
    EXPECT_EQ(WEXITSTATUS(diff("out")), 1);
    EXPECT_EQ(WEXITSTATUS(diff("/dev/full")), 2) << count;
    EXPECT_THAT(RunningCommand::read(folder_ + "/err"), HasSubstr("cannot write the output: No space"));
  }
}

struct Wrong {
  std::vector<std::string> words;
  int status;
  const char* sentence;
};

TEST_F(Commands, AWrongCommandLineGetsOneSentence) {
  const std::vector<Wrong> table = {
      {{}, 2, "skerry: say what to do"},
      {{"filter", "chekc"}, 2, "skerry filter: there is no command \"chekc\"; did you mean \"check\"?"},
      {{"filter", "add", "elment", "redis"},
       2,
       "skerry filter add: there is no command \"elment\"; did you mean \"element\"?"},
      {{"filter", "reset"}, 2, "skerry filter reset: say what to do: counters, quotas"},
      {{"filter", "check"}, 2, "skerry filter check: file is required: `skerry filter check --help`"},
      {{"rnu"}, 2, "skerry: there is no command \"rnu\"; did you mean \"run\"?"},
      {{"ps", "--jsn"}, 2, "skerry ps: the following argument was not expected: --jsn"},
      {{"up"}, 2, "skerry up: file is required"},
      {{"up", "/nowhere.toml"}, 1, "skerry up: cannot read /nowhere.toml: there is no such file"},
      {{"rights", "/nowhere.toml"}, 1, "skerry rights: cannot read /nowhere.toml"},
      {{"graph", "/nowhere.toml"}, 1, "skerry graph: cannot read /nowhere.toml"},
      {{"graph", SKERRY_COMPOSITION, "--svg", "/nowhere/x.svg"},
       1,
       "skerry graph: cannot write /nowhere/x.svg"},
      {{"ps"}, 1, "skerry ps: nothing is running: start something with"},
      {{"down", "x"}, 1, "skerry down: nothing is running"},
      {{"capture", "x", "-w", "y"}, 1, "skerry capture: nothing is running"},
      {{"capture", "x"}, 2, "skerry capture: --write is required"},
      {{"top", "--interval", "0"}, 2, "skerry top: --interval"},
      {{"run"}, 125, "skerry run: say what to run"},
      {{"run", "--bogus", "x", "--", "true"}, 125, "skerry run: the following arguments were not expected: "},
      {{"run", "-p", "80", "true"},
       125,
       "skerry run: \"80\" publishes no port: write HOSTPORT:PORT as 8080:80"},
      {{"run", "--filter", "/missing", "true"}, 125, "skerry run: cannot read /missing"},
      {{"filter", "load", "x", "y"}, 1, "skerry filter: nothing is running"},
      {{"why", "x"}, 1, "skerry why: nothing is running"},
      {{"filter", "list"}, 2, "skerry filter list: stack is required"},
      {{"run", "--allow", "a", "true"}, 125, "skerry run: \"a\" says no port to allow: write NAME:PORT"},
      {{"run", "--allow", "*.a.org:1", "true"},
       125,
       "skerry run: \"*.a.org:1\" allows names that nobody wrote down"},
      {{"run", "--resolver", "9.9.9.9", "true"},
       125,
       "skerry run: --resolver is asked for names that --allow lists"},
      {{"run", "--resolver", "x", "--allow", "a:1", "true"},
       125,
       "skerry run: \"x\" is no name server's address"},
      {{"run", "--uplink", "afxdp:", "true"}, 125, "skerry run: there is no uplink \"afxdp:\""},
      {{"run", "--uplink", "x", "true"}, 125, "skerry run: there is no uplink \"x\""},
      {{"run", "--address", "1.2", "true"}, 125, "skerry run: \"1.2\" is no IPv4 address"},
      {{"run", "--core", "x", "true"}, 125, "skerry run: could not convert: --core = x"},
      {{"run", "no-such-program-here"}, 127, "skerry run: there is no program \"no-such-program-here\""},
      {{"run", "/etc/passwd"}, 126, "skerry run: /etc/passwd is not executable"},
  };
  for (const Wrong& wrong : table) {
    const Ended ended = skerry(wrong.words);
    EXPECT_EQ(ended.status, wrong.status) << ended.err;
    EXPECT_THAT(ended.err, StartsWith(wrong.sentence));
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(ended.out, "");
  }
}

TEST_F(Commands, EveryHelpHasAnExample) {
  for (const char* command : {"up", "down", "ps", "ss", "top", "rights", "graph", "run", "capture"}) {
    const Ended ended = skerry({command, "--help"});
    EXPECT_EQ(ended.status, 0);
    EXPECT_THAT(ended.out, HasSubstr(std::string("Example: skerry ") + command));
    EXPECT_EQ(ended.err, "");
  }
  for (const char* verb : {"check", "test", "diff", "load", "list", "add", "delete", "reset", "trace"}) {
    const Ended ended = skerry({"filter", verb, "--help"});
    EXPECT_THAT(ended.out, HasSubstr(std::string("Example: skerry filter ") + verb));
  }
  EXPECT_THAT(skerry({"filter", "reset", "counters", "--help"}).out, HasSubstr("[of...]"));
}

TEST_F(Commands, GraphDrawsAFile) {
  const Ended dot = skerry({"graph", SKERRY_COMPOSITION});
  EXPECT_EQ(dot.status, 0) << dot.err;
  EXPECT_THAT(dot.out, StartsWith("graph \"redis\" {"));
  if (::access("/usr/bin/dot", X_OK) != 0) GTEST_SKIP() << "graphviz is not installed";
  const std::string path = folder_ + "/picture.svg";
  const Ended drawn = skerry({"graph", SKERRY_COMPOSITION, "--svg", path});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(drawn.out + drawn.err, "");
  std::ifstream file(path);
  const std::string svg{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_THAT(svg, HasSubstr("vswitch"));
}

TEST_F(Commands, WhatAKilledSupervisorLeftIsRemovedAndSaid) {
  std::filesystem::create_directories(folder_ + "/run/lan");
  std::filesystem::permissions(folder_ + "/run", std::filesystem::perms::owner_all);
  const Ended ended = skerry({"ps"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("removed what \"lan\" left when its supervisor was killed"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/run/lan"));
}

TEST_F(Commands, PsListsEveryCompositionThatRuns) {
  const auto ps = [](const std::string& name) {
    return [name](const Request&) {
      return Answer{{{"ok", true},
                     {"processes",
                      {{{"name", name},
                        {"kind", "stack"},
                        {"pid", 12},
                        {"core", 0},
                        {"state", "running"},
                        {"restarts", 1},
                        {"uptime_ms", 61000},
                        {"cpu_ms", 5},
                        {"address", "10.77.0.2"}}}}}};
    };
  };
  const FakeSupervisor one("one", {{Command::ps, ps("a.stack")}}), two("two", {{Command::ps, ps("b.stack")}});
  const Ended all = skerry({"ps"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out,
            "COMPOSITION  NAME     KIND   ADDRESS    PID  CORE  STATE    RESTARTS     UP  CPU\n"
            "one          a.stack  stack  10.77.0.2   12     0  running         1  1m01s  5ms\n"
            "two          b.stack  stack  10.77.0.2   12     0  running         1  1m01s  5ms\n");
  const Ended chosen = skerry({"ps", "two", "--json"});
  const json rows = json::parse(chosen.out)["processes"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["name"], "b.stack");
  EXPECT_EQ(rows[0]["composition"], "two");
  EXPECT_THAT(skerry({"ps", "tow"}).err,
              HasSubstr("nothing named \"tow\" is running; did you mean \"two\"?"));
  EXPECT_THAT(skerry({"down"}).err, HasSubstr("several are running, name one of one, two"));
}

TEST_F(Commands, SsListsSockets) {
  const FakeSupervisor lan("lan", {{Command::ss, [](const Request&) {
                                      return Answer{{{"ok", true},
                                                     {"sockets",
                                                      {{{"program", "redis"},
                                                        {"proto", "tcp"},
                                                        {"state", "LISTEN"},
                                                        {"local", "0.0.0.0:6379"},
                                                        {"peer", "*"},
                                                        {"rx_queue", 0},
                                                        {"tx_queue", 3}}}}}};
                                    }}});
  const Ended ended = skerry({"ss"});
  EXPECT_EQ(ended.out,
            "NETID  STATE   RX-QUEUE  TX-QUEUE  LOCAL         PEER  PROGRAM  COMPOSITION\n"
            "tcp    LISTEN         0         3  0.0.0.0:6379  *     redis    lan\n");
  EXPECT_EQ(json::parse(skerry({"ss", "--json"}).out)["sockets"][0]["tx_queue"], 3);
}

TEST_F(Commands, AnAnswerThatMakesNoSenseIsSaid) {
  const FakeSupervisor lan("lan", {{Command::ps,
                                    [](const Request&) {
                                      return Answer{{{"ok", true}}};
                                    }},
                                   {Command::ss, [](const Request&) { return Answer{json::array()}; }}});
  EXPECT_THAT(skerry({"ps"}).err, HasSubstr("the supervisor's answer has no processes"));
  EXPECT_THAT(skerry({"ss"}).err, HasSubstr("the supervisor's reply is malformed"));
  EXPECT_THAT(skerry({"rights"}).err, HasSubstr("the fake has no answer to that"));
}

TEST_F(Commands, TopSubtractsTwoSamples) {
  uint64_t sample = 0;
  const FakeSupervisor lan(
      "lan",
      {{Command::top, [&](const Request&) {
          ++sample;
          return Answer{{{"ok", true},
                         {"time_ns", sample * 1000000000},
                         {"processes",
                          {{{"name", "redis.stack"},
                            {"kind", "stack"},
                            {"core", 0},
                            {"cpu_ns", sample * 250000000},
                            {"counters", {{"rx_frames", sample * 2000}, {"drop.checksum", sample * 3}}}}}}}};
        }}});
  const Ended once = skerry({"top", "--once", "--interval", "0.1"});
  EXPECT_EQ(once.status, 0) << once.err;
  EXPECT_THAT(once.out,
              testing::MatchesRegex(
                  "NAME +KIND +CORE +CPU% [^\n]*\nredis.stack +stack +0 +25.0 +0 +0 +2.00k [^\n]* 3\n"
                  "\nDROPPED BY +REASON +DROPS/s\nredis.stack +drop.checksum +3\n"));
  const json raw = json::parse(skerry({"top", "--json"}).out);
  EXPECT_EQ(raw["processes"][0]["counters"]["rx_frames"], sample * 2000);
}

TEST_F(Commands, RightsOfAFile) {
  std::ofstream(folder_ + "/net.toml") << "[program.a]\nrun = [\"sh\"]\n";
  const Ended table = skerry({"rights", folder_ + "/net.toml"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("link.region"));
  const json rows = json::parse(skerry({"rights", folder_ + "/net.toml", "--json"}).out)["rights"];
  EXPECT_TRUE(supervisor::rights_from_json(rows));
}

TEST_F(Commands, EveryMistakeOfACompositionIsPrinted) {
  const std::string path = folder_ + "/net.toml";
  std::ofstream(path) << "[program.a]\nrun = [\"sh\"]\ncor = 1\ncore = 4095\n";
  const Ended ended = skerry({"up", path});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, StartsWith("skerry up: " + path + ":3: [program.a] has no key \"cor\""));
  EXPECT_THAT(ended.err, HasSubstr("\n" + path + ":4: core 4095 does not exist here"));
}

TEST_F(Commands, DownWaitsForTheEnd) {
  const FakeSupervisor lan("lan", {{Command::down, [](const Request&) {
                                      return Answer{{{"ok", true}}, {}, true};
                                    }}});
  EXPECT_EQ(skerry({"down"}).status, 0);
  EXPECT_EQ(skerry({"down", "lan"}).status, 0);
}

}  // namespace
}  // namespace skerry::ctl
