#include "link/segmentation.hpp"

#include <gtest/gtest.h>

#include "packets.hpp"

namespace skerry {
namespace {

constexpr uint32_t kHeaderBytes = 14 + 20 + 32;

Frame marks(size_t length, uint16_t gso_size) {
  Frame frame;
  frame.length = static_cast<uint32_t>(length);
  frame.flags = kChecksumNeeded | kSegmentTcp4;
  frame.gso_size = gso_size;
  frame.checksum_start = 34;
  frame.checksum_offset = TcpHeader::kChecksumOffset;
  return frame;
}

struct Cut {
  size_t payload_bytes;
  uint16_t gso_size;
  uint32_t segments;
};

struct EveryCut : testing::TestWithParam<Cut> {};

TEST_P(EveryCut, MakesSegmentsThatTogetherAreTheWhole) {
  const auto [payload_bytes, gso_size, segments] = GetParam();
  Random random(1);
  const uint8_t flags = kTcpAck | kTcpPsh | kTcpFin | kTcpCwr;
  const std::vector<uint8_t> whole = tcp_frame(payload_bytes, random, flags);
  const std::optional<TcpSegmenter> cutter = TcpSegmenter::create(marks(whole.size(), gso_size), whole);
  ASSERT_TRUE(cutter);
  ASSERT_EQ(cutter->segments(), segments);
  std::vector<uint8_t> payload;
  for (uint32_t n = 0; n < segments; ++n) {
    const bool last = n + 1 == segments;
    std::vector<uint8_t> segment(cutter->segment_bytes(n));
    ASSERT_LE(segment.size(), cutter->largest_segment_bytes());
    cutter->write(n, segment.data());
    ASSERT_TRUE(checksums_intact(segment));
    const Ipv4Header ip = *Ipv4Header::parse(ConstBytes(segment).subspan(14));
    ASSERT_EQ(ip.total_bytes + 14u, segment.size());
    ASSERT_EQ(ip.identification, static_cast<uint16_t>(0xfffe + n));
    const TcpHeader tcp = *TcpHeader::parse(ConstBytes(segment).subspan(34));
    ASSERT_EQ(tcp.seq, static_cast<uint32_t>(0xfffffff0 + payload.size()));
    ASSERT_EQ(tcp.has(kTcpFin), last);
    ASSERT_EQ(tcp.has(kTcpPsh), last);
    ASSERT_EQ(tcp.has(kTcpCwr), n == 0);
    ASSERT_TRUE(tcp.has(kTcpAck));
    ASSERT_EQ(tcp.options.ts_value, 77u);
    payload.insert(payload.end(), segment.begin() + kHeaderBytes, segment.end());
  }
  EXPECT_EQ(payload, std::vector<uint8_t>(whole.begin() + kHeaderBytes, whole.end()));
}

INSTANTIATE_TEST_SUITE_P(Segmentation, EveryCut,
                         testing::Values(Cut{0, 1448, 1}, Cut{1, 1448, 1}, Cut{1448, 1448, 1},
                                         Cut{1449, 1448, 2}, Cut{14'480, 1448, 10}, Cut{65'483, 1448, 46},
                                         Cut{65'483, 64, 1024}, Cut{1000, 65'535, 1}));

TEST(Segmentation, RefusesWhatIsNotAsItsMarksSay) {
  Random random(2);
  const std::vector<uint8_t> good = tcp_frame(5000, random);
  const auto refused = [&](auto change) {
    std::vector<uint8_t> bytes = good;
    Frame frame = marks(bytes.size(), 1448);
    change(frame, bytes);
    return !TcpSegmenter::create(frame, bytes);
  };
  EXPECT_FALSE(refused([](Frame&, auto&) {}));
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[12] = 0x86; }));            // not IPv4
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[14] = 0x44; }));            // header shorter than a header
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[14] = 0x4f; }));            // checksum mark elsewhere
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[16] = 0xff; }));            // longer than the frame
  EXPECT_TRUE(refused([](Frame&, auto& b) { store_be16(&b[16], 30); }));  // shorter than its TCP header
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[20] = 0x20; }));            // a fragment
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[23] = 17; }));              // UDP
  EXPECT_TRUE(refused([](Frame&, auto& b) { b[46] = 0x40; }));            // TCP header shorter than a header
  EXPECT_TRUE(refused([](Frame& f, auto&) { f.checksum_start = 36; }));
  EXPECT_TRUE(refused([](Frame& f, auto&) { f.checksum_offset = 6; }));
  EXPECT_TRUE(refused([](Frame& f, auto&) { f.gso_size = kMinGsoSize - 1; }));
  EXPECT_TRUE(refused([](Frame&, auto& b) { b.resize(40); }));
  EXPECT_TRUE(refused([](Frame&, auto& b) { b.resize(10); }));
}

TEST(Segmentation, FinishesAChecksum) {
  Random random(3);
  const std::vector<uint8_t> finished = tcp_frame(1000, random);
  std::vector<uint8_t> open = finished;
  const uint16_t length = static_cast<uint16_t>(open.size() - 34);
  store_be16(&open[50], ipv4_pseudo_header(kTestSource, kTestDestination, 6, length).sum());
  Frame frame = marks(open.size(), 0);
  frame.flags = kChecksumNeeded;
  finish_checksum(frame, open);
  EXPECT_EQ(open, finished);
  EXPECT_EQ(frame.flags, 0);
  finish_checksum(frame, open);  // finished already
  EXPECT_EQ(open, finished);
}

TEST(Segmentation, AUdpChecksumIsNeverZero) {
  std::vector<uint8_t> frame(44);
  store_be16(&frame[40], 0xffff);  // as a pseudo-header sum that makes the whole 0xffff
  Frame marked;
  marked.length = 44;
  marked.flags = kChecksumNeeded;
  marked.checksum_start = 34;
  marked.checksum_offset = 6;
  finish_checksum(marked, frame);
  EXPECT_EQ(load_be16(&frame[40]), 0xffff);
}

}  // namespace
}  // namespace skerry
