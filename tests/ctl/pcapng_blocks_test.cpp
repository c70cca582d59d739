#include "ctl/pcapng_blocks.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "link/pcapng.hpp"

namespace skerry::ctl {
namespace {

// A file of three frames, and where its blocks end.
std::vector<uint8_t> capture_file() {
  std::vector<uint8_t> file(kPcapngFileHeaderBytes);
  file.resize(pcapng_file_header(file.data(), "lan.redis"));
  for (const size_t bytes : {60, 61, 1514}) {
    const std::vector<uint8_t> frame(bytes, 0x5a);
    const size_t end = file.size();
    file.resize(end + kPcapngPacketOverheadBytes + bytes);
    file.resize(end + pcapng_packet(file.data() + end, 1, CaptureDirection::kInbound, frame));
  }
  return file;
}

TEST(PcapngBlocks, WholeHoweverTheyArrive) {
  const std::vector<uint8_t> file = capture_file();
  for (const size_t step : {1, 7, 64, 4096}) {
    PcapngBlocks blocks;
    std::vector<uint8_t> whole;
    for (size_t at = 0; at < file.size(); at += step) {
      ASSERT_TRUE(blocks.append(ConstBytes(file).subspan(at, std::min(step, file.size() - at))));
      const std::vector<uint8_t> taken = blocks.take();
      whole.insert(whole.end(), taken.begin(), taken.end());
    }
    EXPECT_EQ(whole, file);
    EXPECT_EQ(blocks.frames(), 3u);
  }
}

TEST(PcapngBlocks, ACutBlockIsKeptBack) {
  const std::vector<uint8_t> file = capture_file();
  PcapngBlocks blocks;
  ASSERT_TRUE(blocks.append(ConstBytes(file).first(file.size() - 1)));
  EXPECT_EQ(blocks.frames(), 2u);
  const std::vector<uint8_t> whole = blocks.take();
  PcapngBlocks again;
  ASSERT_TRUE(again.append(whole));
  EXPECT_EQ(again.take(), whole) << "ends with a block";
}

TEST(PcapngBlocks, ALengthThatNoBlockHasEndsTheStream) {
  for (const uint32_t length : {0u, 8u, 13u, 1u << 20, UINT32_MAX}) {
    std::vector<uint8_t> bytes(64, 0);
    std::memcpy(bytes.data() + 4, &length, sizeof length);
    PcapngBlocks blocks;
    EXPECT_FALSE(blocks.append(bytes)) << length;
    EXPECT_FALSE(blocks.append(capture_file()));
    EXPECT_TRUE(blocks.take().empty());
  }
}

}  // namespace
}  // namespace skerry::ctl
