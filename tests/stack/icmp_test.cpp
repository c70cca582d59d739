#include "wire/icmp.hpp"

#include <cerrno>

#include "world.hpp"

namespace skerry::stack {
namespace {

class IcmpTest : public World {
 protected:
  void SetUp() override { introduce_peer(); }

  Packet echo(const Packet& body) {
    return ipv4_frame(from_peer(IpProtocol::kIcmp), icmp_message({IcmpType::kEcho, 0, 0, 77, 3}, body));
  }
  // An error about a UDP datagram that we sent from `source`.
  Packet error(IcmpType type, uint8_t code, uint16_t mtu = 0, Ipv4Address source = kOurs,
               IpProtocol protocol = IpProtocol::kUdp) {
    Ipv4Header header;
    header.source = source;
    header.destination = kFar;
    header.protocol = protocol;
    Packet transport = udp_datagram(source, kFar, 4000, 53, bytes_of("question"));
    return ipv4_frame(from_peer(IpProtocol::kIcmp),
                      icmp_message({type, code, 0, 0, mtu}, ipv4_packet(header, transport)));
  }
  int reported(const Packet& frame) {
    peer_sends(frame);
    breathe();
    EXPECT_EQ(ip_.udp_errors().view().size(), 1u);
    if (ip_.udp_errors().view().empty()) return 0;
    last_ = ip_.udp_errors().view()[0];
    ip_.udp_errors().clear();
    return last_.error;
  }
  TransportError last_;
};

TEST_F(IcmpTest, EchoIsAnsweredWithTheSameBytes) {
  for (const size_t length : {0, 1, 56, 1472}) {
    const Packet body(length, 0x5a);
    peer_sends(echo(body));
    breathe();
    const auto seen = peer_receives();
    ASSERT_EQ(seen.size(), 1u) << length;
    EXPECT_EQ(seen[0].ethernet, (EthernetHeader{kPeerMac, kOurMac, EtherType::kIpv4}));
    const auto ip = Ipv4Header::parse(seen[0].payload());
    ASSERT_TRUE(ip && Ipv4Header::checksum_intact(seen[0].payload()));
    EXPECT_EQ(ip->source, kOurs);
    EXPECT_EQ(ip->destination, kPeer);
    const ConstBytes message = seen[0].payload().subspan(Ipv4Header::kMinBytes);
    EXPECT_EQ(Packet(message.begin(), message.end()),
              icmp_message({IcmpType::kEchoReply, 0, 0, 77, 3}, body));
  }
}

TEST_F(IcmpTest, BroadcastEchoIsIgnored) {
  Ipv4Header header = from_peer(IpProtocol::kIcmp);
  header.destination = 0xffffffff;
  peer_sends(ipv4_frame(header, icmp_message({IcmpType::kEcho}, {}), kBroadcastMac));
  breathe();
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(drops(DropReason::unwanted_icmp), 1u);
}

TEST_F(IcmpTest, DamagedMessagesAreDropped) {
  Packet damaged = echo(bytes_of("abc"));
  damaged.back() ^= 1;
  peer_sends(damaged);
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), Packet(7, 0)));
  breathe();
  EXPECT_EQ(drops(DropReason::icmp_checksum), 1u);
  EXPECT_EQ(drops(DropReason::malformed_icmp), 1u);
  EXPECT_TRUE(peer_receives().empty());
}

TEST_F(IcmpTest, EchoesAreLimitedByTheBreath) {
  for (uint32_t i = 0; i < IcmpReplies::kCapacity + 5; ++i) peer_sends(echo({}));
  breathe();
  EXPECT_EQ(peer_receives().size(), IcmpReplies::kCapacity);
  EXPECT_EQ(drops(DropReason::icmp_rate_limited), 5u);
}

TEST_F(IcmpTest, EchoesAreLimitedOverTime) {
  size_t answered = 0;
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 32; ++k) peer_sends(echo({}));
    breathe();
    answered += peer_receives().size();
  }
  EXPECT_GE(answered, 600u);
  EXPECT_LE(answered, 2000u);
  EXPECT_EQ(drops(DropReason::icmp_rate_limited), 3200 - answered);
}

TEST_F(IcmpTest, ErrorsReachTheTransport) {
  EXPECT_EQ(reported(error(IcmpType::kDestinationUnreachable, kPortUnreachable)), ECONNREFUSED);
  EXPECT_EQ(last_.local, (Endpoint{IpAddress::v4(kOurs), 4000}));
  EXPECT_EQ(last_.remote, (Endpoint{IpAddress::v4(kFar), 53}));
  EXPECT_EQ(reported(error(IcmpType::kDestinationUnreachable, kNetUnreachable)), ENETUNREACH);
  EXPECT_EQ(reported(error(IcmpType::kDestinationUnreachable, kHostUnreachable)), EHOSTUNREACH);
  EXPECT_EQ(reported(error(IcmpType::kDestinationUnreachable, kProtocolUnreachable)), ENOPROTOOPT);
  EXPECT_EQ(reported(error(IcmpType::kTimeExceeded, 0)), EHOSTUNREACH);
  EXPECT_EQ(reported(error(IcmpType::kParameterProblem, 0)), EPROTO);
  EXPECT_EQ(last_.next_hop_mtu, 0);
  EXPECT_EQ(reported(error(IcmpType::kDestinationUnreachable, kFragmentationNeeded, 1400)), EMSGSIZE);
  EXPECT_EQ(last_.next_hop_mtu, 1400);
}

TEST_F(IcmpTest, ErrorsAboutTcpGoToTcp) {
  peer_sends(error(IcmpType::kDestinationUnreachable, kPortUnreachable, 0, kOurs, IpProtocol::kTcp));
  breathe();
  EXPECT_EQ(ip_.tcp_errors().view().size(), 1u);
  EXPECT_TRUE(ip_.udp_errors().view().empty());
}

TEST_F(IcmpTest, ErrorsAboutWhatWeDidNotSendAreDropped) {
  peer_sends(error(IcmpType::kDestinationUnreachable, kPortUnreachable, 0, kOther));
  peer_sends(error(IcmpType::kDestinationUnreachable, kPortUnreachable, 0, kOurs, IpProtocol::kIcmp));
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), icmp_message({IcmpType::kRedirect, 1}, Packet(28, 0))));
  breathe();
  EXPECT_EQ(drops(DropReason::unwanted_icmp), 3u);
  EXPECT_TRUE(ip_.udp_errors().view().empty());
}

class Refusal : public IcmpTest {
 protected:
  void refuse_all() {
    ip_.rx(now_);
    for (const Segment& segment : ip_.udp_segments().view()) ip_.refuse(now_, segment);
    ip_.udp_segments().clear();
    ip_.tx(now_);
  }
};

TEST_F(Refusal, OfOurOwnIsAlwaysTold) {
  size_t told = 0;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(stack_sends(kLoop, bytes_of("x")));
    ip_.tx(now_);
    refuse_all();
    ip_.rx(now_);
    told += ip_.udp_errors().view().size();
    ip_.udp_errors().clear();
  }
  EXPECT_EQ(told, 200u);
}

TEST_F(Refusal, QuotesThePacket) {
  const Packet datagram = udp_datagram(kPeer, kOurs, 9, 10, Packet(1000, 7));
  const Packet packet = ipv4_packet(from_peer(IpProtocol::kUdp), datagram);
  peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet));
  refuse_all();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  ASSERT_EQ(seen[0].payload().size(), 576u);
  const ConstBytes message = seen[0].payload().subspan(Ipv4Header::kMinBytes);
  const auto header = IcmpHeader::parse(message);
  EXPECT_EQ(header->type, IcmpType::kDestinationUnreachable);
  EXPECT_EQ(header->code, kPortUnreachable);
  InternetChecksum sum;
  sum.add(message);
  EXPECT_TRUE(sum.intact());
  EXPECT_TRUE(std::equal(message.begin() + IcmpHeader::kBytes, message.end(), packet.begin()));
  EXPECT_EQ(drops(DropReason::udp_no_socket), 1u);
}

TEST_F(Refusal, AProtocolThatWeDoNotSpeakIsRefusedToo) {  // RFC 1122 section 3.2.2.1
  const Packet packet = ipv4_packet(from_peer(static_cast<IpProtocol>(132)), Packet(100, 7));
  peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  const ConstBytes message = seen[0].payload().subspan(Ipv4Header::kMinBytes);
  const auto header = IcmpHeader::parse(message);
  EXPECT_EQ(header->type, IcmpType::kDestinationUnreachable);
  EXPECT_EQ(header->code, kProtocolUnreachable);
  EXPECT_TRUE(std::equal(message.begin() + IcmpHeader::kBytes, message.end(), packet.begin(), packet.end()));
  EXPECT_EQ(drops(DropReason::unknown_protocol), 1u);
}

TEST_F(Refusal, BroadcastsAreNotRefused) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.destination = 0xffffffff;
  peer_sends(ipv4_frame(header, udp_datagram(kPeer, 0xffffffff, 9, 10, {}), kBroadcastMac));
  refuse_all();
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(drops(DropReason::udp_no_socket), 1u);
}

TEST_F(Refusal, IsLimitedOverTime) {
  size_t refused = 0;
  for (int i = 0; i < 10; ++i) {
    for (int k = 0; k < 30; ++k)
      peer_sends(ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 9, 10, {})));
    refuse_all();
    refused += peer_receives().size();
  }
  EXPECT_GE(refused, 50u / 3);
  EXPECT_LE(refused, 50u);
  EXPECT_EQ(drops(DropReason::udp_no_socket), 300u);
}

}  // namespace
}  // namespace skerry::stack
