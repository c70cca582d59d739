#include "filter/range_overlaps.hpp"

#include <cerrno>
#include <cstring>

#include "filter/range_tree.hpp"

namespace skerry::filter {

namespace {

constexpr size_t kMostLooks = 50'000'000;  // at boxes of elements: less than a second

bool same_target(const Element& a, const Element& b) {
  return a.data.length == b.data.length && a.data.bytes == b.data.bytes && a.stateful == b.stateful &&
         a.verdict.code == b.verdict.code && a.verdict.chain == b.verdict.chain;
}

std::optional<Refusal> look_through(const Set& set, size_t& looks) {
  const auto refuse = [&](int error, std::string sentence) {
    return Refusal{set.origin.sequence, set.origin.attribute, error, std::move(sentence)};
  };
  const std::string name = set.anonymous ? "of a set without a name" : "of set " + set.name;
  const RangeTree tree(set);
  const auto same_key = [&](uint32_t a, uint32_t b) {
    return std::memcmp(&set.keys[a], &set.keys[b], set.key_bytes) == 0;
  };
  for (uint32_t index = 0; index < set.elements.size(); ++index) {
    const Element& element = set.elements[index];
    if (element.catchall) continue;
    for (const uint32_t key : {element.key, element.key_end}) {
      size_t looked = 0;
      const uint32_t there = tree.find(set, &set.keys[key], &looked);
      looks += looked;
      if (looks > kMostLooks) return refuse(E2BIG, "elements " + name + " lie over each other too often");
      if (there == index || there == kNone) continue;  // none: a range that ends before it begins
      const Element& first = set.elements[there];
      const bool same = same_key(first.key, element.key) && same_key(first.key_end, element.key_end);
      if (same && same_target(first, element)) break;
      const auto number = [](uint32_t each) { return std::to_string(each + size_t{1}); };
      return refuse(EEXIST, "elements " + number(there) + " and " + number(index) + " " + name +
                                (same ? " are the same, and map to different things" : " overlap"));
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> find_range_overlaps(const Ruleset& ruleset) {
  size_t looks = 0;
  for (const Set& set : ruleset.sets) {
    if (set.shape != SetShape::concatenated_ranges || set.elements.size() < 2) continue;
    if (auto refusal = look_through(set, looks)) return refusal;
  }
  return std::nullopt;
}

}  // namespace skerry::filter
