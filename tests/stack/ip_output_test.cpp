#include "world.hpp"

namespace skerry::stack {
namespace {

class IpOutput : public World {
 protected:
  void SetUp() override { introduce_peer(); }
};

TEST_F(IpOutput, PacketsAreWholeAndTheirChecksumsRight) {
  for (const char* text : {"", "a", "an even longer payload"}) {
    ASSERT_TRUE(stack_sends(kPeer, bytes_of(text)));
    breathe();
    const auto seen = peer_receives();
    ASSERT_EQ(seen.size(), 1u);
    const ConstBytes packet = seen[0].payload();
    const auto ip = Ipv4Header::parse(packet);
    ASSERT_TRUE(ip && Ipv4Header::checksum_intact(packet));
    EXPECT_EQ(ip->source, kOurs);
    EXPECT_EQ(ip->destination, kPeer);
    EXPECT_EQ(ip->total_bytes, packet.size());
    EXPECT_EQ(ip->ttl, 64);
    EXPECT_EQ(ip->protocol, IpProtocol::kUdp);
    EXPECT_TRUE(ip->dont_fragment);
    const ConstBytes datagram = packet.subspan(Ipv4Header::kMinBytes);
    EXPECT_EQ(Packet(datagram.begin(), datagram.end()),
              udp_datagram(kOurs, kPeer, 1000, 2000, bytes_of(text)));
    EXPECT_EQ(seen[0].marks.flags, 0);
  }
}

TEST_F(IpOutput, AlternatingPeersGetTheirOwnHeaders) {
  peer_sends(arp_frame({ArpOperation::kRequest, MacAddress{{2, 0, 0, 0, 0, 9}}, kOther, {}, kOurs}));
  breathe();
  peer_receives();
  for (const Ipv4Address to : {kPeer, kOther, kPeer}) ASSERT_TRUE(stack_sends(to, bytes_of("x")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].ethernet.destination, kPeerMac);
  EXPECT_EQ(seen[1].ethernet.destination, (MacAddress{{2, 0, 0, 0, 0, 9}}));
  EXPECT_EQ(Ipv4Header::parse(seen[1].payload())->destination, kOther);
  EXPECT_EQ(seen[2].ethernet.destination, kPeerMac);
  for (const auto& one : seen) EXPECT_TRUE(Ipv4Header::checksum_intact(one.payload()));
}

TEST_F(IpOutput, BroadcastsNeedNoNeighbour) {
  ASSERT_TRUE(stack_sends(0x0a0000ff, bytes_of("x")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].ethernet.destination.is_broadcast());
}

TEST_F(IpOutput, WithoutRouteNothingIsFound) {
  EXPECT_FALSE(ip_.find(way_, 0xe0000001, 0));
  EXPECT_FALSE(ip_.find(way_, kPeer, kLoop));
  EXPECT_TRUE(ip_.find(way_, kFar, 0));
}

TEST_F(IpOutput, TransportMtu) {
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  EXPECT_EQ(ip_.transport_mtu(way_), 1480u);
  EXPECT_EQ(ip_.transport_super_frame(way_), 0u);
  ASSERT_TRUE(ip_.find(way_, kLoop, 0));
  EXPECT_EQ(ip_.transport_mtu(way_), 65515u);
}

TEST_F(IpOutput, ACancelledFrameCanBeHadAgain) {
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(ip_.find(way_, i % 2 ? kPeer : kLoop, 0));
    ASSERT_GT(ip_.reserve(way_), 0u);
    ip_.cancel(ip_.open(way_, 100));
  }
}

// With a link that takes a frame only now and then, nothing is lost and the order stays.
class Trickle {
 public:
  explicit Trickle(LocalLink& link) : link_(link) {}
  std::optional<Frame> allocate(uint32_t bytes) { return link_.allocate(bytes); }
  size_t send(std::span<const Frame> frames) {
    const size_t taken = std::min(frames.size(), std::exchange(credit, 0));
    return link_.send(frames.first(taken));
  }
  void receive(FrameBatch& batch) { link_.receive(batch); }
  Bytes data(const Frame& frame) { return link_.data(frame); }
  void give_back(const Frame& frame) { link_.give_back(frame); }
  bool arm() { return link_.arm(); }
  void disarm() { link_.disarm(); }
  const LinkFacts& facts() const { return link_.facts(); }
  Carrier carrier() const { return link_.carrier(); }

  size_t credit = 0;

 private:
  LocalLink& link_;
};

class Backpressure : public World {
 protected:
  Backpressure() : trickle_wire_(wire_facts(kOurMac), wire_facts(kPeerMac)), trickle_(trickle_wire_.a()) {}
  LocalWire trickle_wire_;
  Trickle trickle_;
};

TEST_F(Backpressure, IsKeptAndNothingIsLost) {
  static constexpr InterfaceAddress kAddresses[] = {{kOurs, 24}};
  Random random(1);
  Ip<Trickle> ip(trickle_, {kAddresses, std::nullopt}, random);
  Way way(IpProtocol::kUdp);
  ASSERT_TRUE(ip.find(way, 0xffffffff, 0));
  uint32_t offered = 0;
  while (ip.reserve(way) > 0) {
    const Outgoing out = ip.open(way, 4);
    store_be32(out.transport, offered++);
    ip.send(now_, way, out);
  }
  EXPECT_EQ(offered, Ip<Trickle>::kTxQueue);
  EXPECT_EQ(ip.tx(now_), 0u);
  EXPECT_EQ(ip.deadline(), now_ + Ip<Trickle>::kRetry);

  uint32_t arrived = 0;
  FrameBatch batch;
  for (int breath = 0; breath < 1000 && arrived < offered; ++breath) {
    trickle_.credit = 7;
    ip.rx(now_);
    ip.tx(now_);
    trickle_wire_.b().receive(batch);
    for (const Frame& frame : batch.view()) {
      EXPECT_EQ(load_be32(trickle_wire_.b().data(frame).data() + kHeaderBytes), arrived++);
      trickle_wire_.b().give_back(frame);
    }
    batch.clear();
  }
  EXPECT_EQ(arrived, offered);
  EXPECT_EQ(ip.deadline(), kNever);
}

class SharedMemory : public World {
 protected:
  SharedMemory() : World(memory_facts, {8, 2}) {}
  void SetUp() override { introduce_peer(); }
};

TEST_F(SharedMemory, ChecksumsAreLeftToTheLink) {
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("hello")));
  breathe();
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].marks.flags, kChecksumNeeded);
  EXPECT_EQ(seen[0].marks.checksum_start, 34);
  EXPECT_EQ(seen[0].marks.checksum_offset, 6);
  EXPECT_TRUE(Ipv4Header::checksum_intact(seen[0].payload()));
  // Whoever finishes it sums from checksum_start, the field holding the pseudo-header's sum, as virtio has
  // it.
  Packet datagram(seen[0].bytes.begin() + 34, seen[0].bytes.end());
  InternetChecksum sum;
  sum.add(datagram);
  store_be16(datagram.data() + 6, sum.finish());
  EXPECT_EQ(datagram, udp_datagram(kOurs, kPeer, 1000, 2000, bytes_of("hello")));
}

TEST_F(SharedMemory, SuperFramesAreLarge) {
  EXPECT_EQ(ip_.reserve_link(), 65535u - 20);
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  EXPECT_EQ(ip_.transport_super_frame(way_), 65515u - filter::kMostGrowth);
}

TEST_F(SharedMemory, WithoutLargeFramesSmallOnesGoOn) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(ip_.reserve_link(), 65515u);
    ASSERT_TRUE(ip_.find(way_, kPeer, 0));
    ip_.send(now_, way_, ip_.open(way_, 30'000));
  }
  EXPECT_EQ(ip_.reserve_link(), 1480u);
  EXPECT_TRUE(stack_sends(kPeer, bytes_of("x")));
  while (stack_sends(kPeer, bytes_of("x"))) {
  }
  EXPECT_EQ(ip_.reserve_link(), 0u);  // no memory at all: wait
  breathe();
  EXPECT_EQ(ip_.deadline(), kNever);  // nobody asked in this breath
  EXPECT_EQ(ip_.reserve_link(), 0u);
  ip_.tx(now_);
  EXPECT_EQ(ip_.deadline(), now_ + Ip<LocalLink>::kRetry);
  peer_receives();
  EXPECT_EQ(ip_.reserve_link(), 65515u);
}

// A packet whose checksum is still to be made has met no wire that could have damaged it.
TEST_F(SharedMemory, AnUnfinishedPacketIsTakenOnTrust) {
  Packet frame = ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 1, 2, bytes_of("abc")));
  frame[24] ^= 1;
  peer_sends(frame);
  ip_.rx(now_);
  EXPECT_EQ(drops(DropReason::ipv4_checksum), 1u);
  peer_sends(frame, kChecksumNeeded);
  ip_.rx(now_);
  EXPECT_EQ(take_udp().size(), 1u);
}

// Before the link is replaced: received and not looked at, waiting for a MAC, waiting for room, and spares.
TEST_F(SharedMemory, ForgettingGivesEveryFrameBack) {
  const Packet frame = ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 1, 2, {}));
  ip_.set_receive_limit(1);
  for (int n = 0; n < 8; ++n) peer_sends(frame);
  ip_.rx(now_);
  ASSERT_EQ(take_udp().size(), 1u);
  ASSERT_TRUE(stack_sends(kOther, bytes_of("waits for a MAC")));
  ASSERT_TRUE(stack_sends(kPeer, bytes_of("waits for room")));
  ip_.forget_frames();
  for (int n = 0; n < 8; ++n) peer_sends(frame);
  ip_.tx(now_);
  for (const Seen& seen : peer_receives()) EXPECT_EQ(seen.ethernet.type, EtherType::kArp);
  int sent = 0;
  while (stack_sends(kPeer, bytes_of("x"))) ++sent;
  EXPECT_EQ(sent, 8);
}

}  // namespace
}  // namespace skerry::stack
