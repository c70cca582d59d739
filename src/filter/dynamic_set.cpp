#include "filter/dynamic_set.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"

namespace skerry::filter {

DynamicSet::DynamicSet(const Set& set, const SipKey& secret, uint32_t first_stateful, TimeNs now,
                       const Pause& pause)
    : key_bytes_(set.key_bytes), secret_(secret) {
  const uint32_t most = set.most_elements;
  pause.resize(keys_, size_t{most} * set.key_bytes);
  pause.resize(elements_, most);
  pause.resize(expires_, most);
  pause.resize(timeouts_, most);
  pause.resize(used_, most);
  pause.resize(givers_, most);
  pause.resize(next_, most);
  pause.resize(buckets_, std::bit_ceil(size_t{most}), kNone);
  const auto expressions = static_cast<uint32_t>(set.element_expressions.size());
  for (uint32_t slot = most; slot-- > 0; pause()) {
    elements_[slot].key = elements_[slot].key_end = slot * key_bytes_;
    for (uint32_t i = 0; i < expressions; ++i)
      elements_[slot].counters.push_back(first_stateful + slot * expressions + i);
    next_[slot] = free_;
    free_ = slot;
  }
  frees_ = most;
  for (const Element& given : set.elements) {
    pause();
    Element* element = add(&set.keys[given.key], now, given.timeout_ns, Giver::text);
    CHECK(element != nullptr);  // import has counted them
    element->verdict = given.verdict;
    element->data = given.data;
    element->counts = given.counts;
    const auto slot = static_cast<size_t>(element - elements_.data());
    if (given.expires_ns != 0) expires_[slot] = now + given.expires_ns;
  }
}

DynamicSet::TakenOver DynamicSet::begin_taking(const Pause& pause) {
  TakenOver taken;
  pause.resize(taken, elements_.size(), kNone);
  changed_.clear();
  changed_.reserve(elements_.size());
  std::vector<uint8_t> noted;
  pause.resize(noted, elements_.size());
  noted_ = std::move(noted);
  // As if all had changed.
  for (uint32_t slot = 0; slot < elements_.size(); ++slot, pause())
    if (used_[slot]) note(slot);
  return taken;
}

uint32_t& DynamicSet::bucket_of(const uint8_t* key) {
  return buckets_[siphash24(secret_, {key, key_bytes_}) & (buckets_.size() - 1)];
}

// An element of this key whose time is over goes at once: left there, the next one of the same key would
// lie in the same bucket, and so on until a search takes as long as the set is large.
Element* DynamicSet::find(const uint8_t* key, TimeNs now) {
  for (uint32_t* link = &bucket_of(key); *link != kNone; link = &next_[*link]) {
    if (std::memcmp(&keys_[elements_[*link].key], key, key_bytes_) != 0) continue;
    if (expires_[*link] > now) {
      note(*link);
      return &elements_[*link];
    }
    release_at(*link);
    return nullptr;
  }
  return nullptr;
}

void DynamicSet::release(uint32_t slot) {
  uint32_t* link = &bucket_of(&keys_[elements_[slot].key]);
  while (*link != slot) link = &next_[*link];
  release_at(*link);
}

// The slot that the link leads to.
void DynamicSet::release_at(uint32_t& link) {
  const uint32_t slot = link;
  note(slot);
  link = next_[slot];
  used_[slot] = 0;
  next_[slot] = free_;
  free_ = slot;
  ++frees_;
}

void DynamicSet::reclaim(TimeNs now) {
  for (unsigned i = 0; i < kLookedAt && i < elements_.size(); ++i) {
    if (used_[hand_] && expires_[hand_] <= now) release(hand_);
    hand_ = hand_ + 1 < elements_.size() ? hand_ + 1 : 0;
  }
}

Element* DynamicSet::add(const uint8_t* key, TimeNs now, DurationNs timeout, Giver giver) {
  if (free_ == kNone) reclaim(now);
  if (free_ == kNone) return nullptr;
  const uint32_t slot = free_;
  free_ = next_[slot];
  --frees_;
  note(slot);
  Element& element = elements_[slot];
  std::memcpy(&keys_[element.key], key, key_bytes_);
  uint32_t& bucket = bucket_of(key);
  next_[slot] = bucket;
  bucket = slot;
  used_[slot] = 1;
  givers_[slot] = giver;
  timeouts_[slot] = timeout;
  expires_[slot] = timeout == kNoTimeout ? kNever : now + timeout;
  element.counts = true;
  element.data = {};
  return &element;
}

void DynamicSet::renew(const Element& element, TimeNs now, DurationNs timeout) {
  const auto slot = static_cast<size_t>(&element - elements_.data());
  if (timeouts_[slot] == kNoTimeout) return;
  expires_[slot] = now + (timeout != 0 ? timeout : timeouts_[slot]);
}

void DynamicSet::give_time(const Element& element, TimeNs now, DurationNs timeout, DurationNs left) {
  const auto slot = static_cast<size_t>(&element - elements_.data());
  timeouts_[slot] = timeout;
  expires_[slot] = now + (left != 0 ? left : timeout);
}

size_t DynamicSet::make_room(size_t wanted, TimeNs now) {
  for (uint32_t slot = 0; frees_ < wanted && slot < elements_.size(); ++slot)
    if (used_[slot] && expires_[slot] <= now) release(slot);
  return frees_;
}

void DynamicSet::take_apart(const Pause& pause) {
  pause.clear(elements_);
  pause.clear(keys_);
  pause.clear(expires_);
  pause.clear(timeouts_);
  pause.clear(used_);
  pause.clear(givers_);
  pause.clear(next_);
  pause.clear(buckets_);
  pause.clear(changed_);
  pause.clear(noted_);
}

const Element* DynamicSet::remove(const uint8_t* key, TimeNs now) {
  const Element* const element = find(key, now);
  if (element != nullptr) release(static_cast<uint32_t>(element - elements_.data()));
  return element;
}

}  // namespace skerry::filter
