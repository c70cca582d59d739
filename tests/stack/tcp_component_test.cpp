#include "stack/tcp_component.hpp"

#include "link/segmentation.hpp"
#include "tcp/host.hpp"
#include "wire/tcp.hpp"
#include "world.hpp"

namespace skerry::stack {
namespace {

tcp::HostSettings host_settings() {
  tcp::HostSettings settings;
  settings.stream_bytes = 131072;
  return settings;
}

// A whole TCP over Ip; the peer speaks in raw segments.
class TcpComponentTest : public World {
 protected:
  explicit TcpComponentTest(LinkFacts (*facts)(const MacAddress&) = wire_facts) : World(facts) {}
  void SetUp() override { introduce_peer(); }

  void breathe_all() { breathe_with(component_, host_); }

  Packet segment(TcpHeader header, const Packet& payload = {}) {
    header.source_port = 5000;
    header.destination_port = 80;
    header.window = 65535;
    const size_t header_bytes = header.emitted_bytes();
    Packet bytes(header_bytes + payload.size());
    std::copy(payload.begin(), payload.end(), bytes.begin() + static_cast<long>(header_bytes));
    header.checksum = 0;
    header.emit(bytes.data());
    InternetChecksum sum = ipv4_pseudo_header(kPeer, kOurs, 6, static_cast<uint16_t>(bytes.size()));
    sum.add(bytes);
    header.checksum = sum.finish();
    header.emit(bytes.data());
    return ipv4_frame(from_peer(IpProtocol::kTcp), bytes);
  }
  static TcpHeader header(uint8_t flags, uint32_t seq, uint32_t ack = 0) {
    TcpHeader header;
    header.flags = flags;
    header.seq = seq;
    header.ack = ack;
    return header;
  }

  struct Answer {
    Seen seen;
    TcpHeader header;
    ConstBytes payload() const { return ConstBytes(seen.bytes).subspan(kHeaderBytes + header.header_bytes); }
  };
  std::vector<Answer> answers() {
    std::vector<Answer> answers;
    for (Seen& seen : peer_receives()) {
      const auto parsed = TcpHeader::parse(ConstBytes(seen.bytes).subspan(kHeaderBytes));
      EXPECT_TRUE(parsed);
      answers.push_back({std::move(seen), *parsed});
    }
    return answers;
  }

  // A connection from the peer's port 5000 to our port 80, sequence numbers from 1000; `mss` is what the peer
  // says.
  tcp::ConnectionId establish(uint16_t mss) {
    const tcp::ConnectionId listener = host_.listen(80);
    TcpHeader syn = header(kTcpSyn, 999);
    syn.options.has_mss = syn.options.has_timestamps = syn.options.sack_permitted = true;
    syn.options.has_window_scale = true;
    syn.options.window_scale = 7;
    syn.options.mss = mss;
    syn.options.ts_value = 1;
    peer_sends(segment(syn));
    breathe_all();
    const auto syn_ack = answers();
    EXPECT_EQ(syn_ack.size(), 1u);
    next_expected_ = syn_ack.at(0).header.seq + 1;
    peer_sends(segment(with_timestamp(header(kTcpAck, 1000, next_expected_))));
    breathe_all();
    const auto id = host_.accept(listener);
    EXPECT_TRUE(id);
    return id.value_or(0);
  }
  static TcpHeader with_timestamp(TcpHeader header) {
    header.options.has_timestamps = true;
    header.options.ts_value = 2;
    return header;
  }

  tcp::Host host_{kOurs, host_settings()};
  TcpComponent<Ip<LocalLink>> component_{ip_, host_.tcp};
  uint32_t next_expected_ = 0;  // by the peer
};

TEST_F(TcpComponentTest, AClosedPortAnswersWithAResetWhoseChecksumIsRight) {
  peer_sends(segment(header(kTcpSyn, 999)));
  breathe_all();
  const auto seen = answers();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].header.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(seen[0].header.ack, 1000u);
  const ConstBytes bytes = ConstBytes(seen[0].seen.bytes).subspan(kHeaderBytes);
  InternetChecksum sum = ipv4_pseudo_header(kOurs, kPeer, 6, static_cast<uint16_t>(bytes.size()));
  sum.add(bytes);
  EXPECT_TRUE(sum.intact());
}

TEST_F(TcpComponentTest, WhatIsDamagedMalformedOrForEverybodyNeverReachesTcp) {
  Packet damaged = segment(header(kTcpSyn, 999));
  damaged.back() ^= 1;
  peer_sends(damaged);
  Packet headless = segment(header(kTcpSyn, 999));
  headless[kHeaderBytes + 12] = 0x40;
  peer_sends(headless);
  Ipv4Header everybody = from_peer(IpProtocol::kTcp);
  everybody.destination = 0xffffffff;
  peer_sends(ipv4_frame(everybody, Packet(20, 0x50), kBroadcastMac));
  breathe_all();
  EXPECT_TRUE(answers().empty());
  EXPECT_EQ(drops(DropReason::tcp_checksum), 1u);
  EXPECT_EQ(drops(DropReason::malformed_tcp), 1u);
  EXPECT_EQ(drops(DropReason::tcp_to_broadcast), 1u);
  EXPECT_EQ(host_.tcp.counters().segments_in, 0u);
}

TEST_F(TcpComponentTest, BytesGoBothWays) {
  const tcp::ConnectionId id = establish(1460);
  peer_sends(segment(with_timestamp(header(kTcpAck | kTcpPsh, 1000, next_expected_)), bytes_of("PING")));
  breathe_all();
  EXPECT_EQ(host_.read_text(now_, id), "PING");
  host_.write(now_, id, "PONG");
  breathe_all();
  const auto seen = answers();
  ASSERT_GE(seen.size(), 1u);
  const ConstBytes payload = seen.back().payload();
  EXPECT_EQ(std::string(payload.begin(), payload.end()), "PONG");
  EXPECT_EQ(seen.back().header.ack, 1004u);
}

TEST_F(TcpComponentTest, WithoutHelpOfTheLinkNoSegmentExceedsTheMtu) {
  const tcp::ConnectionId id = establish(9000);
  host_.write(now_, id, std::string(10'000, 'x'));
  breathe_all();
  const auto seen = answers();
  ASSERT_GE(seen.size(), 6u);
  for (const Answer& one : seen) {
    EXPECT_LE(one.seen.bytes.size(), 1514u);
    EXPECT_EQ(one.seen.marks.flags, 0);
  }
  EXPECT_EQ(seen[0].seen.bytes.size(), 1514u);
}

TEST_F(TcpComponentTest, UnreachablePortsFailAConnect) {
  const tcp::ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeer), 81}), 0);
  breathe_all();
  const auto syn = answers();
  ASSERT_EQ(syn.size(), 1u);
  const Packet quoted(syn[0].seen.bytes.begin() + EthernetHeader::kBytes, syn[0].seen.bytes.end());
  peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp),
                        icmp_message({IcmpType::kDestinationUnreachable, kPortUnreachable}, quoted)));
  breathe_all();
  EXPECT_EQ(host_.tcp.error(id), ECONNREFUSED);
}

TEST_F(TcpComponentTest, WhatAPathTakesIsKnownToTheNextConnection) {  // RFC 1191 section 6.1
  tcp::ConnectionId last = 0;
  const auto connect = [&] {
    last = host_.open();
    EXPECT_EQ(host_.tcp.connect(now_, last, {IpAddress::v4(kPeer), 81}), 0);
    breathe_all();
    auto sent = answers();
    EXPECT_FALSE(sent.empty());
    return std::move(sent.back());
  };
  const auto too_big = [&](Packet quoted, uint16_t mtu) {
    IcmpHeader header{IcmpType::kDestinationUnreachable, kFragmentationNeeded};
    header.sequence = mtu;
    peer_sends(ipv4_frame(from_peer(IpProtocol::kIcmp), icmp_message(header, quoted)));
    breathe_all();
  };
  const auto first = connect();
  EXPECT_EQ(first.header.options.mss, 1460);
  Packet quoted(first.seen.bytes.begin() + EthernetHeader::kBytes, first.seen.bytes.end());
  Packet guessed = quoted;
  guessed[Ipv4Header::kMinBytes + 4] ^= 1;  // another sequence number: nothing of ours
  too_big(guessed, 1000);
  EXPECT_EQ(connect().header.options.mss, 1460);
  too_big(quoted, 1000);
  EXPECT_EQ(connect().header.options.mss, 1460) << "what we can take is not what the path takes (RFC 6691)";
  EXPECT_EQ(host_.tcp.info(last).path_mtu, 1000u);
  now_ += 601 * kSecond;
  breathe_all();
  last = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, last, {IpAddress::v4(kPeer), 81}), 0);
  EXPECT_EQ(host_.tcp.info(last).path_mtu, 1500u);
}

TEST_F(TcpComponentTest, ANeighbourThatDoesNotExistFailsAConnect) {
  const tcp::ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kOther), 81}), 0);
  for (int second = 0; second < 5; ++second) {
    breathe_all();
    breathe_all();
    now_ += kSecond;
  }
  EXPECT_EQ(host_.tcp.error(id), EHOSTUNREACH);
}

TEST_F(TcpComponentTest, WithoutRouteThereIsNoConnect) {
  const tcp::ConnectionId id = host_.open();
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(0xe0000001), 81}), ENETUNREACH);
  EXPECT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(0xffffffff), 81}), ENETUNREACH);
}

// A stack that had to wait for its core finds both: a time-out that is due and the ACK that it waited for.
TEST_F(TcpComponentTest, WhatIsDueWaitsForFramesThatWereNotLookedAt) {
  const tcp::ConnectionId id = establish(1460);
  host_.write(now_, id, "PING");
  breathe_all();
  now_ += 5 * kSecond;
  ip_.set_receive_limit(1);
  peer_sends(Packet(60, 0xff));
  peer_sends(segment(with_timestamp(header(kTcpAck, 1000, next_expected_ + 4))));
  for (int i = 0; i < 4; ++i) breathe_all();
  EXPECT_EQ(host_.tcp.counters().retransmissions, 0u);
}

TEST_F(TcpComponentTest, AFloodDoesNotStopTheClock) {
  const tcp::ConnectionId id = establish(1460);
  host_.write(now_, id, "PING");
  breathe_all();
  now_ += 5 * kSecond;
  ip_.set_receive_limit(1);
  for (int i = 0; i < 50; ++i) peer_sends(Packet(60, 0xff));
  for (int i = 0; i < 10; ++i) breathe_all();
  EXPECT_EQ(host_.tcp.counters().retransmissions, 1u);
}

// Segments of one batch on their way into TCP.
class Coalescing : public TcpComponentTest {
 protected:
  void SetUp() override {
    TcpComponentTest::SetUp();
    id_ = establish(1460);
    before_ = host_.tcp.counters().segments_in;
  }
  TcpHeader data(uint32_t seq, uint8_t flags = kTcpAck) {
    return with_timestamp(header(flags, seq, next_expected_));
  }
  // How many segments TCP saw since the last call.
  uint64_t seen_by_tcp() {
    breathe_all();
    const uint64_t now = host_.tcp.counters().segments_in;
    return now - std::exchange(before_, now);
  }
  tcp::ConnectionId id_ = 0;
  uint64_t before_ = 0;
};

TEST_F(Coalescing, ARunIsOneSegment) {
  std::string sent;
  for (uint32_t i = 0; i < 20; ++i) {
    const std::string piece(1000 + i, static_cast<char>('a' + i));
    peer_sends(segment(data(1000 + static_cast<uint32_t>(sent.size()), i == 19 ? kTcpAck | kTcpPsh : kTcpAck),
                       bytes_of(piece)));
    sent += piece;
  }
  EXPECT_EQ(seen_by_tcp(), 1u);
  EXPECT_EQ(host_.read_text(now_, id_), sent);
}

TEST_F(Coalescing, WhatTcpMustSeeApartStaysApart) {
  const Packet piece = bytes_of("0123456789");
  TcpHeader other_ack = data(1010);
  other_ack.ack -= 1;
  TcpHeader other_window = data(1010);
  other_window.window = 7;
  TcpHeader other_time = data(1010);
  other_time.options.ts_value = 3;
  TcpHeader other_port = data(1010);
  other_port.source_port = 1;
  const tcp::SegmentIn first{IpAddress::v4(kPeer), IpAddress::v4(kOurs), data(1000), piece};
  const auto joins = [&](const tcp::SegmentIn& next) {
    Coalescer run;
    run.begin(first, ip_.tcp_segments().back());
    return run.join(next);
  };
  const auto next = [&](const TcpHeader& header) {
    return tcp::SegmentIn{first.source, first.destination, header, piece};
  };
  EXPECT_TRUE(joins(next(data(1010))));
  EXPECT_TRUE(joins(next(data(1010, kTcpAck | kTcpPsh))));
  for (const TcpHeader& header :
       {data(1010, kTcpAck | kTcpFin), data(1010, kTcpAck | kTcpUrg), data(1010, kTcpAck | kTcpRst),
        data(1011), data(990), other_ack, other_window, other_time, other_port})
    EXPECT_FALSE(joins(next(header)));
  EXPECT_FALSE(joins({first.destination, first.source, data(1010), piece}));
  EXPECT_FALSE(joins({first.source, first.destination, data(1010), piece, true}));
  EXPECT_FALSE(joins({first.source, first.destination, data(1010), {}}));
}

TEST_F(Coalescing, APushEndsTheRun) {
  peer_sends(segment(data(1000), bytes_of("ab")));
  peer_sends(segment(data(1002, kTcpAck | kTcpPsh), bytes_of("cd")));
  peer_sends(segment(data(1004), bytes_of("ef")));
  EXPECT_EQ(seen_by_tcp(), 2u);
  EXPECT_EQ(host_.read_text(now_, id_), "abcdef");
}

TEST_F(Coalescing, AcknowledgmentsAndDamageBreakTheRunButLoseNothing) {
  peer_sends(segment(data(1000), bytes_of("ab")));
  peer_sends(segment(data(1002)));  // no data
  Packet damaged = segment(data(1002), bytes_of("cd"));
  damaged.back() ^= 1;
  peer_sends(damaged);
  peer_sends(segment(data(1002), bytes_of("cd")));
  EXPECT_EQ(seen_by_tcp(), 3u);
  EXPECT_EQ(host_.read_text(now_, id_), "abcd");
}

TEST_F(Coalescing, IsBounded) {
  const Packet piece(1448, 'x');
  for (uint32_t i = 0; i < 46; ++i) peer_sends(segment(data(1000 + 1448 * i), piece));
  EXPECT_EQ(seen_by_tcp(), 2u);  // 45 segments make the longest packet
  EXPECT_GE(host_.read_text(now_, id_).size(), 45u * 1448);
}

class TcpOverMemory : public TcpComponentTest {
 protected:
  TcpOverMemory() : TcpComponentTest(memory_facts) {}

  // What the peer gets is a super-frame that whoever must can cut.
  void expect_cuttable(const Answer& answer, uint32_t least_segments) {
    ASSERT_EQ(answer.seen.marks.flags, kSegmentTcp4 | kChecksumNeeded);
    const auto cutter = TcpSegmenter::create(answer.seen.marks, answer.seen.bytes);
    ASSERT_TRUE(cutter);
    EXPECT_GE(cutter->segments(), least_segments);
  }
};

TEST_F(TcpOverMemory, BulkGoesInSuperFrames) {
  const tcp::ConnectionId id = establish(1460);
  host_.write(now_, id, std::string(14'000, 'x'));
  breathe_all();
  const auto seen = answers();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].seen.marks.gso_size, 1448);
  expect_cuttable(seen[0], 10);
}

// Segments of memory are super-frames already: gathering them would only copy their bytes once more.
TEST_F(TcpOverMemory, WhatMetNoWireIsNotGathered) {
  const tcp::ConnectionId id = establish(1460);
  const uint64_t before = host_.tcp.counters().segments_in;
  peer_sends(segment(with_timestamp(header(kTcpAck, 1000, next_expected_)), bytes_of("ab")), kChecksumNeeded);
  peer_sends(segment(with_timestamp(header(kTcpAck, 1002, next_expected_)), bytes_of("cd")));
  peer_sends(segment(with_timestamp(header(kTcpAck, 1004, next_expected_)), bytes_of("ef")));
  peer_sends(segment(with_timestamp(header(kTcpAck, 1006, next_expected_)), bytes_of("gh")), kChecksumNeeded);
  breathe_all();
  EXPECT_EQ(host_.tcp.counters().segments_in - before, 3u);
  EXPECT_EQ(host_.read_text(now_, id), "abcdefgh");
}

// However small the segments that a stranger asks for, what we mark for cutting can be cut: links refuse less
// than kMinGsoSize.
TEST_F(TcpOverMemory, TheSmallestSegmentsCanBeCut) {
  const tcp::ConnectionId id = establish(1);
  // Four holes, so that four SACK blocks take room in every segment.
  for (uint32_t i = 1; i <= 4; ++i)
    peer_sends(segment(with_timestamp(header(kTcpAck, 1000 + 100 * i, next_expected_)), bytes_of("hole")));
  breathe_all();
  answers();
  host_.write(now_, id, std::string(900, 'x'));
  breathe_all();
  const auto seen = answers();
  ASSERT_GE(seen.size(), 1u);
  for (const Answer& one : seen) {
    if (one.seen.marks.flags & kSegmentTcp4) expect_cuttable(one, 2);
  }
}

}  // namespace
}  // namespace skerry::stack
