// Elements that the control side puts into a set or takes out of it, between two packets: of sets that rules
// only ask.
//
// Read first: ruleset.hpp, "Set"; set_index.hpp. An element that has come is in the index too, one that has
// gone is not.
#pragma once

#include <functional>

#include "filter/ruleset.hpp"
#include "filter/set_index.hpp"

namespace skerry::filter {

struct GivenElement {
  std::vector<uint8_t> key;   // as long as the set's; empty: the element for all other keys
  std::vector<uint8_t> last;  // of a range; empty: `key` alone
  uint64_t timeout_ns = 0;    // 0: the set's; of an element that is there: it goes on as it is
  uint64_t expires_ns = 0;    // how much of that is left; 0: all
  Value data;                 // of a map to values
  Verdict verdict;            // of a verdict map
  uint32_t stateful = kNone;  // of a map to objects

  // What its range ends with, which may be itself.
  const std::vector<uint8_t>& end() const { return last.empty() ? key : last; }
};

enum class Change {
  add,
  remove,
  prolong,  // as add, but of elements that are there none ends sooner for it
};

// The element of just these keys; kNone if there is none.
uint32_t find_given(const Set& set, const SetIndex& index, const GivenElement& given);
// It maps to what is given.
bool same_target(const Element& element, const GivenElement& given);
// Another element has a key of these.
bool overlaps(const Set& set, const SetIndex& index, const GivenElement& given);

// `given` fits the set's declaration, and overlaps nothing. Returns the element.
uint32_t put_in(Set& set, SetIndex& index, const GivenElement& given, const OwnCounters& counters);
// What it counted by goes to Set::spare_counters.
void take_out(Set& set, SetIndex& index, uint32_t element);

// The elements of a set that rules only ask, whole, from number `first` on, as long as visit() returns true.
void for_each_element(const Set& set, const std::function<bool(const GivenElement&, const Element&)>& visit,
                      size_t first = 0);

}  // namespace skerry::filter
