#include "filter/connection_counts.hpp"

#include "filter/protocols.hpp"

namespace skerry::filter {

void ConnectionCounts::make_room(size_t lists, const Pause& pause) {
  if (lists > lists_.size()) pause.resize(lists_, lists);
  if (!counted_.empty()) return;
  pause.resize(counted_, kMostCounted);
  pause.resize(buckets_, kMostCounted, kNone);
  for (uint32_t i = kMostCounted; i-- > 0; pause()) {
    counted_[i].next_alike = free_;
    free_ = i;
  }
}

void ConnectionCounts::take_apart(const Pause& pause) {
  pause.clear(lists_);
  pause.clear(counted_);
  pause.clear(buckets_);
}

void ConnectionCounts::begin(uint32_t list) {
  make_room(lists_.size(), Pause());
  if (list >= lists_.size()) lists_.resize(list + size_t{1});
  while (lists_[list].first != kNone) remove(lists_[list].first);
  lists_[list] = {};
}

// What is left of a connection of TCP that is over keeps nobody from making another (already_closed()).
bool ConnectionCounts::is_open(const Counted& counted, TimeNs now) {
  const Flow& flow = *counted.flow;
  const bool over = flow.tuples[0].protocol == kProtocolTcp && flow.tcp.is_over();
  return flow.number == counted.number && (flow.status & Flow::kDying) == 0 && flow.expires > now && !over;
}

uint32_t& ConnectionCounts::bucket_of(uint32_t list, uint32_t number) {
  const uint64_t both = uint64_t{list} << 32 | number;
  return buckets_[both * 0x9e3779b97f4a7c15 >> 48];
}

uint32_t ConnectionCounts::find(uint32_t list, const Flow& flow) {
  uint32_t index = bucket_of(list, flow.number);
  while (index != kNone && (counted_[index].list != list || counted_[index].number != flow.number))
    index = counted_[index].next_alike;
  return index;
}

bool ConnectionCounts::add(uint32_t list, const Flow& flow) {
  if (free_ == kNone) return false;
  const uint32_t index = free_;
  free_ = counted_[index].next_alike;
  List& into = lists_[list];
  uint32_t& bucket = bucket_of(list, flow.number);
  counted_[index] = {&flow, flow.number, list, bucket, kNone, into.first};
  bucket = index;
  if (into.first != kNone) counted_[into.first].previous = index;
  into.first = index;
  ++into.count;
  return true;
}

void ConnectionCounts::remove(uint32_t index) {
  Counted& counted = counted_[index];
  List& list = lists_[counted.list];
  uint32_t* link = &bucket_of(counted.list, counted.number);
  while (*link != index) link = &counted_[*link].next_alike;
  *link = counted.next_alike;
  (counted.previous != kNone ? counted_[counted.previous].next : list.first) = counted.next;
  if (counted.next != kNone) counted_[counted.next].previous = counted.previous;
  if (list.hand == index) list.hand = counted.next;
  --list.count;
  counted.flow = nullptr;
  counted.next_alike = free_;
  free_ = index;
}

void ConnectionCounts::sweep(uint32_t number, const Flow* except, TimeNs now) {
  List& list = lists_[number];
  if (list.swept != kNever && now - list.swept < kMillisecond) return;
  list.swept = now;
  const uint32_t most = list.count < kMostSwept ? list.count : kMostSwept;
  for (uint32_t i = 0; i < most; ++i) {
    if (list.hand == kNone) list.hand = list.first;
    const uint32_t index = list.hand;
    list.hand = counted_[index].next;
    if (counted_[index].flow != except && !is_open(counted_[index], now)) remove(index);
  }
}

// Of clients that never come again the flows stay counted until somebody needs their room.
void ConnectionCounts::sweep_all(const Flow* except, TimeNs now) {
  if (swept_ != kNever && now - swept_ < kMillisecond) return;
  swept_ = now;
  for (uint32_t i = 0; i < kMostSwept; ++i, hand_ = (hand_ + 1) % kMostCounted) {
    const Counted& counted = counted_[hand_];
    if (counted.flow != nullptr && counted.flow != except && !is_open(counted, now)) remove(hand_);
  }
}

bool ConnectionCounts::is_idle(uint32_t list, const Flow* except, TimeNs now) {
  for (uint32_t looked = 0; looked < kMostLooked; ++looked) {
    const uint32_t first = lists_[list].first;
    if (first == kNone) return true;
    if (counted_[first].flow == except || is_open(counted_[first], now)) return false;
    remove(first);
  }
  return lists_[list].first == kNone;
}

bool ConnectionCounts::exceeds(uint32_t number, const Flow* flow, uint32_t most, TimeNs now, bool& full) {
  List& list = lists_[number];
  uint32_t more = 1;  // that nobody keeps
  if (flow != nullptr) {
    more = 0;
    if (find(number, *flow) == kNone) {
      if (free_ == kNone) sweep_all(flow, now);
      full = !add(number, *flow);
      if (full) return false;
    }
  }
  if (list.count + more > most) sweep(number, flow, now);
  return list.count + more > most;
}

void ConnectionCounts::take_over(uint32_t list, const ConnectionCounts& other, uint32_t from, TimeNs now) {
  for (uint32_t i = other.lists_[from].first; i != kNone; i = other.counted_[i].next)
    if (is_open(other.counted_[i], now)) add(list, *other.counted_[i].flow);
}

}  // namespace skerry::filter
