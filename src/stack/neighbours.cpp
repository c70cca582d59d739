#include "stack/neighbours.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace skerry::stack {

Neighbours::Neighbours(uint32_t capacity, uint64_t seed)
    : entries_(capacity), buckets_(std::bit_ceil(size_t{2} * capacity), kNone), multiplier_(seed | 1) {
  CHECK(capacity > 0);
  for (uint32_t i = 0; i < capacity; ++i) entries_[i].next = i + 1 < capacity ? i + 1 : kNone;
}

uint32_t Neighbours::find(Ipv4Address address) const {
  uint32_t index = buckets_[bucket_of(address)];
  while (index != kNone && entries_[index].address != address) index = entries_[index].next;
  return index;
}

uint32_t Neighbours::resolve(TimeNs now, Ipv4Address address) {
  uint32_t index = find(address);
  if (index != kNone) return index;
  index = make(now, address, true);
  if (index != kNone) ask_from(now, entries_[index], State::incomplete);
  return index;
}

bool Neighbours::learn(TimeNs now, Ipv4Address address, const MacAddress& mac, bool create) {
  uint32_t index = find(address);
  if (index == kNone && create) index = make(now, address, false);
  if (index == kNone) return false;
  entries_[index].mac = mac;
  set_reachable(now, entries_[index]);
  return true;
}

void Neighbours::ask_from(TimeNs now, Entry& entry, State state) {
  entry.state = state;
  entry.asks_all = state == State::incomplete;
  entry.questions = 0;
  entry.ask_at = now;
  deadline_ = std::min(deadline_, now);
}

void Neighbours::doubt(TimeNs now) {
  for (Entry& entry : entries_) {
    if (entry.state < State::probing || now - entry.used_at >= kUnusedTime) continue;
    ask_from(now, entry, State::probing);
    entry.asks_all = true;
  }
}

// A new entry. If the table is full, the entry that was used least recently makes room: one with no question
// under way, and, for a stranger who merely spoke to us, one that nobody has used for a while.
uint32_t Neighbours::make(TimeNs now, Ipv4Address address, bool may_push_out_used) {
  if (free_ == kNone) {
    uint32_t victim = kNone;
    for (uint32_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      if (entry.state != State::reachable) continue;
      if (!may_push_out_used && now - entry.used_at < kUnusedTime) continue;
      if (waits_for(i)) continue;
      if (victim == kNone || entry.used_at < entries_[victim].used_at) victim = i;
    }
    if (victim == kNone) return kNone;
    forget(victim);
  }
  const uint32_t index = free_;
  Entry& entry = entries_[index];
  free_ = entry.next;
  uint32_t& bucket = buckets_[bucket_of(address)];
  entry = Entry{};
  entry.address = address;
  entry.state = State::reachable;  // until the caller says otherwise
  entry.used_at = now;
  entry.next = bucket;
  bucket = index;
  ++size_;
  return index;
}

void Neighbours::forget(uint32_t index) {
  Entry& entry = entries_[index];
  uint32_t* link = &buckets_[bucket_of(entry.address)];
  while (*link != index) link = &entries_[*link].next;
  *link = entry.next;
  CHECK(!waits_for(index));  // frames belong to somebody: the owner took them before
  entry = Entry{};
  entry.next = free_;
  free_ = index;
  --size_;
}

bool Neighbours::waits_for(uint32_t index) const {
  return std::any_of(held_.begin(), held_.begin() + held_count_,
                     [index](const Held& held) { return held.index == index; });
}

bool Neighbours::hold(uint32_t index, const Frame& frame, uint32_t mark) {
  if (held_count_ == kHeldFrames) return false;
  const auto waiting = std::count_if(held_.begin(), held_.begin() + held_count_,
                                     [index](const Held& held) { return held.index == index; });
  if (waiting == kHeldPerNeighbour) return false;
  held_[held_count_++] = {frame, index, mark};
  return true;
}

Neighbours::Held Neighbours::remove_held(uint32_t place) {
  const Held held = held_[place];
  std::copy(held_.begin() + place + 1, held_.begin() + held_count_, held_.begin() + place);
  --held_count_;
  return held;
}

std::optional<Neighbours::Ready> Neighbours::next_ready() {
  for (uint32_t i = 0; i < held_count_; ++i) {
    const Entry& entry = entries_[held_[i].index];
    if (entry.state == State::incomplete) continue;
    const MacAddress mac = entry.mac;
    const Held held = remove_held(i);
    return Ready{held.frame, mac, held.mark};
  }
  return std::nullopt;
}

std::optional<Frame> Neighbours::take_held(uint32_t index) {
  for (uint32_t i = 0; i < held_count_; ++i)
    if (held_[i].index == index) return remove_held(i).frame;
  return std::nullopt;
}

bool Neighbours::next_question(TimeNs now, Question& question) {
  if (now < deadline_) return false;
  for (Entry& entry : entries_) {
    if (entry.ask_at > now || entry.questions == kQuestions) continue;
    question.address = entry.address;
    question.to = entry.asks_all ? MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} : entry.mac;
    ++entry.questions;
    entry.ask_at = now + kQuestionInterval;
    return true;
  }
  recompute_deadline();
  return false;
}

std::optional<uint32_t> Neighbours::next_failed(TimeNs now) {
  if (now < deadline_) return std::nullopt;
  for (uint32_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].ask_at <= now && entries_[i].questions == kQuestions) return i;
  return std::nullopt;
}

void Neighbours::recompute_deadline() {
  deadline_ = kNever;
  for (const Entry& entry : entries_) deadline_ = std::min(deadline_, entry.ask_at);
}

}  // namespace skerry::stack
