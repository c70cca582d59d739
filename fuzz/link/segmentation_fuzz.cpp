// Checksum and segmentation marks on arbitrary bytes: whatever passes the bounds of claims.hpp must be
// finished, cut or refused without reading or writing outside. Input: 8 bytes of marks, then the frame.
#include <memory>

#include "base/check.hpp"
#include "link/claims.hpp"
#include "link/impairment.hpp"
#include "link/segmentation.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  if (size < 8) return 0;
  Frame frame;
  frame.flags = data[0];
  frame.gso_size = load_be16(data + 1);
  frame.checksum_start = load_be16(data + 3);
  frame.checksum_offset = data[5];
  frame.length = static_cast<uint32_t>(size - 8);
  if (!claims_hold(frame, kMaxFrame)) return 0;

  // A heap block of exactly the frame's size, so that one byte beyond it is seen.
  const auto copy = std::make_unique<uint8_t[]>(frame.length);
  std::memcpy(copy.get(), data + 8, frame.length);
  const Bytes bytes{copy.get(), frame.length};
  if ((frame.flags & kSegmentTcp4) != 0) {
    if (const std::optional<TcpSegmenter> cutter = TcpSegmenter::create(frame, bytes)) {
      CHECK(cutter->segments() >= 1 && cutter->segments() <= 1024);
      for (uint32_t n = 0; n < cutter->segments(); ++n) {
        CHECK(cutter->segment_bytes(n) <= cutter->largest_segment_bytes());
        const auto segment = std::make_unique<uint8_t[]>(cutter->segment_bytes(n));
        cutter->write(n, segment.get());
      }
    }
  }
  finish_checksum(frame, bytes);
  CHECK((frame.flags & kChecksumNeeded) == 0);
  Random random(data[6]);
  flip_bits(bytes, random);
  return 0;
}
