// Questions to a process and its answers, of which some are lost. The test is the process.
#include "supervisor/member.hpp"

#include <gmock/gmock.h>

namespace skerry::supervisor {
namespace {

using nlohmann::json;
using testing::ElementsAre;

class MemberTest : public testing::Test {
 protected:
  MemberTest() : member_("redis.stack", ProcessKind::stack) {
    Process process;
    process.name = "redis.stack";
    process.kind = ProcessKind::stack;
    Result<std::vector<Fd>> fds = member_.prepare(process, 0);
    EXPECT_TRUE(fds && fds->size() == 2);
    if (fds) control_ = std::move(fds->back());
  }
  // What comes of it is heard as "question: answer".
  void ask(const std::string& question) {
    member_.ask({{"command", question}}, {}, [this, question](const Result<ControlMessage>& reply) {
      heard_.push_back(question + ": " + (reply ? reply->body.value("says", "") : reply.error().message));
    });
  }
  json question() {
    Result<ControlMessage> message = receive_control(control_);
    EXPECT_TRUE(message);
    return message ? message->body : json::object();
  }
  void answer(const json& body) { EXPECT_TRUE(send_control(control_, body)); }
  std::vector<std::string> heard() {
    std::vector<ControlMessage> unasked;
    EXPECT_TRUE(member_.take_messages(unasked));
    return std::exchange(heard_, {});
  }

  Member member_;
  Fd control_;
  std::vector<std::string> heard_;
};

TEST_F(MemberTest, EachHearsTheAnswerToItsOwnQuestion) {
  ask("one");
  ask("two");
  const json one = question(), two = question();
  answer({{"says", "1"}, {"id", one.at("id")}});
  answer({{"says", "2"}, {"id", two.at("id")}});
  EXPECT_THAT(heard(), ElementsAre("one: 1", "two: 2"));
}

TEST_F(MemberTest, WhoseAnswerIsLostHearsNoneOfAnothers) {
  ask("one");
  ask("two");
  question();
  answer({{"says", "2"}, {"id", question().at("id")}});
  EXPECT_THAT(heard(), ElementsAre("one: the answer of redis.stack is lost", "two: 2"));
}

TEST_F(MemberTest, AnAnswerToNothingIsForNobody) {
  ask("one");
  const json id = question().at("id");
  for (const json& wrong : {json(id.get<uint64_t>() + 1), json(0), json("7"), json()})
    answer({{"says", "x"}, {"id", wrong}});
  answer({{"says", "x"}});
  EXPECT_THAT(heard(), ElementsAre());
  answer({{"says", "1"}, {"id", id}});
  EXPECT_THAT(heard(), ElementsAre("one: 1"));
  answer({{"says", "again"}, {"id", id}});
  EXPECT_THAT(heard(), ElementsAre());
}

TEST_F(MemberTest, AQuestionThatWasNotSentHasNoAnswer) {
  ask("one");
  const json id = question().at("id");
  const std::string longest(kMaxControlBytes + 1, 'x');  // does not fit into a message
  ask(longest);
  ask("two");
  question();
  EXPECT_EQ(heard().size(), 1u);
  for (uint64_t wrong = id.get<uint64_t>() + 2; wrong < id.get<uint64_t>() + 5; ++wrong)
    answer({{"says", "x"}, {"id", wrong}});
  EXPECT_THAT(heard(), ElementsAre());
  answer({{"says", "2"}, {"id", id.get<uint64_t>() + 1}});
  EXPECT_THAT(heard(), ElementsAre("one: the answer of redis.stack is lost", "two: 2"));
}

TEST_F(MemberTest, OneThatDiesAnswersAll) {
  ask("one");
  ask("two");
  EXPECT_EQ(member_.reap(), "has gone");
  EXPECT_THAT(heard_, ElementsAre("one: redis.stack has gone", "two: redis.stack has gone"));
}

}  // namespace
}  // namespace skerry::supervisor
