#include "vswitch/vswitch.hpp"

#include <gtest/gtest.h>

#include "network.hpp"
#include "run/component.hpp"
#include "wire/tcp.hpp"

namespace skerry::vswitch {
namespace {

static_assert(Component<Vswitch<LocalLink>>);

Octets packet(uint8_t from, uint8_t to, size_t payload_bytes = 32) {
  return ipv4(mac_of(to), mac_of(from), address_of(from), address_of(to), payload_bytes);
}

TEST(Vswitch, ForwardsUnicastToItsPortAlone) {
  Network network;
  const PortId a = network.add(1), b = network.add(2), c = network.add(3);
  network.join_all();
  network.send(a, packet(1, 2));
  network.breathe();
  const auto at_b = network.received(b);
  ASSERT_EQ(at_b.size(), 1u);
  EXPECT_EQ(at_b[0].bytes, packet(1, 2));
  EXPECT_EQ(network.received_count(c), 0u);
  EXPECT_EQ(network.received_count(a), 0u);
}

TEST(Vswitch, RepliesLeaveInTheirBreathAndRxSendsNothing) {
  Network network;
  const PortId a = network.add(1), b = network.add(2);
  network.join_all();
  network.send(a, packet(1, 2));
  EXPECT_EQ(network.vswitch.rx(0), 1u);
  EXPECT_EQ(network.received_count(b), 0u);
  EXPECT_EQ(network.vswitch.tx(0), 1u);
  EXPECT_EQ(network.received_count(b), 1u);
  EXPECT_EQ(network.vswitch.rx(0) + network.vswitch.tx(0), 0u);
}

TEST(Vswitch, KeepsOrderAndBytesOfEveryLength) {
  Network network;
  const PortId a = network.add(1), b = network.add(2);
  network.join_all();
  for (size_t round = 0; round < 20; ++round) {
    std::vector<Octets> sent;
    for (size_t i = 0; i < 50; ++i) sent.push_back(packet(1, 2, 1 + (round * 50 + i) * 37 % 1480));
    for (const Octets& frame : sent) network.send(a, frame);
    network.breathe();
    const auto got = network.received(b);
    ASSERT_EQ(got.size(), sent.size());
    for (size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(got[i].bytes, sent[i]);
  }
}

TEST(Vswitch, PassesSuperFramesWithTheirMarks) {
  Network network;
  const PortId a = network.add(1), b = network.add(2);
  network.join_all();
  const Octets big = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 65000, IpProtocol::kTcp);
  network.send(a, big, super_frame(1460));
  network.breathe();
  const auto got = network.received(b);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].bytes, big);
  EXPECT_EQ(got[0].marks.flags, kChecksumNeeded | kSegmentTcp4);
  EXPECT_EQ(got[0].marks.gso_size, 1460);
  EXPECT_EQ(got[0].marks.checksum_start, 34);
  EXPECT_EQ(got[0].marks.checksum_offset, 16);
}

// A TCP frame that leaves its checksum to others: the field holds the sum of the pseudo-header.
Octets unfinished_tcp(size_t payload_bytes) {
  const size_t segment_bytes = TcpHeader::kMinBytes + payload_bytes;
  Octets frame = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), segment_bytes, IpProtocol::kTcp);
  uint8_t* const tcp = frame.data() + 34;
  tcp[12] = 5 << 4;
  tcp[13] = kTcpAck | kTcpPsh;
  store_be16(tcp + 16,
             ipv4_pseudo_header(address_of(1), address_of(2), 6, static_cast<uint16_t>(segment_bytes)).sum());
  return frame;
}

bool tcp_checksum_intact(const Octets& frame) {
  const auto segment = ConstBytes(frame).subspan(34);
  InternetChecksum sum =
      ipv4_pseudo_header(address_of(1), address_of(2), 6, static_cast<uint16_t>(segment.size()));
  sum.add(segment);
  return sum.intact();
}

TEST(Vswitch, FinishesChecksumsForALinkThatDoesNotTakeThemOpen) {
  Network network;
  const PortId a = network.add(1), plain = network.add(2, false, {}, 1514);
  network.join_all();
  network.send(a, unfinished_tcp(500), unfinished(16));
  network.breathe();
  const auto got = network.received(plain);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].marks.flags, 0);
  EXPECT_FALSE(tcp_checksum_intact(unfinished_tcp(500)));
  EXPECT_TRUE(tcp_checksum_intact(got[0].bytes));
}

TEST(Vswitch, CutsSuperFramesForALinkThatDoesNotTakeThemWhole) {
  Network network;
  const PortId a = network.add(1), plain = network.add(2, false, {}, 1514);
  network.join_all();
  const Octets whole = unfinished_tcp(10'000);
  network.send(a, whole, super_frame(1460));
  network.breathe();
  const auto got = network.received(plain);
  ASSERT_EQ(got.size(), 7u);
  Octets payload;
  for (const auto& segment : got) {
    EXPECT_LE(segment.bytes.size(), 1514u);
    EXPECT_EQ(segment.marks.flags, 0);
    EXPECT_TRUE(tcp_checksum_intact(segment.bytes));
    payload.insert(payload.end(), segment.bytes.begin() + 54, segment.bytes.end());
  }
  EXPECT_EQ(payload, Octets(whole.begin() + 54, whole.end()));
}

TEST(Vswitch, CuttingEndsWithTheReceiversMemory) {
  Network network;
  const PortId a = network.add(1), plain = network.add(2, false, {.small_slots = 3, .large_slots = 0}, 1514);
  network.join_all();
  network.send(a, unfinished_tcp(60'000), super_frame(100));
  network.breathe();
  EXPECT_EQ(network.received_count(plain), 3u);
  EXPECT_EQ(network.dropped(plain, Drop::kNoMemory), 1u);
}

TEST(Vswitch, DropsWhatTheReceiversLinkCannotCarry) {
  Network network;
  const PortId a = network.add(1), plain = network.add(2, false, {}, 1514);
  network.join_all();
  network.send(a, packet(1, 2, 2000));
  network.send(a, ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 3000, IpProtocol::kTcp),
               super_frame(1460));
  network.breathe();
  EXPECT_EQ(network.received_count(plain), 0u);
  EXPECT_EQ(network.dropped(plain, Drop::kTooLong), 1u);
  EXPECT_EQ(network.dropped(a, Drop::kBadMarks), 1u) << "its TCP header is none";
}

TEST(Vswitch, BroadcastReachesEveryJoinedPortButItsOwn) {
  Network network;
  const PortId a = network.add(1), b = network.add(2), c = network.add(3), up = network.add(4, true);
  network.join_all();
  const ArpPacket request{ArpOperation::kRequest, mac_of(1), address_of(1), {}, address_of(3)};
  network.send(a, arp(kBroadcast, mac_of(1), request));
  network.breathe();
  for (const PortId port : {b, c, up}) {
    const auto got = network.received(port);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].bytes, arp(kBroadcast, mac_of(1), request));
  }
  EXPECT_EQ(network.received_count(a), 0u);

  const MacAddress multicast{{0x01, 0x00, 0x5e, 0, 0, 0xfb}};
  network.send(b, ipv4(multicast, mac_of(2), address_of(2), 0xe00000fb));
  network.breathe();
  EXPECT_EQ(network.received_count(a) + network.received_count(c) + network.received_count(up), 3u);
}

TEST(Vswitch, LearnsWhatIsBehindUplinks) {
  Network network;
  const PortId a = network.add(1), left = network.add({{}, {}, true}), right = network.add({{}, {}, true});
  network.join_all();
  // Nobody has shown 50: only the uplinks can lead there.
  network.send(a, packet(1, 50));
  network.breathe();
  EXPECT_EQ(network.received_count(left), 1u);
  EXPECT_EQ(network.received_count(right), 1u);

  network.send(left, packet(50, 1));
  network.breathe();
  EXPECT_EQ(network.received_count(a), 1u);
  EXPECT_EQ(network.vswitch.learned(), 1u);
  network.send(a, packet(1, 50));
  network.breathe();
  EXPECT_EQ(network.received_count(left), 1u);
  EXPECT_EQ(network.received_count(right), 0u);

  network.breathe(400 * kSecond);
  EXPECT_EQ(network.vswitch.learned(), 0u);
  network.send(a, packet(1, 50));
  network.breathe(400 * kSecond);
  EXPECT_EQ(network.received_count(left), 1u);
  EXPECT_EQ(network.received_count(right), 1u);
}

TEST(Vswitch, AFullTableLearnsNoMoreAndStillForwards) {
  Network network({.learned_total = 8, .learned_per_port = 8});
  const PortId a = network.add(1), up = network.add({{}, {}, true});
  network.join_all();
  for (uint8_t n = 50; n < 70; ++n) network.send(up, packet(n, 1));
  network.breathe();
  EXPECT_EQ(network.received_count(a), 20u);
  EXPECT_EQ(network.vswitch.learned(), 8u);
  EXPECT_EQ(network.vswitch.counters(up).not_learned, 12u);
  network.send(a, packet(1, 69));
  network.breathe();
  EXPECT_EQ(network.received_count(up), 1u);
}

TEST(Vswitch, AReceiverWithoutMemoryDelaysNobody) {
  Network network;
  const PortId a = network.add(1), full = network.add(2, false, {.small_slots = 4, .large_slots = 0}),
               free = network.add(3);
  network.join_all();
  for (int i = 0; i < 10; ++i) {
    network.send(a, packet(1, 2));
    network.send(a, packet(1, 3));
  }
  network.breathe();
  EXPECT_EQ(network.received_count(free), 10u);
  EXPECT_EQ(network.received_count(full), 4u);
  EXPECT_EQ(network.dropped(full, Drop::kNoMemory), 6u);
  network.send(a, packet(1, 2));
  network.breathe();
  EXPECT_EQ(network.received_count(full), 1u) << "memory that was given back is used again";
}

TEST(Vswitch, OnePortAloneCannotTakeABreathForItself) {
  Network network;
  const PortId busy = network.add(1), modest = network.add(2), sink = network.add(3);
  network.join_all();
  for (uint32_t i = 0; i < 5 * kBatch; ++i) network.send(busy, packet(1, 3));
  network.send(modest, packet(2, 3));
  EXPECT_EQ(network.vswitch.rx(0), kBatch + 1);
  network.vswitch.tx(0);
  EXPECT_EQ(network.received_count(sink), kBatch + 1);
}

TEST(Vswitch, PortsComeAndGo) {
  Network network;
  const PortId a = network.add(1), up = network.add(9, true);
  PortId b = network.add(2);
  network.join_all();
  network.remove(b);
  network.send(a, packet(1, 2));
  network.breathe();
  EXPECT_EQ(network.received_count(up), 1u) << "2 is unknown now, so it may be outside";

  b = network.add(2);
  network.send(a, packet(1, 2));
  network.breathe();
  EXPECT_EQ(network.received_count(b), 0u) << "a new port is joined to nobody, whoever had its number before";
  EXPECT_EQ(network.dropped(a, Drop::kIsolated), 1u);
  network.join_all();
  network.send(a, packet(1, 2));
  network.breathe();
  EXPECT_EQ(network.received_count(b), 1u);
}

TEST(Vswitch, RefusesPortsThatCannotBe) {
  Network network;
  network.add(1);
  LocalWire wire({}, {});
  const auto refused = [&](const PortSettings& settings) {
    return !network.vswitch.add_port(settings, wire.a());
  };
  EXPECT_TRUE(refused({mac_of(1), {address_of(5)}, false})) << "MAC in use";
  EXPECT_TRUE(refused({mac_of(5), {address_of(1)}, false})) << "address in use";
  EXPECT_TRUE(refused({{}, {address_of(5)}, false}));
  EXPECT_TRUE(refused({kBroadcast, {address_of(5)}, false}));
  EXPECT_TRUE(refused({mac_of(5), {0}, false}));
  EXPECT_TRUE(refused({mac_of(5), std::vector<Ipv4Address>(17, address_of(5)), false}));
  EXPECT_FALSE(refused({mac_of(5), {address_of(5)}, false})) << "a refused port leaves nothing behind";
  for (uint32_t i = 2; i < kMaxPorts; ++i) network.add(static_cast<uint8_t>(100 + i));
  EXPECT_TRUE(refused({mac_of(99), {}, false})) << "no port left";
}

TEST(Vswitch, CountsWhatPasses) {
  Network network;
  const PortId a = network.add(1), b = network.add(2);
  network.join_all();
  network.send(a, packet(1, 2, 100));
  network.send(a, packet(1, 2, 200));
  network.breathe();
  const uint64_t bytes = 2 * 34 + 300;
  EXPECT_EQ(network.vswitch.counters(a).rx_frames, 2u);
  EXPECT_EQ(network.vswitch.counters(a).rx_bytes, bytes);
  EXPECT_EQ(network.vswitch.counters(b).tx_frames, 2u);
  EXPECT_EQ(network.vswitch.counters(b).tx_bytes, bytes);
}

TEST(Vswitch, SleepsOnlyWhenNoPortHasNews) {
  Network network;
  const PortId a = network.add(1);
  network.add(2);
  network.join_all();
  EXPECT_TRUE(network.vswitch.arm());
  network.vswitch.disarm();
  network.send(a, packet(1, 2));
  EXPECT_FALSE(network.vswitch.arm());
  network.vswitch.disarm();
  network.breathe();
  EXPECT_TRUE(network.vswitch.arm());
  EXPECT_EQ(network.vswitch.deadline(), kNever);
}

Carrier carrier_at(Network& network, PortId id) {
  network.received(id);
  return network.station(id).carrier();
}

TEST(Vswitch, TheCarrierOfAnUplinkIsThatOfThoseBehindIt) {
  Network network;
  const PortId program = network.add(1), other = network.add(2), up = network.add(9, true);
  network.vswitch.set_joined(program, up, true);
  network.vswitch.set_joined(program, other, true);
  EXPECT_TRUE(carrier_at(network, program).up());
  network.station(up).tell({1});
  network.breathe();
  EXPECT_FALSE(carrier_at(network, program).up());
  EXPECT_TRUE(carrier_at(network, other).up()) << "it is not joined with the uplink";
  network.station(up).tell({2});
  network.breathe();
  EXPECT_EQ(carrier_at(network, program), Carrier{2});
  network.station(up).tell({4});  // there and back between two looks
  network.breathe();
  EXPECT_EQ(carrier_at(network, program), Carrier{4});
  network.station(program).tell({1});  // what a program says of itself concerns nobody
  network.breathe();
  EXPECT_TRUE(carrier_at(network, other).up());
  EXPECT_TRUE(carrier_at(network, up).up());
}

TEST(Vswitch, AnUplinkThatEndsTakesTheCarrierAlongUntilAnotherComes) {
  Network network;
  const PortId program = network.add(1), up = network.add(9, true);
  network.vswitch.set_joined(program, up, true);
  network.remove(up);
  EXPECT_FALSE(carrier_at(network, program).up());
  const PortId again = network.add(9, true);
  network.vswitch.set_joined(program, again, true);
  EXPECT_TRUE(carrier_at(network, program).up());
}

TEST(Vswitch, OneOfTwoUplinksIsEnough) {
  Network network;
  const PortId program = network.add(1), one = network.add(8, true), two = network.add(9, true);
  network.join_all();
  network.station(one).tell({1});
  network.breathe();
  EXPECT_TRUE(carrier_at(network, program).up());
  network.station(two).tell({1});
  network.breathe();
  EXPECT_FALSE(carrier_at(network, program).up());
  network.station(one).tell({2});
  network.breathe();
  EXPECT_TRUE(carrier_at(network, program).up());
}

}  // namespace
}  // namespace skerry::vswitch
