// Rules at the link and in ARP: what they see in a stack, in which order, and what becomes of what they
// refuse or change.
#include <gmock/gmock.h>

#include "filter/link_batch.hpp"
#include "filter/load.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/world.hpp"

namespace skerry::stack {
namespace {

using filter::at_link;
using filter::attribute;
using filter::be32;
using filter::in_arp;
using filter::join;
using filter::Octets;

constexpr int32_t kDrop = 0;
constexpr uint32_t kComes = 0, kLeaves = 1;
constexpr uint32_t kLink = 0, kNetwork = 1, kTransport = 2;
constexpr MacAddress kStranger{{2, 0, 0, 0, 0, 9}};

Octets mac_is(uint32_t offset, const MacAddress& mac) {
  return join(filter::payload(kLink, offset, 6), filter::cmp(0, Octets(mac.bytes.begin(), mac.bytes.end())));
}
Octets port_is(uint16_t port) {
  return join(filter::payload(kTransport, 2, 2),
              filter::cmp(0, Octets{static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)}));
}
Octets write(uint32_t base, uint32_t offset, const Octets& bytes) {
  return join(filter::immediate(bytes),
              filter::expression("payload", join(attribute(filter::nft::kPayloadFrom, be32(1)),
                                                 attribute(filter::nft::kPayloadBase, be32(base)),
                                                 attribute(filter::nft::kPayloadOffset, be32(offset)),
                                                 attribute(filter::nft::kPayloadLength,
                                                           be32(static_cast<uint32_t>(bytes.size()))))));
}
// What stands between the two messages that frame a batch.
Octets inside(const Octets& batch) {
  return {batch.begin() + 20, batch.end() - 20};
}
Octets together(const Octets& one, const Octets& other) {
  return filter::batch(inside(one), inside(other));
}
template <class... Rules>
Octets in_inet(filter::Hook hook, const Rules&... rules) {
  return filter::batch(filter::table(), filter::chain("c", filter::hook(static_cast<uint32_t>(hook))),
                       filter::rule("c", rules)...);
}

class LinkRulesTest : public World {
 protected:
  LinkRulesTest() { introduce_peer(); }

  void use(const Octets& bytes) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }
  uint64_t held(uint32_t chain = 0, uint32_t rule = 0) {
    return ip_.filter().engine().hits(chain, rule).packets;
  }
  void comes(const Packet& frame) {
    peer_sends(frame);
    ip_.rx(now_);
  }
  static Packet datagram(uint16_t port, const MacAddress& from = kPeerMac,
                         const Packet& payload = bytes_of("x")) {
    Packet frame = ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 1000, port, payload));
    std::copy(from.bytes.begin(), from.bytes.end(), frame.begin() + 6);
    return frame;
  }
  // A datagram in IPv6, behind an extension header of so many bytes.
  static Packet behind_options(size_t options_bytes, uint16_t port) {
    constexpr uint8_t kDestinationOptions = 60, kUdp = 17;
    Packet packet(40 + options_bytes);
    packet[0] = 0x60, packet[6] = kDestinationOptions;
    packet[40] = kUdp, packet[41] = static_cast<uint8_t>(options_bytes / 8 - 1);
    const Packet datagram = udp_datagram(kPeer, kOurs, 1000, port, bytes_of("x"));
    packet.insert(packet.end(), datagram.begin(), datagram.end());
    store_be16(&packet[4], static_cast<uint16_t>(packet.size() - 40));
    return ethernet_frame({kOurMac, kPeerMac, static_cast<EtherType>(0x86dd)}, packet);
  }
  static Packet request(Ipv4Address target = kOurs) {
    return arp_frame({ArpOperation::kRequest, kPeerMac, kPeer, {}, target});
  }
};

TEST_F(LinkRulesTest, IngressSeesEachFrameBeforeAllElse) {
  use(at_link(kComes, filter::counter()));
  comes(datagram(80));
  comes(request());
  comes(ethernet_frame({kStranger, kPeerMac, EtherType::kIpv4}, Packet(40)));  // for somebody else
  comes(ethernet_frame({kBroadcastMac, kPeerMac, static_cast<EtherType>(0x88cc)}, Packet(40)));
  EXPECT_EQ(held(), 4u);
  EXPECT_EQ(take_udp().size(), 1u);
  EXPECT_EQ(drops(DropReason::other_mac), 1u);
  EXPECT_EQ(drops(DropReason::unknown_ethertype), 1u);
  ip_.tx(now_);
  EXPECT_EQ(peer_receives().size(), 1u) << "who asks is answered";
  EXPECT_EQ(held(), 4u) << "what leaves does not come";
}

TEST_F(LinkRulesTest, WhatIngressRefusesIsNeverHeardOf) {
  use(together(at_link(kComes, join(mac_is(6, kStranger), filter::verdict(kDrop))),
               in_inet(filter::Hook::prerouting, filter::counter())));
  comes(datagram(80, kStranger));
  comes(arp_frame({ArpOperation::kRequest, kStranger, kPeer, {}, kOurs}));
  EXPECT_EQ(drops(DropReason::filter_ingress), 2u);
  EXPECT_EQ(held(1), 0u);
  comes(datagram(80));
  EXPECT_EQ(take_udp().size(), 1u);
  EXPECT_EQ(held(1), 1u);
  ip_.tx(now_);
  EXPECT_TRUE(peer_receives().empty());
}

TEST_F(LinkRulesTest, LongPacketsAndPiecesOfThemPassIngressWhole) {
  use(at_link(kComes, filter::counter()));
  const Packet payload(900, 'a');
  comes(datagram(80, kPeerMac, payload));
  const Packet whole = udp_datagram(kPeer, kOurs, 1000, 80, payload);
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.identification = 7;
  header.more_fragments = true;
  comes(ipv4_frame(header, Packet(whole.begin(), whole.begin() + 800)));
  header.more_fragments = false;
  header.fragment_offset = 800;
  comes(ipv4_frame(header, Packet(whole.begin() + 800, whole.end())));
  EXPECT_EQ(held(), 3u);
  EXPECT_THAT(take_udp(), testing::ElementsAre(whole, whole));
}

TEST_F(LinkRulesTest, APortBehindLongExtensionHeadersOfIpv6IsSeen) {
  use(at_link(kComes, join(port_is(80), filter::counter())));
  for (const size_t options_bytes : {8, 64, 120, 1200}) {
    const uint64_t before = held();
    comes(behind_options(options_bytes, 81));
    EXPECT_EQ(held(), before) << options_bytes;
    comes(behind_options(options_bytes, 80));
    EXPECT_EQ(held(), before + 1) << options_bytes;
  }
}

TEST_F(LinkRulesTest, WhatComesBehindALongPacketThatWasWrittenIsItself) {
  use(at_link(kComes, join(port_is(80), write(kTransport, 2, {0, 81})),
              join(mac_is(6, kStranger), filter::verdict(kDrop))));
  comes(behind_options(1200, 80));
  comes(datagram(80, kStranger));
  comes(datagram(82));
  comes(datagram(80));
  const auto got = take_udp();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(load_be16(&got[0][2]), 82);
  EXPECT_EQ(load_be16(&got[1][2]), 81);
}

// Packets that are alike but for the mark are not the same.
TEST_F(LinkRulesTest, TheMarkOfIngressIsSeenBehindIt) {
  use(together(at_link(kComes, join(mac_is(6, kStranger), filter::set_mark(7))),
               in_inet(filter::Hook::input, join(filter::mark_is(7), filter::verdict(kDrop)))));
  for (int round = 0; round < 2; ++round) {
    comes(datagram(80));
    EXPECT_EQ(take_udp().size(), 1u);
    comes(datagram(80, kStranger));
    EXPECT_TRUE(take_udp().empty());
  }
  EXPECT_EQ(drops(DropReason::filter_input), 2u);

  use(together(at_link(kComes, join(mac_is(6, kStranger), filter::set_mark(7))),
               in_arp(0, join(filter::mark_is(7), filter::verdict(kDrop)))));
  comes(request());
  comes(arp_frame({ArpOperation::kRequest, kStranger, kOther, {}, kOurs}));
  EXPECT_EQ(drops(DropReason::filter_arp), 1u);
}

TEST_F(LinkRulesTest, WhatIngressDoesNotTrackIsUntracked) {
  const Octets untracked = join(filter::expression("ct", join(attribute(filter::nft::kCtTo, be32(1)),
                                                              attribute(filter::nft::kCtKey, be32(0)))),
                                filter::cmp(0, Octets{64, 0, 0, 0}));
  use(together(at_link(kComes, join(port_is(80), filter::expression("notrack", {}))),
               in_inet(filter::Hook::input, join(untracked, filter::counter()))));
  comes(datagram(80));
  comes(datagram(81));
  EXPECT_EQ(take_udp().size(), 2u);
  EXPECT_EQ(held(1), 1u);
  EXPECT_EQ(ip_.filter().conntrack()->flows(), 1u);
}

TEST_F(LinkRulesTest, WhatIngressWritesIsWhatTheStackGets) {
  const Packet payload(900, 'a');
  use(together(at_link(kComes, join(port_is(80), write(kTransport, 2, {0, 90}))),
               in_inet(filter::Hook::input, join(port_is(90), filter::counter()))));
  comes(datagram(80, kPeerMac, payload));
  const auto taken = take_udp();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(load_be16(taken[0].data() + 2), 90);
  EXPECT_TRUE(std::equal(payload.begin(), payload.end(), taken[0].begin() + UdpHeader::kBytes));
  EXPECT_EQ(held(1), 1u);

  use(at_link(kComes, join(filter::payload(kLink, 12, 2), filter::cmp(0, {8, 6}),
                           write(kNetwork, 24, {10, 0, 0, 9}))));
  comes(request());
  ip_.tx(now_);
  EXPECT_TRUE(peer_receives().empty()) << "it asks for somebody else now";
}

TEST_F(LinkRulesTest, WhoIsRejectedAtIngressIsTold) {
  const Octets reject = filter::expression("reject", join(attribute(filter::nft::kRejectType, be32(0)),
                                                          attribute(filter::nft::kRejectCode, Octets{3})));
  use(at_link(kComes, reject));
  comes(datagram(80));
  comes(request());
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(IcmpHeader::parse(seen[0].payload().subspan(20))->type, IcmpType::kDestinationUnreachable);

  Packet strange = datagram(80);
  strange[14 + 12] = 127;  // from 127.0.0.1
  comes(strange);
  ip_.tx(now_);
  EXPECT_TRUE(peer_receives().empty()) << "who cannot be believed is not answered";
  EXPECT_EQ(drops(DropReason::filter_ingress), 3u);
}

TEST_F(LinkRulesTest, EgressSeesEachFrameAsItLeaves) {
  use(at_link(kLeaves, join(mac_is(0, kPeerMac), filter::counter())));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  comes(request());
  comes(datagram(80));
  take_udp();
  ip_.tx(now_);
  EXPECT_EQ(peer_receives().size(), 2u);
  EXPECT_EQ(held(), 2u);
  EXPECT_EQ(ip_.filter().engine().tally(0).bytes, 14u + 29 + 14 + 28);
}

TEST_F(LinkRulesTest, WhatEgressRefusesIsLostAndItsFrameIsNot) {
  use(at_link(kLeaves, join(port_is(2000), filter::verdict(kDrop))));
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(stack_sends(kPeer, bytes_of("x"))) << i;
    comes(request());
    ip_.tx(now_);
    ASSERT_EQ(peer_receives().size(), 1u) << "the answer, behind what is refused";
  }
  EXPECT_EQ(drops(DropReason::filter_egress), 3000u);
}

// Also of packets that are alike, and of one that had to wait for its neighbour.
TEST_F(LinkRulesTest, TheMarkOfOutputIsSeenAtEgress) {
  use(together(at_link(kLeaves, join(filter::mark_is(7), filter::counter())),
               in_inet(filter::Hook::output, join(port_is(2000), filter::set_mark(7)))));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stack_sends(kPeer, bytes_of("xxxxxxxxxxxxxxxxxxxx")));
  comes(request());
  ip_.tx(now_);
  EXPECT_EQ(peer_receives().size(), 4u);
  EXPECT_EQ(held(), 3u);

  ASSERT_TRUE(stack_sends(kOther, bytes_of("x")));
  ip_.tx(now_);
  EXPECT_EQ(peer_receives().size(), 1u) << "a question";
  EXPECT_EQ(held(), 3u);
  comes(arp_frame({ArpOperation::kReply, kStranger, kOther, kOurMac, kOurs}, kOurMac));
  ip_.tx(now_);
  EXPECT_EQ(peer_receives().size(), 1u);
  EXPECT_EQ(held(), 4u);
}

TEST_F(LinkRulesTest, WhatEgressWritesIsWhatLeaves) {
  use(at_link(kLeaves, join(port_is(2000), write(kTransport, 2, {0, 90}))));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(load_be16(seen[0].payload().data() + 22), 90);
  use(at_link(kLeaves, write(kNetwork, 2, {0, 20})));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  ip_.tx(now_);
  EXPECT_TRUE(peer_receives().empty()) << "no longer a packet of its length";
}

TEST_F(LinkRulesTest, ArpIsJudgedOnBothWays) {
  use(in_arp(0, join(filter::payload(kNetwork, 6, 2), filter::cmp(0, {0, 1}), filter::verdict(kDrop))));
  comes(request());
  ip_.tx(now_);
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(drops(DropReason::filter_arp), 1u);
  comes(datagram(80));
  EXPECT_EQ(take_udp().size(), 1u) << "nothing else is judged";

  use(in_arp(1,
             join(filter::payload(kNetwork, 24, 4), filter::cmp(0, {10, 0, 0, 9}), filter::verdict(kDrop))));
  ASSERT_TRUE(stack_sends(kOther, bytes_of("x")));
  comes(request());
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u) << "who asks is answered, and nobody is asked";
  EXPECT_EQ(seen[0].ethernet.type, EtherType::kArp);
  EXPECT_EQ(drops(DropReason::filter_arp), 2u);
}

TEST_F(LinkRulesTest, WhatRulesWriteIntoArpIsWhatIsSaid) {
  use(in_arp(1, write(kNetwork, 14, {10, 0, 0, 77})));
  comes(request());
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(ArpPacket::parse(seen[0].payload())->sender, 0x0a00004du);
}

TEST_F(LinkRulesTest, ArpOfOtherLengthsIsNotJudged) {
  use(in_arp(0, filter::counter()));
  Packet strange = request();
  strange[14 + 4] = 8;
  comes(strange);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(drops(DropReason::malformed_arp), 1u);
  comes(request());
  EXPECT_EQ(held(), 1u);
}

TEST_F(LinkRulesTest, WhatIsRefusedCanBeAskedFor) {
  use(together(
      at_link(kComes,
              join(filter::payload(kLink, 12, 2), filter::cmp(0, {0x88, 0xcc}), filter::verdict(kDrop)),
              join(port_is(80), filter::verdict(kDrop))),
      in_arp(0, filter::verdict(kDrop))));
  comes(ethernet_frame({kBroadcastMac, kPeerMac, static_cast<EtherType>(0x88cc)}, Packet(40)));
  comes(datagram(80));
  comes(request());
  const filter::Events& events = ip_.filter().events();
  ASSERT_EQ(events.next() - events.first(), 3u);
  const filter::Event &frame = events[events.first()], &packet = events[events.first() + 1],
                      &arp = events[events.first() + 2];
  EXPECT_EQ(frame.kind, filter::Event::Kind::frame);
  EXPECT_EQ(frame.from, kPeerMac);
  EXPECT_EQ(frame.ether_type, 0x88cc);
  EXPECT_EQ(frame.kept, 0) << "only IPv4 goes into a capture";
  EXPECT_EQ(packet.kind, filter::Event::Kind::ipv4);
  EXPECT_EQ(packet.destination_port, 80);
  EXPECT_EQ(packet.bytes[0], 0x45);
  EXPECT_EQ(packet.length, 29u);
  EXPECT_EQ(arp.kind, filter::Event::Kind::arp);
  EXPECT_EQ(arp.source, kPeer);
  EXPECT_EQ(arp.operation, 1);
}

// One number for a packet from the link up.
TEST_F(LinkRulesTest, APacketIsFollowedFromTheLinkOn) {
  use(together(at_link(kComes, filter::counter()), in_inet(filter::Hook::input, filter::counter())));
  filter::Ruleset match;
  const auto accepts = [](uint32_t hook) {
    return filter::chain("c" + std::to_string(hook),
                         join(filter::hook(hook), attribute(filter::nft::kChainPolicy, be32(0))));
  };
  const Octets to_80 = join(port_is(80), filter::verdict(1));
  ASSERT_FALSE(filter::load(
      filter::batch(inside(at_link(kComes, to_80, filter::verdict(0))), filter::table(), accepts(0),
                    accepts(1), filter::rule("c0", to_80), filter::rule("c1", to_80)),
      match));
  ip_.filter().follow(filter::Engine(std::move(match)), now_);
  comes(datagram(81));
  comes(request());
  comes(datagram(80));
  comes(datagram(80));
  take_udp();
  const filter::Trace& trace = *ip_.filter().trace();
  std::vector<std::pair<uint64_t, filter::Hook>> steps;
  for (uint64_t i = trace.first(); i < trace.next(); ++i)
    if (steps.empty() || steps.back() != std::pair{trace[i].packet, trace[i].about.hook})
      steps.emplace_back(trace[i].packet, trace[i].about.hook);
  using filter::Hook;
  EXPECT_THAT(steps, testing::ElementsAre(std::pair{1u, Hook::ingress}, std::pair{1u, Hook::prerouting},
                                          std::pair{1u, Hook::input}, std::pair{2u, Hook::ingress},
                                          std::pair{2u, Hook::prerouting}, std::pair{2u, Hook::input}));
}

}  // namespace
}  // namespace skerry::stack
