#include "stack/loopback.hpp"

#include "world.hpp"

namespace skerry::stack {
namespace {

class LoopbackTest : public World {};

TEST_F(LoopbackTest, OwnAddressesLoopAndNothingReachesTheWire) {
  for (const Ipv4Address to : {kLoop, kOurs}) {
    ASSERT_TRUE(stack_sends(to, bytes_of("self")));
    ip_.tx(now_);
    EXPECT_FALSE(ip_.arm());
    EXPECT_EQ(ip_.rx(now_), 1u);
    ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
    const Segment& segment = ip_.udp_segments().view()[0];
    EXPECT_TRUE(segment.looped && segment.intact);
    EXPECT_EQ(segment.source, to);
    EXPECT_EQ(segment.destination, to);
    EXPECT_EQ(take_udp()[0].back(), 'f');
    EXPECT_TRUE(ip_.arm());
  }
  EXPECT_TRUE(peer_receives().empty());
  EXPECT_EQ(ip_.counters().looped, 2u);
}

TEST_F(LoopbackTest, ABoundSourceIsKept) {
  ASSERT_TRUE(stack_sends(kLoop, bytes_of("x"), kOurs));
  ip_.rx(now_);
  EXPECT_EQ(ip_.udp_segments().view()[0].source, kOurs);
  take_udp();
}

TEST_F(LoopbackTest, CarriesTheLargestPacket) {
  ASSERT_TRUE(stack_sends(kLoop, Packet(65507, 9)));
  ip_.rx(now_);
  EXPECT_EQ(take_udp()[0].size(), 65515u);
}

TEST_F(LoopbackTest, ItsFramesAreFiniteAndComeBack) {
  for (int round = 0; round < 5; ++round) {
    uint32_t sent = 0;
    while (stack_sends(kLoop, bytes_of("x"))) ++sent;
    EXPECT_EQ(sent, 64u);
    ip_.rx(now_);
    EXPECT_EQ(take_udp().size(), 64u);
  }
}

TEST_F(LoopbackTest, WePingOurselves) {
  Way way(IpProtocol::kIcmp);
  ASSERT_TRUE(ip_.find(way, kLoop, 0));
  ASSERT_GT(ip_.reserve(way), 0u);
  const Packet message = icmp_message({IcmpType::kEcho, 0, 0, 1, 1}, bytes_of("me"));
  const Outgoing out = ip_.open(way, static_cast<uint32_t>(message.size()));
  std::copy(message.begin(), message.end(), out.transport);
  ip_.send(now_, way, out);
  breathe();
  EXPECT_EQ(ip_.counters().icmp_out, 1u);
  breathe();  // the reply arrives, and no socket of ours asks for replies
  EXPECT_EQ(drops(DropReason::unwanted_icmp), 1u);
}

TEST(Loopback, KeepsOrderAndOwnership) {
  Loopback loopback(3);
  std::vector<Frame> frames;
  while (loopback.free() > 0) frames.push_back(*loopback.allocate(100));
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_FALSE(loopback.allocate(1));
  for (const Frame& frame : frames) loopback.send(frame, {.looked_up = true, .number = frame.slot});
  for (const Frame& frame : frames) {
    const Loopback::Looped back = loopback.receive();
    EXPECT_EQ(back.frame.slot, frame.slot);
    EXPECT_EQ(back.tracked.number, frame.slot);
    loopback.give_back(back.frame);
  }
  EXPECT_EQ(loopback.waiting(), 0u);
  EXPECT_FALSE(loopback.allocate(kMaxFrame + 1));
  EXPECT_TRUE(loopback.allocate(kMaxFrame));
}

}  // namespace
}  // namespace skerry::stack
