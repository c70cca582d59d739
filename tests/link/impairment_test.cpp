#include "link/impairment.hpp"

#include <gtest/gtest.h>

#include "packets.hpp"

namespace skerry {
namespace {

TEST(Flips, AreAlwaysCaughtByAChecksum) {
  Random random(11);
  int flipped = 0;
  for (int round = 0; round < 60'000; ++round) {
    const size_t bytes = random.below(200);
    const std::vector<uint8_t> good = round % 3 == 0   ? tcp_frame(bytes, random)
                                      : round % 3 == 1 ? udp_frame(bytes, random)
                                                       : icmp_frame(bytes, random);
    ASSERT_TRUE(checksums_intact(good));
    std::vector<uint8_t> bad = good;
    if (!flip_bits(bad, random)) {
      ASSERT_EQ(bad, good);
      continue;
    }
    ++flipped;
    ASSERT_NE(bad, good);
    ASSERT_TRUE(std::equal(bad.begin(), bad.begin() + 14, good.begin()));
    ASSERT_FALSE(checksums_intact(bad)) << "round " << round;
  }
  EXPECT_GT(flipped, 59'000);
}

// A UDP length that is smaller by 2 and a last word that falls out of the sum make up for each other here:
// 2 in the header, 2 in the pseudo-header, and 0xfffb, together 0xffff.
TEST(Flips, LeaveAloneTheFieldsThatSayHowMuchIsSummed) {
  Random random(13);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> message(UdpHeader::kBytes + 6);
    UdpHeader{53, 1053, static_cast<uint16_t>(message.size()), 0}.emit(message.data());
    store_be16(&message[12], 0xfffb);
    set_transport_checksum(message, IpProtocol::kUdp, UdpHeader::kChecksumOffset);
    const std::vector<uint8_t> good = ip_frame(IpProtocol::kUdp, message);
    std::vector<uint8_t> bad = good;
    flip_bits(bad, random);
    ASSERT_EQ(bad[14], good[14]);
    ASSERT_EQ(load_be16(&bad[38]), load_be16(&good[38]));
  }
}

TEST(Flips, LeaveAloneWhatNoChecksumCovers) {
  Random random(12);
  std::vector<uint8_t> arp(60);
  EthernetHeader ethernet;
  ethernet.type = EtherType::kArp;
  ethernet.emit(arp.data());
  EXPECT_FALSE(flip_bits(arp, random));
  std::vector<uint8_t> short_frame(10);
  EXPECT_FALSE(flip_bits(short_frame, random));

  std::vector<uint8_t> unsummed = udp_frame(100, random);
  store_be16(&unsummed[40], 0);
  std::vector<uint8_t> fragment = tcp_frame(100, random);
  fragment[20] = 0x20;
  for (int round = 0; round < 1000; ++round) {
    for (const std::vector<uint8_t>& good : {unsummed, fragment}) {
      std::vector<uint8_t> bad = good;
      ASSERT_TRUE(flip_bits(bad, random));
      ASSERT_TRUE(std::equal(bad.begin() + 34, bad.end(), good.begin() + 34));
    }
  }
}

struct Wire {
  Impairment path;
  uint32_t next = 0;

  explicit Wire(const LossyWeather& weather, uint64_t seed = 5) : path(weather, seed, 256, 64) {}
  void send(TimeNs now) {
    const uint32_t buffer = path.take();
    std::memcpy(path.buffer(buffer).data(), &next, 4);
    ++next;
    path.commit(buffer, 4, now);
  }
  std::vector<uint32_t> receive(TimeNs now) {
    std::vector<uint32_t> numbers;
    while (const std::optional<Impairment::Arrival> arrival = path.arrive(now)) {
      numbers.emplace_back();
      std::memcpy(&numbers.back(), path.buffer(arrival->buffer).data(), 4);
      path.drop(arrival->buffer);
    }
    return numbers;
  }
};

TEST(Impairment, FairWeatherKeepsOrderAndEveryFrame) {
  Wire wire({});
  for (int n = 0; n < 100; ++n) wire.send(0);
  const std::vector<uint32_t> got = wire.receive(0);
  ASSERT_EQ(got.size(), 100u);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
  EXPECT_EQ(wire.path.free_buffers(), 256u);
}

TEST(Impairment, DelayHoldsFramesUntilTheirTime) {
  LossyWeather weather;
  weather.delay_ns = 1000;
  Wire wire(weather);
  EXPECT_EQ(wire.path.deadline(), kNever);
  wire.send(50);
  EXPECT_EQ(wire.path.deadline(), 1050u);
  EXPECT_TRUE(wire.receive(1049).empty());
  EXPECT_EQ(wire.receive(1050).size(), 1u);
  EXPECT_EQ(wire.path.deadline(), kNever);
}

TEST(Impairment, ChancesAreWhatTheySay) {
  LossyWeather weather;
  weather.loss = 0.1;
  weather.duplicate = 0.05;
  Wire wire(weather);
  uint32_t got = 0;
  for (int n = 0; n < 20'000; ++n) {
    wire.send(0);
    got += static_cast<uint32_t>(wire.receive(0).size());
  }
  EXPECT_NEAR(static_cast<double>(wire.path.counters().lost), 2000, 200);
  EXPECT_NEAR(static_cast<double>(wire.path.counters().duplicated), 900, 150);
  EXPECT_EQ(got, 20'000 - wire.path.counters().lost + wire.path.counters().duplicated);
}

TEST(Impairment, ReorderedFramesAreOvertakenButArrive) {
  LossyWeather weather;
  weather.reorder = 0.2;
  weather.reorder_ns = 1000;
  Wire wire(weather);
  std::vector<uint32_t> got;
  for (TimeNs now = 0; now < 100'000; now += 100) {
    if (now < 90'000) wire.send(now);
    for (const uint32_t number : wire.receive(now)) got.push_back(number);
  }
  EXPECT_EQ(got.size(), 900u);
  EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
  std::sort(got.begin(), got.end());
  for (uint32_t n = 0; n < got.size(); ++n) ASSERT_EQ(got[n], n);
}

TEST(Impairment, ASeedRepeatsItself) {
  LossyWeather weather{0.1, 0.1, 0.1, 0.1, 1000, 500};
  const auto run = [&](uint64_t seed) {
    Wire wire(weather, seed);
    std::vector<uint32_t> got;
    for (TimeNs now = 0; now < 100'000; now += 100) {
      wire.send(now);
      for (const uint32_t number : wire.receive(now)) got.push_back(number);
    }
    return got;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace skerry
