// The elements of a set that changes while packets pass: rules add, renew and remove them, and their time
// runs out.
//
// Invariant: nothing is allocated after the constructor. A full set takes no new element; before it says so
// it looks at a bounded number of old ones for some whose time is over, so no packet makes it look at all of
// them.
#pragma once

#include "base/siphash.hpp"
#include "base/time.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class DynamicSet {
 public:
  // `first_stateful`: each element has `set.element_expressions.size()` places in Ruleset::stateful, one
  // element after the other. What the text gave is in it from `now` on.
  DynamicSet(const Set& set, const SipKey& secret, uint32_t first_stateful, TimeNs now);

  // Null if there is none, or none whose time is not over.
  Element* find(const uint8_t* key, TimeNs now);
  // A key that find() does not find. Null if the set is full. kNoTimeout: for ever.
  Element* add(const uint8_t* key, TimeNs now, DurationNs timeout);
  // From `now` on again; 0: as long as it was given. An element that stays for ever does so.
  void renew(const Element& element, TimeNs now, DurationNs timeout);
  void remove(const uint8_t* key, TimeNs now);
  // Whatever it was given before: `left` of this time from `now` on; 0: all of it.
  void give_time(const Element& element, TimeNs now, DurationNs timeout, DurationNs left);
  // Takes out all whose time is over: looks at every place. Returns how many are free.
  size_t make_room(TimeNs now);

  // The elements that rules put into another set whose keys are as long, with what is left of their times;
  // one that is here already, or that finds no room, is left out. What the other's text gave is not taken:
  // the text of this set says what is given. Calls copied(here, there) for each.
  template <class Copied>
  void take_over(const DynamicSet& other, TimeNs now, Copied copied) {
    other.for_each(now, [&](const uint8_t* key, const Element& there) {
      const auto slot = static_cast<size_t>(&there - other.elements_.data());
      if (other.given_[slot] || find(key, now) != nullptr) return;
      Element* here = add(key, now, other.timeouts_[slot]);
      if (here == nullptr) return;
      expires_[static_cast<size_t>(here - elements_.data())] = other.expires_[slot];
      here->data = there.data;
      here->counts = there.counts;
      copied(*here, there);
    });
  }

  static constexpr DurationNs kNoTimeout = 0;

  // Of an element of this set: until when it is there, kNever: for ever; and the time that it was given.
  TimeNs expires(const Element& element) const {
    return expires_[static_cast<size_t>(&element - elements_.data())];
  }
  DurationNs timeout(const Element& element) const {
    return timeouts_[static_cast<size_t>(&element - elements_.data())];
  }

  // Calls visit(key, element) for each that is there at `now`.
  template <class Visit>
  void for_each(TimeNs now, Visit visit) const {
    for (const Element& element : elements_) {
      const size_t slot = static_cast<size_t>(&element - elements_.data());
      if (used_[slot] && expires_[slot] > now) visit(&keys_[element.key], element);
    }
  }

 private:
  uint32_t& bucket_of(const uint8_t* key);
  void release(uint32_t slot);
  void release_at(uint32_t& link);
  void reclaim(TimeNs now);

  uint8_t key_bytes_;
  SipKey secret_;
  std::vector<uint8_t> keys_;
  std::vector<Element> elements_;
  std::vector<TimeNs> expires_;       // kNever: for ever
  std::vector<DurationNs> timeouts_;  // that it was given
  std::vector<uint8_t> used_;
  std::vector<uint8_t> given_;     // by the text
  std::vector<uint32_t> next_;     // in its bucket, or in the list of free ones
  std::vector<uint32_t> buckets_;  // first of each; a power of two
  uint32_t free_ = kNone;
  uint32_t hand_ = 0;  // where reclaim() goes on
};

}  // namespace skerry::filter
