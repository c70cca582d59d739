// Where things lie in the region of a shared-memory link: per direction a descriptor ring and a return ring,
// then a wake word and a carrier word for each side, then the slots.
//
// Read first: slots.hpp, shm/ring.hpp.
//
// Invariant: it follows from how many slots there are, which both sides are told, and from nothing that lies
// in the region.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "link/frame.hpp"
#include "link/slots.hpp"
#include "shm/atomics.hpp"
#include "shm/ring.hpp"

namespace skerry {

struct ShmLayout {
  explicit ShmLayout(const SlotGeometry& slot_geometry)
      : geometry(slot_geometry), ring_capacity(std::bit_ceil(slot_geometry.slots())) {}

  size_t descriptors(Side filler) const { return filler == Side::kA ? 0 : direction_bytes(); }
  size_t returns(Side filler) const {
    return descriptors(filler) + RingEntry<Frame>::ring_bytes(ring_capacity);
  }
  size_t wake_word(Side sleeper) const {
    return 2 * direction_bytes() + (sleeper == Side::kA ? 0 : kSharingBytes);
  }
  size_t carrier_word(Side teller) const { return wake_word(teller) + 2 * kSharingBytes; }
  size_t slots() const { return (2 * direction_bytes() + 4 * kSharingBytes + 4095) / 4096 * 4096; }
  size_t bytes() const { return slots() + SlotArea::bytes(geometry); }

  SlotGeometry geometry;
  uint32_t ring_capacity;

 private:
  size_t direction_bytes() const {
    return RingEntry<Frame>::ring_bytes(ring_capacity) + RingEntry<uint32_t>::ring_bytes(ring_capacity);
  }
};

}  // namespace skerry
