#include "stack/arp.hpp"

#include "world.hpp"

namespace skerry::stack {
namespace {

class ArpTest : public World {
 protected:
  ArpPacket request(Ipv4Address sender = kPeer, Ipv4Address target = kOurs) {
    return {ArpOperation::kRequest, kPeerMac, sender, {}, target};
  }
  ArpPacket reply(Ipv4Address sender = kPeer) {
    return {ArpOperation::kReply, kPeerMac, sender, kOurMac, kOurs};
  }
};

TEST_F(ArpTest, AnswersWhoAsksForUs) {
  peer_sends(arp_frame(request()));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].ethernet, (EthernetHeader{kPeerMac, kOurMac, EtherType::kArp}));
  const auto answer = ArpPacket::parse(seen[0].payload());
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, (ArpPacket{ArpOperation::kReply, kOurMac, kOurs, kPeerMac, kPeer}));
}

TEST_F(ArpTest, AnswersAProbeButLearnsNothing) {
  peer_sends(arp_frame(request(0)));
  breathe();
  EXPECT_EQ(peer_receives().size(), 1u);
  EXPECT_EQ(ip_.neighbours().size(), 0u);
}

TEST_F(ArpTest, WhoeverAskedIsKnown) {
  introduce_peer();
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].ethernet, (EthernetHeader{kPeerMac, kOurMac, EtherType::kIpv4}));
}

TEST_F(ArpTest, QuestionsForOthersAreNotAnswered) {
  peer_sends(arp_frame(request(kPeer, kOther)));
  breathe();
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(drops(DropReason::unwanted_arp), 1u);
  EXPECT_EQ(ip_.neighbours().size(), 0u);
}

TEST_F(ArpTest, FramesWaitUntilTheNeighbourAnswers) {
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("one")));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("two")));
  breathe();
  auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].ethernet.destination.is_broadcast());
  const auto question = ArpPacket::parse(seen[0].payload());
  ASSERT_TRUE(question);
  EXPECT_EQ(*question, (ArpPacket{ArpOperation::kRequest, kOurMac, kOurs, {}, kPeer}));

  peer_sends(arp_frame(reply(), kOurMac));
  breathe();
  seen = peer_receives();
  ASSERT_EQ(seen.size(), 2u);
  for (const auto& one : seen) EXPECT_EQ(one.ethernet.destination, kPeerMac);
  EXPECT_EQ(seen[0].bytes.back(), 'e');
  EXPECT_EQ(seen[1].bytes.back(), 'o');
}

// As Linux does: once for a link that is back, however often it came and went in a second.
TEST_F(ArpTest, AnnouncesItselfWhenTheLinkIsBack) {
  now_ = 100 * kSecond;
  introduce_peer();
  const auto flap = [&](uint32_t changes) {
    peer().tell({changes});
    breathe();
  };
  flap(1);
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(ip_.counters().link_down, 1u);
  flap(2);
  auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen[0].ethernet.destination.is_broadcast());
  EXPECT_EQ(*ArpPacket::parse(seen[0].payload()),
            (ArpPacket{ArpOperation::kRequest, kOurMac, kOurs, {}, kOurs}));
  EXPECT_EQ(ArpPacket::parse(seen[1].payload())->target, kPeer) << "the neighbour is asked for";
  EXPECT_TRUE(ip_.take_resumed());
  EXPECT_FALSE(ip_.take_resumed());
  EXPECT_EQ(ip_.counters().link_down, 0u);
  EXPECT_EQ(ip_.counters().link_flaps, 1u);

  peer_sends(arp_frame(reply(), kOurMac));
  for (uint32_t changes = 3; changes <= 102; ++changes) flap(changes);
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_FALSE(ip_.take_resumed());
  EXPECT_EQ(ip_.counters().link_flaps, 51u);
  now_ = ip_.deadline();
  EXPECT_EQ(now_, 101 * kSecond);
  breathe();
  EXPECT_EQ(peer_receives().size(), 2u);
  EXPECT_TRUE(ip_.take_resumed());
  flap(104);
  EXPECT_EQ(ip_.counters().link_flaps, 52u) << "one that was not seen down has been away too";
}

TEST_F(ArpTest, BehindTheGatewayTheGatewayIsAsked) {
  ASSERT_TRUE(stack_sends(kFar, bytes_of("x")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(ArpPacket::parse(seen[0].payload())->target, kPeer);
}

TEST_F(ArpTest, WithoutAnswerTheTransportIsToldAndTheFramesAreFreed) {
  ASSERT_TRUE(stack_sends(kOther, bytes_of("x")));
  for (int second = 0; second < 3; ++second) {
    breathe();
    EXPECT_EQ(peer_receives().size(), 1u) << second;
    EXPECT_EQ(ip_.deadline(), now_ + kSecond);
    now_ += kSecond;
  }
  breathe();
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(drops(DropReason::unresolved), 1u);
  ASSERT_EQ(ip_.udp_errors().view().size(), 1u);
  const TransportError& error = ip_.udp_errors().view()[0];
  EXPECT_EQ(error.error, EHOSTUNREACH);
  EXPECT_EQ(error.local, (Endpoint{IpAddress::v4(kOurs), 1000}));
  EXPECT_EQ(error.remote, (Endpoint{IpAddress::v4(kOther), 2000}));
  EXPECT_FALSE(ip_.arm());  // the word is still to be taken
  ip_.udp_errors().clear();
  EXPECT_TRUE(ip_.arm());
  EXPECT_EQ(ip_.deadline(), kNever);
}

TEST_F(ArpTest, ImpossibleSendersAreNotLearnt) {
  ArpPacket multicast = request();
  multicast.sender_mac = MacAddress{{1, 0, 0x5e, 0, 0, 1}};
  ArpPacket no_mac = request();
  no_mac.sender_mac = MacAddress{};
  for (const ArpPacket& packet : {multicast, no_mac, request(kOurs), request(kFar), request(kLoop)})
    peer_sends(arp_frame(packet));
  breathe();
  EXPECT_EQ(drops(DropReason::unwanted_arp), 5u);
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(ip_.neighbours().size(), 0u);
}

TEST_F(ArpTest, UnaskedRepliesAboutStrangersAreIgnored) {
  peer_sends(arp_frame(reply(kOther), kOurMac));
  breathe();
  EXPECT_EQ(drops(DropReason::unwanted_arp), 1u);
  EXPECT_EQ(ip_.neighbours().size(), 0u);
}

TEST_F(ArpTest, ANeighbourMayMoveToAnotherMac) {
  introduce_peer();
  ArpPacket moved = reply();
  moved.sender_mac = MacAddress{{2, 0, 0, 0, 0, 0x11}};
  peer_sends(arp_frame(moved, kOurMac));
  breathe();
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("x")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].ethernet.destination, moved.sender_mac);
}

TEST_F(ArpTest, ManyQuestionsInABreathAreAnsweredUpToALimit) {
  for (uint32_t i = 0; i < Arp::kReplies + 4; ++i) peer_sends(arp_frame(request()));
  breathe();
  EXPECT_EQ(peer_receives().size(), Arp::kReplies);
  EXPECT_EQ(drops(DropReason::arp_queue_full), 4u);
}

TEST_F(ArpTest, MalformedPacketsAreCounted) {
  Packet cut = arp_frame(request());
  cut.pop_back();
  peer_sends(cut);
  Packet other = arp_frame(request());
  other[EthernetHeader::kBytes + 4] = 8;
  peer_sends(other);
  breathe();
  EXPECT_EQ(drops(DropReason::malformed_arp), 2u);
}

}  // namespace
}  // namespace skerry::stack
