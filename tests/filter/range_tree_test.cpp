// The tree against element after element: over sets and keys that are drawn from seeds, each finds the same.
#include "filter/range_tree.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "filter/sets.hpp"

namespace skerry::filter {
namespace {

// Keys lie close together, so that ranges overlap and ends are met.
class Draw {
 public:
  Draw(uint64_t seed, std::vector<uint8_t> fields) : random_(seed) {
    set.shape = SetShape::concatenated_ranges;
    set.fields = std::move(fields);
    for (const uint8_t length : set.fields)
      set.key_bytes = static_cast<uint8_t>(set.key_bytes + ((length + 3) & ~3));
  }

  std::vector<uint8_t> key() {
    std::vector<uint8_t> bytes;
    for (const uint8_t length : set.fields) {
      for (uint8_t i = 0; i < length; ++i)
        bytes.push_back(static_cast<uint8_t>(i + 1 == length || i == 0 ? random_.below(24) : 7));
      bytes.resize((bytes.size() + 3) & ~size_t{3}, static_cast<uint8_t>(random_.below(2)));
    }
    return bytes;
  }
  void add() {
    std::vector<uint8_t> low = key(), high = key();
    size_t at = 0;
    for (const uint8_t length : set.fields) {
      if (std::memcmp(&low[at], &high[at], length) > 0)
        std::swap_ranges(&low[at], &low[at] + length, &high[at]);
      at += (length + size_t{3}) & ~size_t{3};
    }
    Element element;
    element.key = static_cast<uint32_t>(set.keys.size());
    set.keys.insert(set.keys.end(), low.begin(), low.end());
    element.key_end = static_cast<uint32_t>(set.keys.size());
    set.keys.insert(set.keys.end(), high.begin(), high.end());
    set.elements.push_back(element);
  }
  // Of one address field and one that is as long: from low to high.
  void add(const std::array<uint32_t, 2>& from, const std::array<uint32_t, 2>& to) {
    Element element;
    element.key = put(from);
    element.key_end = put(to);
    set.elements.push_back(element);
  }
  void add_for_all_others() {
    Element element;
    element.catchall = true;
    set.elements.push_back(element);
  }
  bool one_in(uint32_t number) { return random_.below(number) == 0; }

  Set set;

 private:
  uint32_t put(const std::array<uint32_t, 2>& key) {
    const auto at = static_cast<uint32_t>(set.keys.size());
    for (const uint32_t field : key)
      for (int shift = 24; shift >= 0; shift -= 8) set.keys.push_back(static_cast<uint8_t>(field >> shift));
    return at;
  }

  Random random_;
};

TEST(RangeTree, FindsWhatLookingAtEachElementFinds) {
  const std::vector<std::vector<uint8_t>> shapes = {{4, 2}, {2, 4, 1}, {16, 2}, {4, 2, 4, 2, 1, 4}, {8, 16}};
  size_t found = 0, missed = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Draw draw(seed, shapes[seed % shapes.size()]);
    const bool has_others = draw.one_in(2);
    for (uint64_t i = 0; i < seed - 1; ++i) {
      draw.add();
      if (has_others && i == seed / 2) draw.add_for_all_others();
    }
    const RangeTree tree(draw.set);
    for (int i = 0; i < 500; ++i) {
      const std::vector<uint8_t> key = draw.key();
      const Element* expected = find_element(draw.set, key.data());
      const uint32_t element = tree.find(draw.set, key.data());
      if (element == kNone)
        ASSERT_TRUE(expected == nullptr || expected->catchall) << "seed " << seed << ", key " << i;
      else
        ASSERT_EQ(&draw.set.elements[element], expected) << "seed " << seed << ", key " << i;
      ++(expected != nullptr ? found : missed);
    }
  }
  EXPECT_GT(found, 1000U);
  EXPECT_GT(missed, 1000U);
}

// Elements of which no two lie over each other, though all do in the field in which they lie farthest apart.
TEST(RangeTree, PassesOverElementsThatAFieldTellsApart) {
  constexpr uint32_t kElements = 4096;
  for (const bool swapped : {false, true}) {
    Draw draw(1, {4, 4});
    const auto pair = [&](uint32_t wide, uint32_t narrow) {
      return swapped ? std::array{narrow, wide} : std::array{wide, narrow};
    };
    for (uint32_t i = 0; i < kElements; ++i)
      draw.add(pair((i * 2741 % kElements) << 18, 0x0a000000 + 2 * i), pair(UINT32_MAX, 0x0a000000 + 2 * i));
    const RangeTree tree(draw.set);
    for (uint32_t i = 0; i < kElements; ++i) {
      for (const uint32_t beside : {0U, 1U}) {
        Draw key(1, {4, 4});
        key.add(pair(UINT32_MAX - 1, 0x0a000000 + 2 * i + beside), {});
        size_t looked = 0;
        const uint32_t found = tree.find(draw.set, key.set.keys.data(), &looked);
        ASSERT_EQ(found, beside != 0 ? kNone : i);
        ASSERT_LE(looked, 2 * 12U + 1) << "boxes, of a tree of twelve levels";
      }
    }
  }
}

TEST(RangeTree, OfNothingFindsNothing) {
  Draw draw(1, {4, 2});
  EXPECT_EQ(RangeTree(draw.set).find(draw.set, draw.key().data()), kNone);
  draw.add_for_all_others();
  EXPECT_EQ(RangeTree(draw.set).find(draw.set, draw.key().data()), kNone) << "it is in no box";
}

// One after the other, each behind the last: what makes a tree without turns a list.
TEST(RangeTree, StaysFlatAndPassesOverElementsHoweverTheyCome) {
  constexpr uint32_t kElements = 4096;
  Draw draw(1, {4, 4});
  RangeTree tree(draw.set);
  for (uint32_t i = 0; i < kElements; ++i) {
    const uint32_t port = i * 2741 % 60000;
    draw.add({0x0a000000 + 16 * i, port}, {0x0a000000 + 16 * i + 7, port + 1});
    tree.add(draw.set, i);
  }
  EXPECT_LE(tree.height(), 18U) << "1.44 times twelve";
  size_t all = 0;
  for (uint32_t i = 0; i < kElements; ++i) {
    Draw key(1, {4, 4});
    key.add({0x0a000000 + 16 * i + 3, i * 2741 % 60000 + 1}, {});
    size_t looked = 0;
    ASSERT_EQ(tree.find(draw.set, key.set.keys.data(), &looked), i);
    all += looked;
  }
  EXPECT_LE(all / kElements, 60U) << "boxes on average";
  for (uint32_t i = 0; i < kElements; ++i)
    if (i % 64 != 0) tree.remove(i);
  EXPECT_LE(tree.height(), 9U);
}

}  // namespace
}  // namespace skerry::filter
