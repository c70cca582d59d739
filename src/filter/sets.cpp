#include "filter/sets.hpp"

#include <algorithm>
#include <cstring>

namespace skerry::filter {

// The first field that lies outside of its range decides; the padding of a field is not looked at.
bool in_ranges(const Set& set, const Element& element, const uint8_t* key) {
  size_t at = 0;
  for (const uint8_t length : set.fields) {
    if (std::memcmp(key + at, &set.keys[element.key + at], length) < 0 ||
        std::memcmp(key + at, &set.keys[element.key_end + at], length) > 0)
      return false;
    at += (length + size_t{3}) & ~size_t{3};
  }
  return true;
}

const Element* find_element(const Set& set, const uint8_t* key) {
  const auto first = set.elements.begin();
  auto last = set.elements.end();
  const Element* otherwise = nullptr;
  if (set.shape == SetShape::concatenated_ranges) {
    for (const Element& element : set.elements) {  // the first that was added, as in the kernel
      if (element.catchall) {
        otherwise = &element;
      } else if (in_ranges(set, element, key)) {
        return &element;
      }
    }
    return otherwise;
  }
  if (first != last && (last - 1)->catchall) otherwise = &*--last;
  // The last element that does not lie behind the key; at one key an end comes before a start.
  const auto behind = std::upper_bound(first, last, key, [&](const uint8_t* wanted, const Element& element) {
    return std::memcmp(wanted, &set.keys[element.key], set.key_bytes) < 0;
  });
  if (behind == first) return otherwise;
  const Element& element = *(behind - 1);
  const bool found = set.shape == SetShape::interval
                         ? !element.interval_end
                         : std::memcmp(key, &set.keys[element.key], set.key_bytes) == 0;
  return found ? &element : otherwise;
}

}  // namespace skerry::filter
