#include "link/unfinished.hpp"

#include <gtest/gtest.h>

#include "link/claims.hpp"
#include "link/segmentation.hpp"
#include "packets.hpp"

namespace skerry {
namespace {

constexpr size_t kTransportAt = 34;

Frame frame_of(const std::vector<uint8_t>& bytes) {
  return plain_frame(0, static_cast<uint32_t>(bytes.size()), 0);
}

// What a sender leaves that has the checksum finished by its device.
std::vector<uint8_t> unfinished(std::vector<uint8_t> bytes, IpProtocol protocol, size_t field) {
  const auto sum = ipv4_pseudo_header(kTestSource, kTestDestination, static_cast<uint8_t>(protocol),
                                      static_cast<uint16_t>(bytes.size() - kTransportAt));
  store_be16(bytes.data() + kTransportAt + field, sum.sum());
  return bytes;
}

struct Transport {
  IpProtocol protocol;
  size_t field;
  std::vector<uint8_t> (*make)(size_t payload_bytes, Random& random);
};
constexpr Transport kTransports[] = {{IpProtocol::kTcp, TcpHeader::kChecksumOffset,
                                      [](size_t n, Random& random) { return tcp_frame(n, random); }},
                                     {IpProtocol::kUdp, UdpHeader::kChecksumOffset, udp_frame}};

TEST(Unfinished, IsFoundAndFinishedToWhatTheSenderWouldHaveWritten) {
  Random random(1);
  for (const Transport& transport : kTransports) {
    for (const size_t payload : {0, 1, 2, 63, 64, 1400}) {
      const std::vector<uint8_t> whole = transport.make(payload, random);
      std::vector<uint8_t> bytes = unfinished(whole, transport.protocol, transport.field);
      Frame frame = frame_of(bytes);
      ASSERT_TRUE(mark_unfinished_checksum(frame, bytes));
      ASSERT_TRUE(claims_hold(frame, 2048));
      finish_checksum(frame, bytes);
      EXPECT_EQ(bytes, whole);
    }
  }
}

TEST(Unfinished, AFinishedChecksumIsLeftToBeVerified) {
  Random random(2);
  for (const Transport& transport : kTransports) {
    const std::vector<uint8_t> bytes = transport.make(100, random);
    Frame frame = frame_of(bytes);
    EXPECT_FALSE(mark_unfinished_checksum(frame, bytes));
    EXPECT_EQ(frame.flags, 0);
  }
}

TEST(Unfinished, WhatLiesBehindThePacketIsCutOff) {
  Random random(3);
  std::vector<uint8_t> bytes =
      unfinished(tcp_frame(10, random), IpProtocol::kTcp, TcpHeader::kChecksumOffset);
  const size_t packet_ends = bytes.size();
  bytes.resize(bytes.size() + 7, 0xee);
  Frame frame = frame_of(bytes);
  EXPECT_TRUE(mark_unfinished_checksum(frame, bytes));
  EXPECT_EQ(frame.length, packet_ends);
}

TEST(Unfinished, UdpWithoutAChecksumHasNone) {
  Random random(4);
  std::vector<uint8_t> bytes = udp_frame(100, random);
  store_be16(bytes.data() + kTransportAt + UdpHeader::kChecksumOffset, 0);
  Frame frame = frame_of(bytes);
  EXPECT_FALSE(mark_unfinished_checksum(frame, bytes));
}

TEST(Unfinished, OnlyWholeIpv4Counts) {
  Random random(5);
  const std::vector<uint8_t> good =
      unfinished(tcp_frame(10, random), IpProtocol::kTcp, TcpHeader::kChecksumOffset);
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    const std::vector<uint8_t> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes));
    Frame frame = frame_of(cut);
    EXPECT_FALSE(mark_unfinished_checksum(frame, cut)) << bytes;
  }
  std::vector<uint8_t> fragment = good;
  fragment[20] |= 0x20;  // more fragments: the checksum covers what is not here
  Frame frame = frame_of(fragment);
  EXPECT_FALSE(mark_unfinished_checksum(frame, fragment));
  EXPECT_FALSE(mark_unfinished_checksum(frame, icmp_frame(10, random)));
}

}  // namespace
}  // namespace skerry
