#include "link/local_link.hpp"

#include <algorithm>
#include <bit>
#include <new>

namespace skerry {
namespace {

constexpr std::align_val_t kAlignment{4096};

LinkFacts bounded(LinkFacts facts, const SlotGeometry& geometry) {
  CHECK(facts.headroom <= kMaxHeadroom);
  facts.max_frame =
      std::min(facts.max_frame, geometry.large_slots > 0 ? kMaxFrame : kSmallSlotBytes - facts.headroom);
  return facts;
}

}  // namespace

LocalLink::LocalLink(const SlotArea& area, Side side, const LinkFacts& facts, const SlotGeometry& geometry)
    : facts_(bounded(facts, geometry)),
      area_(area),
      first_slot_(area.first_slot(side)),
      pool_(geometry.small_slots, geometry.large_slots),
      incoming_(std::bit_ceil(geometry.slots())) {}

LocalWire::LocalWire(const LinkFacts& facts_a, const LinkFacts& facts_b, const SlotGeometry& geometry)
    : memory_(static_cast<std::byte*>(::operator new(SlotArea::bytes(geometry), kAlignment))),
      a_(SlotArea(memory_.get(), geometry), Side::kA, facts_a, geometry),
      b_(SlotArea(memory_.get(), geometry), Side::kB, facts_b, geometry) {
  a_.peer_ = &b_;
  b_.peer_ = &a_;
}

void LocalWire::AlignedDelete::operator()(std::byte* memory) const {
  ::operator delete(memory, kAlignment);
}

}  // namespace skerry
