#include "driver/pump.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "link/local_link.hpp"
#include "run/component.hpp"

namespace skerry {
namespace {

static_assert(Component<Pump<LocalLink, LocalLink>>);

class PumpTest : public testing::Test {
 protected:
  // The near ends are the pump's; the far ends are the world and the program.
  static LinkFacts facts(uint32_t max_frame = kMaxFrame) {
    LinkFacts result;
    result.max_frame = max_frame;
    return result;
  }

  static void send(LocalLink& link, uint8_t value, uint32_t bytes = 60) {
    std::optional<Frame> frame = link.allocate(bytes);
    ASSERT_TRUE(frame);
    std::memset(link.data(*frame).data(), value, bytes);
    ASSERT_EQ(link.send({&*frame, 1}), 1u);
  }
  static std::vector<uint8_t> received(LocalLink& link) {
    std::vector<uint8_t> values;
    FrameBatch batch;
    link.receive(batch);
    for (const Frame& frame : batch.view()) {
      values.push_back(link.data(frame)[frame.length - 1]);
      link.give_back(frame);
    }
    return values;
  }
  uint32_t breathe() { return pump_.rx(0) + pump_.tx(0); }

  LocalWire outside_{facts(), facts()};
  LocalWire inside_{facts(), facts(), SlotGeometry{.small_slots = 4, .large_slots = 2}};
  Pump<LocalLink, LocalLink> pump_{outside_.a(), inside_.a()};
};

TEST_F(PumpTest, CarriesBothWays) {
  send(outside_.b(), 1);
  send(inside_.b(), 2);
  EXPECT_EQ(breathe(), 2u);
  EXPECT_EQ(received(inside_.b()), std::vector<uint8_t>{1});
  EXPECT_EQ(received(outside_.b()), std::vector<uint8_t>{2});
  EXPECT_EQ(breathe(), 0u);
}

// An interface's carrier is heard of between breaths, also just before a sleep.
TEST_F(PumpTest, DoesNotSleepOverACarrierThatItHasNotTold) {
  breathe();
  EXPECT_TRUE(pump_.arm());
  pump_.disarm();
  outside_.b().tell(Carrier{1});
  FrameBatch none;
  outside_.a().receive(none);
  EXPECT_FALSE(pump_.arm());
  pump_.disarm();
  breathe();
  EXPECT_TRUE(received(inside_.b()).empty());
  EXPECT_EQ(inside_.b().carrier().changes, 1u);
  EXPECT_TRUE(pump_.arm());
}

TEST_F(PumpTest, KeepsMarks) {
  std::optional<Frame> frame = outside_.b().allocate(3000);
  frame->flags = kChecksumNeeded | kSegmentTcp4;
  frame->gso_size = 1448;
  frame->checksum_start = 34;
  frame->checksum_offset = 16;
  outside_.b().send({&*frame, 1});
  breathe();
  FrameBatch batch;
  inside_.b().receive(batch);
  ASSERT_EQ(batch.count, 1u);
  EXPECT_EQ(batch.frames[0].flags, kChecksumNeeded | kSegmentTcp4);
  EXPECT_EQ(batch.frames[0].gso_size, 1448);
  EXPECT_EQ(batch.frames[0].checksum_start, 34);
  EXPECT_EQ(batch.frames[0].checksum_offset, 16);
}

TEST_F(PumpTest, WaitsForMemoryAndLosesNothing) {
  for (uint8_t i = 0; i < 100; ++i) send(outside_.b(), i);
  std::vector<uint8_t> all;
  for (int turn = 0; turn < 100 && all.size() < 100; ++turn) {
    breathe();
    for (const uint8_t value : received(inside_.b())) all.push_back(value);
  }
  ASSERT_EQ(all.size(), 100u);
  for (uint8_t i = 0; i < 100; ++i) EXPECT_EQ(all[i], i);
}

TEST_F(PumpTest, WhileBlockedItSleepsOverMoreFrames) {
  for (uint8_t i = 0; i < 10; ++i) send(outside_.b(), i);
  breathe();
  send(outside_.b(), 10);
  EXPECT_EQ(breathe(), 0u) << "nobody took the first ones";
  EXPECT_TRUE(pump_.arm()) << "more frames from outside are no reason to stay awake";
  pump_.disarm();
  send(inside_.b(), 7);
  EXPECT_FALSE(pump_.arm()) << "the other direction goes on";
  pump_.disarm();
  EXPECT_EQ(breathe(), 1u);
}

TEST_F(PumpTest, DropsWhatTheOtherSideCannotCarry) {
  LocalWire narrow(facts(1514), facts(1514));
  Pump<LocalLink, LocalLink> pump(outside_.a(), narrow.a());
  send(outside_.b(), 1, 3000);
  send(outside_.b(), 2, 1514);
  EXPECT_EQ(pump.rx(0), 1u);
  EXPECT_EQ(pump.too_long(), 1u);
  EXPECT_EQ(received(narrow.b()), std::vector<uint8_t>{2});
}

}  // namespace
}  // namespace skerry
