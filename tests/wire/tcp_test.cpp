#include "wire/tcp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace skerry {
namespace {

// A SYN as Linux sends it: MSS 1460, SACK permitted, timestamps, window scale 7.
constexpr std::array<uint8_t, 40> kSyn{0xa0, 0x4e, 0x18, 0xeb, 0x11, 0x22, 0x33, 0x44, 0x00, 0x00,
                                       0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0, 0xbe, 0xef, 0x00, 0x00,
                                       0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x00, 0x00,
                                       0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07};

// An ACK with timestamps and two SACK blocks, also in the layout of Linux.
constexpr std::array<uint8_t, 52> kSack{0x18, 0xeb, 0xa0, 0x4e, 0x00, 0x00, 0x00, 0x02, 0x11, 0x22, 0x33,
                                        0x45, 0xd0, 0x10, 0x01, 0xf5, 0x00, 0x00, 0x00, 0x00, 0x01, 0x01,
                                        0x08, 0x0a, 0x00, 0x00, 0x20, 0x02, 0x00, 0x00, 0x10, 0x01, 0x01,
                                        0x01, 0x05, 0x12, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00,
                                        0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x04, 0x00};

TcpOptions parse_options(std::vector<uint8_t> bytes) {
  return TcpOptions::parse(bytes);
}

template <size_t N>
void expect_emits(const TcpHeader& header, const std::array<uint8_t, N>& bytes) {
  ASSERT_EQ(header.emitted_bytes(), N);
  std::array<uint8_t, N> again{};
  header.emit(again.data());
  EXPECT_EQ(again, bytes);
}

TEST(Tcp, SynParsesAndEmits) {
  const auto header = TcpHeader::parse(kSyn);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->source_port, 41038);
  EXPECT_EQ(header->destination_port, 6379);
  EXPECT_EQ(header->seq, 0x11223344u);
  EXPECT_EQ(header->ack, 0u);
  EXPECT_EQ(header->flags, kTcpSyn);
  EXPECT_EQ(header->window, 64240);
  EXPECT_EQ(header->checksum, 0xbeef);
  EXPECT_EQ(header->header_bytes, 40);
  EXPECT_TRUE(header->options.has_mss);
  EXPECT_EQ(header->options.mss, 1460);
  EXPECT_TRUE(header->options.sack_permitted);
  EXPECT_TRUE(header->options.has_window_scale);
  EXPECT_EQ(header->options.window_scale, 7);
  EXPECT_TRUE(header->options.has_timestamps);
  EXPECT_EQ(header->options.ts_value, 0x1001u);
  EXPECT_EQ(header->options.ts_echo, 0u);
  expect_emits(*header, kSyn);
}

TEST(Tcp, SackParsesAndEmits) {
  const auto header = TcpHeader::parse(kSack);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->options.ts_value, 0x2002u);
  EXPECT_EQ(header->options.ts_echo, 0x1001u);
  const auto blocks = header->options.sack_blocks();
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0], (SackBlock{0x100, 0x200}));
  EXPECT_EQ(blocks[1], (SackBlock{0x300, 0x400}));
  expect_emits(*header, kSack);
}

TEST(Tcp, TimestampsAloneTakeTheShortWayToTheSameValue) {
  const auto with_options = [](const std::array<uint8_t, 12>& options) {
    std::array<uint8_t, 32> bytes{};
    std::copy_n(kSyn.begin(), 20, bytes.begin());
    std::copy(options.begin(), options.end(), bytes.begin() + 20);
    bytes[12] = 0x80;
    return bytes;
  };
  const auto aligned = with_options({1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8});
  const auto other = with_options({8, 10, 0, 0, 0, 9, 0, 0, 0, 8, 1, 1});
  const auto one = TcpHeader::parse(aligned);
  const auto two = TcpHeader::parse(other);
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(one->options.has_timestamps);
  EXPECT_EQ(one->options.ts_value, 9u);
  EXPECT_EQ(one->options.ts_echo, 8u);
  EXPECT_EQ(*one, *two);
}

TEST(Tcp, HeadersThatDoNotFitDoNotParse) {
  for (size_t length = 0; length < kSyn.size(); ++length)
    EXPECT_FALSE(TcpHeader::parse({kSyn.data(), length})) << length;
  auto bytes = kSyn;
  bytes[12] = 0x40;  // 16 bytes
  EXPECT_FALSE(TcpHeader::parse(bytes));
}

TEST(TcpOptions, MalformedLengthsEndTheReading) {
  const TcpOptions mss_then_zero = parse_options({2, 4, 5, 0xb4, 8, 0, 3, 3});
  EXPECT_EQ(mss_then_zero.mss, 1460);
  EXPECT_FALSE(mss_then_zero.has_window_scale);
  EXPECT_EQ(parse_options({8, 1, 1, 1}), TcpOptions{});
  EXPECT_EQ(parse_options({1, 1, 1, 8}), TcpOptions{});               // no room for the length
  EXPECT_EQ(parse_options({8, 10, 0, 0, 0, 1, 0, 0}), TcpOptions{});  // reaches outside
}

TEST(TcpOptions, UnknownAndMisshapenOptionsAreSteppedOver) {
  const TcpOptions options = parse_options({254, 4, 1, 2, 2, 3, 9, 3, 3, 5, 1, 0});
  EXPECT_FALSE(options.has_mss);  // length 3 is not an MSS
  EXPECT_TRUE(options.has_window_scale);
  EXPECT_EQ(options.window_scale, 5);
  EXPECT_EQ(parse_options({5, 2, 5, 6, 0, 0, 0, 0}).sack_count, 0);
}

TEST(TcpOptions, NothingAfterTheEndIsRead) {
  EXPECT_EQ(parse_options({0, 2, 4, 5, 0xb4, 0, 0, 0}), TcpOptions{});
}

TEST(TcpOptions, WindowScaleIsAtMost14) {
  EXPECT_EQ(parse_options({3, 3, 15, 0}).window_scale, 14);
  EXPECT_EQ(parse_options({3, 3, 255, 0}).window_scale, 14);
}

TEST(TcpOptions, FourSackBlocksParse) {
  std::vector<uint8_t> bytes{1, 1, 5, 34};
  for (uint8_t i = 0; i < 32; ++i) bytes.push_back(i);
  const TcpOptions options = parse_options(bytes);
  ASSERT_EQ(options.sack_count, 4);
  EXPECT_EQ(options.sack[3], (SackBlock{0x18191a1b, 0x1c1d1e1f}));
  EXPECT_EQ(options.bytes(), 36u);
}

TEST(TcpOptions, BesideTimestampsThreeSackBlocksAreEmitted) {
  TcpOptions options;
  options.has_timestamps = true;
  options.sack_count = 4;
  options.sack = {{{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
  ASSERT_EQ(options.bytes(), 40u);
  std::array<uint8_t, 40> bytes{};
  options.emit(bytes.data());
  const TcpOptions again = TcpOptions::parse(bytes);
  EXPECT_EQ(again.sack_count, 3);
  EXPECT_EQ(again.sack[2], (SackBlock{5, 6}));
}

TEST(TcpOptions, AloneSackPermittedIsPadded) {
  TcpOptions options;
  options.sack_permitted = true;
  ASSERT_EQ(options.bytes(), 4u);
  std::array<uint8_t, 4> bytes{};
  options.emit(bytes.data());
  EXPECT_EQ(bytes, (std::array<uint8_t, 4>{1, 1, 4, 2}));
}

}  // namespace
}  // namespace skerry
