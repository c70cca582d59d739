// A hierarchical timer wheel (Varghese and Lauck 1987) of one entry per connection, built for timers that are
// set with every segment and hardly ever fire.
//
// The truth about a deadline lies in the control block; the wheel only promises to name an index no later
// than the deadline it was armed with. So arming with a later deadline than before is one comparison,
// clearing a deadline costs nothing, and an index that is named too early is simply armed again. That also
// makes cascading between levels the same thing as firing early.
//
// Invariant: an entry of level l agrees with the wheel's present tick in all 6-bit digits above l, and is
// greater in digit l. Hence the lowest level that is not empty holds the next entry.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/time.hpp"

namespace skerry::tcp {

class TimerWheel {
 public:
  explicit TimerWheel(uint32_t entries) : entries_(entries) {
    for (auto& level : heads_) level.fill(kNone);
  }

  // Makes sure that `index` is named at or before `deadline` (rounded up to a tick of 0.26 ms).
  void arm(uint32_t index, TimeNs deadline) {
    const uint64_t tick = (deadline >> kTickShift) + 1;
    Entry& entry = entries_[index];
    if (entry.tick <= tick) return;
    if (entry.tick != kIdle) unlink(index);
    link(index, tick);
  }

  void disarm(uint32_t index) {
    if (entries_[index].tick != kIdle) unlink(index);
  }

  // When expire() has something to do, at the earliest; kNever if the wheel is empty.
  TimeNs deadline() const {
    const uint64_t tick = next_tick();
    return tick == kIdle ? kNever : tick << kTickShift;
  }

  // Calls fire(index) for every entry that is due, each taken out first; fire may arm any index.
  template <class Fire>
  void expire(TimeNs now, Fire&& fire) {
    const uint64_t until = now >> kTickShift;
    for (uint64_t tick = next_tick(); tick <= until; tick = next_tick()) {
      uint64_t changed = tick ^ now_;
      const uint32_t level = level_of(changed);
      const uint32_t slot = digit(tick, level);
      now_ = tick;
      while (heads_[level][slot] != kNone) {
        const uint32_t index = heads_[level][slot];
        unlink(index);
        fire(index);
      }
    }
    if (until > now_) now_ = until;
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kIdle = UINT64_MAX;
  static constexpr uint32_t kTickShift = 18;  // 0.26 ms
  static constexpr uint32_t kLevels = 8;      // 6 bits each: all of the 46 bits that a TimeNs leaves

  struct Entry {
    uint64_t tick = kIdle;
    uint32_t next = kNone, previous = kNone;
    uint8_t level = 0, slot = 0;
  };

  static uint32_t level_of(uint64_t changed_bits) {
    return changed_bits == 0 ? 0 : static_cast<uint32_t>(63 - __builtin_clzll(changed_bits)) / 6;
  }
  static uint32_t digit(uint64_t tick, uint32_t level) {
    return static_cast<uint32_t>(tick >> (6 * level)) & 63;
  }

  uint64_t next_tick() const {
    for (uint32_t level = 0; level < kLevels; ++level) {
      if (occupied_[level] == 0) continue;
      const uint64_t slot = static_cast<uint64_t>(__builtin_ctzll(occupied_[level]));
      const uint64_t above = now_ >> (6 * (level + 1)) << (6 * (level + 1));
      return above | slot << (6 * level);
    }
    return kIdle;
  }

  void link(uint32_t index, uint64_t tick) {
    if (tick <= now_) tick = now_ + 1;
    Entry& entry = entries_[index];
    entry.tick = tick;
    entry.level = static_cast<uint8_t>(level_of(tick ^ now_));
    entry.slot = static_cast<uint8_t>(digit(tick, entry.level));
    uint32_t& head = heads_[entry.level][entry.slot];
    entry.previous = kNone;
    entry.next = head;
    if (head != kNone) entries_[head].previous = index;
    head = index;
    occupied_[entry.level] |= uint64_t{1} << entry.slot;
  }

  void unlink(uint32_t index) {
    Entry& entry = entries_[index];
    uint32_t& head = heads_[entry.level][entry.slot];
    if (entry.previous != kNone) {
      entries_[entry.previous].next = entry.next;
    } else {
      head = entry.next;
    }
    if (entry.next != kNone) entries_[entry.next].previous = entry.previous;
    if (head == kNone) occupied_[entry.level] &= ~(uint64_t{1} << entry.slot);
    entry.tick = kIdle;
  }

  uint64_t now_ = 0;
  std::array<uint64_t, kLevels> occupied_{};
  std::array<std::array<uint32_t, 64>, kLevels> heads_;
  std::vector<Entry> entries_;
};

}  // namespace skerry::tcp
