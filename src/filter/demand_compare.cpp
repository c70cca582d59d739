// What demands say of each other: whether a rule's can be met at all, and whether one is met wherever another
// is.
#include <algorithm>
#include <utility>

#include "filter/demand.hpp"

namespace skerry::filter {

using Number = KeyRanges::Number;

std::optional<KeyRanges> Demand::says_of(const Field& field) const {
  std::optional<KeyRanges> said;
  const auto learn = [&](KeyRanges values) { said = said ? said->both(values) : std::move(values); };
  for (const Test& test : tests) {
    if (test.field == field) {
      learn(test.values);
      continue;
    }
    if (test.field.kind != Field::Kind::payload || field.kind != Field::Kind::payload ||
        test.field.base != field.base || test.field.mask != 0 || test.field.place > field.place ||
        test.field.place + test.field.bytes < field.place + field.bytes)
      continue;
    KeyRanges part = test.values.part(field.place - test.field.place, field.bytes);
    if (field.mask == 0) {
      learn(std::move(part));
    } else if (const Number* only = part.only()) {
      const Number value = (*only & field.mask) ^ field.flip;
      learn(KeyRanges::between(field.bytes, value, value));
    } else {
      learn(KeyRanges::all(field.bytes));
    }
  }
  return said;
}

bool Demand::contradicts_itself() const {
  return std::any_of(tests.begin(), tests.end(), [&](const Test& test) {
    const std::optional<KeyRanges> said = says_of(test.field);
    return said && said->empty();
  });
}

bool Demand::implies(const Demand& wider) const {
  return std::all_of(wider.tests.begin(), wider.tests.end(), [&](const Test& test) {
    const std::optional<KeyRanges> said = says_of(test.field);
    return said && said->is_within(test.values);
  });
}

}  // namespace skerry::filter
