// What everything stands on: byte order, ring copies, the keyed hash against its published vectors,
// descriptors that close once.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "base/contention.hpp"
#include "base/fd.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/ring_math.hpp"
#include "base/siphash.hpp"
#include "base/system_error.hpp"

namespace skerry {
namespace {

TEST(Bytes, BigEndianIsTheOrderOnTheWire) {
  std::array<uint8_t, 8> wire{};
  store_be16(wire.data(), 0x0102);
  EXPECT_THAT(wire, testing::ElementsAre(1, 2, 0, 0, 0, 0, 0, 0));
  store_be32(wire.data(), 0x01020304);
  EXPECT_THAT(wire, testing::ElementsAre(1, 2, 3, 4, 0, 0, 0, 0));
  store_be64(wire.data(), 0x0102030405060708);
  EXPECT_THAT(wire, testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(load_be16(wire.data()), 0x0102);
  EXPECT_EQ(load_be32(wire.data()), 0x01020304u);
  EXPECT_EQ(load_be64(wire.data()), 0x0102030405060708u);
}

TEST(Bytes, AnUnalignedAddressIsFine) {
  std::array<uint8_t, 12> wire{};
  store_be64(wire.data() + 3, 0x1122334455667788);
  EXPECT_EQ(load_be64(wire.data() + 3), 0x1122334455667788u);
  EXPECT_EQ(load_be32(wire.data() + 5), 0x33445566u);
}

TEST(RingMath, EveryPlaceAndLengthSurvivesTheSeam) {
  constexpr uint32_t kCapacity = 16;
  for (uint32_t at = 0; at < kCapacity; ++at) {
    for (uint32_t length = 0; length <= kCapacity; ++length) {
      std::array<uint8_t, kCapacity> ring{};
      std::vector<uint8_t> sent(kCapacity), received(kCapacity);
      std::iota(sent.begin(), sent.begin() + length, uint8_t{1});
      ring_store(ring.data(), kCapacity, at, sent.data(), length);
      for (uint32_t i = 0; i < kCapacity; ++i) {
        const uint32_t offset = (i - at) & (kCapacity - 1);
        ASSERT_EQ(ring[i], offset < length ? offset + 1 : 0) << "at " << at << ", length " << length;
      }
      ring_load(received.data(), ring.data(), kCapacity, at, length);
      ASSERT_EQ(received, sent);
    }
  }
}

// The vectors of the paper's appendix and of the authors' reference code: key 00 01 .. 0f, input 00 01 ..
// (length - 1).
TEST(SipHash, MatchesThePublishedVectors) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::array<uint8_t, 15> input;
  std::iota(input.begin(), input.end(), uint8_t{0});
  EXPECT_EQ(siphash24(key, ConstBytes(input).first(0)), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(siphash24(key, ConstBytes(input).first(1)), 0x74f839c593dc67fdu);
  EXPECT_EQ(siphash24(key, ConstBytes(input).first(8)), 0x93f5f5799a932462u);
  EXPECT_EQ(siphash24(key, input), 0xa129ca6149be45e5u);
}

TEST(Random, ASeedRepeatsItself) {
  Random first(7), second(7), other(8);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = first.next();
    ASSERT_EQ(value, second.next());
    ASSERT_NE(value, other.next());
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Random, BelowStaysBelowAndReachesEverything) {
  Random random(1);
  std::array<int, 6> hits{};
  for (int i = 0; i < 6000; ++i) {
    const uint32_t value = random.below(6);
    ASSERT_LT(value, 6u);
    ++hits[value];
  }
  EXPECT_THAT(hits, testing::Each(testing::AllOf(testing::Gt(800), testing::Lt(1200))));
}

TEST(Random, ChanceKeepsItsProbability) {
  Random random(2);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) hits += random.chance(0.01);
  EXPECT_NEAR(hits, 1000, 150);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(random.chance(0));
    ASSERT_TRUE(random.chance(1));
  }
}

bool is_open(int number) {
  return fcntl(number, F_GETFD) >= 0;
}

TEST(Fd, ClosesOnceByItsLastOwner) {
  const int number = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(number, 0);
  {
    Fd first(number);
    Fd second(std::move(first));
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), number);
    first = std::move(second);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, ReleaseLeavesItOpen) {
  const int number = open("/dev/null", O_RDONLY | O_CLOEXEC);
  Fd(number).release();
  EXPECT_TRUE(is_open(number));
  Fd(number).reset();
  EXPECT_FALSE(is_open(number));
}

TEST(Result, CarriesAValueOrASentence) {
  Result<std::string> good(std::string("value"));
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, "value");
  Result<std::string> bad(Error{"the file is missing; create it", ENOENT});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().system_error, ENOENT);
  EXPECT_TRUE(Result<void>());
  EXPECT_FALSE(Result<void>(Error{"no"}));
}

TEST(SystemError, SaysWhatWasTriedAndWhyNot) {
  errno = ENOENT;
  const Error error = system_error("cannot open the door");
  EXPECT_EQ(error.message, "cannot open the door: No such file or directory");
  EXPECT_EQ(error.system_error, ENOENT);
}

TEST(CheckDeathTest, NamesTheBrokenPromise) {
  EXPECT_DEATH(CHECK(1 + 1 == 3), "1 \\+ 1 == 3.*base_test.cpp");
  Result<int> bad(Error{"no"});
  EXPECT_DEATH(*bad, "");
}

TEST(Contention, OneLongYieldPausesShortly) {
  Contention contention;
  EXPECT_TRUE(contention.may_yield(kSecond));
  EXPECT_FALSE(contention.yielded(kSecond, kSecond + Contention::kLongYield));
  const TimeNs now = kSecond + 2 * Contention::kLongYield;
  EXPECT_TRUE(contention.yielded(kSecond, now));
  EXPECT_FALSE(contention.may_yield(now + Contention::kFirstPause - 1));
  EXPECT_TRUE(contention.may_yield(now + Contention::kFirstPause));
}

TEST(Contention, AStrangerWhoStaysIsYieldedToSeldom) {
  Contention contention;
  constexpr DurationNs kSlice = 3 * kMillisecond;
  TimeNs now = kSecond;
  DurationNs lost = 0;
  while (now < 3 * kSecond) {
    if (!contention.may_yield(now)) {
      now += 100 * kMicrosecond;
      continue;
    }
    EXPECT_TRUE(contention.yielded(now, now + kSlice));
    now += kSlice;
    lost += kSlice;
  }
  EXPECT_LT(lost, 2 * kSecond / 15);
  EXPECT_TRUE(contention.yielded(now + kSecond, now + kSecond + kSlice));
  EXPECT_TRUE(contention.may_yield(now + kSecond + kSlice + Contention::kFirstPause))
      << "a new one begins small";
}

}  // namespace
}  // namespace skerry
