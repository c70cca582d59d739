// Rules that translate, in the stack: what is delivered, what leaves and where to, and that answers of every
// kind come back to whoever is waiting for them. Which ports are chosen is for tests/filter.
#include <gmock/gmock.h>

#include "filter/nat_batch.hpp"
#include "stack/udp_world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::Hook;
using filter::join;
using filter::kDnat;
using filter::kSnat;
using filter::Octets;

constexpr Ipv4Address kNobody = 0x0a000063;  // 10.0.0.99: nobody has it

// One chain of type nat at a hook, with these rules.
template <class... Rules>
Octets at(Hook hook, const Rules&... rules) {
  return filter::batch(filter::table(), filter::nat_chain("c", hook), filter::rule("c", rules)...);
}

class IpNatTest : public UdpWorld {
 protected:
  using UdpWorld::UdpWorld;
};

TEST_F(IpNatTest, ARedirectedDatagramComesToAnotherPortAndItsAnswerFromTheFirst) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  peer_asks(80);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 8080}));
  ASSERT_TRUE(we_send({kOurs, kPeer, 8080, 1000}));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kPeer, 80, 1000}));
}

TEST_F(IpNatTest, ADamagedDatagramIsNotMadeWhole) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  Packet frame = ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 1000, 80, bytes_of("x")));
  frame.back() ^= 1;
  peer_sends(frame);
  ip_.rx(now_);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  EXPECT_FALSE(ip_.udp_segments().view()[0].intact) << "UDP is to look";
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 80}));
}

TEST_F(IpNatTest, WhatComesInPiecesIsTranslatedWhole) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  const Packet datagram = udp_datagram(kPeer, kOurs, 1000, 80, Packet(24, 'a'));
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.identification = 7;
  header.more_fragments = true;
  peer_sends(ipv4_frame(header, Packet(datagram.begin(), datagram.begin() + 16)));
  header.more_fragments = false;
  header.fragment_offset = 16;
  peer_sends(ipv4_frame(header, Packet(datagram.begin() + 16, datagram.end())));
  ip_.rx(now_);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 8080}));
}

// Only of all pieces together can rules say for whom they are.
TEST_F(IpNatTest, WhatComesInPiecesForAnAddressThatIsLedToUsIsOurs) {
  const auto send_pieces = [&](Ipv4Address to) {
    const Packet datagram = udp_datagram(kPeer, to, 1000, 80, Packet(24, 'a'));
    Ipv4Header header = from_peer(IpProtocol::kUdp);
    header.destination = to;
    header.identification = 7;
    header.more_fragments = true;
    peer_sends(ipv4_frame(header, Packet(datagram.begin(), datagram.begin() + 16)));
    header.more_fragments = false;
    header.fragment_offset = 16;
    peer_sends(ipv4_frame(header, Packet(datagram.begin() + 16, datagram.end())));
    ip_.rx(now_);
  };
  use(at(Hook::prerouting, join(filter::payload(1, 16, 4), filter::cmp(0, filter::be32(kNobody)),
                                filter::nat(kDnat, kOurs, 8080))));
  send_pieces(kNobody);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 8080}));
  send_pieces(kOther);
  EXPECT_TRUE(came().empty());
  EXPECT_EQ(drops(DropReason::not_our_address), 1u) << "put together, and not led to us";
  use({});
  send_pieces(kNobody);
  EXPECT_EQ(drops(DropReason::not_our_address), 3u) << "each piece: no rule would say otherwise";
}

TEST_F(IpNatTest, WhatIsForSomebodyElseNowIsNotOurs) {
  use(at(Hook::prerouting, filter::nat(kDnat, kOther)));
  peer_asks(80);
  EXPECT_TRUE(came().empty());
  EXPECT_EQ(drops(DropReason::not_our_address), 1u);
  use(at(Hook::prerouting, filter::nat(kDnat, kLoop)));
  peer_asks(81);
  EXPECT_TRUE(came().empty());
  EXPECT_EQ(drops(DropReason::martian_destination), 1u);
}

TEST_F(IpNatTest, WhoIsToldOfARedirectedDatagramIsToldOfItsOwn) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  peer_asks(80);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  ip_.refuse(now_, ip_.udp_segments().view()[0]);
  ip_.udp_segments().clear();
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  const auto ip = Ipv4Header::parse(seen[0].payload());
  ASSERT_TRUE(ip && ip->protocol == IpProtocol::kIcmp);
  const ConstBytes icmp = seen[0].payload().subspan(ip->header_bytes, ip->payload_bytes());
  InternetChecksum sum;
  sum.add(icmp);
  EXPECT_TRUE(sum.intact());
  EXPECT_EQ(read_udp(icmp.subspan(IcmpHeader::kBytes)), (Udp{kPeer, kOurs, 1000, 80}));
}

TEST_F(IpNatTest, ARejectedSegmentIsResetByThePortThatItWasSentTo) {
  use(filter::batch(
      filter::table(), filter::nat_chain("pre", Hook::prerouting),
      filter::rule("pre", filter::redirect(8080)), filter::base_chain("in"),
      filter::rule("in", filter::expression("reject",
                                            join(filter::attribute(filter::nft::kRejectType, filter::be32(1)),
                                                 filter::attribute(filter::nft::kRejectCode, Octets{0}))))));
  Packet segment(TcpHeader::kMinBytes);
  TcpHeader header;
  header.source_port = 1000;
  header.destination_port = 80;
  header.flags = kTcpSyn;
  header.emit(segment.data());
  InternetChecksum sum = ipv4_pseudo_header(kPeer, kOurs, 6, TcpHeader::kMinBytes);
  sum.add(segment);
  header.checksum = sum.finish();
  header.emit(segment.data());
  peer_sends(ipv4_frame(from_peer(IpProtocol::kTcp), segment));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kPeer, 80, 1000}));
}

TEST_F(IpNatTest, ADatagramGoesToWhomItIsForNow) {
  use(at(Hook::output, filter::nat(kDnat, kOther, 99)));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].ethernet.destination, kOtherMac);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kOther, 1000, 99}));
  peer_asks(1000, kOther, 99);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 80, 1000}));
}

TEST_F(IpNatTest, ADatagramMayComeBackToUs) {
  use(at(Hook::output, filter::redirect(8080)));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  EXPECT_TRUE(peer_receives().empty());
  ip_.rx(now_);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kOurs, kLoop, 1000, 8080}));
  ASSERT_TRUE(we_send({kLoop, kOurs, 8080, 1000}));
  ip_.rx(now_);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 80, 1000}));
}

TEST_F(IpNatTest, WhatWouldHaveLoopedMayLeave) {
  use(at(Hook::output, filter::nat(kDnat, kOther, 99)));
  ASSERT_TRUE(we_send({kOurs, kOurs, 1000, 80}));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kOther, 1000, 99})) << "with its checksum";
  peer_asks(1000, kOther, 99);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kOurs, kOurs, 80, 1000}));
  ASSERT_TRUE(we_send({kOurs, kOurs, 1001, 80}, Packet(4000)));
  EXPECT_EQ(drops(DropReason::too_long), 1u);
}

TEST_F(IpNatTest, WhereNoRouteLeadsNothingIsSent) {
  use(at(Hook::output, filter::nat(kDnat, kOther, 99)));
  follow(filter::batch(filter::table(), filter::chain("out", filter::hook(3))));
  EXPECT_FALSE(we_send({kLoop, kLoop, 1000, 80})) << "127.0.0.1 does not leave";
  EXPECT_EQ(drops(DropReason::filter_output), 1u);
  EXPECT_EQ(last_step().step.verdict.code, filter::Code::drop) << "who follows it sees that";
}

TEST_F(IpNatTest, AMasqueradedPacketComesFromUs) {
  use(at(Hook::postrouting, filter::masquerade()));
  ASSERT_TRUE(we_send({kNobody, kPeer, 1000, 80}));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kPeer, 1000, 80}));
}

TEST_F(IpNatTest, ADatagramInPiecesGoesToWhomItIsForNow) {
  use(at(Hook::output, filter::nat(kDnat, kOther, 99)));
  const Packet datagram = udp_datagram(kOurs, kPeer, 1000, 80, Packet(3000, 'a'));
  const ConstBytes pieces[] = {datagram};
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  ASSERT_EQ(ip_.send_in_pieces(now_, way_, pieces, 1480), 0);
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 3u);
  for (const auto& each : seen) {
    EXPECT_EQ(each.ethernet.destination, kOtherMac);
    EXPECT_EQ(Ipv4Header::parse(each.payload())->destination, kOther);
  }
  EXPECT_EQ(load_be16(seen[0].payload().data() + 22), 99);
}

TEST_F(IpNatTest, ADatagramInPiecesMayComeBackToUs) {
  use(at(Hook::output, filter::redirect(8080)));
  const Packet datagram = udp_datagram(kOurs, kPeer, 1000, 80, Packet(3000, 'a'));
  const ConstBytes pieces[] = {datagram};
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  ASSERT_EQ(ip_.send_in_pieces(now_, way_, pieces, 1480), 0);
  ip_.tx(now_);
  ip_.rx(now_);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kOurs, 0x7f000001, 1000, 8080}));
}

TEST_F(IpNatTest, AFinishedDatagramToUsIsSoundWhereItIsLedTo) {
  use(at(Hook::output, filter::nat(kDnat, kPeer, 99)));
  const Packet datagram = udp_datagram(kOurs, kOurs, 1000, 80, Packet(100, 'a'));
  const ConstBytes pieces[] = {datagram};
  ASSERT_TRUE(ip_.find(way_, kOurs, 0));
  ASSERT_EQ(ip_.send_in_pieces(now_, way_, pieces, 1480), 0);
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kPeer, 1000, 99}));
}

// As many first pieces as are kept wait for the others in frames of the loopback.
TEST_F(IpNatTest, ABatchThatIsTranslatedWaitsForFramesOfOurs) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  for (uint16_t i = 0; i < Reassembly::kPackets; ++i) {
    Ipv4Header piece = from_peer(IpProtocol::kUdp);
    piece.identification = i;
    piece.more_fragments = true;
    peer_sends(ipv4_frame(piece, Packet(64)));
    ip_.rx(now_);
  }
  for (uint16_t port = 0; port < 60; ++port) {
    Ipv4Header header = from_peer(IpProtocol::kUdp);
    peer_sends(ipv4_frame(header,
                          udp_datagram(kPeer, kOurs, static_cast<uint16_t>(1000 + port), 80, bytes_of("q"))));
  }
  size_t heard = 0;
  for (int breath = 0; breath < 3; ++breath) {
    ip_.rx(now_);
    heard += came().size();
  }
  EXPECT_EQ(heard, 60u);
  EXPECT_EQ(drops(DropReason::no_memory), 0u);
}

TEST_F(IpNatTest, AnErrorComesBackAboutWhatWasSent) {
  use(filter::batch(filter::table(), filter::nat_chain("out", Hook::output),
                    filter::nat_chain("post", Hook::postrouting),
                    filter::rule("out", filter::nat(kDnat, kOther, 99)),
                    filter::rule("post", filter::nat(kSnat, kOurs, 5000))));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  const auto sent = peer_receives();
  ASSERT_EQ(sent.size(), 1u);
  IcmpHeader icmp{IcmpType::kDestinationUnreachable, kPortUnreachable};
  Ipv4Header header = from_peer(IpProtocol::kIcmp);
  header.source = kOther;
  peer_sends(ipv4_frame(header, icmp_message(icmp, {sent[0].payload().begin(), sent[0].payload().end()})));
  ip_.rx(now_);
  const auto heard = errors();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].error, ECONNREFUSED);
  EXPECT_EQ(heard[0].local.port, 1000);
  EXPECT_EQ(heard[0].remote.port, 80);
  EXPECT_EQ(heard[0].remote.address.as_v4(), kPeer);
}

TEST_F(IpNatTest, WhereNobodyAnswersToTheNewAddressTheSenderHearsOfItsOwn) {
  use(at(Hook::output, filter::nat(kDnat, kNobody, 99)));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  std::vector<TransportError> heard;
  for (int i = 0; i < 10 && heard.empty(); ++i) {
    now_ += kSecond;
    breathe();
    heard = errors();
  }
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].error, EHOSTUNREACH);
  EXPECT_EQ(heard[0].remote.address.as_v4(), kPeer);
  EXPECT_EQ(heard[0].remote.port, 80);
}

class IpNatOverMemory : public IpNatTest {
 protected:
  IpNatOverMemory() : IpNatTest(memory_facts) {}
};

TEST_F(IpNatOverMemory, AnUnfinishedChecksumStaysOne) {
  use(at(Hook::postrouting, filter::nat(kSnat, kOther, 5000)));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}, Packet(30'000)));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_NE(seen[0].marks.flags & kChecksumNeeded, 0);
  EXPECT_EQ(read_udp(seen[0].payload(), true), (Udp{kOther, kPeer, 5000, 80}));
}

TEST_F(IpNatOverMemory, AnUnfinishedDatagramIsTakenAsItIs) {
  use(at(Hook::prerouting, filter::redirect(8080)));
  peer_asks(80, kPeer, 1000, kChecksumNeeded);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  EXPECT_TRUE(ip_.udp_segments().view()[0].intact);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 8080}));
}

}  // namespace
}  // namespace skerry::stack
