// Which element of a set a key belongs to.
#pragma once

#include "filter/ruleset.hpp"

namespace skerry::filter {

// `key` has set.key_bytes. Null if no element has it, not even the one for all others. Looks at one after the
// other: the measure for set_index.hpp.
const Element* find_element(const Set& set, const uint8_t* key);

// The key lies in the range of the element, of a concatenation in that of each field.
bool in_ranges(const Set& set, const Element& element, const uint8_t* key);
// So does one of those from `low` to `high`.
bool share_keys(const Set& set, const Element& element, const uint8_t* low, const uint8_t* high);

}  // namespace skerry::filter
