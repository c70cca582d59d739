// The elements of a set that changes while packets pass: rules add, renew and remove them, and their time
// runs out.
//
// Invariant: nothing is allocated after the constructor but to take_over(). A full set takes no new element;
// before it says so it looks at a bounded number of old ones for some whose time is over, so no packet makes
// it look at all of them.
#pragma once

#include <algorithm>

#include "base/pause.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class DynamicSet {
 public:
  // `first_stateful`: each element has `set.element_expressions.size()` places in Ruleset::stateful, one
  // element after the other. What the text gave is in it from `now` on.
  DynamicSet(const Set& set, const SipKey& secret, uint32_t first_stateful, TimeNs now,
             const Pause& pause = {});

  // Null if there is none, or none whose time is not over.
  Element* find(const uint8_t* key, TimeNs now);
  // Who has put an element in.
  enum class Giver : uint8_t { rule, control, text };
  // A key that find() does not find. Null if the set is full. kNoTimeout: for ever.
  Element* add(const uint8_t* key, TimeNs now, DurationNs timeout, Giver giver = Giver::rule);
  // Takes out those of a bounded number of elements that a rule has put in and that nobody needs any more.
  template <class IsIdle>
  void release_idle(IsIdle is_idle) {
    for (unsigned i = 0; i < kLookedAt && i < elements_.size(); ++i) {
      idle_hand_ = idle_hand_ + 1 < elements_.size() ? idle_hand_ + 1 : 0;
      if (used_[idle_hand_] && givers_[idle_hand_] == Giver::rule && is_idle(elements_[idle_hand_]))
        release(idle_hand_);
    }
  }
  // From `now` on for this time, 0: for what it was given. An element that stays for ever does so.
  void renew(const Element& element, TimeNs now, DurationNs timeout);
  // The element that was there, for what it counted; null: there was none.
  const Element* remove(const uint8_t* key, TimeNs now);
  // Whatever it was given before: `left` of this time from `now` on; 0: all of it.
  void give_time(const Element& element, TimeNs now, DurationNs timeout, DurationNs left);
  // Free places; fewer than `wanted` only if all whose time is over have been taken out, for which every
  // place is looked at.
  size_t make_room(size_t wanted, TimeNs now);

  // --- The elements that rules put into another set whose keys are as long, with what is left of their
  // times; one that is here already, or that finds no room, is left out. What the other's text gave is not
  // taken: the text of this set says what is given. The other goes on changing meanwhile:
  //
  //   TakenOver taken = old.begin_taking();   what of it changes is noted from now on
  //   take_over(old, taken, …);               with pauses, as long as much has changed
  //
  // Ends with what was noted until then taken without a pause. `now` is the same all the time. Calls
  // copied(here, there) for each element, of some more than once: then left(here, there) comes between, and
  // behind the last time if the other has it no more.
  using TakenOver = std::vector<uint32_t>;  // by slot of the other: the slot here; kNone: it was not taken
  TakenOver begin_taking(const Pause& pause);
  size_t changed() const { return changed_.size(); }
  template <class Copied, class Left>
  void take_over(DynamicSet& other, TakenOver& taken, TimeNs now, Copied copied, Left left,
                 const Pause& pause = {}) {
    std::vector<uint32_t> changed;
    changed.swap(other.changed_);
    other.changed_.reserve(other.elements_.size());
    // All at once: a slot that gets the key of another in a pause is noted again as that one is.
    std::fill(other.noted_.begin(), other.noted_.end(), uint8_t{0});
    for (const uint32_t slot : changed) {  // before any comes: its key may have another slot now
      if (taken[slot] != kNone) {
        left(elements_[taken[slot]], other.elements_[slot]);
        release(taken[slot]);
      }
      taken[slot] = kNone;
      pause();
    }
    for (const uint32_t slot : changed) {
      pause();
      const uint8_t* key = &other.keys_[other.elements_[slot].key];
      // One that changes while this pauses is noted again.
      if (other.noted_[slot] || !other.used_[slot] || other.givers_[slot] == Giver::text ||
          other.expires_[slot] <= now || find(key, now) != nullptr)
        continue;
      Element* here = add(key, now, other.timeouts_[slot], other.givers_[slot]);
      if (here == nullptr) continue;
      const Element& there = other.elements_[slot];
      taken[slot] = static_cast<uint32_t>(here - elements_.data());
      expires_[taken[slot]] = other.expires_[slot];
      here->data = there.data;
      here->counts = there.counts;
      copied(*here, there);
    }
  }

  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause);

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
  static constexpr unsigned kLookedAt = 32;  // elements, by one that finds the set full

  uint32_t& bucket_of(const uint8_t* key);
  void release(uint32_t slot);
  void release_at(uint32_t& link);
  void reclaim(TimeNs now);
  // The slot changes, or what belongs to it.
  void note(uint32_t slot) {
    if (noted_.empty() || noted_[slot]) return;
    noted_[slot] = 1;
    changed_.push_back(slot);
  }

  uint8_t key_bytes_;
  SipKey secret_;
  std::vector<uint8_t> keys_;
  std::vector<Element> elements_;
  std::vector<TimeNs> expires_;       // kNever: for ever
  std::vector<DurationNs> timeouts_;  // that it was given
  std::vector<uint8_t> used_;
  std::vector<Giver> givers_;
  std::vector<uint32_t> next_;     // in its bucket, or in the list of free ones
  std::vector<uint32_t> buckets_;  // first of each; a power of two
  uint32_t free_ = kNone;
  uint32_t frees_ = 0;                 // in that list
  uint32_t hand_ = 0, idle_hand_ = 0;  // where reclaim() and release_idle() go on
  // While another takes over: slots that have changed, and by slot whether it is among them.
  std::vector<uint32_t> changed_;
  std::vector<uint8_t> noted_;
};

}  // namespace skerry::filter
