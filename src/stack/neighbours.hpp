// The neighbour cache: IPv4 address to MAC address, and the frames that wait for one. Read first: RFC 1122
// section 2.3.2 (stale entries must go, floods must not happen, the last packets should wait).
//
// An entry is born `incomplete` when somebody wants to send, or `reachable` when the neighbour asks for us.
// What has not been confirmed for 30 s and is used again becomes `probing`: it goes on being used while the
// neighbour is asked directly. Both ask once a second, three times; then the entry goes. So nobody is asked
// more than once a second, and a neighbour that came back with another MAC is found within four.
//
// Invariant: an entry has a MAC unless it is incomplete, and only incomplete entries have frames waiting for
// long: the owner takes them with next_ready() or take_held() in the same breath in which the state changes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "link/frame.hpp"
#include "wire/address.hpp"

namespace skerry::stack {

class Neighbours {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kQuestions = 3;
  static constexpr DurationNs kQuestionInterval = kSecond;
  static constexpr DurationNs kReachableTime = 30 * kSecond;
  static constexpr DurationNs kUnusedTime = 60 * kSecond;  // from then on a stranger may push an entry out
  static constexpr uint32_t kHeldFrames = 256;             // waiting in all
  static constexpr uint32_t kHeldPerNeighbour = 128;       // a program's first burst

  // `seed` keeps strangers from choosing addresses that share a hash chain.
  Neighbours(uint32_t capacity, uint64_t seed);

  uint32_t find(Ipv4Address address) const;  // kNone if absent

  // The entry for sending to `address`, made and its first question due at once if there is none. kNone: the
  // table is full of entries with a question under way.
  uint32_t resolve(TimeNs now, Ipv4Address address);

  // Whom the entry is about: what a holder of an index compares before use, since entries go and come. 0:
  // free.
  Ipv4Address address(uint32_t index) const { return entries_[index].address; }

  // The MAC to send to; null if the entry is incomplete. Starts probing when the last confirmation is too
  // old. For every packet: two compares on the way.
  const MacAddress* use(TimeNs now, uint32_t index) {
    Entry& entry = entries_[index];
    entry.used_at = now;
    if (entry.state == State::reachable && now - entry.confirmed_at > kReachableTime) [[unlikely]]
      ask_from(now, entry, State::probing);
    return entry.state == State::incomplete ? nullptr : &entry.mac;
  }

  // A packet came from this MAC: if it is the entry's, the neighbour lives.
  void confirm(TimeNs now, uint32_t index, const MacAddress& mac) {
    Entry& entry = entries_[index];
    if (entry.mac == mac && entry.state >= State::probing) set_reachable(now, entry);
  }

  // The link was away for a while: neighbours may have changed places. Those in use go on being used, and all
  // the world is asked for them, because one with another MAC would not hear a question to the old one.
  void doubt(TimeNs now);

  // What ARP said. Without `create` only an existing entry changes (RFC 826 "merge"). False: not taken.
  bool learn(TimeNs now, Ipv4Address address, const MacAddress& mac, bool create);

  // Lets the frame wait for the entry, which is incomplete. False: too many wait, the frame stays the
  // caller's. The first ones stay, because a lost SYN costs its connection a second.
  // `mark` is kept with it.
  bool hold(uint32_t index, const Frame& frame, uint32_t mark = 0);

  struct Ready {
    Frame frame;
    MacAddress mac;
    uint32_t mark = 0;
  };
  // A waiting frame whose neighbour is known by now.
  std::optional<Ready> next_ready();

  struct Question {
    Ipv4Address address = 0;
    MacAddress to;  // broadcast, or the neighbour when probing
  };
  // The next question to send. False: none is due.
  bool next_question(TimeNs now, Question& question);
  // An entry whose questions went unanswered. Take its frames with take_held, then forget it.
  std::optional<uint32_t> next_failed(TimeNs now);
  std::optional<Frame> take_held(uint32_t index);
  void forget(uint32_t index);

  TimeNs deadline() const { return deadline_; }  // when a question or a failure is due
  uint32_t held() const { return held_count_; }
  uint32_t size() const { return size_; }

 private:
  // In this order: from probing on there is a MAC.
  enum class State : uint8_t { free, incomplete, probing, reachable };

  struct Entry {
    Ipv4Address address = 0;
    State state = State::free;
    uint8_t questions = 0;  // asked in this round
    bool asks_all = false;  // probing, and not only him
    MacAddress mac;
    uint32_t next = kNone;   // in the hash chain or the free list
    TimeNs ask_at = kNever;  // next question, or giving up
    TimeNs confirmed_at = 0;
    TimeNs used_at = 0;
  };
  struct Held {
    Frame frame;
    uint32_t index = kNone;
    uint32_t mark = 0;
  };

  size_t bucket_of(Ipv4Address address) const {
    return ((address * multiplier_) >> 32) & (buckets_.size() - 1);
  }
  void set_reachable(TimeNs now, Entry& entry) {
    entry.confirmed_at = now;
    entry.state = State::reachable;
    entry.ask_at = kNever;
  }
  void ask_from(TimeNs now, Entry& entry, State state);
  uint32_t make(TimeNs now, Ipv4Address address, bool may_push_out_used);
  bool waits_for(uint32_t index) const;
  Held remove_held(uint32_t place);
  void recompute_deadline();

  std::vector<Entry> entries_;
  std::vector<uint32_t> buckets_;
  uint64_t multiplier_;
  uint32_t free_ = 0;
  uint32_t size_ = 0;
  std::array<Held, kHeldFrames> held_;  // oldest first
  uint32_t held_count_ = 0;
  TimeNs deadline_ = kNever;  // at or before the earliest ask_at
};

}  // namespace skerry::stack
