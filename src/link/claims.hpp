// What a frame says of itself, held against the memory that it claims. A received frame that fails is a lie
// of the neighbour; one of ours that fails is a bug of ours.
//
// Read first: frame.hpp; Virtual I/O Device 1.2, section 5.1.6.
#pragma once

#include <cstdint>

#include "link/frame.hpp"

namespace skerry {

inline constexpr uint8_t kKnownFlags = kChecksumVouched | kChecksumNeeded | kSegmentTcp4;
inline constexpr uint32_t kEthernetHeaderBytes = 14;

// True if the frame lies inside its slot and its marks inside the frame. `frame` must be a private copy.
// Whoever acts on kSegmentTcp4 still parses the headers: that they are TCP over IPv4 is looked at there. With
// gso_size at least kMinGsoSize, no super-frame makes more than 1024 segments.
inline bool claims_hold(const Frame& frame, uint32_t slot_bytes) {
  if (frame.length == 0 || frame.length > kMaxFrame) return false;
  if (frame.offset + frame.length > slot_bytes) return false;
  if ((frame.flags & ~kKnownFlags) != 0) return false;
  if ((frame.flags & (kChecksumNeeded | kSegmentTcp4)) == 0) return true;
  // Segmentation implies a checksum to finish: each segment needs its own.
  if ((frame.flags & kChecksumNeeded) == 0) return false;
  if (frame.checksum_start < kEthernetHeaderBytes) return false;
  if (static_cast<uint32_t>(frame.checksum_start) + frame.checksum_offset + 2 > frame.length) return false;
  return (frame.flags & kSegmentTcp4) == 0 || frame.gso_size >= kMinGsoSize;
}

}  // namespace skerry
