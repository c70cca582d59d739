// Where the slots of a link lie: for each of the two directions a row of small slots for ordinary frames and
// a row of large ones for super-frames. Slot numbers run over the whole link, first those that end A fills,
// then those that end B fills, so a number means the same to both.
//
// A slot is one cache line longer than what it holds, on purpose: at a stride of 2048 bytes all headers of
// all small slots would fall into two of the 64 sets of a first-level cache, and 16 frames would fill them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "link/frame.hpp"

namespace skerry {

enum class Side : uint8_t { kA, kB };

// How many slots each direction has. The creator of a link decides; both ends must be given the same. What is
// not used is not touched, and so takes no memory: large ones are for the moment when two hundred connections
// each send 64 KiB.
struct SlotGeometry {
  uint32_t small_slots = 512;
  uint32_t large_slots = 512;  // 0 is sensible where no frame exceeds kSmallSlotBytes

  uint32_t slots() const { return small_slots + large_slots; }
  friend bool operator==(const SlotGeometry&, const SlotGeometry&) = default;
};

inline constexpr uint32_t kSmallSlotBytes = 2048;                           // headroom included
inline constexpr uint32_t kLargeSlotBytes = (kMaxFrame + 256 + 63) & ~63u;  // the same: up to 256 of headroom
inline constexpr uint32_t kMaxHeadroom = 256;
inline constexpr uint32_t kSmallSlotStride = kSmallSlotBytes + 64;
inline constexpr uint32_t kLargeSlotStride = kLargeSlotBytes + 64;
inline constexpr uint32_t kMaxSlots = 65536;  // of one direction

class SlotArea {
 public:
  SlotArea(std::byte* memory, const SlotGeometry& geometry)
      : memory_(reinterpret_cast<uint8_t*>(memory)),
        small_slots_(geometry.small_slots),
        slots_(geometry.slots()),
        direction_bytes_(bytes_per_direction(geometry)) {}

  static size_t bytes_per_direction(const SlotGeometry& geometry) {
    return static_cast<size_t>(geometry.small_slots) * kSmallSlotStride +
           static_cast<size_t>(geometry.large_slots) * kLargeSlotStride;
  }
  static size_t bytes(const SlotGeometry& geometry) { return 2 * bytes_per_direction(geometry); }

  // The number of the first slot that this end fills.
  uint32_t first_slot(Side side) const { return side == Side::kA ? 0 : slots_; }
  uint32_t slots() const { return slots_; }

  // `index`: a slot's place in its direction, below slots().
  uint32_t slot_bytes(uint32_t index) const {
    return index < small_slots_ ? kSmallSlotBytes : kLargeSlotBytes;
  }

  // The first byte of a slot; `slot` is below 2 * slots().
  uint8_t* address(uint32_t slot) const {
    uint8_t* row = memory_;
    if (slot >= slots_) {
      slot -= slots_;
      row += direction_bytes_;
    }
    if (slot < small_slots_) return row + static_cast<size_t>(slot) * kSmallSlotStride;
    return row + static_cast<size_t>(small_slots_) * kSmallSlotStride +
           static_cast<size_t>(slot - small_slots_) * kLargeSlotStride;
  }

 private:
  uint8_t* memory_;
  uint32_t small_slots_;
  uint32_t slots_;
  size_t direction_bytes_;
};

}  // namespace skerry
