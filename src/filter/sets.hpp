// Which element of a set a key belongs to.
#pragma once

#include "filter/ruleset.hpp"

namespace skerry::filter {

// `key` has set.key_bytes. Null if no element has it, not even the one for all others.
const Element* find_element(const Set& set, const uint8_t* key);

// Of a set of concatenated ranges: each field of the key lies in that of the element.
bool in_ranges(const Set& set, const Element& element, const uint8_t* key);

}  // namespace skerry::filter
