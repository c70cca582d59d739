// The header before a frame of a TAP device, and whoever acts on the marks that it stands for: nothing
// outside the frame is read or written, and what we would say to the kernel of the same frame is what it
// said.
//
// Input: 10 bytes of virtio_net_hdr, then the frame.
#include "driver/tap/virtio_header.hpp"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "link/segmentation.hpp"
#include "link/slots.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  VirtioNetHeader header;
  if (size < sizeof header) return 0;
  std::memcpy(&header, data, sizeof header);
  // A block of its own, so that the sanitizer sees a step over either end.
  std::vector<uint8_t> bytes(data + sizeof header, data + size);
  bytes.shrink_to_fit();
  const auto length = static_cast<uint32_t>(bytes.size());
  const std::optional<Frame> marks = marks_from(header, length, kLargeSlotBytes);
  if (!marks) return 0;
  if (!claims_hold(*marks, kLargeSlotBytes) || marks->length != length) std::abort();

  const VirtioNetHeader said = header_for(*marks);
  if (said.gso_type != header.gso_type) std::abort();
  if ((said.flags & VirtioNetHeader::kNeedsChecksum) != (header.flags & VirtioNetHeader::kNeedsChecksum))
    std::abort();
  if (said.flags != 0 && (said.csum_start != header.csum_start || said.csum_offset != header.csum_offset))
    std::abort();
  const std::optional<Frame> again = marks_from(said, length, kLargeSlotBytes);
  if (!again || again->gso_size != marks->gso_size) std::abort();

  if ((marks->flags & kSegmentTcp4) != 0) {
    const std::optional<TcpSegmenter> cutter = TcpSegmenter::create(*marks, bytes);
    for (uint32_t n = 0; cutter && n < cutter->segments(); ++n) {
      std::vector<uint8_t> segment(cutter->segment_bytes(n));
      cutter->write(n, segment.data());
    }
  }
  Frame open = *marks;
  finish_checksum(open, bytes);
  if ((open.flags & kChecksumNeeded) != 0) std::abort();
  return 0;
}
