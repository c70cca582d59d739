#include "ctl/rates.hpp"

#include <gtest/gtest.h>

namespace skerry::ctl {
namespace {

using nlohmann::json;

Sample sample(const char* text) {
  const Result<Sample> parsed = parse_sample(json::parse(text));
  EXPECT_TRUE(parsed);
  return *parsed;
}

TEST(Rates, AreDifferencesPerSecondBusiestFirst) {
  const Sample before = sample(R"({"ok":true,"time_ns":1000000000,"processes":[
      {"name":"idle","kind":"stack","core":0,"cpu_ns":5,"counters":{"breaths":1}},
      {"name":"lan.vswitch","kind":"vswitch","core":1,"cpu_ns":0,
       "counters":{"sleeps":10,"redis.rx_frames":100,"host.rx_frames":50,"redis.tx_bytes":0,"redis.drop.isolated":1}}]})");
  const Sample after = sample(R"({"ok":true,"time_ns":3000000000,"processes":[
      {"name":"idle","kind":"stack","core":0,"cpu_ns":5,"counters":{"breaths":1}},
      {"name":"lan.vswitch","kind":"vswitch","core":1,"cpu_ns":1000000000,
       "counters":{"sleeps":50,"host.drop.unknown":0,"redis.rx_frames":300,"host.rx_frames":150,"redis.tx_bytes":4000,"redis.drop.isolated":3}}]})");
  const std::vector<ProcessRate> rates = rates_between(before, after);
  ASSERT_EQ(rates.size(), 2u);
  EXPECT_EQ(rates[0].name, "lan.vswitch");
  EXPECT_EQ(rates[0].core, "1");
  EXPECT_DOUBLE_EQ(rates[0].cpu_percent, 50);
  EXPECT_DOUBLE_EQ(rates[0].rx_frames, 150) << "all ports together";
  EXPECT_DOUBLE_EQ(rates[0].tx_bytes, 2000);
  EXPECT_DOUBLE_EQ(rates[0].drops, 1);
  EXPECT_EQ(rates[0].drop_reasons, (std::vector<std::pair<std::string, double>>{{"redis.drop.isolated", 1}}));
  EXPECT_DOUBLE_EQ(rates[0].wakes, 20);
  EXPECT_DOUBLE_EQ(rates[1].breaths, 0);
}

TEST(Rates, ALinkThatIsDownIsSaid) {
  const Sample before =
      sample(R"({"time_ns":0,"processes":[{"name":"a","cpu_ns":0,"counters":{"link.down":0}},
      {"name":"b","cpu_ns":0,"counters":{"link.down":1}}]})");
  const Sample after =
      sample(R"({"time_ns":1000000000,"processes":[{"name":"a","cpu_ns":1,"counters":{"link.down":1}},
      {"name":"b","cpu_ns":0,"counters":{"link.down":0}}]})");
  EXPECT_TRUE(rates_between(before, after)[0].link_down);
  EXPECT_FALSE(rates_between(before, after)[1].link_down) << "now, not before";
}

TEST(Rates, ARestartedProcessCountsFromZero) {
  const Sample before =
      sample(R"({"time_ns":0,"processes":[{"name":"a","cpu_ns":900,"counters":{"rx_frames":500}}]})");
  const Sample after =
      sample(R"({"time_ns":1000000000,"processes":[{"name":"a","cpu_ns":100,"counters":{"rx_frames":20}}]})");
  EXPECT_DOUBLE_EQ(rates_between(before, after)[0].rx_frames, 20);
}

TEST(Rates, NewcomersWaitForTheirSecondSample) {
  const Sample before = sample(R"({"time_ns":0,"processes":[]})");
  const Sample after = sample(R"({"time_ns":1,"processes":[{"name":"a","cpu_ns":1}]})");
  EXPECT_TRUE(rates_between(before, after).empty());
  EXPECT_TRUE(rates_between(after, after).empty()) << "no time has passed";
}

TEST(Rates, AMalformedAnswerIsAnErrorOrEmpty) {
  EXPECT_FALSE(parse_sample(json::parse(R"({"processes":1})")));
  EXPECT_FALSE(parse_sample(json::parse("{}")));
  EXPECT_TRUE(sample(R"({"time_ns":"x","processes":[1,"a",null]})").processes.empty());
  EXPECT_TRUE(sample(R"({"processes":[{"name":"a","counters":{"x":-1,"y":"z"}}]})")
                  .processes.at("a")
                  .counters.empty());
}

}  // namespace
}  // namespace skerry::ctl
