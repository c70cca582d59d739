// The sender's private books on its slots: which are free, which it is filling, which the neighbour has. The
// free lists are last in, first out, so the slot handed out next is the one whose lines were touched last.
// None of this is in shared memory: a neighbour can say "here is slot 7 back", and the books say whether it
// ever had it.
//
// Slots are numbered from 0: first `small_slots` small ones, then `large_slots` large ones.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>

#include "base/check.hpp"

namespace skerry {

enum class SlotSize : uint8_t { kSmall, kLarge };

class SlotPool {
 public:
  SlotPool(uint32_t small_slots, uint32_t large_slots)
      : slots_(small_slots + large_slots),
        small_slots_(small_slots),
        states_(std::make_unique<State[]>(slots_)),
        free_small_(small_slots),
        free_large_(large_slots) {
    // In leaps: were they handed out in a row, the reader's stride prefetcher would reach for the lines that
    // the writer is filling.
    uint32_t leap = static_cast<uint32_t>(slots_ * 0.618) | 1;
    while (std::gcd(leap, slots_) != 1) leap += 2;
    for (uint32_t n = 0, slot = 0; n < slots_; ++n, slot = (slot + leap) % slots_) list_of(slot).push(slot);
  }

  uint32_t slots() const { return slots_; }
  SlotSize size_of(uint32_t slot) const { return slot < small_slots_ ? SlotSize::kSmall : SlotSize::kLarge; }
  uint32_t free_slots(SlotSize size) const {
    return size == SlotSize::kSmall ? free_small_.count : free_large_.count;
  }

  // free -> ours
  std::optional<uint32_t> take(SlotSize size) {
    List& list = size == SlotSize::kSmall ? free_small_ : free_large_;
    if (list.count == 0) [[unlikely]]
      return std::nullopt;
    const uint32_t slot = list.slots[--list.count];
    states_[slot] = State::kOurs;
    return slot;
  }

  // ours -> free
  void put_back(uint32_t slot) {
    CHECK(slot < slots_ && states_[slot] == State::kOurs);
    make_free(slot);
  }

  // ours -> lent
  void lend(uint32_t slot) {
    CHECK(slot < slots_ && states_[slot] == State::kOurs);
    states_[slot] = State::kLent;
  }

  // lent -> free; false, and nothing done, if the slot was not lent: the neighbour lies.
  [[nodiscard]] bool reclaim(uint32_t slot) {
    if (slot >= slots_ || states_[slot] != State::kLent) [[unlikely]]
      return false;
    make_free(slot);
    return true;
  }

 private:
  enum class State : uint8_t { kFree, kOurs, kLent };

  // As long as there are slots of its size: a slot is in it at most once.
  struct List {
    explicit List(uint32_t capacity) : slots(std::make_unique<uint32_t[]>(capacity)) {}
    void push(uint32_t slot) { slots[count++] = slot; }

    std::unique_ptr<uint32_t[]> slots;
    uint32_t count = 0;
  };

  List& list_of(uint32_t slot) { return slot < small_slots_ ? free_small_ : free_large_; }
  void make_free(uint32_t slot) {
    states_[slot] = State::kFree;
    list_of(slot).push(slot);
  }

  uint32_t slots_;
  uint32_t small_slots_;
  std::unique_ptr<State[]> states_;
  List free_small_;
  List free_large_;
};

}  // namespace skerry
