#include "filter/key_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace skerry::filter {

KeyTable::KeyTable(uint8_t key_bytes, const SipKey& secret) : key_bytes_(key_bytes), places_(kFewest) {
  for (size_t i = 0; i <= (key_bytes_ + 3) / 4; ++i) {
    const uint64_t number = i;
    factors_[i] = siphash24(secret, {reinterpret_cast<const uint8_t*>(&number), sizeof number});
  }
}

uint32_t KeyTable::tag_of(const uint8_t* key) const {
  constexpr size_t kWord = sizeof(uint32_t);
  uint64_t sum = factors_[0];
  size_t at = 0, factor = 1;
  for (; at + kWord <= key_bytes_; at += kWord) {
    uint32_t word;
    std::memcpy(&word, key + at, kWord);
    sum += word * factors_[factor++];
  }
  if (at < key_bytes_) {
    uint32_t word = 0;
    std::memcpy(&word, key + at, key_bytes_ - at);
    sum += word * factors_[factor];
  }
  return static_cast<uint32_t>(sum >> 32);
}

void KeyTable::reserve(size_t elements, const Pause& pause) {
  if (taken_ == 0) pause.resize(places_, std::max(kFewest, std::bit_ceil(2 * elements)));
}

void KeyTable::put(Place place) {
  size_t at = first(place.tag);
  while (places_[at].element != kNone) at = next(at);
  places_[at] = place;
}

void KeyTable::add(const Set& set, uint32_t element) {
  if (++taken_ * 2 > places_.size()) {
    std::vector<Place> before(places_.size() * 2);
    before.swap(places_);
    for (const Place& place : before)
      if (place.element != kNone) put(place);
  }
  put({tag_of(&set.keys[set.elements[element].key]), element});
}

// What follows moves up to where a search would look for it, so that no place stays free before it.
void KeyTable::remove(const Set& set, uint32_t element) {
  size_t hole = first(tag_of(&set.keys[set.elements[element].key]));
  while (places_[hole].element != element) hole = next(hole);
  const size_t mask = places_.size() - 1;
  for (size_t at = next(hole); places_[at].element != kNone; at = next(at)) {
    if (((at - first(places_[at].tag)) & mask) < ((at - hole) & mask)) continue;
    places_[hole] = places_[at];
    hole = at;
  }
  places_[hole] = {};
  --taken_;
}

uint32_t KeyTable::find(const Set& set, const uint8_t* key) const {
  const uint32_t tag = tag_of(key);
  for (size_t at = first(tag);; at = next(at)) {
    const Place& place = places_[at];
    if (place.element == kNone) return kNone;
    if (place.tag == tag && std::memcmp(key, &set.keys[set.elements[place.element].key], key_bytes_) == 0)
      return place.element;
  }
}

}  // namespace skerry::filter
