#include "world.hpp"

namespace skerry::stack {
namespace {

class IpInput : public World {
 protected:
  Packet datagram(const Packet& payload = bytes_of("hello")) {
    return udp_datagram(kPeer, kOurs, 5, 7, payload);
  }
  Packet udp_frame(Ipv4Header header = from_peer(IpProtocol::kUdp), const MacAddress& to = kOurMac) {
    return ipv4_frame(header, datagram(), to);
  }
  void expect_dropped(const Packet& frame, DropReason reason) {
    const uint64_t before = ip_.drops().total();
    peer_sends(frame);
    ip_.rx(now_);
    EXPECT_EQ(drops(reason), 1u) << drop_reason_name(reason);
    EXPECT_EQ(ip_.drops().total(), before + 1);
    EXPECT_TRUE(ip_.udp_segments().empty() && ip_.tcp_segments().empty());
  }
};

TEST_F(IpInput, SegmentsReachTheirTransport) {
  peer_sends(udp_frame());
  Ipv4Header tcp = from_peer(IpProtocol::kTcp);
  tcp.type_of_service = 3;
  peer_sends(ipv4_frame(tcp, Packet(100, 0xaa)));
  EXPECT_EQ(ip_.rx(now_), 2u);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  const Segment& udp = ip_.udp_segments().view()[0];
  EXPECT_EQ(udp.source, kPeer);
  EXPECT_EQ(udp.destination, kOurs);
  EXPECT_FALSE(udp.intact || udp.broadcast || udp.looped || udp.type_of_service != 0);
  EXPECT_EQ(Packet(udp.bytes.begin(), udp.bytes.end()), datagram());
  EXPECT_EQ(Packet(udp.header().begin(), udp.header().end()), datagram());
  ASSERT_EQ(ip_.tcp_segments().view().size(), 1u);
  const Segment& segment = ip_.tcp_segments().view()[0];
  EXPECT_EQ(segment.bytes.size(), 100u);
  EXPECT_EQ(segment.header().size(), Segment::kCopyBytes);
  EXPECT_EQ(segment.type_of_service, 3);
  EXPECT_EQ(ip_.drops().total(), 0u);
}

TEST_F(IpInput, AFullBiteIsTakenAsLongAsFramesWait) {
  ip_.set_receive_limit(20);
  for (int i = 0; i < 120; ++i) peer_sends(udp_frame());
  for (int breath = 0; breath < 6; ++breath) {
    EXPECT_EQ(ip_.rx(now_), 20u) << breath;
    take_udp();
  }
  EXPECT_EQ(ip_.rx(now_), 0u);
}

TEST_F(IpInput, PaddingBehindThePacketIsCutOff) {
  Packet frame = udp_frame();
  frame.resize(60, 0xee);
  peer_sends(frame);
  ip_.rx(now_);
  ASSERT_EQ(take_udp(), std::vector<Packet>{datagram()});
}

TEST_F(IpInput, OptionsAreSteppedOver) {
  Packet packet = ipv4_packet(from_peer(IpProtocol::kUdp), datagram());
  const Packet options{148, 4, 0, 0};
  packet.insert(packet.begin() + Ipv4Header::kMinBytes, options.begin(), options.end());
  packet[0] = 0x46;
  store_be16(packet.data() + 2, static_cast<uint16_t>(packet.size()));
  store_be16(packet.data() + 10, 0);
  InternetChecksum sum;
  sum.add({packet.data(), 24});
  store_be16(packet.data() + 10, sum.finish());
  peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet));
  ip_.rx(now_);
  ASSERT_EQ(take_udp(), std::vector<Packet>{datagram()});
}

TEST_F(IpInput, BroadcastsAreMarked) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  for (const Ipv4Address destination : {0x0a0000ffu, 0xffffffffu}) {
    header.destination = destination;
    peer_sends(udp_frame(header, kBroadcastMac));
  }
  ip_.rx(now_);
  ASSERT_EQ(ip_.udp_segments().view().size(), 2u);
  for (const Segment& segment : ip_.udp_segments().view()) EXPECT_TRUE(segment.broadcast);
  take_udp();
}

TEST_F(IpInput, AnyTimeToLiveIsAccepted) {
  Packet frame = udp_frame();
  uint8_t* ip = frame.data() + EthernetHeader::kBytes;
  ip[8] = 0;
  store_be16(ip + 10, 0);
  InternetChecksum sum;
  sum.add({ip, Ipv4Header::kMinBytes});
  store_be16(ip + 10, sum.finish());
  peer_sends(frame);
  ip_.rx(now_);
  EXPECT_EQ(take_udp().size(), 1u);
}

TEST_F(IpInput, EthernetDrops) {
  expect_dropped(Packet(33, 0xff), DropReason::short_frame);
  expect_dropped(udp_frame(from_peer(IpProtocol::kUdp), kPeerMac), DropReason::other_mac);
  Packet ipv6 = udp_frame();
  store_be16(ipv6.data() + 12, 0x86dd);
  expect_dropped(ipv6, DropReason::unknown_ethertype);
}

TEST_F(IpInput, MulticastIsForGroupsThatWeDidNotJoin) {
  expect_dropped(udp_frame(from_peer(IpProtocol::kUdp), MacAddress{{1, 0, 0x5e, 0, 0, 1}}),
                 DropReason::other_mac);
}

TEST_F(IpInput, MalformedAndTruncatedPackets) {
  Packet version = udp_frame();
  version[EthernetHeader::kBytes] = 0x65;
  expect_dropped(version, DropReason::malformed_ipv4);
  Packet truncated = udp_frame();
  truncated.pop_back();
  expect_dropped(truncated, DropReason::truncated);
}

TEST_F(IpInput, HeaderLengthBeyondTheFrame) {
  Packet frame = udp_frame();
  frame.resize(40);
  frame[EthernetHeader::kBytes] = 0x4f;
  expect_dropped(frame, DropReason::malformed_ipv4);
}

TEST_F(IpInput, WrongHeaderChecksum) {
  Packet frame = udp_frame();
  frame[EthernetHeader::kBytes + 10] ^= 1;
  expect_dropped(frame, DropReason::ipv4_checksum);
}

TEST_F(IpInput, AVouchedFrameIsNotSummed) {
  Packet frame = udp_frame();
  frame[EthernetHeader::kBytes + 10] ^= 1;
  peer_sends(frame, kChecksumVouched);
  ip_.rx(now_);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  EXPECT_TRUE(ip_.udp_segments().view()[0].intact);
  take_udp();
}

TEST_F(IpInput, AnUnfinishedTransportChecksumIsNotVerified) {
  peer_sends(udp_frame(), kChecksumNeeded);
  ip_.rx(now_);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  EXPECT_TRUE(ip_.udp_segments().view()[0].intact);
  take_udp();
}

class MartianSource : public IpInput, public testing::WithParamInterface<Ipv4Address> {};

TEST_P(MartianSource, IsDropped) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.source = GetParam();
  expect_dropped(udp_frame(header), DropReason::martian_source);
}

INSTANTIATE_TEST_SUITE_P(Addresses, MartianSource,
                         testing::Values(kLoop, kOurs, 0u, 0xffffffffu, 0x0a0000ffu, 0xe0000001u,
                                         0xf0000001u));

TEST_F(IpInput, LoopbackFromTheWireIsMartian) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.destination = kLoop;
  expect_dropped(udp_frame(header), DropReason::martian_destination);
}

TEST_F(IpInput, PacketsForOthersAreDropped) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.destination = kOther;
  expect_dropped(udp_frame(header), DropReason::not_our_address);
}

TEST_F(IpInput, OurAddressInABroadcastFrameIsDropped) {
  expect_dropped(udp_frame(from_peer(IpProtocol::kUdp), kBroadcastMac), DropReason::unicast_in_broadcast);
}

TEST_F(IpInput, SourceRoutesAreDropped) {
  Packet packet = ipv4_packet(from_peer(IpProtocol::kUdp), Packet{131, 3, 4, 0});
  packet[0] = 0x46;
  store_be16(packet.data() + 10, 0);
  InternetChecksum sum;
  sum.add({packet.data(), 24});
  store_be16(packet.data() + 10, sum.finish());
  expect_dropped(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet), DropReason::source_route);
}

TEST_F(IpInput, UnknownProtocolsAreDropped) {
  expect_dropped(udp_frame(from_peer(static_cast<IpProtocol>(47))), DropReason::unknown_protocol);
}

TEST_F(IpInput, TheReceiveLimitLeavesTheRestForTheNextBreath) {
  ip_.set_receive_limit(2);
  for (int i = 0; i < 5; ++i) peer_sends(udp_frame());
  EXPECT_EQ(ip_.rx(now_), 2u);
  EXPECT_EQ(take_udp().size(), 2u);
  EXPECT_FALSE(ip_.arm());  // what was received but not looked at must not be slept on
  EXPECT_EQ(ip_.rx(now_), 2u);
  EXPECT_EQ(ip_.rx(now_), 1u);
  EXPECT_EQ(take_udp().size(), 3u);
  EXPECT_EQ(ip_.rx(now_), 0u);
  EXPECT_TRUE(ip_.arm());
}

TEST_F(IpInput, AQueueThatNobodyEmptiesOverflowsWithoutHarm) {
  for (uint32_t i = 0; i < SegmentQueue::kCapacity + 3; ++i) {
    peer_sends(udp_frame());
    ip_.rx(now_);
  }
  EXPECT_EQ(drops(DropReason::queue_full), 3u);
  EXPECT_EQ(take_udp().size(), SegmentQueue::kCapacity);
}

}  // namespace
}  // namespace skerry::stack
