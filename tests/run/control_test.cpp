#include "run/control.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace skerry {
namespace {

using nlohmann::json;

class ControlTest : public testing::Test {
 protected:
  ControlTest() : waiter_(std::move(*Waiter::create())) {
    auto pair = create_control_pair();
    EXPECT_TRUE(pair);
    supervisor_ = std::move(pair->first);
    process_ = std::move(pair->second);
  }
  void serve(ControlServer::Handler handler) {
    auto server = ControlServer::create(std::move(process_), waiter_, std::move(handler));
    ASSERT_TRUE(server);
    server_.emplace(std::move(*server));
  }
  json ask(const json& request, std::span<const int> fds = {}) {
    EXPECT_TRUE(send_control(supervisor_, request, fds));
    waiter_.wait(kSecond);
    Result<ControlMessage> reply = receive_control(supervisor_);
    EXPECT_TRUE(reply);
    return reply ? reply->body : json();
  }

  Waiter waiter_;
  Fd supervisor_, process_;
  std::optional<ControlServer> server_;
};

TEST_F(ControlTest, ARequestWithDescriptorsIsAnswered) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd read(ends[0]), write(ends[1]);
  serve([](ControlMessage& request) -> Result<json> {
    EXPECT_EQ(request.body.at("command"), "ring");
    EXPECT_EQ(request.fds.size(), 1u);
    EXPECT_EQ(::fcntl(request.fds[0].get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::write(request.fds[0].get(), "x", 1), 1);
    return json{{"rung", 1}};
  });
  const int passed[] = {write.get()};
  EXPECT_EQ(ask({{"command", "ring"}}, passed), (json{{"ok", true}, {"rung", 1}}));
  char byte = 0;
  EXPECT_EQ(::read(read.get(), &byte, 1), 1);
}

TEST_F(ControlTest, ErrorsBecomeASentence) {
  serve([](ControlMessage& request) -> Result<json> {
    if (request.body.at("port").get<int>() == 7) return Error{"port 7 is taken"};
    return json::object();
  });
  EXPECT_EQ(ask({{"port", 7}}), (json{{"error", "port 7 is taken"}}));
  EXPECT_TRUE(ask({{"port", "seven"}}).contains("error"));
  EXPECT_TRUE(ask(json::object()).contains("error"));
  EXPECT_EQ(ask({{"port", 8}}), (json{{"ok", true}}));
}

TEST_F(ControlTest, AnAnswerSaysWhatItAnswers) {
  serve([](ControlMessage& request) -> Result<json> {
    if (request.body.contains("long")) return json{{"text", std::string(kMaxControlBytes, 'x')}};
    if (request.body.contains("wrong")) return Error{"no"};
    return json::object();
  });
  EXPECT_EQ(ask({{"id", 7}}), (json{{"ok", true}, {"id", 7}}));
  EXPECT_EQ(ask({{"id", 8}, {"wrong", 1}}), (json{{"error", "no"}, {"id", 8}}));
  const json cut = ask({{"id", 9}, {"long", 1}});
  EXPECT_EQ(cut.at("id"), 9);
  EXPECT_TRUE(cut.contains("error")) << "it would not fit into a message";
}

TEST_F(ControlTest, AnAnswerCanWaitAndWhoAsksNextWaitsToo) {
  std::vector<std::string> asked;
  serve([&](ControlMessage& request) -> Result<json> {
    asked.push_back(request.body.at("command"));
    if (asked.back() == "long") server_->defer();
    return json{{"to", asked.back()}};
  });
  for (const char* command : {"long", "short", "long", "wrong"})
    ASSERT_TRUE(send_control(supervisor_, {{"command", command}, {"id", command}}));
  const auto answered = [&] {
    Result<ControlMessage> reply = receive_control(supervisor_);
    return reply ? reply->body : json();
  };
  waiter_.wait(0);
  waiter_.wait(0);
  EXPECT_EQ(asked, std::vector<std::string>{"long"});
  EXPECT_EQ(answered(), json());
  server_->answer_later(json{{"to", "the first"}});
  EXPECT_EQ(answered(), (json{{"ok", true}, {"to", "the first"}, {"id", "long"}}));
  waiter_.wait(kSecond);
  EXPECT_EQ(answered(), (json{{"ok", true}, {"to", "short"}, {"id", "short"}}));
  waiter_.wait(kSecond);
  EXPECT_EQ(answered(), json());
  server_->answer_later(Error{"it went wrong"});
  EXPECT_EQ(answered(), (json{{"error", "it went wrong"}, {"id", "long"}}));
  waiter_.wait(kSecond);
  EXPECT_EQ(answered(), (json{{"ok", true}, {"to", "wrong"}, {"id", "wrong"}}));
}

TEST_F(ControlTest, GarbageIsRefusedAndTheNextRequestIsServed) {
  serve([](ControlMessage&) -> Result<json> { return json::object(); });
  ASSERT_EQ(::send(supervisor_.get(), "{\"a\"", 4, 0), 4);
  waiter_.wait(kSecond);
  Result<ControlMessage> reply = receive_control(supervisor_);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->body.contains("error"));
  const std::string huge(kMaxControlBytes + 1, ' ');
  ASSERT_EQ(::send(supervisor_.get(), huge.data(), huge.size(), 0), static_cast<ssize_t>(huge.size()));
  waiter_.wait(kSecond);
  reply = receive_control(supervisor_);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->body.contains("error"));
  EXPECT_EQ(ask({{"command", "stats"}}), (json{{"ok", true}}));
}

TEST_F(ControlTest, TheSupervisorMayGo) {
  serve([](ControlMessage&) -> Result<json> { return json::object(); });
  supervisor_.reset();
  waiter_.wait(kSecond);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd read(ends[0]), write(ends[1]);
  int rings = 0;
  ASSERT_TRUE(waiter_.watch(read.get(), [&](uint32_t) { ++rings; }));
  waiter_.wait(kMillisecond);  // would spin on the dead socket, were it still watched
  EXPECT_EQ(rings, 0);
  server_.reset();
}

TEST_F(ControlTest, SaysWhyNothingCame) {
  Result<ControlMessage> none = receive_control(supervisor_);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().system_error, EAGAIN);
  process_.reset();
  none = receive_control(supervisor_);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().system_error, EPIPE);
}

TEST_F(ControlTest, WhoDoesNotReadDoesNotBlockUs) {
  bool full = false;
  for (int i = 0; i < 10'000 && !full; ++i) full = !send_control(supervisor_, {{"n", i}});
  EXPECT_TRUE(full);
}

}  // namespace
}  // namespace skerry
