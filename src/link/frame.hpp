// Frame: a claim on memory, not a pointer. Who holds a Frame owns its slot until it sends it or gives it
// back.
//
// The offload marks are those of the virtio-net header (Virtual I/O Device 1.2, section 5.1.6): a frame
// between two hosts on one machine may be a super-frame of up to 64 KiB whose cutting into segments and whose
// checksum are left to whoever needs them. From a neighbour, marks are claims: ShmLink checks their bounds
// before anyone acts on them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace skerry {

enum FrameFlag : uint8_t {
  kChecksumVouched = 1,  // the bytes are known to be intact: nobody need verify a checksum
  kChecksumNeeded =
      2,  // the transport checksum field holds only the pseudo-header sum: finish it before a real wire
  kSegmentTcp4 = 4,  // cut the TCP payload into pieces of gso_size before a wire that cannot carry the whole
};

struct Frame {
  uint32_t slot = 0;            // index in the link's memory; means nothing to any other link
  uint32_t length = 0;          // bytes of frame from `offset`
  uint16_t offset = 0;          // where in the slot the frame begins (headroom before it)
  uint16_t gso_size = 0;        // payload bytes per segment with kSegmentTcp4, else 0
  uint16_t checksum_start = 0;  // with kChecksumNeeded: where summing begins, from the frame's beginning
  uint8_t checksum_offset = 0;  // with kChecksumNeeded: where in the summed part the field is
  uint8_t flags = 0;            // FrameFlag bits
};
static_assert(sizeof(Frame) == 16);

// A frame without marks.
inline Frame plain_frame(uint32_t slot, uint32_t length, uint16_t offset) {
  return std::bit_cast<Frame>(std::array<uint64_t, 2>{slot | static_cast<uint64_t>(length) << 32, offset});
}

inline constexpr uint32_t kBatch = 64;  // frames a receive() brings at most

// A fixed-capacity list of frames: what one receive() brings. Keep one and clear() it where it is hot: making
// one writes its whole kilobyte.
struct FrameBatch {
  std::array<Frame, kBatch> frames;
  uint32_t count = 0;

  uint32_t room() const { return kBatch - count; }
  void push(const Frame& frame) { frames[count++] = frame; }
  void clear() { count = 0; }
  std::span<const Frame> view() const { return {frames.data(), count}; }
};

// The least gso_size. A sender whose peer announced less cuts its segments itself. It bounds the work that
// one super-frame can ask for: 65535 / 64 = 1024 segments.
inline constexpr uint16_t kMinGsoSize = 64;

// The longest frame that a link carries: an IPv4 packet of 65535 bytes behind an Ethernet header.
inline constexpr uint32_t kMaxFrame = 65535 + 14;

}  // namespace skerry
