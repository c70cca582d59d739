// The control protocol: requests survive the wire, rubbish gets a sentence, lines are bounded, descriptors
// travel with their line, strangers are not served.
#include "supervisor/control_protocol.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "supervisor/control_socket.hpp"

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ControlProtocol, RunSurvives) {
  Request request{.command = Command::run};
  request.run = {
      .name = "redis",
      .network = "lan",
      .argv = {"redis-server", "--save", "", "tab\tand \"quote\"\n"},
      .executable = "/usr/bin/redis-server",
      .working_directory = "/srv",
      .address = 0x0a4d0002,
      .core = 1,
      .uplink = Uplink::tap,
      .shares = {"/srv/data"},
      .publish = {{0x7f000001, 8080, 80, false}, {0, 53, 53, true}},
      .allow = {{"api.example.org", {}, 443, false}, {"", {0x0a4d0003}, 53, true}, {"", {}, 80, false}},
      .name_servers = {"9.9.9.9:53"},
      .strict = true,
      .filter = "/srv/web.nft",
      .filter_lines = {4, 5}};
  const std::string line = format_request(request);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << "a newline within would end the line";
  const Result<Request> parsed = parse_request(line);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(format_request(*parsed), line);
  EXPECT_EQ(parsed->run.argv, request.run.argv);
  EXPECT_EQ(parsed->run.address, request.run.address);
  EXPECT_EQ(parsed->run.core, 1u);
  EXPECT_EQ(parsed->run.uplink, Uplink::tap);
  EXPECT_EQ(parsed->run.publish, request.run.publish);
  EXPECT_EQ(parsed->run.allow, request.run.allow);
  EXPECT_THAT(parsed->run.name_servers, ElementsAre("9.9.9.9:53"));
  EXPECT_TRUE(parsed->run.strict);
  EXPECT_EQ(parsed->run.filter, "/srv/web.nft");
  EXPECT_THAT(parsed->run.filter_lines, ElementsAre(4, 5));
}

TEST(ControlProtocol, PlainCommandsSurvive) {
  for (const Command command :
       {Command::ps, Command::ss, Command::top, Command::rights, Command::plan, Command::down}) {
    const Result<Request> parsed = parse_request(format_request({.command = command}));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->command, command);
  }
  const Result<Request> mirror =
      parse_request(format_request({.command = Command::mirror, .link = "lan.redis"}));
  ASSERT_TRUE(mirror);
  EXPECT_EQ(mirror->link, "lan.redis");
  const Result<Request> rules = parse_request(
      format_request({.command = Command::load_rules, .program = "redis", .filter = "/srv/web.nft"}));
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->command, Command::load_rules);
  EXPECT_EQ(rules->program, "redis");
  EXPECT_EQ(rules->filter, "/srv/web.nft");
  EXPECT_EQ(parse_request(format_request({.command = Command::rules, .program = "redis"}))->program, "redis");
  const Result<Request> at_switch = parse_request(
      format_request({.command = Command::load_rules, .network = "lan", .filter = "/srv/ports.nft"}));
  ASSERT_TRUE(at_switch);
  EXPECT_EQ(at_switch->whose_rules(), "lan.vswitch");
  EXPECT_EQ(rules->whose_rules(), "redis.stack");
  const nlohmann::json question{{"command", "elements"}, {"table", "inet mine"}, {"set", "friends"}};
  const Result<Request> asked =
      parse_request(format_request({.command = Command::filter, .program = "redis", .question = question}));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->program, "redis");
  EXPECT_EQ(asked->question, question);
}

TEST(ControlProtocol, RubbishGetsASentence) {
  for (const char* line :
       {"",
        "{",
        "[]",
        "null",
        "{}",
        R"({"command":1})",
        R"({"command":"mirror"})",
        R"({"command":"run"})",
        R"({"command":"load_rules","program":"redis","filter":"/web.nft","filter_lines":[-1]})",
        R"({"command":"rules"})",
        R"({"command":"rules","program":"redis","switch":"lan"})",
        R"({"command":"filter","program":"redis"})",
        R"({"command":"filter","program":"redis","question":7})",
        R"({"command":"filter","program":"redis","question":{"command":"load_rules"}})",
        R"({"command":"load_rules","program":"redis"})",
        R"({"command":"load_rules","program":"redis","filter":"web.nft"})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","filter":"web.nft"})",
        R"({"command":"run","argv":[],"executable":"/a","working_directory":"/"})",
        R"({"command":"run","argv":["a"],"executable":"a","working_directory":"/"})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","core":-1})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","core":1e99})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","address":"x"})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","uplink":"x"})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","shares":["x"]})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","publish":["80"]})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","publish":"80:80"})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","allow":["a"]})",
        R"({"command":"run","argv":["a"],"executable":"/a","working_directory":"/","name_servers":["a"]})",
        R"({"command":"run","argv":["a\u0000b"],"executable":"/a","working_directory":"/"})",
        R"({"command":"run","argv":{"a":1},"executable":"/a","working_directory":"/"})"}) {
    EXPECT_FALSE(parse_request(line)) << line;
  }
  EXPECT_THAT(parse_request(R"({"command":"dwon"})").error().message, HasSubstr("did you mean \"down\"?"));
}

TEST(ControlProtocol, Replies) {
  const Result<nlohmann::json> good =
      parse_reply(format_reply({{"ok", true}, {"processes", nlohmann::json::array()}}));
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->contains("processes"));
  const Result<nlohmann::json> refused = parse_reply(format_reply(refusal("no such link", 1)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "no such link");
  EXPECT_FALSE(parse_reply("{}"));
  EXPECT_FALSE(parse_reply("nonsense"));
  const RunReply run{"redis", "10.77.0.2", "/bin/skerry-cell", {3, 4}};
  const Result<RunReply> back = parse_run_reply(to_json(run));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->fds, run.fds);
  EXPECT_FALSE(parse_run_reply({{"ok", true}}));
  for (const char* const fds : {R"([4e114])", R"([1.5])", R"([-1])", R"(4)"}) {
    nlohmann::json odd = to_json(run);
    odd["fds"] = nlohmann::json::parse(fds);
    EXPECT_FALSE(parse_run_reply(odd)) << fds;
  }
}

TEST(LineReader, CutsLinesHoweverTheyArrive) {
  const std::string stream = "one\n\ntwo\nthree";
  for (size_t step = 1; step <= stream.size(); ++step) {
    LineReader reader(16);
    std::vector<std::string> lines;
    for (size_t at = 0; at < stream.size(); at += step) {
      ASSERT_TRUE(reader.append(std::string_view(stream).substr(at, step)));
      while (auto line = reader.next()) lines.push_back(*line);
    }
    EXPECT_THAT(lines, ElementsAre("one", "", "two")) << step;
  }
}

TEST(LineReader, RefusesALineOverTheBound) {
  LineReader exact(4);
  EXPECT_TRUE(exact.append("four"));
  EXPECT_TRUE(exact.append("\n"));
  EXPECT_EQ(exact.next(), "four");
  LineReader reader(4);
  EXPECT_FALSE(reader.append("fives"));
  LineReader whole(4);
  EXPECT_FALSE(whole.append("fives\n"));
}

class ControlSocket : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/skerry-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/control";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
};

TEST_F(ControlSocket, ADeadOnesSocketIsReplaced) {
  { ASSERT_TRUE(ControlListener::create(path_)); }
  EXPECT_TRUE(std::filesystem::exists(path_)) << "left over, as after kill -9";
  const Result<ControlClient> nobody = ControlClient::connect(path_);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().system_error, ECONNREFUSED);
  const Result<ControlListener> next = ControlListener::create(path_);
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_TRUE(ControlClient::connect(path_));
}

// Serves one connection in the calling thread until it closes; answers each line with its length and, if
// descriptors came, gives them back.
void serve_one(ControlListener& listener) {
  std::optional<ControlConnection> connection;
  for (int i = 0; i < 5000 && !connection; ++i) {
    connection = listener.accept();
    if (!connection) ::usleep(1000);
  }
  ASSERT_TRUE(connection);
  for (int i = 0; i < 5000; ++i) {
    std::vector<ControlLine> lines;
    const bool open = connection->receive(lines);
    for (ControlLine& line : lines) {
      std::vector<int> numbers;
      for (const Fd& fd : line.descriptors) numbers.push_back(fd.get());
      if (line.line == "close") return;
      ASSERT_TRUE(connection->send(std::to_string(line.line.size()) + "\n", numbers));
    }
    if (!open || !connection->flush()) return;
    ::usleep(1000);
  }
}

TEST_F(ControlSocket, LinesAndDescriptorsTravelBothWays) {
  Result<ControlListener> listener = ControlListener::create(path_);
  ASSERT_TRUE(listener);
  std::thread server([&] { serve_one(*listener); });
  {
    Result<ControlClient> client = ControlClient::connect(path_);
    ASSERT_TRUE(client) << client.error().message;
    const Result<ControlLine> plain = client->call("hello\n");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->line, "5");
    EXPECT_TRUE(plain->descriptors.empty());

    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reader(ends[0]), writer(ends[1]);
    const int gift = writer.get();
    const Result<ControlLine> echoed = client->call("with a pipe\n", {&gift, 1});
    ASSERT_TRUE(echoed);
    ASSERT_EQ(echoed->descriptors.size(), 1u);
    ASSERT_EQ(::write(echoed->descriptors[0].get(), "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(reader.get(), &byte, 1), 1);
    EXPECT_EQ(byte, 'x');

    const std::string large(kMaxRequestBytes, 'x');
    const Result<ControlLine> long_one = client->call(large + "\n");
    ASSERT_TRUE(long_one) << long_one.error().message;
    EXPECT_EQ(long_one->line, std::to_string(kMaxRequestBytes));
    EXPECT_FALSE(client->call(large + "x\n")) << "over the bound: disconnected";
  }
  server.join();
}

TEST_F(ControlSocket, NamesTheLogOfASilentSupervisor) {
  const Result<ControlListener> silent = ControlListener::create(path_);
  ASSERT_TRUE(silent);
  const auto complaint = [&] {
    Result<ControlClient> client = ControlClient::connect(path_);
    const Result<ControlLine> none = client->call("ps\n", {}, 1);
    return none ? "it answered" : none.error().message;
  };
  EXPECT_THAT(complaint(), testing::EndsWith("look at the terminal of its `skerry up`"));
  std::ofstream(directory_ + "/log") << "stuck\n";
  EXPECT_THAT(complaint(), testing::EndsWith("look at " + directory_ + "/log"));
}

TEST_F(ControlSocket, TellsWhenTheOtherSideHasGone) {
  Result<ControlListener> listener = ControlListener::create(path_);
  ASSERT_TRUE(listener);
  std::thread server([&] { serve_one(*listener); });
  Result<ControlClient> client = ControlClient::connect(path_);
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->wait_closed(20));
  const Result<ControlLine> none = client->call("close\n");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().system_error, EPIPE);
  EXPECT_TRUE(client->wait_closed(5000));
  server.join();
}

}  // namespace
}  // namespace skerry::supervisor
