#include "tcp/time_wait.hpp"

namespace skerry::tcp {

TimeWait::TimeWait(TimeWaitEntry* entries, uint32_t capacity)
    : entries_(entries), table_(capacity), links_(capacity) {
  free_.reserve(capacity);
  for (uint32_t i = capacity; i > 0; --i) free_.push_back(i - 1);
}

TimeWaitEntry* TimeWait::find(uint32_t hash, const Flow& flow) {
  const uint32_t index =
      table_.find(hash, flow, [this](uint32_t i) -> const Flow& { return entries_[i].flow; });
  return index == kNoIndex ? nullptr : &entries_[index];
}

bool TimeWait::add(uint32_t hash, const TimeWaitEntry& entry, TimeWaitEntry& dropped,
                   const FlowHash& hasher) {
  const bool full = free_.empty();
  if (full) {
    TimeWaitEntry* const old = &entries_[queue_.head];
    dropped = *old;
    remove(hasher(old->flow), old);
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  entries_[index] = entry;
  entries_[index].in_use = true;
  table_.insert(hash, index);
  links_.push_back(queue_, index);
  return full;
}

void TimeWait::remove(uint32_t hash, TimeWaitEntry* entry) {
  const uint32_t index = static_cast<uint32_t>(entry - entries_);
  table_.erase(hash, index);
  links_.remove(queue_, index);
  entries_[index] = {};
  free_.push_back(index);
}

void TimeWait::restart(TimeWaitEntry* entry, TimeNs deadline) {
  const uint32_t index = static_cast<uint32_t>(entry - entries_);
  entry->deadline = deadline;
  links_.remove(queue_, index);
  links_.push_back(queue_, index);
}

}  // namespace skerry::tcp
