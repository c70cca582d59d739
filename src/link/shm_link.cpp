#include "link/shm_link.hpp"

#include <algorithm>

namespace skerry {

ShmLink::ShmLink(Region&& region, const ShmLayout& layout, Side side, const LinkFacts& facts, Ringer&& ringer,
                 Waker&& waker)
    : region_(std::move(region)),
      end_(region_.data(), layout, side, facts),
      ringer_(std::move(ringer)),
      waker_(std::move(waker)) {}

Result<ShmLink> ShmLink::create(Region&& region, Side side, const LinkFacts& facts, Fd ring, Fd wake,
                                const SlotGeometry& geometry) {
  if (geometry.small_slots == 0 || geometry.small_slots > kMaxSlots || geometry.large_slots > kMaxSlots ||
      geometry.slots() > kMaxSlots)
    return Error{"a link needs between 1 and " + std::to_string(kMaxSlots) + " slots in each direction"};
  if (facts.headroom > kMaxHeadroom)
    return Error{"a link gives at most " + std::to_string(kMaxHeadroom) + " bytes of headroom"};
  const ShmLayout layout(geometry);
  if (region.bytes() < layout.bytes())
    return Error{"the link's region has " + std::to_string(region.bytes()) + " bytes, its slots need " +
                 std::to_string(layout.bytes())};
  Result<Ringer> ringer = Ringer::adopt(std::move(ring));
  if (!ringer) return ringer.error();
  Result<Waker> waker = Waker::adopt(std::move(wake));
  if (!waker) return waker.error();
  LinkFacts bounded = facts;
  bounded.max_frame =
      std::min(facts.max_frame, geometry.large_slots > 0 ? kMaxFrame : kSmallSlotBytes - facts.headroom);
  return ShmLink(std::move(region), layout, side, bounded, std::move(*ringer), std::move(*waker));
}

void ShmLink::ring() {
  if (!ringer_.ring()) end_.fail("it closed its end of the doorbell that wakes it");
}

}  // namespace skerry
