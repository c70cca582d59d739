// What Record adds to the contract that contract_test.cpp checks: the file. Read here by the draft, block by
// block, not by the code that wrote it.
#include "link/record.hpp"

#include <gtest/gtest.h>

#include <string>

#include "worlds.hpp"

namespace skerry {
namespace {

struct Packet {
  uint64_t stamp;
  uint32_t direction;
  std::vector<uint8_t> bytes;
};

template <class T>
T at(const std::vector<uint8_t>& bytes, size_t place) {
  T value;
  EXPECT_LE(place + sizeof value, bytes.size());
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

// Walks the blocks after checking the first two.
std::vector<Packet> packets_of(const std::vector<uint8_t>& file, const std::string& name) {
  std::vector<Packet> packets;
  size_t block = 0;
  for (int n = 0; block < file.size(); ++n) {
    const uint32_t type = at<uint32_t>(file, block);
    const uint32_t length = at<uint32_t>(file, block + 4);
    EXPECT_EQ(length % 4, 0u);
    if (length < 12 || block + length > file.size()) {
      ADD_FAILURE() << "block " << n << " has length " << length;
      return packets;
    }
    EXPECT_EQ(at<uint32_t>(file, block + length - 4), length);
    if (n == 0) {
      EXPECT_EQ(type, 0x0a0d0d0au);
      EXPECT_EQ(at<uint32_t>(file, block + 8), 0x1a2b3c4du);
    } else if (n == 1) {
      EXPECT_EQ(type, 1u);
      EXPECT_EQ(at<uint16_t>(file, block + 8), 1u);  // Ethernet
      EXPECT_EQ(at<uint16_t>(file, block + 16), 2u);
      EXPECT_EQ(at<uint16_t>(file, block + 18), name.size());
      EXPECT_EQ(std::string(file.begin() + static_cast<std::ptrdiff_t>(block + 20),
                            file.begin() + static_cast<std::ptrdiff_t>(block + 20 + name.size())),
                name);
    } else {
      EXPECT_EQ(type, 6u);
      const uint32_t captured = at<uint32_t>(file, block + 20);
      EXPECT_EQ(at<uint32_t>(file, block + 24), captured);
      const size_t options = block + 28 + (captured + 3) / 4 * 4;
      EXPECT_EQ(at<uint16_t>(file, options), 2u);
      EXPECT_EQ(at<uint16_t>(file, options + 2), 4u);
      const auto first = file.begin() + static_cast<std::ptrdiff_t>(block + 28);
      packets.push_back({uint64_t{at<uint32_t>(file, block + 12)} << 32 | at<uint32_t>(file, block + 16),
                         at<uint32_t>(file, options + 4), std::vector<uint8_t>(first, first + captured)});
    }
    block += length;
  }
  return packets;
}

struct RecordTest : testing::Test {
  LocalWire wire{test_facts(1), test_facts(2), {64, 8}};
  MemorySink sink;
  Record<LocalLink, TimeNs (*)()> a{wire.a(), frozen_clock};

  template <Link L>
  static void send(L& link, uint32_t bytes, uint8_t value) {
    const std::optional<Frame> frame = link.allocate(bytes);
    ASSERT_TRUE(frame);
    std::memset(link.data(*frame).data(), value, bytes);
    ASSERT_EQ(link.send({&*frame, 1}), 1u);
  }
  template <Link L>
  static void take_all(L& link) {
    FrameBatch batch;
    link.receive(batch);
    for (const Frame& frame : batch.view()) link.give_back(frame);
  }
};

TEST_F(RecordTest, WritesBothDirectionsWithNanoseconds) {
  ASSERT_TRUE(a.start(sink, "redis.link"));
  send(a, 61, 1);
  send(wire.b(), kMaxFrame, 2);
  take_all(a);
  const std::vector<Packet> packets = packets_of(sink.bytes, "redis.link");
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].stamp, frozen_clock());
  EXPECT_EQ(packets[0].direction, 2u);
  EXPECT_EQ(packets[0].bytes, std::vector<uint8_t>(61, 1));
  EXPECT_EQ(packets[1].direction, 1u);
  EXPECT_EQ(packets[1].bytes, std::vector<uint8_t>(kMaxFrame, 2));
}

TEST_F(RecordTest, WritesNothingBeforeStartOrAfterStop) {
  send(a, 60, 1);
  ASSERT_TRUE(a.start(sink, "x"));
  send(a, 60, 2);
  a.stop();
  send(a, 60, 3);
  const std::vector<Packet> packets = packets_of(sink.bytes, "x");
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].bytes[0], 2);
}

TEST_F(RecordTest, AFullDiskEndsTheCaptureNotTheTraffic) {
  sink.room = 200;  // the beginning and one frame
  ASSERT_TRUE(a.start(sink, "x"));
  for (int n = 0; n < 10; ++n) send(a, 60, 1);
  EXPECT_FALSE(a.recording());
  EXPECT_EQ(a.failures(), 1u);
  EXPECT_EQ(wire.a().counters().tx_frames, 10u);
  EXPECT_EQ(packets_of(sink.bytes, "x").size(), 1u);  // whole blocks only
  sink.room = 10;
  EXPECT_FALSE(a.start(sink, "x"));
}

// Only what the link took is in the file.
TEST_F(RecordTest, WritesTheTakenPrefix) {
  LocalWire small(test_facts(1), test_facts(2), {4, 0});
  LossyWeather slow;
  slow.delay_ns = 1000;
  Lossy<LocalLink, TimeNs (*)()> narrow(small.a(), slow, 1, frozen_clock, 2);
  Record<decltype(narrow), TimeNs (*)()> recorded(narrow, frozen_clock);
  ASSERT_TRUE(recorded.start(sink, "x"));
  Frame frames[3];
  for (Frame& frame : frames) frame = *recorded.allocate(60);
  ASSERT_EQ(recorded.send(frames), 2u);
  EXPECT_EQ(packets_of(sink.bytes, "x").size(), 2u);
}

// A port of the switch may send hundreds of frames in one breath, and loses what the link does not take.
TEST_F(RecordTest, TakesAsManyFramesAsWithoutACapture) {
  LocalWire wide(test_facts(1), test_facts(2), {512, 0});
  Record<LocalLink, TimeNs (*)()> recorded(wide.a(), frozen_clock);
  ASSERT_TRUE(recorded.start(sink, "x"));
  const auto allocate = [&] {
    std::vector<Frame> frames;
    while (const std::optional<Frame> frame = recorded.allocate(60)) frames.push_back(*frame);
    return frames;
  };
  EXPECT_EQ(recorded.send(allocate()), 512u);
  EXPECT_EQ(packets_of(sink.bytes, "x").size(), 512u);
  for (int n = 0; n < 8; ++n) take_all(wide.b());

  sink.room = 100 * (60 + kPcapngPacketOverheadBytes);  // the disk runs full between two frames of a batch
  EXPECT_EQ(recorded.send(allocate()), 512u);
  EXPECT_FALSE(recorded.recording());
}

TEST(Pcapng, CutsALongName) {
  std::vector<uint8_t> file(kPcapngFileHeaderBytes);
  file.resize(pcapng_file_header(file.data(), std::string(1000, 'n')));
  EXPECT_TRUE(packets_of(file, std::string(255, 'n')).empty());
}

}  // namespace
}  // namespace skerry
