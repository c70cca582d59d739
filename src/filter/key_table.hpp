// The elements of a set without ranges, by their keys: open addressing, a power of two of places of which at
// most half are taken.
//
// Read first: sets.hpp, whose find_element() gives the same answer. Lemire and Kaser, "Strongly universal
// string hashing is fast" (2014), for the hash: who does not know the secret cannot choose keys that meet.
// Invariant: from the place that its tag names on, up to an element, no place is free.
#pragma once

#include <array>
#include <vector>

#include "base/pause.hpp"
#include "base/siphash.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class KeyTable {
 public:
  KeyTable(uint8_t key_bytes, const SipKey& secret);

  void reserve(size_t elements, const Pause& pause);
  // An element of the set that is not in the table, nor another of its key. Now and then all are moved.
  void add(const Set& set, uint32_t element);
  void remove(const Set& set, uint32_t element);
  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause) { pause.clear(places_); }
  // kNone if there is none.
  uint32_t find(const Set& set, const uint8_t* key) const;

 private:
  static constexpr size_t kFewest = 8;  // places
  struct Place {
    uint32_t tag = 0, element = kNone;
  };

  uint32_t tag_of(const uint8_t* key) const;
  size_t next(size_t place) const { return (place + 1) & (places_.size() - 1); }
  size_t first(uint32_t tag) const { return tag & (places_.size() - 1); }
  void put(Place place);

  size_t key_bytes_;
  std::array<uint64_t, 17> factors_;  // one more than a key has words
  std::vector<Place> places_;
  size_t taken_ = 0;
};

}  // namespace skerry::filter
