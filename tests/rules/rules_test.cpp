// What a person hears who follows packets, or asks what was refused.
#include "rules/rules.hpp"

#include <gmock/gmock.h>

#include "filter/ftp_world.hpp"

namespace skerry {
namespace {

using filter::Hook;
using filter::join;
using filter::Octets;
using testing::HasSubstr;

class Here : public filter::InForce {
 public:
  // False: it was dropped.
  bool comes(Octets bytes, TimeNs now) {
    filter::Packet packet;
    EXPECT_TRUE(packet.read(bytes));
    store_be32(packet.address.data(), filter::kHost);
    return judge(packet, Hook::prerouting, now) && judge(packet, Hook::input, now);
  }
  bool leaves(Octets bytes, TimeNs now) {
    filter::Packet packet;
    EXPECT_TRUE(packet.read(bytes));
    return judge(packet, Hook::output, now) && judge(packet, Hook::postrouting, now);
  }

 private:
  void changed() override {}
  bool begins(const filter::Packet&, Hook hook) const override {
    return hook == Hook::prerouting || hook == Hook::output;
  }
};

class RulesTest : public testing::Test {
 protected:
  static filter::Engine engine_of(const Octets& bytes) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(bytes, ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    return filter::Engine(std::move(ruleset));
  }
  // All that comes.
  uint64_t follow() {
    return here_.follow(engine_of(filter::batch(filter::table(), filter::chain("pre", filter::hook(0)),
                                                filter::base_chain())),
                        now_);
  }
  Result<nlohmann::json> ask(uint64_t follower) {
    return rules_.trace({{"trace", follower}, {"first", 0}}, now_);
  }
  // That came last.
  nlohmann::json last_step(uint64_t follower) {
    Result<nlohmann::json> answer = ask(follower);
    EXPECT_TRUE(answer && !answer->at("rows").empty());
    return answer && !answer->at("rows").empty() ? answer->at("rows").back() : nlohmann::json();
  }

  TimeNs now_ = 1000 * kSecond;
  Here here_;
  Rules rules_{here_, filter::Place::stack, SipKey{}, [this] { return now_; }};
};

TEST_F(RulesTest, WhoHasNotAskedForLongHearsThatAndNotThatAnotherCame) {
  const uint64_t first = follow();
  ASSERT_TRUE(ask(first));
  const uint64_t second = follow();
  EXPECT_THAT(ask(first).error().message, HasSubstr("somebody else follows"));
  ASSERT_TRUE(ask(second));
  now_ += filter::Trace::kPatience + 1;
  EXPECT_TRUE(here_.comes(filter::datagram(filter::kAsked), now_));
  EXPECT_THAT(ask(second).error().message,
              HasSubstr("nobody follows packets here now: that ends when nobody asks for three seconds"));
}

// Behind more rules than are told of, of which the last one lets it pass.
TEST_F(RulesTest, AnAnnouncementThatDropsIsTheLastStep) {
  Octets rules;
  for (size_t i = 0; i < filter::Trace::kMostSteps + 1; ++i)
    rules = join(rules, filter::rule("in", filter::counter()));
  here_.use(engine_of(filter::batch(filter::table(), filter::helper_object(filter::helper_words()),
                                    filter::chain("pre", filter::hook(0)), filter::base_chain(),
                                    filter::rule("pre", join(filter::port_is(21), filter::help())), rules)),
            now_);
  const filter::Ends control{filter::kPeer, filter::kHost, 40000, 21};
  ASSERT_TRUE(here_.comes(filter::segment(control, filter::kSyn, 999), now_));
  ASSERT_TRUE(here_.leaves(filter::segment(control.answer(), filter::kSyn | filter::kAck, 4999, 1000), now_));
  ASSERT_TRUE(here_.comes(filter::segment(control, filter::kAck, 1000, 5000), now_));
  ASSERT_TRUE(here_.comes(filter::said(control, 1000, 5000, "USER me\r\n"), now_));
  const uint64_t follower = follow();
  EXPECT_FALSE(here_.comes(filter::said(control, 1009, 5000, "PORT 10,0\r\n"), now_));
  const nlohmann::json step = last_step(follower);
  EXPECT_EQ(step.value("by", ""), "an announcement (ct helper)");
  EXPECT_EQ(step.value("verdict", ""), "drop");
  EXPECT_EQ(step.value("hook", ""), "input");
  EXPECT_FALSE(step.contains("index"));
  EXPECT_EQ(ask(follower)->at("next"), 1 + 1 + filter::Trace::kMostSteps) << "one chain's policy, and these";
}

TEST_F(RulesTest, TranslationThatDropsIsTheLastStep) {
  here_.use(engine_of(filter::batch(filter::table(), filter::nat_chain("pre", Hook::prerouting),
                                    filter::rule("pre", filter::redirect(8080)))),
            now_);
  const uint64_t follower = follow();
  EXPECT_FALSE(
      here_.comes(filter::v4(filter::kProtocolSctp, filter::kPeer, filter::kHost, Octets(16)), now_));
  const nlohmann::json step = last_step(follower);
  EXPECT_EQ(step.value("by", ""), "translation");
  EXPECT_EQ(step.value("verdict", ""), "drop");
}

TEST_F(RulesTest, HowManyNamesAreNotToldIsSaidWithoutAnotherName) {
  for (int i = 0; i < 7; ++i) here_.events().leave_out_name();
  const nlohmann::json answer = rules_.events(nlohmann::json::object(), now_);
  EXPECT_TRUE(answer["rows"].empty());
  EXPECT_EQ(answer.value("names_left_out", 0), 7);
}

// The longest is of 253 bytes: where names are alike for long, what is behind tells them apart.
TEST_F(RulesTest, ANameIsShownToItsEnd) {
  const std::string label(63, 'a'), same = label + '.' + label + '.' + label + '.' + std::string(57, 'a');
  for (const char* const end : {".one", ".two"})
    here_.events().note_name(same + end, filter::NameEvent::not_allowed, now_);
  const nlohmann::json rows = rules_.events(nlohmann::json::object(), now_)["rows"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].value("packet", ""), "name " + same + ".one");
  EXPECT_EQ(rows[1].value("packet", ""), "name " + same + ".two");
}

}  // namespace
}  // namespace skerry
