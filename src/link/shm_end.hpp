// One end of a shared-memory link without its doorbells: everything that happens in the region. ShmLink adds
// the two pipes; tests/shm/model_test.cpp runs this class on a simulated memory.
//
// Each direction has a ring of descriptors and a ring that brings the slots back. Both are as long as the
// direction has slots, so an honest neighbour never finds either full. What has been given back is staged and
// travels with the next send or arm, with the next receive if that finds nothing or enough have gathered: one
// release store and one fence for all.
//
// Invariants: a slot has exactly one owner (the books of its filler, SlotPool, and of its reader, held_);
// a descriptor is copied out of the region once and only the copy is judged and used; after a fault nothing
// in the region is looked at any more, but frames already received stay readable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/check.hpp"
#include "link/claims.hpp"
#include "link/link.hpp"
#include "link/shm_layout.hpp"
#include "link/slots.hpp"
#include "shm/prefetch.hpp"
#include "shm/ring.hpp"
#include "shm/slot_pool.hpp"
#include "shm/wake_word.hpp"

namespace skerry {

template <class Atomics = HardwareAtomics>
class ShmEnd {
 public:
  // `memory`: layout.bytes() bytes, page-aligned, fresh (zero); it outlives this.
  ShmEnd(std::byte* memory, const ShmLayout& layout, Side side, const LinkFacts& facts)
      : facts_(facts),
        area_(memory + layout.slots(), layout.geometry),
        mine_(area_.first_slot(side)),
        theirs_(area_.first_slot(other(side))),
        pool_(layout.geometry.small_slots, layout.geometry.large_slots),
        held_(layout.geometry.slots(), 0),
        outgoing_(memory + layout.descriptors(side), layout.ring_capacity),
        incoming_(memory + layout.descriptors(other(side)), layout.ring_capacity),
        returns_out_(memory + layout.returns(other(side)), layout.ring_capacity),
        returns_in_(memory + layout.returns(side), layout.ring_capacity),
        my_word_(reinterpret_cast<uint32_t*>(memory + layout.wake_word(side))),
        their_word_(reinterpret_cast<uint32_t*>(memory + layout.wake_word(other(side)))),
        my_carrier_(reinterpret_cast<uint32_t*>(memory + layout.carrier_word(side))),
        their_carrier_(reinterpret_cast<uint32_t*>(memory + layout.carrier_word(other(side)))) {
    plan_reclaim();
  }

  std::optional<Frame> allocate(uint32_t bytes) {
    if (closed() || bytes > facts_.max_frame) [[unlikely]]
      return std::nullopt;
    const SlotSize size = facts_.headroom + bytes <= kSmallSlotBytes ? SlotSize::kSmall : SlotSize::kLarge;
    if (pool_.free_slots(size) <= reclaim_below_[static_cast<int>(size)]) reclaim();
    const std::optional<uint32_t> index = pool_.take(size);
    if (!index) [[unlikely]] {
      ++counters_.tx_no_memory;
      starved_[static_cast<int>(size)] = true;
      return std::nullopt;
    }
    starved_[static_cast<int>(size)] = false;
    return plain_frame(mine_ + *index, bytes, static_cast<uint16_t>(facts_.headroom));
  }

  size_t send(std::span<const Frame> frames) {
    if (closed()) return 0;
    const uint32_t wanted = static_cast<uint32_t>(frames.size());
    const uint32_t count = std::min(wanted, outgoing_.room(wanted));
    uint64_t bytes = 0;
    for (const Frame& frame : frames.first(count)) {
      const uint32_t index = frame.slot - mine_;
      pool_.lend(index);  // checks that it is ours to send
      CHECK(claims_hold(frame, area_.slot_bytes(index)));
      bytes += frame.length;
    }
    outgoing_.stage(frames.data(), count);
    counters_.tx_frames += count;
    counters_.tx_bytes += bytes;
    if (outgoing_.broken()) [[unlikely]]
      fail("it consumed descriptors that were never sent");
    publish();
    return count;
  }

  void receive(FrameBatch& batch) {
    if (closed()) return;
    carrier_.changes = Atomics::load_relaxed(their_carrier_);
    Frame* const frames = batch.frames.data() + batch.count;
    const uint32_t count = incoming_.pop(frames, batch.room());
    // While frames come, what goes back gathers: a neighbour out of memory sends none.
    if (count == 0 || returns_out_.staged() >= kStagedReturns) publish();
    if (incoming_.broken()) [[unlikely]]
      return fail("it published more descriptors than the ring has");
    uint32_t accepted = 0;
    uint64_t bytes = 0;
    for (; accepted < count; ++accepted) {
      if (!accept(frames[accepted])) [[unlikely]]
        break;
      bytes += frames[accepted].length;
    }
    batch.count += accepted;
    counters_.rx_frames += accepted;
    counters_.rx_bytes += bytes;
  }

  Bytes data(const Frame& frame) const { return {area_.address(frame.slot) + frame.offset, frame.length}; }

  void give_back(const Frame& frame) {
    const uint32_t index = frame.slot - theirs_;
    if (index >= area_.slots()) return pool_.put_back(frame.slot - mine_);
    CHECK(held_[index]);
    held_[index] = 0;
    if (closed()) return;
    if (returns_out_.room(1) == 0) [[unlikely]]
      return fail("it does not take its slots back");
    returns_out_.stage(&frame.slot, 1);
    if (returns_out_.staged() >= kMostStagedReturns) publish();
  }

  // Two looks with the wish between them: see wake_word.hpp.
  bool arm() {
    if (closed()) return true;
    const bool starved = starved_[0] || starved_[1];
    my_word_.arm(starved ? kWishFrames | kWishSlots : kWishFrames);
    armed_ = true;
    if (!publish()) Atomics::fence();
    if (incoming_.has_news() || Atomics::load_relaxed(their_carrier_) != carrier_.changes ||
        (starved && relieved())) {
      disarm();
      return false;
    }
    return true;
  }

  void disarm() {
    if (!armed_) return;
    armed_ = false;
    my_word_.disarm();
  }

  Carrier carrier() const { return carrier_; }

  void tell(Carrier carrier) {
    if (carrier == told_ || closed()) [[likely]]
      return;
    told_ = carrier;
    Atomics::store_relaxed(my_carrier_, carrier.changes);
    Atomics::fence();
    if (their_word_.called_for(kWishFrames)) must_ring_ = true;
  }

  // True once after a call that found the neighbour asleep and has news for it.
  bool take_ring() {
    if (!must_ring_) [[likely]]
      return false;
    must_ring_ = false;
    ++counters_.rings;
    return true;
  }

  // Closes the link and counts the fault; `lie` is a string literal: what the neighbour did.
  [[gnu::cold, gnu::noinline]] void fail(const char* lie) {
    if (closed()) return;
    fault_ = lie;
    ++counters_.faults;
  }

  bool closed() const { return fault_ != nullptr; }
  const char* fault() const { return fault_; }
  const LinkFacts& facts() const { return facts_; }
  const LinkCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kStagedReturns = 8;
  static constexpr uint32_t kMostStagedReturns = 32;
  // Slots are taken back after so many have been used: often enough to reuse those that are still in the
  // cache, seldom enough not to fight with the neighbour over the line that it publishes on.
  static constexpr uint32_t kReclaimEvery[] = {32, 1};  // by SlotSize
  static constexpr uint32_t kReclaimBatch = 64;

  static Side other(Side side) { return side == Side::kA ? Side::kB : Side::kA; }

  bool accept(const Frame& frame) {
    const uint32_t index = frame.slot - theirs_;
    if (index >= area_.slots()) [[unlikely]]
      return fail("it sent a slot that is not its own"), false;
    if (held_[index] != 0) [[unlikely]]
      return fail("it sent a slot that it had already sent"), false;
    if (!claims_hold(frame, area_.slot_bytes(index))) [[unlikely]]
      return fail("it sent a frame outside its slot or with marks outside the frame"), false;
    held_[index] = 1;
    prefetch_to_read(area_.address(frame.slot) + frame.offset);
    return true;
  }

  // Makes visible what is staged on both rings. Returns whether it did, and so has fenced.
  bool publish() {
    uint32_t news = 0;
    if (outgoing_.staged() != 0) {
      outgoing_.publish();
      news |= kWishFrames;
    }
    if (returns_out_.staged() != 0) {
      returns_out_.publish();
      news |= kWishSlots;
    }
    if (news == 0) return false;
    Atomics::fence();
    if (their_word_.called_for(news)) must_ring_ = true;
    return true;
  }

  void reclaim() {
    uint32_t slots[kReclaimBatch];
    while (const uint32_t count = returns_in_.pop(slots, kReclaimBatch)) {
      for (uint32_t n = 0; n < count; ++n) {
        if (!pool_.reclaim(slots[n] - mine_)) [[unlikely]]
          return fail("it gave back a slot that it did not have");
        prefetch_to_write(area_.address(slots[n]) + facts_.headroom);
      }
    }
    plan_reclaim();
    if (returns_in_.broken()) [[unlikely]]
      fail("it gave back more slots than there are");
  }

  void plan_reclaim() {
    for (const SlotSize size : {SlotSize::kSmall, SlotSize::kLarge}) {
      const uint32_t every = kReclaimEvery[static_cast<int>(size)];
      reclaim_below_[static_cast<int>(size)] = std::max(pool_.free_slots(size), every) - every;
    }
  }

  // True if memory that was missing is there: the sender should try again before it sleeps.
  bool relieved() {
    reclaim();
    bool any = closed();
    for (const SlotSize size : {SlotSize::kSmall, SlotSize::kLarge}) {
      bool& starved = starved_[static_cast<int>(size)];
      if (!starved || pool_.free_slots(size) == 0) continue;
      starved = false;
      any = true;
    }
    return any;
  }

  LinkFacts facts_;
  SlotArea area_;
  uint32_t mine_;    // first slot that we fill
  uint32_t theirs_;  // first slot that the neighbour fills
  SlotPool pool_;
  std::vector<uint8_t> held_;  // by index in the neighbour's direction: received and not yet given back
  RingProducer<Frame, Atomics> outgoing_;
  RingConsumer<Frame, Atomics> incoming_;
  RingProducer<uint32_t, Atomics> returns_out_;
  RingConsumer<uint32_t, Atomics> returns_in_;
  WakeWord<Atomics> my_word_;
  WakeWord<Atomics> their_word_;
  uint32_t* my_carrier_;
  uint32_t* their_carrier_;
  Carrier carrier_;  // what the neighbour said
  Carrier told_;     // what we said
  bool armed_ = false;
  bool must_ring_ = false;
  uint32_t reclaim_below_[2] = {0, 0};  // free slots, by SlotSize
  bool starved_[2] = {false, false};    // by SlotSize: the last allocate() found none
  const char* fault_ = nullptr;
  LinkCounters counters_;
};

}  // namespace skerry
