// Rules in the stack: which hook a packet meets, what becomes of one that is refused, and that what was
// judged is what is used.
#include "stack/filter_hooks.hpp"

#include <gmock/gmock.h>

#include "filter/batch.hpp"
#include "filter/load.hpp"
#include "stack/udp_component.hpp"
#include "stack/world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::attribute;
using filter::be32;
using filter::join;
using filter::Octets;

constexpr int32_t kDrop = 0;

filter::Engine engine_of(const Octets& bytes) {
  filter::Ruleset ruleset;
  const auto refused = filter::load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return filter::Engine(std::move(ruleset));
}

// A chain at a hook with these rules.
template <class... Rules>
Octets at(filter::Hook hook, const Rules&... rules) {
  return filter::batch(filter::table(), filter::chain("c", filter::hook(static_cast<uint32_t>(hook))),
                       filter::rule("c", rules)...);
}

Octets port_is(uint16_t port) {
  Octets bytes(2);
  store_be16(bytes.data(), port);
  return join(filter::payload(2, 2, 2), filter::cmp(0, bytes));
}

Octets reject(uint32_t kind, uint8_t code) {
  return filter::expression("reject", join(attribute(filter::nft::kRejectType, be32(kind)),
                                           attribute(filter::nft::kRejectCode, Octets{code})));
}

Packet tcp_segment(TcpHeader header, const Packet& payload, Ipv4Address from, Ipv4Address to) {
  Packet segment(TcpHeader::kMinBytes + payload.size());
  header.emit(segment.data());
  std::copy(payload.begin(), payload.end(), segment.begin() + TcpHeader::kMinBytes);
  InternetChecksum sum = ipv4_pseudo_header(from, to, 6, static_cast<uint16_t>(segment.size()));
  sum.add(segment);
  header.checksum = sum.finish();
  header.emit(segment.data());
  return segment;
}

Packet tcp_segment(uint8_t flags, uint16_t port, const Packet& payload = {}, Ipv4Address from = kPeer,
                   Ipv4Address to = kOurs) {
  TcpHeader header;
  header.source_port = 1234;
  header.destination_port = port;
  header.seq = 1000;
  header.flags = flags;
  return tcp_segment(header, payload, from, to);
}

// What one side of a connection between a port of ours, 80, and 1234 says.
TcpHeader says(bool from_80, uint8_t flags, uint32_t seq, uint32_t ack) {
  TcpHeader header;
  header.source_port = from_80 ? 80 : 1234;
  header.destination_port = from_80 ? 1234 : 80;
  header.seq = seq;
  header.ack = ack;
  header.flags = flags;
  header.window = 1000;
  return header;
}

class FilterHooksTest : public World {
 protected:
  FilterHooksTest() { introduce_peer(); }

  void use(const Octets& bytes) { ip_.filter().use(engine_of(bytes), now_); }
  void peer_asks(uint16_t port, const Packet& payload = bytes_of("x")) {
    peer_sends(ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 1000, port, payload)));
    ip_.rx(now_);
  }
  void peer_asks_in_pieces() {
    const Packet datagram = udp_datagram(kPeer, kOurs, 1000, 80, Packet(24, 'a'));
    Ipv4Header header = from_peer(IpProtocol::kUdp);
    header.identification = 7;
    header.more_fragments = true;
    peer_sends(ipv4_frame(header, Packet(datagram.begin(), datagram.begin() + 16)));
    header.more_fragments = false;
    header.fragment_offset = 16;
    peer_sends(ipv4_frame(header, Packet(datagram.begin() + 16, datagram.end())));
    ip_.rx(now_);
  }
  void peer_says(const TcpHeader& header) {
    peer_sends(ipv4_frame(from_peer(IpProtocol::kTcp), tcp_segment(header, {}, kPeer, kOurs)));
    ip_.rx(now_);
  }
  void we_say(const TcpHeader& header, Ipv4Address to = kPeer) {
    ASSERT_TRUE(ip_.find(tcp_way_, to, 0));
    ASSERT_GT(ip_.reserve(tcp_way_), 0u);
    Outgoing out = ip_.open(tcp_way_, TcpHeader::kMinBytes);
    header.emit(out.transport);
    ip_.settle_checksum(out, tcp_way_, TcpHeader::kChecksumOffset);
    ip_.send(now_, tcp_way_, out);
    ip_.tx(now_);
  }
  // How many TCP segments have arrived.
  size_t take_tcp() {
    const size_t taken = ip_.tcp_segments().view().size();
    for (const Segment& segment : ip_.tcp_segments().view()) ip_.give_back(segment);
    ip_.tcp_segments().clear();
    return taken;
  }
  size_t loops(const TcpHeader& header) {
    we_say(header, kLoop);
    ip_.rx(now_);
    return take_tcp();
  }

  Way tcp_way_{IpProtocol::kTcp};
};

TEST_F(FilterHooksTest, WithoutAChainNothingIsAsked) {
  use({});
  EXPECT_FALSE(ip_.filter().is_active());
  EXPECT_EQ(ip_.filter().conntrack(), nullptr);
  peer_asks(80);
  EXPECT_EQ(take_udp().size(), 1u);
}

TEST_F(FilterHooksTest, WhatComesInMeetsPreroutingAndInput) {
  for (const auto& [hook, reason] : {std::pair{filter::Hook::prerouting, DropReason::filter_prerouting},
                                     {filter::Hook::input, DropReason::filter_input}}) {
    use(at(hook, join(port_is(80), filter::verdict(kDrop))));
    peer_asks(80);
    peer_asks(81);
    EXPECT_EQ(take_udp().size(), 1u);
    EXPECT_EQ(drops(reason), 1u);
  }
  use(at(filter::Hook::output, filter::verdict(kDrop)));
  peer_asks(80);
  EXPECT_EQ(take_udp().size(), 1u) << "what comes in does not go out";
}

TEST_F(FilterHooksTest, WhatGoesOutMeetsOutputAndPostrouting) {
  for (const auto& [hook, reason] : {std::pair{filter::Hook::output, DropReason::filter_output},
                                     {filter::Hook::postrouting, DropReason::filter_postrouting}}) {
    use(at(hook, join(port_is(2000), filter::verdict(kDrop))));
    ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
    breathe();
    EXPECT_TRUE(peer_receives().empty());
    EXPECT_EQ(drops(reason), 1u);
  }
  use({});
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  breathe();
  EXPECT_EQ(peer_receives().size(), 1u) << "no frame was lost with those that were refused";
}

TEST_F(FilterHooksTest, TheOldRulesJudgeInEachPauseOfALoadAndTheNewOnesFromThenOn) {
  const auto refuses = [](uint16_t port) {
    return at(filter::Hook::input, join(port_is(port), filter::verdict(kDrop)));
  };
  use(refuses(80));
  size_t pauses = 0;
  const Pause pause(
      [&] {
        ++pauses;
        peer_asks(80);
        EXPECT_TRUE(take_udp().empty());
        peer_asks(81);
        EXPECT_EQ(take_udp().size(), 1u);
      },
      1);
  filter::Ruleset ruleset;
  ASSERT_FALSE(filter::load(refuses(81), ruleset, {}, pause));
  filter::Engine next(std::move(ruleset), now_, {}, filter::Engine::Search::indexed, pause);
  filter::Engine old = ip_.filter().use(std::move(next), now_, {}, pause);
  EXPECT_EQ(old.hits(0, 0).packets, pauses);
  EXPECT_GT(pauses, 4u);
  peer_asks(80);
  peer_asks(81);
  EXPECT_EQ(take_udp().size(), 1u);
  EXPECT_EQ(ip_.filter().engine().hits(0, 0).packets, 1u);
}

// As on Linux, where cutting comes behind the rules.
TEST_F(FilterHooksTest, WhatIsCutIsJudgedWhole) {
  const Packet datagram = udp_datagram(kOurs, kPeer, 1000, 2000, Packet(4000, 'b'));
  const auto send = [&] {
    EXPECT_TRUE(ip_.find(way_, kPeer, 0));
    const ConstBytes pieces[] = {datagram};
    return ip_.send_in_pieces(now_, way_, pieces, ip_.transport_mtu(way_));
  };
  use(at(filter::Hook::output, filter::counter(),
         join(filter::payload(2, 3900, 2), filter::cmp(0, Octets{'b', 'b'}), filter::verdict(kDrop))));
  EXPECT_EQ(send(), EPERM);
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);
  EXPECT_EQ(ip_.filter().engine().tally(0).bytes, 4028u);
  use({});
  EXPECT_EQ(send(), 0);
  breathe();
  EXPECT_EQ(peer_receives().size(), 3u);
}

TEST_F(FilterHooksTest, ARuleSeesAsDeepAsItAsks) {
  const Packet payload(1000, 'a');
  use(at(filter::Hook::input,
         join(filter::payload(2, 900, 2), filter::cmp(0, Octets{'b', 'b'}), filter::verdict(kDrop))));
  peer_asks(80, payload);
  EXPECT_EQ(take_udp().size(), 1u);
  peer_asks(80, Packet(1000, 'b'));
  EXPECT_TRUE(take_udp().empty());
  EXPECT_EQ(drops(DropReason::filter_input), 1u);
}

TEST_F(FilterHooksTest, APacketCountsWithAllItsBytes) {
  use(at(filter::Hook::input, filter::counter()));
  peer_asks(80, Packet(1000, 'a'));
  take_udp();
  EXPECT_EQ(ip_.filter().engine().tally(0).bytes, 1028u);
  EXPECT_EQ(ip_.filter().engine().hits(0, 0).packets, 1u);
}

TEST_F(FilterHooksTest, PiecesMeetPreroutingAndTheWholeMeetsInput) {
  use(at(filter::Hook::prerouting, filter::counter()));
  peer_asks_in_pieces();
  EXPECT_EQ(take_udp().size(), 1u);
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 2u);
  use(at(filter::Hook::input, filter::counter(), join(port_is(80), filter::verdict(kDrop))));
  peer_asks_in_pieces();
  EXPECT_TRUE(take_udp().empty());
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);
}

// The second is not judged, and yet it counts; new rules know nothing of it.
TEST_F(FilterHooksTest, PacketsAlikeCountEachAndNewRulesJudgeThemAnew) {
  const Packet payload(100, 'a');
  use(at(filter::Hook::input, join(port_is(80), filter::counter(), filter::verdict(1))));
  for (int i = 0; i < 3; ++i) {
    peer_asks(80, payload);
    peer_asks(81, payload);
    EXPECT_EQ(take_udp().size(), 2u);
  }
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 3u);
  EXPECT_EQ(ip_.filter().engine().tally(0).bytes, 3 * 128u);
  EXPECT_EQ(ip_.filter().engine().hits(0, 0).packets, 3u);
  EXPECT_EQ(ip_.filter().engine().hits(0, filter::kNone).packets, 3u) << "of the other port";
  use(at(filter::Hook::input, join(port_is(80), filter::verdict(kDrop))));
  peer_asks(80, payload);
  EXPECT_TRUE(take_udp().empty());
}

TEST_F(FilterHooksTest, PacketsAlikeCountOnTheirWayOutToo) {
  use(at(filter::Hook::output, join(port_is(2000), filter::counter())));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stack_sends(kPeer, Packet(100, 'a')));
  breathe();
  EXPECT_EQ(peer_receives().size(), 3u);
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 3u);
}

Octets state_is(uint8_t bit) {
  const Octets load = filter::expression(
      "ct", join(attribute(filter::nft::kCtTo, be32(1)), attribute(filter::nft::kCtKey, be32(0))));
  return join(load, filter::cmp(0, Octets{bit, 0, 0, 0}));
}
constexpr uint8_t kInvalid = 1, kEstablished = 2, kRelated = 4, kNew = 8;

// Nothing but answers comes in, and what was known stays so when rules change.
TEST_F(FilterHooksTest, AFlowOutlivesTheRules) {
  const auto only_answers = [&](const Octets& more) {
    return filter::batch(filter::table(), filter::base_chain("in", filter::Policy::drop),
                         filter::rule("in", join(more, state_is(kEstablished), filter::verdict(1))));
  };
  use(only_answers({}));
  peer_asks(1000);
  EXPECT_TRUE(take_udp().empty()) << "no answer";
  const Packet datagram = udp_datagram(kOurs, kPeer, 80, 1000, bytes_of("x"));
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  const ConstBytes pieces[] = {datagram};
  ASSERT_EQ(ip_.send_in_pieces(now_, way_, pieces, ip_.transport_mtu(way_)), 0);
  use(only_answers(filter::counter()));
  peer_asks(80);
  EXPECT_EQ(take_udp().size(), 1u);

  we_say(says(false, kTcpSyn, 0, 0));
  peer_says(says(true, kTcpSyn | kTcpAck, 500, 1));
  we_say(says(false, kTcpAck, 1, 501));
  use(at(filter::Hook::input, filter::counter()));
  use(only_answers({}));
  peer_says(says(true, kTcpAck, 90'501, 70'001));
  EXPECT_EQ(take_tcp(), 2u) << "what passed between the rules is not missed";
  we_say(says(false, kTcpAck, 70'001, 90'501));
  peer_says(says(true, kTcpAck, 90'501 + 100'000, 70'001));
  EXPECT_EQ(take_tcp(), 0u) << "over the window";
  EXPECT_EQ(ip_.filter().conntrack()->flows(), 2u);
}

// On Linux too a packet over lo keeps what was known of it.
TEST_F(FilterHooksTest, WhatLoopsIsTrackedOnce) {
  const auto rules = [&](uint8_t out, uint8_t in) {
    return filter::batch(filter::table(), filter::base_chain("in", filter::Policy::drop),
                         filter::rule("in", join(state_is(in), filter::verdict(1))),
                         filter::chain("out", filter::hook(3)),
                         filter::rule("out", join(state_is(out), filter::counter())));
  };
  use(rules(kNew, kNew));
  EXPECT_EQ(loops(says(false, kTcpSyn, 0, 0)), 1u);
  use(rules(kEstablished, kEstablished));
  EXPECT_EQ(loops(says(true, kTcpRst | kTcpAck, 0, 1)), 1u) << "a closed port";
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);

  use(rules(kNew, kNew));
  EXPECT_EQ(loops(says(false, kTcpSyn, 100, 0)), 1u);
  use(rules(kInvalid, kEstablished));
  EXPECT_EQ(loops(says(true, kTcpFin | kTcpAck, 700, 101)), 0u) << "invalid on both ways";
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);

  // In one breath: the place of the flow that the reset ends goes to another.
  use(rules(kEstablished, kEstablished));
  we_say(says(true, kTcpRst | kTcpAck, 0, 101), kLoop);
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  ip_.rx(now_);
  EXPECT_EQ(take_tcp(), 1u);
}

TEST_F(FilterHooksTest, WhatIsUntrackedOnItsWayOutStaysSo) {
  constexpr uint8_t kUntracked = 64;
  use(filter::batch(filter::table(), filter::base_chain("in", filter::Policy::drop),
                    filter::rule("in", join(state_is(kUntracked), filter::verdict(1))),
                    filter::chain("out", filter::hook(3, -300)),
                    filter::rule("out", filter::expression("notrack", {}))));
  EXPECT_EQ(loops(says(false, kTcpSyn, 0, 0)), 1u);
}

TEST_F(FilterHooksTest, AResetInTheNameOfItsReceiverIsRelated) {
  use(filter::batch(filter::table(), filter::base_chain("in", filter::Policy::drop),
                    filter::rule("in", join(state_is(kRelated), filter::verdict(1))),
                    filter::chain("out", filter::hook(3)), filter::rule("out", reject(1, 0))));
  we_say(says(false, kTcpSyn, 0, 0));
  ip_.rx(now_);
  EXPECT_EQ(take_tcp(), 1u);
}

// What an answer says of a flow that is known is of that flow, and has its mark.
TEST_F(FilterHooksTest, AnAnswerBelongsToTheFlowThatItQuotes) {
  const Octets mark_is_7 = join(filter::expression("ct", join(attribute(filter::nft::kCtTo, be32(1)),
                                                              attribute(filter::nft::kCtKey, be32(3)))),
                                filter::cmp(0, Octets{7, 0, 0, 0}));
  const Octets sets_mark = join(
      filter::expression("immediate", join(attribute(filter::nft::kImmediateTo, be32(1)),
                                           filter::value(filter::nft::kImmediateData, {7, 0, 0, 0}))),
      filter::expression(
          "ct", join(attribute(filter::nft::kCtFrom, be32(1)), attribute(filter::nft::kCtKey, be32(3)))));
  use(filter::batch(filter::table(), filter::base_chain(),
                    filter::rule("in", join(state_is(kNew), sets_mark))));
  const Packet datagram = udp_datagram(kOurs, kPeer, 80, 1000, bytes_of("x"));
  peer_asks(80);
  EXPECT_EQ(take_udp().size(), 1u);
  use(filter::batch(filter::table(), filter::base_chain(), filter::rule("in", reject(2, 3)),
                    filter::chain("out", filter::hook(3)),
                    filter::rule("out", join(state_is(kRelated), mark_is_7, filter::counter()))));
  peer_asks(80);
  breathe();
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);
}

TEST_F(FilterHooksTest, ADamagedEchoIsInvalid) {
  Packet echo = icmp_message({IcmpType::kEcho, 0}, Packet(8));
  echo.back() ^= 1;
  use(at(filter::Hook::input, join(state_is(kInvalid), filter::counter())));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), echo));
  breathe();
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);
  EXPECT_EQ(drops(DropReason::icmp_checksum), 1u);
}

TEST_F(FilterHooksTest, WhoTracksConnectionsJudgesPacketsNotPieces) {
  use(at(filter::Hook::prerouting, filter::counter(), state_is(kRelated)));
  peer_asks_in_pieces();
  EXPECT_EQ(take_udp().size(), 1u);
  EXPECT_EQ(ip_.filter().engine().tally(0).packets, 1u);
  EXPECT_EQ(ip_.filter().engine().tally(0).bytes, 52u);
}

// The packet begins no flow, because it is refused, and yet what is said about it belongs to something.
TEST_F(FilterHooksTest, ARejectionIsRelatedToWhatItRejects) {
  use(filter::batch(
      filter::table(), filter::base_chain(), filter::rule("in", reject(2, 3)),
      filter::chain("out", join(filter::hook(3), attribute(filter::nft::kChainPolicy, be32(0)))),
      filter::rule("out", join(state_is(kRelated), filter::verdict(1)))));
  peer_asks(80);
  breathe();
  EXPECT_EQ(peer_receives().size(), 1u);
}

TEST_F(FilterHooksTest, ARejectedDatagramIsAnsweredByIcmp) {
  use(at(filter::Hook::input, join(port_is(80), reject(2, 3))));  // icmpx admin-prohibited
  peer_asks(80);
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  const auto icmp = IcmpHeader::parse(seen[0].payload().subspan(Ipv4Header::kMinBytes));
  ASSERT_TRUE(icmp);
  EXPECT_EQ(icmp->type, IcmpType::kDestinationUnreachable);
  EXPECT_EQ(icmp->code, 13);
  EXPECT_EQ(drops(DropReason::filter_input), 1u);
}

TEST_F(FilterHooksTest, AnIcmpErrorIsNeverAnswered) {
  use(at(filter::Hook::input, reject(0, 3)));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp),
                        icmp_message({IcmpType::kDestinationUnreachable, 1}, Packet(28))));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), icmp_message({IcmpType::kEcho, 0}, Packet(8))));
  breathe();
  EXPECT_EQ(peer_receives().size(), 1u) << "to the echo";
}

TEST_F(FilterHooksTest, ARejectedSynIsReset) {
  use(at(filter::Hook::input, reject(1, 0)));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kTcp), tcp_segment(kTcpSyn, 80)));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kTcp), tcp_segment(kTcpRst, 80)));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u) << "a reset is not reset";
  const auto tcp = TcpHeader::parse(seen[0].payload().subspan(Ipv4Header::kMinBytes));
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->flags, kTcpRst | kTcpAck);
  EXPECT_EQ(tcp->ack, 1001u);
  EXPECT_EQ(tcp->destination_port, 1234);
  InternetChecksum sum = ipv4_pseudo_header(kOurs, kPeer, 6, TcpHeader::kMinBytes);
  sum.add(seen[0].payload().subspan(Ipv4Header::kMinBytes));
  EXPECT_TRUE(sum.intact());
}

// What no stack believes is not answered because a rule rejects it: the answer would go to our own programs,
// or to many.
TEST_F(FilterHooksTest, WhoWouldNotBeBelievedIsNotAnswered) {
  struct Case {
    const char* name;
    Ipv4Address source, destination;
    MacAddress mac;
  };
  for (const Case& each :
       {Case{"loopback", kLoop, kLoop, kOurMac}, Case{"our address", kOurs, kOurs, kOurMac},
        Case{"the subnet's broadcast", kOurs | 0xff, kOurs, kOurMac},
        Case{"unicast in a broadcast frame", kPeer, kOurs, kBroadcastMac}}) {
    for (const auto& [kind, code] : {std::pair<uint32_t, uint8_t>{1, 0}, {0, 3}}) {
      use(at(filter::Hook::prerouting, reject(kind, code)));
      const auto refused = drops(DropReason::filter_prerouting);
      Ipv4Header header = from_peer(IpProtocol::kTcp);
      header.source = each.source;
      header.destination = each.destination;
      peer_sends(ipv4_frame(header, tcp_segment(kTcpSyn, 80, {}, each.source, each.destination), each.mac));
      header.protocol = IpProtocol::kUdp;
      peer_sends(
          ipv4_frame(header, udp_datagram(each.source, each.destination, 1000, 80, bytes_of("x")), each.mac));
      breathe();
      breathe();
      EXPECT_EQ(drops(DropReason::filter_prerouting), refused + 2) << each.name;
      EXPECT_TRUE(peer_receives().empty()) << each.name;
      EXPECT_TRUE(ip_.tcp_segments().view().empty()) << each.name;
      EXPECT_TRUE(ip_.udp_errors().view().empty()) << each.name;
      for (const Segment& segment : ip_.tcp_segments().view()) ip_.give_back(segment);
      ip_.tcp_segments().clear();
      ip_.udp_errors().clear();
    }
  }
}

TEST_F(FilterHooksTest, ADamagedSegmentIsNotAnswered) {
  Packet segment = tcp_segment(kTcpSyn, 80), datagram = udp_datagram(kPeer, kOurs, 1000, 80, bytes_of("x"));
  segment[0] ^= 1;
  datagram[0] ^= 1;
  Packet echo = icmp_message({IcmpType::kEcho, 0}, Packet(8));
  echo.back() ^= 1;
  for (const auto& [kind, code] : {std::pair<uint32_t, uint8_t>{1, 0}, {0, 3}}) {
    use(at(filter::Hook::input, reject(kind, code)));
    peer_sends(ipv4_frame(from_peer(IpProtocol::kTcp), segment));
    peer_sends(ipv4_frame(from_peer(IpProtocol::kUdp), datagram));
    peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), echo));
    breathe();
    EXPECT_TRUE(peer_receives().empty());
  }
}

// Whoever can write to a frame while it is judged does not get it past the rules by making it no packet.
TEST_F(FilterHooksTest, WhatIsNoPacketDoesNotGoOut) {
  use(at(filter::Hook::output, filter::counter()));
  Packet nonsense(60);
  EXPECT_FALSE(ip_.filter().passes_out(nonsense, {}, now_));
  EXPECT_EQ(ip_.filter().reason(), DropReason::filter_output);
  EXPECT_FALSE(ip_.filter().reject());
}

// A segment to a port, as it lies in a frame.
Packet leaving(Ipv4Address to, uint16_t port, uint16_t says_bytes = 60) {
  Packet packet(60);
  Ipv4Header ip;
  ip.source = kOurs;
  ip.destination = to;
  ip.protocol = IpProtocol::kTcp;
  ip.total_bytes = says_bytes;
  ip.emit(packet.data());
  store_be16(packet.data() + Ipv4Header::kMinBytes + 2, port);
  return packet;
}

// Whoever writes to a frame while it is judged does not have another header judged, or less of the packet.
TEST_F(FilterHooksTest, TheHeaderOfWhatLeavesIsTheOneThatTheStackWrote) {
  use(at(filter::Hook::output,
         join(filter::payload(1, 16, 4), filter::cmp(0, be32(kPeer)), port_is(25), filter::verdict(kDrop))));
  const Packet wrote = leaving(kPeer, 25);
  Packet another = leaving(kPeer + 1, 25), cut = leaving(kPeer, 25, 20);
  EXPECT_FALSE(ip_.filter().passes_out(another, {.header = wrote.data()}, now_));
  EXPECT_FALSE(ip_.filter().passes_out(cut, {.header = wrote.data()}, now_));
}

TEST_F(FilterHooksTest, WhatPassedIsRememberedAsItWasJudged) {
  use(at(filter::Hook::output, join(port_is(25), filter::verdict(kDrop))));
  Packet cut = leaving(kPeer, 25, 20), whole = leaving(kPeer, 25);
  EXPECT_TRUE(ip_.filter().passes_out(cut, {}, now_)) << "it has no port";
  EXPECT_FALSE(ip_.filter().passes_out(whole, {.header = whole.data()}, now_));
}

TEST_F(FilterHooksTest, WhoSendsWhatIsRejectedHearsOfIt) {
  use(at(filter::Hook::output, reject(0, 3)));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  const auto errors = ip_.udp_errors().view();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].error, ECONNREFUSED);
  EXPECT_EQ(errors[0].remote.port, 2000);
}

TEST_F(FilterHooksTest, AnOwnSegmentIsResetInTheNameOfItsReceiver) {
  use(at(filter::Hook::output, reject(1, 0)));
  Way way(IpProtocol::kTcp);
  ASSERT_TRUE(ip_.find(way, kPeer, 0));
  ASSERT_GT(ip_.reserve(way), 0u);
  Outgoing out = ip_.open(way, TcpHeader::kMinBytes);
  TcpHeader syn;
  syn.source_port = 1000;
  syn.destination_port = 80;
  syn.seq = 7;
  syn.flags = kTcpSyn;
  syn.emit(out.transport);
  ip_.settle_checksum(out, way, TcpHeader::kChecksumOffset);
  EXPECT_FALSE(ip_.send(now_, way, out));
  ip_.tx(now_);
  ip_.rx(now_);
  EXPECT_TRUE(peer_receives().empty());
  ASSERT_EQ(ip_.tcp_segments().view().size(), 1u);
  const Segment& segment = ip_.tcp_segments().view()[0];
  EXPECT_EQ(segment.source, kPeer);
  const auto reset = TcpHeader::parse(segment.header());
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->flags, kTcpRst | kTcpAck);
  EXPECT_EQ(reset->ack, 8u);
  ip_.give_back(segment);
  ip_.tcp_segments().clear();
}

TEST_F(FilterHooksTest, WhatIsRefusedIsRemembered) {
  use(at(filter::Hook::input, join(port_is(80), filter::verdict(kDrop))));
  const filter::Events& events = ip_.filter().events();
  peer_asks(80);
  peer_asks(81);
  take_udp();
  ASSERT_EQ(events.next(), 1u);
  EXPECT_EQ(events[0].at, now_);
  EXPECT_EQ(events[0].hook, filter::Hook::input);
  EXPECT_EQ(events[0].rule, 0u);
  EXPECT_EQ(events[0].source, kPeer);
  EXPECT_EQ(events[0].source_port, 1000);
  EXPECT_EQ(events[0].destination_port, 80);
  EXPECT_EQ(events[0].length, 29u);
  for (uint64_t i = 0; i < filter::Events::kKept; ++i) peer_asks(80);
  EXPECT_EQ(events.next(), filter::Events::kKept + 1);
  EXPECT_EQ(events.first(), 1u) << "the oldest is forgotten";
  use({});
  EXPECT_EQ(events.first(), events.next()) << "its chains are no more";
}

// Datagrams for port 80, wherever they are met.
filter::Engine match_of_port_80() {
  Octets chains, rules;
  for (const char* hook : {"0", "1", "3", "4"}) {
    chains = join(
        chains,
        filter::chain(hook, join(filter::hook(static_cast<uint32_t>(hook[0] - '0')),
                                 attribute(filter::nft::kChainPolicy, be32(static_cast<uint32_t>(kDrop))))));
    rules = join(rules, filter::rule(hook, join(port_is(80), filter::verdict(1))));
  }
  return engine_of(filter::batch(filter::table(), chains, rules));
}

TEST_F(FilterHooksTest, WhoIsFollowedLeavesSteps) {
  use(at(filter::Hook::input, join(port_is(79), filter::verdict(kDrop)), join(port_is(80), filter::counter()),
         join(port_is(80), filter::verdict(kDrop))));
  for (const uint16_t port : {80, 81, 81})
    peer_asks(port);  // some passed before, and would not be judged again
  ip_.filter().follow(match_of_port_80(), now_);
  peer_asks(81);
  peer_asks(80);
  const filter::Trace& trace = *ip_.filter().trace();
  ASSERT_EQ(trace.next(), 3U);
  EXPECT_EQ(trace[0].about.hook, filter::Hook::prerouting);
  EXPECT_EQ(trace[0].step.chain, filter::kNone) << "it came by, and there is no chain";
  for (const uint32_t rule : {1U, 2U}) {
    EXPECT_EQ(trace[rule].about.hook, filter::Hook::input);
    EXPECT_EQ(trace[rule].about.destination_port, 80);
    EXPECT_EQ(trace[rule].packet, trace[0].packet);
    EXPECT_EQ(trace[rule].step.rule, rule);
  }
  EXPECT_EQ(trace[1].step.verdict.code, filter::Code::next);
  EXPECT_EQ(trace[2].step.verdict.code, filter::Code::drop);
  use(at(filter::Hook::input, filter::verdict(kDrop)));
  EXPECT_EQ(trace.first(), trace.next()) << "rules that are no more have no steps";
  peer_asks(80);
  EXPECT_EQ(trace.next() - trace.first(), 2U) << "and the new ones are followed too";
}

TEST_F(FilterHooksTest, FollowingIsBoundedAndEndsWithWhoAsks) {
  use(at(filter::Hook::input, join(port_is(80), filter::counter())));
  now_ += kSecond - now_ % kSecond;
  ip_.filter().follow(match_of_port_80(), now_);
  for (int i = 0; i < 1100; ++i) {
    peer_asks(80);
    take_udp();
  }
  EXPECT_EQ(ip_.filter().trace()->passed_over(), 100U);
  now_ += filter::Trace::kPatience;
  ip_.filter().trace()->asked(now_);
  now_ += filter::Trace::kPatience;
  peer_asks(80);
  ASSERT_NE(ip_.filter().trace(), nullptr);
  now_ += 1;
  peer_asks(80);
  EXPECT_EQ(ip_.filter().trace(), nullptr);
}

}  // namespace
}  // namespace skerry::stack
