// The header before each frame of a TAP device opened with IFF_VNET_HDR, and the marks that it stands for.
// Read first: Virtual I/O Device 1.2, section 5.1.6 (struct virtio_net_hdr), and the kernel's
// Documentation/networking/tuntap.rst.
//
// The kernel is trusted to mean what it says, but what it says is still held against the frame, because
// another kernel may say more than this one does.
#pragma once

#include <cstdint>
#include <optional>

#include "link/claims.hpp"
#include "link/frame.hpp"

namespace skerry {

// struct virtio_net_hdr in the machine's byte order, as TAP devices use it unless told otherwise. (The
// kernel's own header for it is not C++.)
struct VirtioNetHeader {
  static constexpr uint8_t kNeedsChecksum = 1, kDataValid = 2;  // flags
  static constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1;          // gso_type

  uint8_t flags = 0;
  uint8_t gso_type = kGsoNone;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
static_assert(sizeof(VirtioNetHeader) == 10);

// Section 5.1.6.4, receiving: the marks of a frame of `length` bytes in memory of `slot_bytes`. Nothing if
// they are not for us: segmentation that we did not offer, or fields outside the frame.
inline std::optional<Frame> marks_from(const VirtioNetHeader& header, uint32_t length, uint32_t slot_bytes) {
  Frame frame;
  frame.length = length;
  if ((header.flags & VirtioNetHeader::kNeedsChecksum) != 0) {
    if (header.csum_offset > UINT8_MAX) return std::nullopt;
    frame.flags = kChecksumNeeded;
    frame.checksum_start = header.csum_start;
    frame.checksum_offset = static_cast<uint8_t>(header.csum_offset);
  } else if ((header.flags & VirtioNetHeader::kDataValid) != 0) {
    frame.flags = kChecksumVouched;
  }
  if (header.gso_type == VirtioNetHeader::kGsoTcp4) {
    frame.flags |= kSegmentTcp4;
    frame.gso_size = header.gso_size;
  } else if (header.gso_type != VirtioNetHeader::kGsoNone) {
    return std::nullopt;
  }
  if (!claims_hold(frame, slot_bytes)) return std::nullopt;
  return frame;
}

// Section 5.1.6.2, sending. kChecksumVouched is not passed on: the kernel looks for itself.
inline VirtioNetHeader header_for(const Frame& frame) {
  VirtioNetHeader header;
  if ((frame.flags & kChecksumNeeded) != 0) {
    header.flags = VirtioNetHeader::kNeedsChecksum;
    header.csum_start = frame.checksum_start;
    header.csum_offset = frame.checksum_offset;
  }
  if ((frame.flags & kSegmentTcp4) != 0) {
    header.gso_type = VirtioNetHeader::kGsoTcp4;
    header.gso_size = frame.gso_size;
    // A hint of how many bytes the headers have; the kernel finds the true end by itself.
    header.hdr_len = static_cast<uint16_t>(frame.checksum_start + frame.checksum_offset + 2);
  }
  return header;
}

}  // namespace skerry
