// What Lossy adds to the contract that contract_test.cpp checks.
#include "link/lossy.hpp"

#include <gtest/gtest.h>

#include "packets.hpp"
#include "worlds.hpp"

namespace skerry {
namespace {

struct LossyTest : testing::Test {
  TimeNs now = 0;
  LocalWire wire{test_facts(1), test_facts(2), {64, 8}};

  auto lossy(const LossyWeather& weather, uint32_t frames_under_way = 256) {
    return Lossy(
        wire.a(), weather, 3, [this] { return now; }, frames_under_way);
  }

  template <Link L>
  static void send(L& link, const std::vector<uint8_t>& bytes, const Frame& marks = {}) {
    std::optional<Frame> frame = link.allocate(static_cast<uint32_t>(bytes.size()));
    ASSERT_TRUE(frame);
    std::copy(bytes.begin(), bytes.end(), link.data(*frame).begin());
    frame->flags = marks.flags;
    frame->gso_size = marks.gso_size;
    frame->checksum_start = marks.checksum_start;
    frame->checksum_offset = marks.checksum_offset;
    ASSERT_EQ(link.send({&*frame, 1}), 1u);
  }

  template <Link L>
  static std::vector<std::vector<uint8_t>> receive(L& link) {
    std::vector<std::vector<uint8_t>> frames;
    FrameBatch batch;
    link.receive(batch);
    for (const Frame& frame : batch.view()) {
      EXPECT_EQ(frame.flags, 0);
      const Bytes data = link.data(frame);
      frames.emplace_back(data.begin(), data.end());
      link.give_back(frame);
    }
    return frames;
  }

  static Frame super_marks() {
    Frame marks;
    marks.flags = kChecksumNeeded | kSegmentTcp4;
    marks.gso_size = 1448;
    marks.checksum_start = 34;
    marks.checksum_offset = 16;
    return marks;
  }
};

TEST_F(LossyTest, VouchesForNothing) {
  EXPECT_TRUE(wire.a().facts().vouches);
  EXPECT_FALSE(lossy({}).facts().vouches);
}

TEST_F(LossyTest, CutsSuperFramesOnTheWayOutAndIn) {
  auto a = lossy({});
  Random random(1);
  const std::vector<uint8_t> whole = tcp_frame(20 * 1448, random);
  send(a, whole, super_marks());
  const std::vector<std::vector<uint8_t>> out = receive(wire.b());
  ASSERT_EQ(out.size(), 20u);
  for (const std::vector<uint8_t>& frame : out) EXPECT_TRUE(checksums_intact(frame));
  send(wire.b(), whole, super_marks());
  const std::vector<std::vector<uint8_t>> in = receive(a);
  ASSERT_EQ(in.size(), 20u);
  for (const std::vector<uint8_t>& frame : in) EXPECT_TRUE(checksums_intact(frame));
}

TEST_F(LossyTest, LosesSegmentsOneByOne) {
  LossyWeather weather;
  weather.loss = 0.5;
  auto a = lossy(weather);
  Random random(1);
  send(a, tcp_frame(40 * 1448, random), super_marks());
  const size_t arrived = receive(wire.b()).size();
  EXPECT_GT(arrived, 5u);
  EXPECT_LT(arrived, 35u);
  EXPECT_EQ(a.tx_fate().lost + arrived, 40u);
}

TEST_F(LossyTest, FinishesChecksumsBeforeDamage) {
  LossyWeather weather;
  weather.flip = 1;
  auto a = lossy(weather);
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<uint8_t> open = tcp_frame(100, random);
    store_be16(&open[50], ipv4_pseudo_header(kTestSource, kTestDestination, 6, 132).sum());
    Frame marks = super_marks();
    marks.flags = kChecksumNeeded;
    marks.gso_size = 0;
    send(a, open, marks);
    const std::vector<std::vector<uint8_t>> got = receive(wire.b());
    ASSERT_EQ(got.size(), 1u);
    ASSERT_FALSE(checksums_intact(got[0]));
  }
  EXPECT_EQ(a.tx_fate().flipped, 500u);
}

TEST_F(LossyTest, DropsWhatNoWireCarries) {
  auto a = lossy({});
  Random random(1);
  send(a, tcp_frame(3000, random));  // no marks, longer than the MTU
  Frame marks = super_marks();
  marks.gso_size = 3000;
  send(a, tcp_frame(6000, random), marks);
  send(a, udp_frame(6000, random), super_marks());
  EXPECT_TRUE(receive(wire.b()).empty());
  EXPECT_EQ(a.tx_fate().unfit, 3u);
}

TEST_F(LossyTest, DelayedFramesNeedNoFurtherTraffic) {
  LossyWeather weather;
  weather.delay_ns = 1000;
  auto a = lossy(weather);
  Random random(1);
  EXPECT_TRUE(a.arm());
  send(a, udp_frame(10, random));
  EXPECT_FALSE(a.arm());
  EXPECT_EQ(a.deadline(), 1000u);
  EXPECT_TRUE(receive(wire.b()).empty());
  now = 1000;
  EXPECT_TRUE(receive(a).empty());
  EXPECT_EQ(receive(wire.b()).size(), 1u);
  EXPECT_TRUE(a.arm());
}

// More segments are under way than there are buffers: the link pushes back, and nothing is lost by that.
TEST_F(LossyTest, AFullWirePushesBack) {
  LossyWeather weather;
  weather.delay_ns = 1000;
  auto a = lossy(weather, 30);
  Random random(1);
  const std::vector<uint8_t> whole = tcp_frame(20 * 1448, random);
  for (int n = 0; n < 3; ++n) send(wire.b(), whole, super_marks());
  size_t got = 0;
  for (int round = 0; round < 10; ++round) {
    got += receive(a).size();
    now += 1000;
  }
  EXPECT_EQ(got, 60u);
}

TEST_F(LossyTest, SegmentsWithoutABufferAreCounted) {
  LossyWeather weather;
  weather.duplicate = 1;
  auto a = lossy(weather, 30);
  Random random(1);
  send(wire.b(), tcp_frame(20 * 1448, random), super_marks());
  EXPECT_EQ(receive(a).size(), 30u) << "fifteen segments, twice";
  EXPECT_EQ(a.rx_fate().overrun, 5u);
}

// The other end died and its region with it; what still lay there is not given to the next one.
TEST_F(LossyTest, ForgetsWhatLiesInAMemoryThatGoes) {
  ShmWorld world;
  Lossy<ShmLink, TimeNs (*)()> a(world.a(), {}, 1, frozen_clock, 2);
  for (int n = 0; n < 5; ++n) send(world.b(), std::vector<uint8_t>(60, static_cast<uint8_t>(n)));
  EXPECT_EQ(receive(a).size(), 2u);  // three wait for room on the wire
  a.forget();
  ShmWorld fresh;
  world.a() = std::move(fresh.a());
  EXPECT_TRUE(receive(a).empty());
  send(fresh.b(), std::vector<uint8_t>(60, 9));
  const std::vector<std::vector<uint8_t>> got = receive(a);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0][0], 9);
}

// Frames that are due but find no memory wait for a ring, or for the link to be replaced: not awake.
TEST_F(LossyTest, SleepsWhileTheLinkTakesNothing) {
  ShmWorld world;
  LossyWeather slow;
  slow.delay_ns = 1000;
  Lossy a(
      world.a(), slow, 1, [this] { return now; }, 64);
  send(a, std::vector<uint8_t>(60));
  EXPECT_FALSE(a.arm()) << "it has its time to come";
  std::vector<Frame> all;
  while (const std::optional<Frame> frame = world.a().allocate(60)) all.push_back(*frame);
  now = 1000;
  EXPECT_TRUE(a.arm()) << "no memory";
  a.disarm();
  for (const Frame& frame : all) world.a().give_back(frame);
  EXPECT_TRUE(a.arm());
  a.disarm();
  EXPECT_EQ(receive(world.b()).size(), 1u);

  send(a, std::vector<uint8_t>(60));
  world.end_b.reset();
  world.a().drain();
  ASSERT_TRUE(a.closed());
  now = 2000;
  EXPECT_TRUE(a.arm()) << "closed";
}

}  // namespace
}  // namespace skerry
