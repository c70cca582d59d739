// From a flow to the index of its entry: open addressing with linear probing, at most half full, deletion by
// shifting back (Knuth 6.4 algorithm R) so that no tombstones gather. The entries themselves (control blocks,
// TIME-WAIT) lie elsewhere; the table keeps 32 bits of hash beside each index and asks `flow_of` only where
// they match.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "tcp/flow.hpp"
#include "tcp/index_list.hpp"

namespace skerry::tcp {

class FlowTable {
 public:
  explicit FlowTable(uint32_t entries)
      : slots_(std::bit_ceil(entries < 8 ? 16u : 2 * entries)),
        mask_(static_cast<uint32_t>(slots_.size()) - 1) {}

  template <class FlowOf>
  uint32_t find(uint32_t hash, const Flow& flow, FlowOf&& flow_of) const {
    for (uint32_t at = hash & mask_; slots_[at].index != kNoIndex; at = (at + 1) & mask_)
      if (slots_[at].hash == hash && flow_of(slots_[at].index) == flow) return slots_[at].index;
    return kNoIndex;
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_)
      if (slot.index != kNoIndex) visit(slot.index);
  }

  void insert(uint32_t hash, uint32_t index) {
    uint32_t at = hash & mask_;
    while (slots_[at].index != kNoIndex) at = (at + 1) & mask_;
    slots_[at] = {hash, index};
  }

  void erase(uint32_t hash, uint32_t index) {
    uint32_t hole = hash & mask_;
    while (slots_[hole].index != index) {
      if (slots_[hole].index == kNoIndex) return;
      hole = (hole + 1) & mask_;
    }
    for (uint32_t at = (hole + 1) & mask_; slots_[at].index != kNoIndex; at = (at + 1) & mask_) {
      // An entry may move into the hole only if its home does not lie between the hole and where it is.
      const uint32_t home = slots_[at].hash & mask_;
      if (((at - home) & mask_) < ((at - hole) & mask_)) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = {};
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t index = kNoIndex;
  };
  std::vector<Slot> slots_;
  uint32_t mask_;
};

}  // namespace skerry::tcp
