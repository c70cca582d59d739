// Fragments (RFC 791 section 3.2, RFC 1122 section 3.3.2): put together whatever their order, given up as a
// whole when they overlap, bounded in number and time.
#include <numeric>

#include "world.hpp"

namespace skerry::stack {
namespace {

class Fragments : public World {
 protected:
  // Bytes [from, until) of the datagram; the last piece has no more-fragments bit.
  void send_piece(const Packet& datagram, size_t from, size_t until, uint16_t id = 1,
                  Ipv4Header header = from_peer(IpProtocol::kUdp), uint8_t flags = 0) {
    header.identification = id;
    header.fragment_offset = static_cast<uint16_t>(from);
    header.more_fragments = until < datagram.size();
    const auto begin = datagram.begin();
    peer_sends(ipv4_frame(header, Packet(begin + static_cast<long>(from), begin + static_cast<long>(until))),
               flags);
    ip_.rx(now_);
  }
  static Packet datagram(size_t payload_bytes, uint8_t seed = 1) {
    Packet payload(payload_bytes);
    std::iota(payload.begin(), payload.end(), seed);
    return udp_datagram(kPeer, kOurs, 5, 7, payload);
  }
};

TEST_F(Fragments, MakeAPacketInAnyOrder) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const Packet whole = datagram(1 + random.below(12'000), static_cast<uint8_t>(round));
    std::vector<std::pair<size_t, size_t>> pieces;
    for (size_t at = 0; at < whole.size();) {
      const size_t until = std::min<size_t>(whole.size(), at + 8 * (1 + random.below(180)));
      pieces.emplace_back(at, until);
      at = until;
    }
    if (pieces.size() > Reassembly::kPieces) continue;
    for (size_t i = pieces.size(); i > 1; --i)
      std::swap(pieces[i - 1], pieces[random.below(static_cast<uint32_t>(i))]);
    if (pieces.size() == 1) continue;
    for (size_t i = 0; i < pieces.size(); ++i) {
      ASSERT_TRUE(take_udp().empty());
      send_piece(whole, pieces[i].first, pieces[i].second, static_cast<uint16_t>(round));
      if (random.chance(0.3) && i + 1 < pieces.size())
        send_piece(whole, pieces[i].first, pieces[i].second, static_cast<uint16_t>(round));
    }
    ASSERT_EQ(take_udp(), std::vector<Packet>{whole}) << round;
    ASSERT_EQ(ip_.drops().total(), 0u);
  }
  EXPECT_GT(ip_.counters().reassembled, 100u);
  EXPECT_EQ(ip_.deadline(), kNever) << "nothing is waited for";
}

TEST_F(Fragments, TheLargestPacketFits) {
  const Packet whole = datagram(65'507);
  for (size_t at = 0; at < whole.size(); at += 1480) send_piece(whole, at, std::min(whole.size(), at + 1480));
  EXPECT_EQ(take_udp(), std::vector<Packet>{whole});
}

TEST_F(Fragments, ALongerOneIsImpossible) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.fragment_offset = 65'512;
  peer_sends(ipv4_frame(header, Packet(8)));
  ip_.rx(now_);
  EXPECT_EQ(drops(DropReason::fragment), 1u);
}

TEST_F(Fragments, OnlyTheLastMayHaveAnOddLength) {
  Ipv4Header header = from_peer(IpProtocol::kUdp);
  header.more_fragments = true;
  peer_sends(ipv4_frame(header, Packet(13)));
  ip_.rx(now_);
  EXPECT_EQ(drops(DropReason::fragment), 1u);
  EXPECT_EQ(ip_.deadline(), kNever);
}

TEST_F(Fragments, WhatOverlapsTakesTheWholePacketAlong) {  // RFC 5722 section 4
  const Packet whole = datagram(100);
  send_piece(whole, 0, 48);
  send_piece(whole, 40, 80);
  EXPECT_EQ(drops(DropReason::fragment), 1u);
  send_piece(whole, 48, 108);
  EXPECT_TRUE(take_udp().empty());
}

TEST_F(Fragments, TheEndIsWhereTheFirstLastOneSaid) {
  const Packet whole = datagram(100);
  send_piece(whole, 80, 108);
  send_piece(datagram(200), 80, 208);
  EXPECT_EQ(drops(DropReason::fragment), 1u);
  send_piece(whole, 80, 108);
  send_piece(datagram(200), 104, 120);
  EXPECT_EQ(drops(DropReason::fragment), 2u);
  EXPECT_TRUE(take_udp().empty());
}

TEST_F(Fragments, OfDifferentPacketsAreNotMixed) {
  const Packet one = datagram(100, 1), two = datagram(100, 2);
  send_piece(one, 0, 48, 1);
  send_piece(two, 48, 108, 2);
  Ipv4Header other = from_peer(IpProtocol::kUdp);
  other.source = kOther;
  send_piece(two, 48, 108, 1, other);
  send_piece(two, 48, 108, 1, from_peer(IpProtocol::kTcp));
  EXPECT_TRUE(take_udp().empty());
  send_piece(one, 48, 108, 1);
  send_piece(two, 0, 48, 2);
  EXPECT_EQ(take_udp(), (std::vector<Packet>{one, two}));
}

TEST_F(Fragments, AreVouchedForOnlyIfAllAre) {
  const Packet whole = datagram(100);
  for (const bool all : {true, false}) {
    send_piece(whole, 0, 48, 1, from_peer(IpProtocol::kUdp), kChecksumVouched);
    send_piece(whole, 48, 108, 1, from_peer(IpProtocol::kUdp), all ? kChecksumVouched : 0);
    ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
    EXPECT_EQ(ip_.udp_segments().view()[0].intact, all);
    take_udp();
  }
}

TEST_F(Fragments, AreWaitedForThirtySeconds) {  // RFC 1122 section 3.3.2
  introduce_peer();
  const Packet whole = datagram(1000);
  send_piece(whole, 0, 48);
  EXPECT_EQ(ip_.deadline(), now_ + 30 * kSecond);
  now_ += 30 * kSecond - 1;
  ip_.tx(now_);
  EXPECT_EQ(drops(DropReason::fragments_missing), 0u);
  now_ += 1;
  ip_.tx(now_);
  EXPECT_EQ(drops(DropReason::fragments_missing), 1u);
  EXPECT_EQ(ip_.deadline(), kNever);
  const auto seen = peer_receives();
  ASSERT_EQ(seen.size(), 1u);
  const auto ip = Ipv4Header::parse(seen[0].payload());
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->destination, kPeer);
  const ConstBytes message = seen[0].payload().subspan(Ipv4Header::kMinBytes);
  const auto icmp = IcmpHeader::parse(message);
  ASSERT_TRUE(icmp);
  EXPECT_EQ(icmp->type, IcmpType::kTimeExceeded);
  EXPECT_EQ(icmp->code, 1);
  const ConstBytes quoted = message.subspan(IcmpHeader::kBytes);
  const auto original = Ipv4Header::parse(quoted);
  ASSERT_TRUE(original);
  EXPECT_EQ(original->source, kPeer);
  EXPECT_EQ(original->identification, 1);
  EXPECT_TRUE(std::equal(whole.begin(), whole.begin() + 48, quoted.begin() + Ipv4Header::kMinBytes));
}

TEST_F(Fragments, WithoutABeginningNobodyIsTold) {
  introduce_peer();
  send_piece(datagram(1000), 48, 96);
  now_ += 31 * kSecond;
  ip_.tx(now_);
  EXPECT_EQ(drops(DropReason::fragments_missing), 1u);
  for (const Seen& seen : peer_receives()) EXPECT_EQ(seen.ethernet.type, EtherType::kArp);
}

TEST_F(Fragments, WhenTheTableIsFullTheOldestGivesWay) {
  const Packet whole = datagram(100);
  for (uint16_t id = 0; id <= Reassembly::kPackets; ++id, now_ += kMillisecond) send_piece(whole, 0, 48, id);
  EXPECT_EQ(drops(DropReason::fragments_missing), 1u);
  for (uint16_t id = 1; id <= Reassembly::kPackets; ++id) send_piece(whole, 48, 108, id);
  EXPECT_EQ(take_udp().size(), Reassembly::kPackets);
}

TEST_F(Fragments, ManyIslandsAreRefused) {
  const Packet whole = datagram(2000);
  for (size_t i = 0; i <= Reassembly::kPieces; ++i) send_piece(whole, 16 * i, 16 * i + 8);
  EXPECT_EQ(drops(DropReason::fragment), 1u);
}

TEST_F(Fragments, LeaveNoMemoryBehind) {
  Random random(5);
  const Packet whole = datagram(1000);
  for (int i = 0; i < 2000; ++i, now_ += random.below(3) * kSecond) {
    const size_t from = 8 * random.below(100);
    send_piece(whole, from, std::min<size_t>(whole.size(), from + 8 * (1 + random.below(30))),
               static_cast<uint16_t>(random.below(30)));
    ip_.tx(now_);
    take_udp();
    peer_receives();
  }
  now_ += 100 * kSecond;
  ip_.tx(now_);
  EXPECT_EQ(drops(DropReason::no_memory), 0u);
  send_piece(whole, 0, 504);
  send_piece(whole, 504, 1008);
  EXPECT_EQ(take_udp(), std::vector<Packet>{whole});
}

}  // namespace
}  // namespace skerry::stack
