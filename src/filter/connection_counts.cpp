#include "filter/connection_counts.hpp"

#include "filter/protocols.hpp"

namespace skerry::filter {

void ConnectionCounts::make_room(size_t lists, const Pause& pause) {
  if (lists > places_.size()) pause.resize(places_, lists);
  if (memory_ != nullptr) return;
  auto memory = std::make_shared<Memory>();
  pause.resize(memory->counted, kMostCounted);
  pause.resize(memory->buckets, kMostCounted, kNone);
  pause.resize(memory->lists, kMostCounted);  // each has a flow at least
  for (uint32_t i = kMostCounted; i-- > 0; pause()) {
    memory->counted[i].next_alike = memory->free_counted;
    memory->lists[i].first = memory->free_lists;
    memory->free_counted = memory->free_lists = i;
  }
  owner_ = ++memory->owners;
  memory_ = std::move(memory);
}

void ConnectionCounts::take_apart(const Pause& pause) {
  for (uint32_t list = 0; list < places_.size(); ++list, pause()) drop(list);
  pause.clear(places_);
  if (memory_.use_count() == 1) {
    pause.clear(memory_->counted);
    pause.clear(memory_->buckets);
    pause.clear(memory_->lists);
  }
  memory_.reset();
}

uint32_t ConnectionCounts::place_of(uint32_t list) const {
  const Place& place = places_[list];
  return place.at != kNone && memory_->lists[place.at].times == place.times ? place.at : kNone;
}

uint32_t ConnectionCounts::count(uint32_t list) const {
  const uint32_t place = place_of(list);
  return place == kNone ? 0 : memory_->lists[place].count;
}

void ConnectionCounts::drop(uint32_t list) {
  const uint32_t place = place_of(list);
  if (place == kNone) return;
  List& dropped = memory_->lists[place];
  if (dropped.owner == owner_ && dropped.number == list) dropped.owner = kNobody;
}

void ConnectionCounts::begin(uint32_t list) {
  make_room(places_.size(), Pause());
  if (list >= places_.size()) places_.resize(list + size_t{1});
  drop(list);
  places_[list] = {};
}

// What is left of a connection of TCP that is over keeps nobody from making another (already_closed()).
bool ConnectionCounts::is_open(const Counted& counted, TimeNs now) const {
  const Flow& flow = *counted.flow;
  const bool over = flow.tuples[0].protocol == kProtocolTcp && flow.tcp.is_over();
  return flow.number == counted.number && (flow.status & Flow::kDying) == 0 && flow.expires > now && !over &&
         memory_->lists[counted.list].owner != kNobody;
}

uint32_t& ConnectionCounts::bucket_of(uint32_t place, uint32_t number) {
  const uint64_t both = uint64_t{place} << 32 | number;
  return memory_->buckets[both * 0x9e3779b97f4a7c15 >> 48];
}

uint32_t ConnectionCounts::find(uint32_t place, const Flow& flow) {
  const std::vector<Counted>& counted = memory_->counted;
  uint32_t index = bucket_of(place, flow.number);
  while (index != kNone && (counted[index].list != place || counted[index].number != flow.number))
    index = counted[index].next_alike;
  return index;
}

bool ConnectionCounts::add(uint32_t list, const Flow& flow) {
  Memory& all = *memory_;
  if (all.free_counted == kNone) return false;
  const uint32_t index = all.free_counted;
  all.free_counted = all.counted[index].next_alike;
  uint32_t place = place_of(list);
  if (place == kNone) {
    place = all.free_lists;
    List& fresh = all.lists[place];
    all.free_lists = fresh.first;
    fresh = {.owner = owner_, .number = list, .times = fresh.times};
    places_[list] = {place, fresh.times};
  }
  List& into = all.lists[place];
  uint32_t& bucket = bucket_of(place, flow.number);
  all.counted[index] = {&flow, flow.number, place, bucket, kNone, into.first};
  bucket = index;
  if (into.first != kNone) all.counted[into.first].previous = index;
  into.first = index;
  ++into.count;
  return true;
}

void ConnectionCounts::remove(uint32_t index) {
  Memory& all = *memory_;
  Counted& counted = all.counted[index];
  List& list = all.lists[counted.list];
  uint32_t* link = &bucket_of(counted.list, counted.number);
  while (*link != index) link = &all.counted[*link].next_alike;
  *link = counted.next_alike;
  (counted.previous != kNone ? all.counted[counted.previous].next : list.first) = counted.next;
  if (counted.next != kNone) all.counted[counted.next].previous = counted.previous;
  if (list.hand == index) list.hand = counted.next;
  counted.flow = nullptr;
  counted.next_alike = all.free_counted;
  all.free_counted = index;
  if (--list.count > 0) return;
  ++list.times;
  list.first = all.free_lists;
  all.free_lists = counted.list;
}

void ConnectionCounts::sweep(uint32_t number, const Flow* except, TimeNs now) {
  const uint32_t place = place_of(number);
  if (place == kNone) return;
  List& list = memory_->lists[place];
  if (list.swept != kNever && now - list.swept < kMillisecond) return;
  list.swept = now;
  const uint32_t most = list.count < kMostSwept ? list.count : kMostSwept;
  for (uint32_t i = 0; i < most; ++i) {
    if (list.hand == kNone) list.hand = list.first;
    const uint32_t index = list.hand;
    const Counted& counted = memory_->counted[index];
    list.hand = counted.next;
    if (counted.flow != except && !is_open(counted, now)) remove(index);
  }
}

// Of clients that never come again the flows stay counted until somebody needs their room.
void ConnectionCounts::sweep_all(const Flow* except, TimeNs now) {
  Memory& all = *memory_;
  if (all.swept != kNever && now - all.swept < kMillisecond) return;
  all.swept = now;
  for (uint32_t i = 0; i < kMostSwept; ++i, all.hand = (all.hand + 1) % kMostCounted) {
    const Counted& counted = all.counted[all.hand];
    if (counted.flow != nullptr && counted.flow != except && !is_open(counted, now)) remove(all.hand);
  }
}

bool ConnectionCounts::is_idle(uint32_t list, const Flow* except, TimeNs now) {
  for (uint32_t looked = 0; looked < kMostLooked; ++looked) {
    const uint32_t place = place_of(list);
    if (place == kNone) return true;
    const uint32_t first = memory_->lists[place].first;
    if (memory_->counted[first].flow == except || is_open(memory_->counted[first], now)) return false;
    remove(first);
  }
  return place_of(list) == kNone;
}

bool ConnectionCounts::exceeds(uint32_t list, const Flow* flow, uint32_t most, TimeNs now, bool& full) {
  uint32_t more = 1;  // that nobody keeps
  if (flow != nullptr) {
    more = 0;
    const uint32_t place = place_of(list);
    if (place == kNone || find(place, *flow) == kNone) {
      if (memory_->free_counted == kNone) sweep_all(flow, now);
      full = !add(list, *flow);
      if (full) return false;
    }
  }
  if (count(list) + more > most) sweep(list, flow, now);
  return count(list) + more > most;
}

void ConnectionCounts::join(const ConnectionCounts& other, const Pause& pause) {
  if (memory_ == nullptr || other.memory_ == nullptr) return;
  pause.clear(memory_->counted);
  pause.clear(memory_->buckets);
  pause.clear(memory_->lists);
  memory_ = other.memory_;
  owner_ = ++memory_->owners;
}

void ConnectionCounts::take_over(uint32_t list, const ConnectionCounts& other, uint32_t from) {
  places_[list] = other.places_[from];
  if (const uint32_t place = place_of(list); place != kNone) {
    memory_->lists[place].owner = owner_;
    memory_->lists[place].number = list;
  }
}

void ConnectionCounts::give_back(uint32_t list, ConnectionCounts& other, uint32_t to) {
  const uint32_t place = place_of(list);
  if (place != kNone && other.place_of(to) == place) {
    memory_->lists[place].owner = other.owner_;
    memory_->lists[place].number = to;
  } else {
    drop(list);
  }
  places_[list] = {};
}

}  // namespace skerry::filter
