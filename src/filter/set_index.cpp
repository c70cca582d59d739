#include "filter/set_index.hpp"

#include <cstring>

namespace skerry::filter {

SetIndex::Index SetIndex::make(const Set& set, const SipKey& secret, const Pause& pause) {
  if (set.shape == SetShape::concatenated_ranges) return RangeTree(set, pause);
  if (set.shape == SetShape::interval) return IntervalList();
  KeyTable table(set.key_bytes, secret);
  table.reserve(set.size(), pause);
  return table;
}

SetIndex::SetIndex(const Set& set, const SipKey& secret, const Pause& pause)
    : index_(make(set, secret, pause)) {
  const bool is_made = set.shape == SetShape::concatenated_ranges;
  for (uint32_t element = 0; element < set.elements.size(); ++element, pause())
    if (!set.elements[element].gone && (!is_made || set.elements[element].catchall)) add(set, element);
}

void SetIndex::add(const Set& set, uint32_t element) {
  if (set.elements[element].catchall)
    otherwise_ = element;
  else
    std::visit([&](auto& index) { index.add(set, element); }, index_);
}

void SetIndex::remove(const Set& set, uint32_t element) {
  if (set.elements[element].catchall)
    otherwise_ = kNone;
  else if (auto* const tree = std::get_if<RangeTree>(&index_))
    tree->remove(element);
  else if (auto* const list = std::get_if<IntervalList>(&index_))
    list->remove(set, element);
  else
    std::get<KeyTable>(index_).remove(set, element);
}

uint32_t SetIndex::overlapping(const Set& set, const uint8_t* low, const uint8_t* high) const {
  if (const auto* const tree = std::get_if<RangeTree>(&index_)) return tree->overlapping(set, low, high);
  if (const auto* const list = std::get_if<IntervalList>(&index_)) return list->overlapping(set, low, high);
  return std::get<KeyTable>(index_).find(set, low);
}

uint32_t SetIndex::find_same(const Set& set, const uint8_t* low, const uint8_t* high) const {
  if (const auto* const tree = std::get_if<RangeTree>(&index_)) return tree->find_same(set, low, high);
  const uint32_t there = overlapping(set, low, high);
  if (there == kNone) return kNone;
  const Element& element = set.elements[there];
  const bool same = std::memcmp(&set.keys[element.key], low, set.key_bytes) == 0 &&
                    std::memcmp(&set.keys[element.key_end], high, set.key_bytes) == 0;
  return same ? there : kNone;
}

}  // namespace skerry::filter
