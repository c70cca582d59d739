// Elements that the control side puts into a set or takes out of it, between two packets: of sets that rules
// only ask. What such a set is made of stays as sets.cpp searches it.
//
// Read first: ruleset.hpp, "Set".
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "filter/load.hpp"
#include "filter/ruleset.hpp"

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

enum class Change { add, remove };

enum class Conflict { refuses, is_left_out };

// `given` have been checked against the set's declaration. One that is there already, and is the same, is no
// error; `counters` is called for each that is new. After an error the set is as it was: EEXIST, one
// contradicts another; ENFILE, the set is full.
std::optional<Refusal> add_elements(Set& set, std::span<const GivenElement> given,
                                    const std::function<std::vector<uint32_t>()>& counters,
                                    Conflict conflict = Conflict::refuses);
// ENOENT, and the set is as it was, if one is not there just like that. What they counted by goes to
// Set::spare_counters.
std::optional<Refusal> remove_elements(Set& set, std::span<const GivenElement> given);

// Each element of a set that rules only ask, whole.
void for_each_element(const Set& set, const std::function<void(const GivenElement&, const Element&)>& visit);

}  // namespace skerry::filter
