#include "stack/udp_component.hpp"

#include "udp_component_world.hpp"

namespace skerry::stack {
namespace {

TEST_F(UdpComponentTest, Delivers) {
  peer_sends(frame(7, bytes_of("hello")));
  breathe_all();
  ASSERT_EQ(sink_.delivered.size(), 1u);
  EXPECT_EQ(sink_.delivered[0].id, 0u);
  EXPECT_EQ(sink_.delivered[0].from, peer_endpoint_);
  EXPECT_EQ(sink_.delivered[0].to, (Endpoint{IpAddress::v4(kOurs), 7}));
  EXPECT_EQ(sink_.delivered[0].payload, bytes_of("hello"));
  EXPECT_TRUE(peer_receives().empty());
}

TEST_F(UdpComponentTest, WithoutSocketThePortIsUnreachable) {
  peer_sends(frame(8, bytes_of("hello")));
  breathe_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(IcmpHeader::parse(seen[0].payload().subspan(20))->code, kPortUnreachable);
}

TEST_F(UdpComponentTest, ChecksumsAreVerifiedWhereThereIsOne) {
  Packet damaged = frame(7, bytes_of("hello"));
  damaged.back() ^= 1;
  peer_sends(damaged);
  breathe_all();
  EXPECT_EQ(drops(DropReason::udp_checksum), 1u);
  Packet without = frame(7, bytes_of("hello"));
  store_be16(without.data() + kHeaderBytes + 6, 0);
  peer_sends(without);
  breathe_all();
  EXPECT_EQ(sink_.delivered.size(), 1u);
}

TEST_F(UdpComponentTest, LengthsAreHeldAgainstThePacket) {
  Packet longer = frame(7, bytes_of("hello"));
  store_be16(longer.data() + kHeaderBytes + 4, 14);
  peer_sends(longer);
  Packet headless = ipv4_frame(from_peer(IpProtocol::kUdp), Packet(7, 1));
  peer_sends(headless);
  breathe_all();
  EXPECT_EQ(drops(DropReason::malformed_udp), 2u);

  // Bytes behind the datagram's own length are not its payload.
  Packet shorter = frame(7, bytes_of("hello"));
  store_be16(shorter.data() + kHeaderBytes + 4, 8 + 2);
  store_be16(shorter.data() + kHeaderBytes + 6, 0);
  peer_sends(shorter);
  breathe_all();
  ASSERT_EQ(sink_.delivered.size(), 1u);
  EXPECT_EQ(sink_.delivered[0].payload, bytes_of("he"));
}

TEST_F(UdpComponentTest, AFullSocketDrops) {
  sink_.full = true;
  peer_sends(frame(7, bytes_of("hello")));
  breathe_all();
  EXPECT_EQ(drops(DropReason::udp_socket_full), 1u);
}

TEST_F(UdpComponentTest, BroadcastsReachAllSockets) {
  Endpoint same{IpAddress::v4(0), 7};
  ASSERT_EQ(udp_.bind(1, same, true), 0);
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.destination = 0xffffffff;
  peer_sends(ipv4_frame(header, udp_datagram(kPeer, 0xffffffff, 9, 7, bytes_of("all")), kBroadcastMac));
  breathe_all();
  EXPECT_EQ(sink_.delivered.size(), 2u);
}

TEST_F(UdpComponentTest, SendsFromTwoPieces) {
  ASSERT_EQ(send(0, peer_endpoint_, bytes_of("he"), bytes_of("llo")), 0);
  breathe_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  const ConstBytes datagram = seen[0].payload().subspan(20);
  EXPECT_EQ(Packet(datagram.begin(), datagram.end()), udp_datagram(kOurs, kPeer, 7, 9, bytes_of("hello")));
}

TEST_F(UdpComponentTest, Port0IsAPortToSendTo) {
  ASSERT_EQ(udp_.connect(0, {IpAddress::v4(kPeer), 0}, IpAddress::v4(kOurs)), 0);
  ASSERT_EQ(send(0, udp_.remote(0), bytes_of("one")), 0);
  ASSERT_EQ(send(0, {}, bytes_of("two")), 0);
  breathe_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 2u);
  for (const auto& packet : seen)
    EXPECT_EQ(UdpHeader::parse(packet.payload().subspan(20))->destination_port, 0);
}

TEST_F(UdpComponentTest, SendErrors) {
  EXPECT_EQ(send(0, {}, bytes_of("x")), EDESTADDRREQ);
  EXPECT_EQ(send(0, peer_endpoint_, Packet(65508)), EMSGSIZE);
  EXPECT_EQ(send(0, {IpAddress::v4(0xe0000001), 9}, bytes_of("x")), ENETUNREACH);
  EXPECT_EQ(send(0, {IpAddress{{0x20, 1}}, 9}, bytes_of("x")), ENETUNREACH);
  EXPECT_EQ(send(0, {IpAddress::v4(0xffffffff), 9}, bytes_of("x")), EACCES);
  EXPECT_EQ(send(0, {IpAddress::v4(0xffffffff), 9}, bytes_of("x"), {}, true), 0);
  int sent = 0;
  while (send(0, peer_endpoint_, bytes_of("x")) == 0) ++sent;
  EXPECT_EQ(send(0, peer_endpoint_, bytes_of("x")), EAGAIN);
  EXPECT_GT(sent, 100);
  breathe_all();
  EXPECT_EQ(send(0, peer_endpoint_, bytes_of("x")), 0);
}

TEST_F(UdpComponentTest, WhatDoesNotFitIsCutAndCanBePutTogether) {  // RFC 791 section 3.2
  Packet payload(4001);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i * 7);
  ASSERT_EQ(send(0, peer_endpoint_, {payload.begin(), payload.begin() + 1001},
                 {payload.begin() + 1001, payload.end()}),
            0);
  breathe_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 3u);
  Packet whole;
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto ip = Ipv4Header::parse(seen[i].payload());
    ASSERT_TRUE(ip);
    EXPECT_TRUE(Ipv4Header::checksum_intact(seen[i].payload()));
    EXPECT_LE(ip->total_bytes, 1500);
    EXPECT_FALSE(ip->dont_fragment);
    EXPECT_EQ(ip->identification, Ipv4Header::parse(seen[0].payload())->identification);
    EXPECT_EQ(ip->fragment_offset, whole.size());
    EXPECT_EQ(ip->more_fragments, i + 1 < seen.size());
    const ConstBytes piece = seen[i].payload().subspan(20);
    whole.insert(whole.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(whole, udp_datagram(kOurs, kPeer, 7, 9, payload));
  EXPECT_EQ(ip_.counters().fragments_out, 3u);
  ASSERT_EQ(send(0, peer_endpoint_, Packet(1472)), 0);
  ASSERT_EQ(send(0, peer_endpoint_, payload), 0);
  breathe_all();
  const auto next = peer_receives();
  ASSERT_EQ(next.size(), 4u);
  EXPECT_TRUE(Ipv4Header::parse(next[0].payload())->dont_fragment);
  EXPECT_NE(Ipv4Header::parse(next[1].payload())->identification,
            Ipv4Header::parse(seen[0].payload())->identification);
}

TEST_F(UdpComponentTest, TheProgramSaysWhatMayBeCut) {  // ip(7) IP_MTU_DISCOVER
  const auto send_by = [&](const DatagramRules& rules, size_t bytes) {
    return sender_.send(now_, 0, peer_endpoint_, {}, rules, Packet(bytes), {});
  };
  EXPECT_EQ(send_by({.whole = true}, 1473), EMSGSIZE);
  EXPECT_EQ(send_by({.whole = true}, 1472), 0);
  EXPECT_EQ(send_by({.may_be_cut = true}, 1472), 0);
  breathe_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(Ipv4Header::parse(seen[0].payload())->dont_fragment);
  const auto ip = Ipv4Header::parse(seen[1].payload());
  EXPECT_FALSE(ip->dont_fragment);
  EXPECT_FALSE(ip->is_fragment());
}

TEST_F(UdpComponentTest, ThePathsMtuIsRememberedForAWhile) {  // RFC 1191 sections 6.1 and 6.3
  const auto too_big = [&](uint16_t mtu, uint16_t our_port) {
    Ipv4Header about;
    about.source = kOurs;
    about.destination = kPeer;
    about.protocol = IpProtocol::kUdp;
    const Packet packet = ipv4_packet(about, udp_datagram(kOurs, kPeer, our_port, 9, Packet(1472)));
    IcmpHeader header{IcmpType::kDestinationUnreachable, kFragmentationNeeded};
    header.sequence = mtu;
    peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp),
                          icmp_message(header, {packet.begin(), packet.begin() + 28})));
    breathe_all();
  };
  const auto packets = [&] {
    EXPECT_EQ(send(0, peer_endpoint_, Packet(1472)), 0);
    breathe_all();
    const auto seen = peer_receives();
    return std::count_if(seen.begin(), seen.end(),
                         [](const Seen& one) { return one.ethernet.type == EtherType::kIpv4; });
  };
  too_big(1000, 8);
  EXPECT_EQ(packets(), 1) << "nobody has port 8, so nobody sent it";
  too_big(500, 7);
  EXPECT_EQ(packets(), 1) << "too small to be true";
  too_big(1000, 7);
  EXPECT_EQ(packets(), 2);
  too_big(1400, 7);
  now_ += 599 * kSecond;
  EXPECT_EQ(packets(), 2);
  EXPECT_EQ(sender_.send(now_, 0, peer_endpoint_, {}, {.whole = true}, Packet(1000), {}), EMSGSIZE);
  EXPECT_EQ(sender_.send(now_, 0, peer_endpoint_, {}, {.whole = true, .trusts_link = true}, Packet(1000), {}),
            0);
  breathe_all();
  peer_receives();
  now_ += 2 * kSecond;
  EXPECT_EQ(packets(), 1);
}

TEST_F(UdpComponentTest, ARouterThatDoesNotSayTheSizeMeansAPlateau) {  // RFC 1191 section 7.1
  const auto told = [](uint16_t total_bytes) {
    Ipv4Header about;
    about.source = kOurs;
    about.destination = kPeer;
    about.protocol = IpProtocol::kUdp;
    const Packet packet = ipv4_packet(about, udp_datagram(kOurs, kPeer, 7, 9, Packet(total_bytes - 28u)));
    const IcmpHeader header{IcmpType::kDestinationUnreachable, kFragmentationNeeded};
    return read_icmp_error(header, ConstBytes(packet).first(28))->error.next_hop_mtu;
  };
  EXPECT_EQ(told(1500), 1492);
  EXPECT_EQ(told(1492), 1006);
  EXPECT_EQ(told(9000), 8166);
  EXPECT_EQ(told(700), 576);
}

TEST_F(UdpComponentTest, ASourceIsOneOfOurs) {  // ip(7) IP_PKTINFO: as Linux, else a program could be anybody
  const auto send_from = [&](const IpAddress& source, Ipv4Address to = kPeer) {
    return sender_.send(now_, 0, {IpAddress::v4(to), 9}, source, {}, bytes_of("x"), {});
  };
  EXPECT_EQ(send_from(IpAddress::v4(0x08080808)), EINVAL);
  EXPECT_EQ(send_from(IpAddress::v4(kOther)), EINVAL);
  EXPECT_EQ(send_from(IpAddress::v4(0x0a0000ff)), EINVAL);
  EXPECT_EQ(send_from(IpAddress{{0x20, 1}}), EINVAL);
  breathe_all();
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(send_from(IpAddress::v4(kOurs)), 0);
  EXPECT_EQ(send_from(IpAddress::v4(0)), 0);
  EXPECT_EQ(send_from(IpAddress::v4(kLoop + 1), kLoop), 0);
}

TEST_F(UdpComponentTest, TheLoopbackGoesOnWithoutTheLink) {
  while (send(0, peer_endpoint_, bytes_of("x")) == 0) {
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(send(3, {IpAddress::v4(kLoop), 7}, bytes_of("me")), 0);
    ip_.rx(now_);
    component_.rx(now_);
  }
  EXPECT_EQ(sink_.delivered.size(), 10u);
}

TEST_F(UdpComponentTest, SendingBinds) {
  ASSERT_EQ(send(3, peer_endpoint_, bytes_of("x")), 0);
  EXPECT_TRUE(udp_.is_bound(3));
}

TEST_F(UdpComponentTest, ToOurselvesThroughTheLoopback) {
  const Endpoint self{IpAddress::v4(kLoop), 7};
  for (const Endpoint& to : {self, Endpoint{IpAddress::v4(0), 7}, Endpoint{IpAddress{}, 7}}) {
    ASSERT_EQ(send(3, to, bytes_of("me")), 0);
    breathe_all();
  }
  ASSERT_EQ(sink_.delivered.size(), 3u);
  for (const auto& one : sink_.delivered) {
    EXPECT_EQ(one.from, (Endpoint{IpAddress::v4(kLoop), udp_.local(3).port}));
    EXPECT_EQ(one.to, self);
  }
}

TEST_F(UdpComponentTest, APacketSaysWhatTheProgramWantsItToSay) {  // ip(7) IP_TTL, IP_TOS
  const auto send_with = [&](Marks marks, size_t bytes, bool may_be_cut = false) {
    EXPECT_EQ(sender_.send(now_, 0, peer_endpoint_, {}, {.marks = marks, .may_be_cut = may_be_cut},
                           Packet(bytes), {}),
              0);
    breathe_all();
    for (const Seen& one : peer_receives()) {
      const auto ip = Ipv4Header::parse(one.payload());
      EXPECT_EQ(ip->ttl, marks.ttl);
      EXPECT_EQ(ip->type_of_service, marks.type_of_service);
      EXPECT_TRUE(Ipv4Header::checksum_intact(one.payload()));
    }
  };
  send_with({}, 10);
  send_with({1, 0x10}, 10);
  send_with({1, 0x10}, 10);
  send_with({2, 0x10}, 10);
  send_with({2, 0xb8}, 3000);
  send_with({3, 0}, 10, true);
}

TEST_F(UdpComponentTest, AProgramHearsWhatAPacketSaid) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.ttl = 7;
  header.type_of_service = 0x2b;
  peer_sends(ipv4_frame(header, udp_datagram(kPeer, kOurs, 9, 7, bytes_of("x"))));
  breathe_all();
  ASSERT_EQ(sink_.delivered.size(), 1u);
  EXPECT_EQ(sink_.delivered[0].marks, (Marks{7, 0x2b}));
}

}  // namespace
}  // namespace skerry::stack
