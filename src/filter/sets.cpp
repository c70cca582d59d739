#include "filter/sets.hpp"

#include <cstring>

namespace skerry::filter {

// The first field that lies outside of its range decides; the padding of a field is not looked at.
bool share_keys(const Set& set, const Element& element, const uint8_t* low, const uint8_t* high) {
  const uint8_t* const first = &set.keys[element.key];
  const uint8_t* const last = &set.keys[element.key_end];
  if (set.shape != SetShape::concatenated_ranges)
    return std::memcmp(high, first, set.key_bytes) >= 0 && std::memcmp(low, last, set.key_bytes) <= 0;
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (std::memcmp(high + at, first + at, length) < 0 || std::memcmp(low + at, last + at, length) > 0)
      return false;
    at += (length + size_t{3}) & ~size_t{3};
  }
  return true;
}

bool in_ranges(const Set& set, const Element& element, const uint8_t* key) {
  return share_keys(set, element, key, key);
}

const Element* find_element(const Set& set, const uint8_t* key) {
  const Element* otherwise = nullptr;
  for (const Element& element : set.elements) {  // the first that was added, as in the kernel
    if (element.gone) continue;
    if (element.catchall) {
      otherwise = &element;
    } else if (in_ranges(set, element, key)) {
      return &element;
    }
  }
  return otherwise;
}

}  // namespace skerry::filter
