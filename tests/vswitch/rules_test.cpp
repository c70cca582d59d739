// Rules at the switch: which frames meet which hook, and what becomes of what they refuse or write.
#include <gtest/gtest.h>

#include "filter/link_batch.hpp"
#include "filter/write_batch.hpp"
#include "network.hpp"

namespace skerry::vswitch {
namespace {

using filter::batch;
using filter::chain_of;
using filter::cmp;
using filter::counter;
using filter::hook;
using filter::join;
using filter::meta;
using filter::payload;
using filter::rule_of;
using filter::set_mark;
using filter::table_of;
using filter::verdict;

namespace nft = filter::nft;

constexpr uint32_t kPrerouting = 0, kForward = 2, kPostrouting = 4;
constexpr uint32_t kLink = 0, kNetwork = 1, kTransport = 2;
constexpr int32_t kDrop = 0;

Octets packet(uint8_t from, uint8_t to) {
  return ipv4(mac_of(to), mac_of(from), address_of(from), address_of(to));
}
Octets to_all(uint8_t from) {
  return arp(kBroadcast, mac_of(from),
             {ArpOperation::kRequest, mac_of(from), address_of(from), {}, address_of(9)});
}
Octets is_to(const char* port) {
  Octets name(port, port + std::strlen(port));
  name.resize(16);
  return join(meta(7), cmp(0, name));
}
template <class... Rules>
Octets chain_at(uint32_t at, const Rules&... rules) {
  const std::string name = "c" + std::to_string(at);
  return join(chain_of(nft::kBridge, name, hook(at)), rule_of(nft::kBridge, name, rules)...);
}
template <class... Chains>
Octets bridge(const Chains&... chains) {
  return batch(table_of(nft::kBridge), chains...);
}

// Three stations a, b and c with numbers 1 to 3 and those names, joined to each other.
class SwitchRules : public testing::Test {
 protected:
  SwitchRules() {
    for (uint8_t number = 1; number <= 3; ++number)
      ports_.push_back(network_.add({.mac = mac_of(number),
                                     .addresses = {address_of(number)},
                                     .name = std::string(1, static_cast<char>('a' + number - 1))},
                                    {}, kMaxFrame));
    network_.join_all();
  }
  void use(const Octets& rules) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(rules, ruleset, {.place = filter::Place::vswitch});
    ASSERT_FALSE(refused) << refused->sentence;
    network_.vswitch.rules().use(filter::Engine(std::move(ruleset)), 0);
  }
  // How many arrive at each.
  std::vector<size_t> arrive() {
    network_.breathe();
    std::vector<size_t> counts;
    for (const PortId port : ports_) counts.push_back(network_.received_count(port));
    return counts;
  }
  // What the rule with this number has counted; by chains, and in each by rules.
  uint64_t hits(uint32_t chain, uint32_t rule = 0) {
    return network_.vswitch.rules().engine().hits(chain, rule).packets;
  }

  Network network_;
  std::vector<PortId> ports_;
};

using Counts = std::vector<size_t>;

TEST_F(SwitchRules, WithNoneEverythingPasses) {
  EXPECT_FALSE(network_.vswitch.rules().is_active());
  network_.send(ports_[0], packet(1, 2));
  EXPECT_EQ(arrive(), (Counts{0, 1, 0}));
}

TEST_F(SwitchRules, AFrameMeetsThreeHooks) {
  use(bridge(chain_at(kPrerouting, counter()), chain_at(kForward, counter()),
             chain_at(kPostrouting, counter())));
  network_.send(ports_[0], packet(1, 2));
  EXPECT_EQ(arrive(), (Counts{0, 1, 0}));
  for (const uint32_t chain : {0, 1, 2}) EXPECT_EQ(hits(chain), 1u) << chain;
}

TEST_F(SwitchRules, EachCopyOfOneForManyIsJudged) {
  use(bridge(chain_at(kPrerouting, counter()),
             chain_at(kForward, join(is_to("b"), verdict(kDrop)), counter()),
             chain_at(kPostrouting, counter())));
  network_.send(ports_[0], to_all(1));
  EXPECT_EQ(arrive(), (Counts{0, 0, 1}));
  EXPECT_EQ(hits(0), 1u) << "prerouting sees it once";
  EXPECT_EQ(hits(1, 1), 1u);
  EXPECT_EQ(hits(2), 1u);
  EXPECT_EQ(network_.dropped(ports_[1], Drop::kFilter), 1u) << "counted where it did not arrive";
  EXPECT_EQ(network_.dropped(ports_[0], Drop::kFilter), 0u);
}

TEST_F(SwitchRules, WhatPreroutingRefusesGoesNowhere) {
  use(bridge(chain_at(kPrerouting, join(payload(kLink, 6, 6), cmp(0, {2, 0, 0, 0, 0, 1}), verdict(kDrop)))));
  network_.send(ports_[0], to_all(1));
  network_.send(ports_[1], to_all(2));
  EXPECT_EQ(arrive(), (Counts{1, 0, 1}));
  EXPECT_EQ(network_.dropped(ports_[0], Drop::kFilter), 1u);
}

TEST_F(SwitchRules, WhoLiesMeetsNoRule) {
  use(bridge(chain_at(kPrerouting, counter())));
  network_.send(ports_[0], packet(2, 3));
  EXPECT_EQ(arrive(), (Counts{0, 0, 0}));
  EXPECT_EQ(hits(0), 0u);
  EXPECT_EQ(network_.dropped(ports_[0], Drop::kSourceMac), 1u);
}

TEST_F(SwitchRules, WhatWasRefusedTeachesNothing) {
  const PortId uplink = network_.add(9, true);
  network_.join_all();
  use(bridge(chain_at(kPrerouting, join(payload(kLink, 6, 6), cmp(0, {2, 0, 0, 0, 0, 8}), verdict(kDrop)))));
  network_.send(uplink, ipv4(mac_of(1), mac_of(8), address_of(8), address_of(1)));
  network_.send(uplink, ipv4(mac_of(1), mac_of(7), address_of(7), address_of(1)));
  EXPECT_EQ(arrive(), (Counts{1, 0, 0}));
  EXPECT_EQ(network_.vswitch.learned(), 1u);
}

// To b the datagram gets another port, as the copies that follow do not.
TEST_F(SwitchRules, WhatIsWrittenIntoOneCopyIsNotInAnother) {
  Octets many = ipv4(kBroadcast, mac_of(1), address_of(1), 0xffffffff);
  use(bridge(chain_at(kForward, join(is_to("b"), filter::write(kTransport, 2, {0, 53}), set_mark(7))),
             chain_at(kPostrouting, join(filter::mark_is(7), counter()), counter())));
  network_.send(ports_[0], many);
  network_.breathe();
  const auto at_b = network_.received(ports_[1]), at_c = network_.received(ports_[2]);
  ASSERT_EQ(at_b.size(), 1u);
  ASSERT_EQ(at_c.size(), 1u);
  EXPECT_EQ(at_c[0].bytes, many);
  many[36] = 0;
  many[37] = 53;
  EXPECT_EQ(at_b[0].bytes, many);
  EXPECT_EQ(hits(1, 0), 1u) << "and the mark is that of one copy";
  EXPECT_EQ(hits(1, 1), 2u);
}

TEST_F(SwitchRules, WhatPreroutingWritesAndMarksIsInAllCopies) {
  Octets many = ipv4(kBroadcast, mac_of(1), address_of(1), 0xffffffff);
  use(bridge(chain_at(kPrerouting, join(filter::write(kTransport, 2, {0, 53}), set_mark(7))),
             chain_at(kPostrouting, join(filter::mark_is(7), counter()))));
  network_.send(ports_[0], many);
  network_.breathe();
  many[36] = 0;
  many[37] = 53;
  for (const PortId port : {ports_[1], ports_[2]}) {
    const auto got = network_.received(port);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].bytes, many);
  }
  EXPECT_EQ(hits(1), 2u);
}

// Rules look further into the frame than the switch itself does.
TEST_F(SwitchRules, WhatIsFarBehindIsSeenAndArrivesWhole) {
  const Octets large = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 1400);
  use(bridge(
      chain_at(kForward, join(payload(kNetwork, 20 + 300, 2), cmp(0, {300 - 256, 301 - 256}), counter()))));
  network_.send(ports_[0], large);
  network_.breathe();
  const auto got = network_.received(ports_[1]);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].bytes, large);
  EXPECT_EQ(hits(0), 1u);
}

TEST_F(SwitchRules, WhatIsBehindLongExtensionHeadersIsSeen) {
  constexpr size_t kIpv6Bytes = 40, kOptionsBytes = 256, kTcpBytes = 20;
  const PortId uplink = network_.add(9, true);
  network_.join_all();
  Octets frame = ethernet(mac_of(1), mac_of(8), EtherType::kIpv6, kIpv6Bytes + kOptionsBytes + kTcpBytes);
  uint8_t* const ip = frame.data() + EthernetHeader::kBytes;
  ip[0] = 0x60;
  store_be16(ip + 4, kOptionsBytes + kTcpBytes);
  ip[6] = 60;          // destination options
  ip[kIpv6Bytes] = 6;  // TCP
  ip[kIpv6Bytes + 1] = kOptionsBytes / 8 - 1;
  store_be16(ip + kIpv6Bytes + kOptionsBytes + 2, 22);
  use(bridge(chain_at(kForward, join(payload(kTransport, 2, 2), cmp(0, {0, 22}), verdict(kDrop)))));
  network_.send(uplink, frame);
  EXPECT_EQ(arrive(), (Counts{0, 0, 0}));
  EXPECT_EQ(network_.dropped(ports_[0], Drop::kFilter), 1u);
}

// A checksum that somebody else finishes lies behind the header: no rule may move it.
TEST_F(SwitchRules, AHeaderThatNoLongerFitsItsMarksIsRefused) {
  const Octets tcp = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 60, IpProtocol::kTcp);
  use(bridge(chain_at(kForward, filter::write(kNetwork, 0, {0x46}))));
  filter::Ruleset all;
  ASSERT_FALSE(filter::load(bridge(chain_at(kForward)), all, {.place = filter::Place::vswitch}));
  network_.vswitch.rules().follow(filter::Engine(std::move(all)), 0);
  network_.send(ports_[0], tcp, unfinished(16));
  EXPECT_EQ(arrive(), (Counts{0, 0, 0}));
  EXPECT_EQ(network_.dropped(ports_[1], Drop::kFilter), 1u);
  const filter::Trace& trace = *network_.vswitch.rules().trace();
  EXPECT_EQ(trace[trace.next() - 1].step.chain, filter::kWritten) << "who follows it sees that";
  network_.send(ports_[0], tcp);
  EXPECT_EQ(arrive(), (Counts{0, 1, 0})) << "without marks it is what the rules made of it";
}

TEST_F(SwitchRules, WhatIsRefusedIsRememberedForWhoAsksWhy) {
  use(bridge(chain_at(kForward, join(is_to("b"), verdict(kDrop)))));
  network_.send(ports_[0], packet(1, 2));
  network_.breathe();
  const filter::Events& events = network_.vswitch.rules().events();
  ASSERT_EQ(events.next() - events.first(), 1u);
  EXPECT_EQ(events[events.first()].hook, filter::Hook::forward);
  EXPECT_EQ(events[events.first()].source, address_of(1));
  EXPECT_EQ(events[events.first()].rule, 0u);
}

}  // namespace
}  // namespace skerry::vswitch
