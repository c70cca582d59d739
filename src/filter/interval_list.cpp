#include "filter/interval_list.hpp"

#include <algorithm>
#include <cstring>

namespace skerry::filter {

namespace {

constexpr size_t kNumberBytes = 8;

uint64_t number_of(const uint8_t* key, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, key, std::min(bytes, kNumberBytes));
  return __builtin_bswap64(word);
}

}  // namespace

bool IntervalList::last_before(const Set& set, const uint8_t* key, Place& place) const {
  const size_t bytes = set.key_bytes;
  const uint64_t number = number_of(key, bytes);
  const auto begins_behind = [&](uint64_t, const Entry& entry) {
    if (entry.low != number || bytes <= kNumberBytes) return entry.low > number;
    return std::memcmp(&set.keys[set.elements[entry.element].key], key, bytes) > 0;
  };
  const auto block = std::upper_bound(firsts_.begin(), firsts_.end(), number, begins_behind);
  if (block == firsts_.begin()) return false;
  place.block = static_cast<size_t>(block - firsts_.begin()) - 1;
  const Block& entries = blocks_[place.block];
  const auto entry = std::upper_bound(entries.begin(), entries.end(), number, begins_behind);
  place.entry = static_cast<size_t>(entry - entries.begin()) - 1;
  return true;
}

uint32_t IntervalList::overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const {
  Place place;
  if (!last_before(set, high, place)) return kNone;
  const uint32_t element = blocks_[place.block][place.entry].element;
  const bool ends_before = std::memcmp(&set.keys[set.elements[element].key_end], low, set.key_bytes) < 0;
  return ends_before ? kNone : element;
}

uint32_t IntervalList::find(const Set& set, const uint8_t* key) const {
  return overlapping(set, key, key);
}

void IntervalList::add(const Set& set, uint32_t element) {
  const uint8_t* const key = &set.keys[set.elements[element].key];
  const Entry entry{number_of(key, set.key_bytes), element};
  if (blocks_.empty()) {
    blocks_.push_back({entry});
    firsts_.push_back(entry);
    return;
  }
  Place place{0, 0};
  const bool is_first = !last_before(set, key, place);
  Block& block = blocks_[place.block];
  block.insert(block.begin() + static_cast<ptrdiff_t>(place.entry + (is_first ? 0 : 1)), entry);
  firsts_[place.block] = block.front();
  if (block.size() <= kMostOfBlock) return;
  // What comes in order fills its blocks.
  const bool grows = place.block + 1 == blocks_.size() && block.back().element == element;
  const auto middle = block.begin() + static_cast<ptrdiff_t>(grows ? kMostOfBlock : kMostOfBlock / 2);
  Block upper(middle, block.end());
  block.erase(middle, block.end());
  const auto behind = static_cast<ptrdiff_t>(place.block + 1);
  firsts_.insert(firsts_.begin() + behind, upper.front());
  blocks_.insert(blocks_.begin() + behind, std::move(upper));
}

void IntervalList::remove(const Set& set, uint32_t element) {
  Place place{0, 0};
  last_before(set, &set.keys[set.elements[element].key], place);
  Block& block = blocks_[place.block];
  block.erase(block.begin() + static_cast<ptrdiff_t>(place.entry));
  if (!block.empty()) {
    firsts_[place.block] = block.front();
    return;
  }
  blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(place.block));
  firsts_.erase(firsts_.begin() + static_cast<ptrdiff_t>(place.block));
}

}  // namespace skerry::filter
