// The switch as a process, with rules: when it has them, and what becomes of those that it does not take.
#include "filter/link_batch.hpp"
#include "switch_process.hpp"

namespace skerry::vswitch {
namespace {

// Drops what the first port sends to all.
Octets no_broadcast_of_one() {
  using namespace filter;
  Octets name = {'o', 'n', 'e'};
  name.resize(16);
  return batch(
      table_of(nft::kBridge), chain_of(nft::kBridge, "c", hook(0)),
      rule_of(nft::kBridge, "c",
              join(meta(6), cmp(0, name), payload(0, 0, 6), cmp(0, Octets(6, 0xff)), filter::verdict(0))));
}
Octets to_all_from(uint8_t number) {
  return arp(kBroadcast, mac_of(number),
             {ArpOperation::kRequest, mac_of(number), address_of(number), {}, address_of(9)});
}

class SwitchProcessWithRules : public SwitchProcess {
 protected:
  Octets first_rules() const override { return no_broadcast_of_one(); }
};

TEST_F(SwitchProcessWithRules, HasThemBeforeItsFirstFrame) {
  const Octets other = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2));
  stations_[0].send(to_all_from(1));
  stations_[0].send(other);
  EXPECT_EQ(stations_[1].receive(), other) << "and not what was sent before it";
  stations_[1].send(to_all_from(2));
  EXPECT_EQ(stations_[0].receive(), to_all_from(2));
  const json why = ask({{"command", "why"}});
  ASSERT_EQ(why["rows"].size(), 1u) << why;
  EXPECT_EQ(why["rows"][0]["by"], "bridge t c handle 2");
  EXPECT_EQ(why["rows"][0]["hook"], "prerouting");
  const json rows = ask({{"command", "rules"}})["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1]["packets"], 1);
}

TEST_F(SwitchProcessWithRules, OthersTakeTheirPlaceOrTheyStay) {
  const Fd wrong = sealed(filter::batch(filter::table())), none = sealed({});
  const int no_bridge = wrong.get(), nothing = none.get();
  EXPECT_TRUE(ask({{"command", "load_rules"}}).contains("error")) << "without memory";
  const json refused = ask({{"command", "load_rules"}}, {&no_bridge, 1});
  EXPECT_NE(refused.value("error", "").find("write bridge"), std::string::npos) << refused;
  EXPECT_EQ(ask({{"command", "rules"}})["rows"].size(), 2u) << "the old ones are there";
  EXPECT_EQ(ask({{"command", "load_rules"}}, {&nothing, 1}), (json{{"ok", true}}));
  stations_[0].send(to_all_from(1));
  EXPECT_EQ(stations_[1].receive(), to_all_from(1));
}

}  // namespace
}  // namespace skerry::vswitch
