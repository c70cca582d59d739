// Captures that others wrote, and what they may say of a packet's length.
#include "ctl/capture_file.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "link/pcapng.hpp"

namespace skerry::ctl {
namespace {

// A packet of less than what was captured of it is none.
TEST(CaptureFile, APacketIsNoShorterThanWhatIsThereOfIt) {
  const std::vector<uint8_t> frame(60, 7);
  const CapturedPacket packet{0, CaptureLink::ethernet, frame, 60};
  std::vector<uint8_t> pcap = *write_pcap({&packet, 1});
  const uint32_t too_little = 5;
  std::memcpy(pcap.data() + 24 + 12, &too_little, sizeof too_little);
  std::vector<uint8_t> pcapng(kPcapngFileHeaderBytes + kPcapngPacketOverheadBytes + frame.size() + 8);
  size_t bytes = pcapng_file_header(pcapng.data(), "eth0");
  bytes += pcapng_packet(pcapng.data() + bytes, 1, CaptureDirection::kInbound, frame, too_little, "");
  pcapng.resize(bytes);
  for (const std::vector<uint8_t>& file : {pcap, pcapng}) {
    const auto packets = read_capture(file);
    ASSERT_TRUE(packets) << packets.error().message;
    ASSERT_EQ(packets->size(), 1U);
    EXPECT_EQ(packets->front().bytes.size(), 60U);
    EXPECT_EQ(packets->front().original_bytes, 60U);
  }
}

}  // namespace
}  // namespace skerry::ctl
