#include "wire/checksum.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/random.hpp"

namespace skerry {
namespace {

// RFC 1071 section 1, one 16-bit word after the other.
uint16_t reference_sum(ConstBytes bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

// 0 and 0xffff are the same number in ones' complement.
uint16_t canonical(uint16_t sum) {
  return sum == 0xffff ? 0 : sum;
}

TEST(InternetChecksum, ExampleOfRfc1071) {
  const std::array<uint8_t, 8> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  InternetChecksum sum;
  sum.add(bytes);
  EXPECT_EQ(sum.sum(), 0xddf2);
  EXPECT_EQ(sum.finish(), 0x220d);
}

TEST(InternetChecksum, AgreesWithTheDefinitionAtEveryLengthAndAlignment) {
  Random random(1);
  std::vector<uint8_t> bytes(300);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random.next());
  for (size_t from = 0; from < 9; ++from) {
    for (size_t length = 0; from + length <= bytes.size(); ++length) {
      const ConstBytes piece(bytes.data() + from, length);
      InternetChecksum sum;
      sum.add(piece);
      ASSERT_EQ(canonical(sum.sum()), canonical(reference_sum(piece))) << from << " " << length;
    }
  }
}

TEST(InternetChecksum, PiecesOfAnyLengthSumLikeTheWhole) {
  Random random(2);
  std::vector<uint8_t> bytes(2000);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random.next());
  for (int round = 0; round < 200; ++round) {
    InternetChecksum sum;
    for (size_t at = 0; at < bytes.size();) {
      const size_t length = std::min<size_t>(random.below(90), bytes.size() - at);
      sum.add({bytes.data() + at, length});
      at += length;
    }
    ASSERT_EQ(canonical(sum.sum()), canonical(reference_sum(bytes)));
  }
}

TEST(InternetChecksum, CarriesOfTheLargestFrameAreKept) {
  const std::vector<uint8_t> ones(65535, 0xff);
  InternetChecksum sum;
  sum.add(ones);
  EXPECT_EQ(canonical(sum.sum()), canonical(reference_sum(ones)));
}

TEST(InternetChecksum, FieldsAddLikeTheirBytes) {
  const std::array<uint8_t, 6> bytes{0x12, 0x34, 0xfe, 0xdc, 0xba, 0x98};
  InternetChecksum whole;
  whole.add(bytes);
  InternetChecksum fields;
  fields.add_be16(0x1234);
  fields.add_be32(0xfedcba98);
  EXPECT_EQ(whole.sum(), fields.sum());
}

// A UDP datagram from 10.0.0.1:53 to 10.0.0.2:4660 with the payload "abc", summed by hand.
TEST(InternetChecksum, PseudoHeader) {
  std::array<uint8_t, 11> datagram{0x00, 0x35, 0x12, 0x34, 0x00, 0x0b, 0, 0, 'a', 'b', 'c'};
  InternetChecksum sum = ipv4_pseudo_header(0x0a000001, 0x0a000002, 17, 11);
  EXPECT_EQ(sum.sum(), 0x141f);
  sum.add(datagram);
  store_be16(datagram.data() + 6, sum.finish());
  InternetChecksum again = ipv4_pseudo_header(0x0a000001, 0x0a000002, 17, 11);
  again.add(datagram);
  EXPECT_TRUE(again.intact());
  datagram[9] ^= 1;
  InternetChecksum damaged = ipv4_pseudo_header(0x0a000001, 0x0a000002, 17, 11);
  damaged.add(datagram);
  EXPECT_FALSE(damaged.intact());
}

}  // namespace
}  // namespace skerry
