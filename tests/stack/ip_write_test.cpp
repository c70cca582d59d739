// Rules that write into packets, in the stack: whoever goes on with a packet sees what they wrote, and what
// is no packet any more goes nowhere. Which bytes change is for tests/filter.
#include <gmock/gmock.h>

#include "filter/link_batch.hpp"
#include "filter/words.hpp"
#include "filter/write_batch.hpp"
#include "stack/udp_world.hpp"

namespace skerry::stack {
namespace {

using filter::Hook;
using filter::join;
using filter::Octets;
using filter::write;

constexpr uint32_t kNetwork = 1, kTransport = 2;

// One chain at a hook, with one rule.
Octets at(Hook hook, const Octets& expressions) {
  return filter::batch(filter::table(), filter::chain("c", filter::hook(static_cast<uint32_t>(hook))),
                       filter::rule("c", expressions));
}
Octets to_port(uint8_t port) {
  return write(kTransport, 2, {0, port}, filter::kUdpSum);
}
Octets ttl_9() {
  return write(kNetwork, 8, {9}, filter::kHeaderSum);
}

class IpWriteTest : public UdpWorld {
 protected:
  using UdpWorld::UdpWorld;

  // Who asks why hears of the packet, as it was before a rule made it no packet any more; who follows it too.
  void expect_told(Hook hook) {
    const filter::Events& events = ip_.filter().events();
    ASSERT_EQ(events.next() - events.first(), 1u);
    const filter::Event& event = events[events.first()];
    EXPECT_EQ(event.hook, hook);
    EXPECT_EQ(event.destination_port, 80);
    EXPECT_EQ(filter::place_name(ip_.filter().engine().ruleset(), event.chain, event.rule),
              "a header that rules wrote");
    const filter::TraceStep& last = last_step();
    EXPECT_EQ(last.about.hook, hook);
    EXPECT_EQ(last.about.destination_port, 80);
    EXPECT_EQ(last.step.chain, filter::kWritten);
    EXPECT_EQ(last.step.verdict.code, filter::Code::drop);
  }
};

TEST_F(IpWriteTest, WhatIsWrittenOnItsWayInIsWhatComes) {
  for (const Hook hook : {Hook::prerouting, Hook::input}) {
    use(at(hook, join(to_port(99), ttl_9(), write(kNetwork, 1, {8}))));
    peer_asks(80);
    const auto segments = ip_.udp_segments().view();
    ASSERT_EQ(segments.size(), 1u);
    EXPECT_EQ(segments[0].ttl, 9);
    EXPECT_EQ(segments[0].type_of_service, 8);
    EXPECT_FALSE(segments[0].intact) << "whoever looks at its checksum sees that it is";
    InternetChecksum sum =
        ipv4_pseudo_header(kPeer, kOurs, 17, static_cast<uint16_t>(segments[0].bytes.size()));
    sum.add(segments[0].bytes);
    EXPECT_TRUE(sum.intact());
    EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 99}));
  }
}

TEST_F(IpWriteTest, AnAddressThatIsWrittenSaysForWhomItIs) {
  use(at(Hook::prerouting, write(kNetwork, 16, filter::be32(kOther), filter::kAddressSums)));
  peer_asks(80);
  EXPECT_TRUE(came().empty());
  EXPECT_EQ(drops(DropReason::not_our_address), 1u);
}

TEST_F(IpWriteTest, WhatIsWrittenOnItsWayOutLeavesWhereItWouldHave) {
  use(at(Hook::output, join(to_port(99), write(kNetwork, 16, filter::be32(kOther), filter::kAddressSums))));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].ethernet.destination, kPeerMac);
  EXPECT_EQ(read_udp(seen[0].payload()), (Udp{kOurs, kOther, 1000, 99}));
}

TEST_F(IpWriteTest, WhatLoopsNeedsNoChecksum) {
  use(at(Hook::output, to_port(99)));
  ASSERT_TRUE(we_send({kOurs, kOurs, 1000, 80}));
  ip_.rx(now_);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kOurs, kOurs, 1000, 99}));
}

TEST_F(IpWriteTest, EachPieceOfADatagramHasIt) {
  use(at(Hook::postrouting, join(ttl_9(), to_port(99))));
  const Packet datagram = udp_datagram(kOurs, kPeer, 1000, 80, Packet(3000, 'a'));
  const ConstBytes pieces[] = {datagram};
  ASSERT_TRUE(ip_.find(way_, kPeer, 0));
  ASSERT_EQ(ip_.send_in_pieces(now_, way_, pieces, 1480), 0);
  ip_.tx(now_);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 3u);
  for (const auto& each : seen) EXPECT_EQ(Ipv4Header::parse(each.payload())->ttl, 9);
  EXPECT_EQ(load_be16(seen[0].payload().data() + 22), 99);
}

TEST_F(IpWriteTest, WhatComesInPiecesIsPutTogetherAsItWasWritten) {
  use(at(Hook::prerouting, ttl_9()));
  const Packet datagram = udp_datagram(kPeer, kOurs, 1000, 80, Packet(24, 'a'));
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.identification = 7;
  header.more_fragments = true;
  peer_sends(ipv4_frame(header, Packet(datagram.begin(), datagram.begin() + 16)));
  header.more_fragments = false;
  header.fragment_offset = 16;
  peer_sends(ipv4_frame(header, Packet(datagram.begin() + 16, datagram.end())));
  ip_.rx(now_);
  ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
  EXPECT_EQ(ip_.udp_segments().view()[0].ttl, 9);
  EXPECT_THAT(came(), testing::ElementsAre(Udp{kPeer, kOurs, 1000, 80}));
}

TEST_F(IpWriteTest, WhatIsNoPacketAnyMoreGoesNowhere) {
  follow(filter::batch(filter::table(), filter::chain("in", filter::hook(0)),
                       filter::chain("out", filter::hook(3))));
  for (const Hook hook : {Hook::prerouting, Hook::input}) {
    const uint64_t before = drops(DropReason::malformed_ipv4);
    for (const Octets& breaks :
         {write(kNetwork, 0, {0x46}), write(kNetwork, 0, {0x65}), write(kNetwork, 2, {0, 21})}) {
      use(at(hook, breaks));
      peer_asks(80);
      EXPECT_TRUE(came().empty());
      expect_told(hook);
    }
    EXPECT_EQ(drops(DropReason::malformed_ipv4), before + 3);
  }
  use(at(Hook::output, write(kNetwork, 2, {0, 21})));
  EXPECT_FALSE(we_send({kOurs, kPeer, 1000, 80}));
  EXPECT_TRUE(peer_receives().empty());
  expect_told(Hook::postrouting);
}

TEST_F(IpWriteTest, WhatIsNoPacketAnyMoreDoesNotLeave) {
  constexpr uint32_t kLeaves = 1;
  follow(filter::at_link(kLeaves));
  use(filter::at_link(kLeaves, write(kNetwork, 2, {0, 21})));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}));
  EXPECT_TRUE(peer_receives().empty());
  expect_told(Hook::egress);
}

class IpWriteOverMemory : public IpWriteTest {
 protected:
  IpWriteOverMemory() : IpWriteTest(memory_facts) {}
};

TEST_F(IpWriteOverMemory, AnUnfinishedChecksumStaysOne) {
  use(at(Hook::postrouting,
         join(write(kNetwork, 12, filter::be32(kOther), filter::kAddressSums), to_port(99))));
  ASSERT_TRUE(we_send({kOurs, kPeer, 1000, 80}, Packet(30'000)));
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_NE(seen[0].marks.flags & kChecksumNeeded, 0);
  EXPECT_EQ(read_udp(seen[0].payload(), true), (Udp{kOther, kPeer, 1000, 99}));
}

}  // namespace
}  // namespace skerry::stack
