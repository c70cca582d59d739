// What finds elements, of each shape of set, against a look at one after the other, while elements come and
// go.
#include "filter/set_index.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/random.hpp"
#include "filter/set_change.hpp"
#include "filter/sets.hpp"

namespace skerry::filter {
namespace {

struct Kind {
  SetShape shape;
  std::vector<uint8_t> fields;
};

Set set_of(const Kind& kind) {
  Set set;
  set.shape = kind.shape;
  for (const uint8_t length : kind.fields)
    set.key_bytes =
        static_cast<uint8_t>(set.key_bytes + (kind.fields.size() == 1 ? length : (length + 3) & ~3));
  if (kind.fields.size() > 1) set.fields = kind.fields;
  return set;
}

// Keys lie close together, so that they meet; some differ in their last bytes alone.
std::vector<uint8_t> draw_key(const Set& set, Random& random, uint32_t apart) {
  std::vector<uint8_t> key(set.key_bytes);
  const std::vector<uint8_t> whole{set.key_bytes};
  size_t at = 0;
  for (const uint8_t length : set.fields.empty() ? whole : set.fields) {
    key[at + length - 1] = static_cast<uint8_t>(random.below(apart));
    if (length > 1) key[at + length - 2] = static_cast<uint8_t>(random.below(3));
    if (random.chance(.1)) key[at] = 255;
    at += (length + size_t{3}) & ~size_t{3};
  }
  return key;
}

GivenElement draw(const Set& set, Random& random, uint32_t apart) {
  GivenElement given;
  given.key = draw_key(set, random, apart);
  if (set.shape == SetShape::exact) return given;
  given.last = draw_key(set, random, apart);
  const std::vector<uint8_t> whole{set.key_bytes};
  size_t at = 0;
  for (const uint8_t length : set.fields.empty() ? whole : set.fields) {
    if (std::memcmp(&given.key[at], &given.last[at], length) > 0)
      std::swap_ranges(&given.key[at], &given.key[at] + length, &given.last[at]);
    at += (length + size_t{3}) & ~size_t{3};
  }
  return given;
}

uint32_t same_of(const Set& set, const GivenElement& given) {
  for (uint32_t i = 0; i < set.elements.size(); ++i) {
    const Element& element = set.elements[i];
    if (!element.gone && !element.catchall &&
        std::memcmp(&set.keys[element.key], given.key.data(), set.key_bytes) == 0 &&
        std::memcmp(&set.keys[element.key_end], given.end().data(), set.key_bytes) == 0)
      return i;
  }
  return kNone;
}
bool meets_any(const Set& set, const GivenElement& given) {
  return std::any_of(set.elements.begin(), set.elements.end(), [&](const Element& element) {
    return !element.gone && !element.catchall &&
           share_keys(set, element, given.key.data(), given.end().data());
  });
}

TEST(SetIndex, FindsWhatLookingAtEachElementFindsWhileTheyComeAndGo) {
  const std::vector<Kind> kinds = {
      {SetShape::exact, {4}},
      {SetShape::exact, {2}},
      {SetShape::exact, {16}},
      {SetShape::exact, {4, 2, 16}},
      {SetShape::interval, {4}},
      {SetShape::interval, {1}},
      {SetShape::interval, {16}},
      {SetShape::concatenated_ranges, {4, 2}},
      {SetShape::concatenated_ranges, {4, 2, 4, 2, 1, 4}},
      {SetShape::concatenated_ranges, {16, 2}},
  };
  constexpr int kSteps = 1500;
  size_t most = 0;
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      SCOPED_TRACE(testing::Message() << "kind " << kind << ", seed " << seed);
      Random random(seed);
      const uint32_t apart = seed % 2 == 0 ? 250 : 12;
      Set set = set_of(kinds[kind]);
      SetIndex index(set, {1, seed});
      std::vector<GivenElement> there;
      for (int step = 0; step < kSteps; ++step) {
        const GivenElement given = draw(set, random, apart);
        ASSERT_EQ(find_given(set, index, given), same_of(set, given));
        ASSERT_EQ(overlaps(set, index, given), meets_any(set, given));
        if (random.chance(step < kSteps / 2 ? .2 : .6) && !there.empty()) {
          const size_t one = random.below(static_cast<uint32_t>(there.size()));
          const uint32_t element = find_given(set, index, there[one]);
          ASSERT_NE(element, kNone);
          take_out(set, index, element);
          there[one] = there.back();
          there.pop_back();
        } else if (!overlaps(set, index, given)) {
          put_in(set, index, given, {});
          there.push_back(given);
        }
        if (step % 100 == 7) put_in(set, index, {}, {});
        if (step % 100 == 57) take_out(set, index, index.otherwise());
        for (int i = 0; i < 5; ++i) {
          const std::vector<uint8_t> key = draw_key(set, random, apart);
          ASSERT_EQ(index.find(set, key.data()), find_element(set, key.data()));
        }
        most = std::max(most, there.size());
      }
      EXPECT_EQ(set.size(), there.size() + (index.otherwise() == kNone ? 0 : 1));
      const SetIndex fresh(set, {3, seed});
      for (int i = 0; i < 500; ++i) {
        const std::vector<uint8_t> key = draw_key(set, random, apart);
        ASSERT_EQ(fresh.find(set, key.data()), find_element(set, key.data()));
      }
      while (!there.empty()) {
        take_out(set, index, find_given(set, index, there.back()));
        there.pop_back();
      }
      const std::vector<uint8_t> key = draw_key(set, random, apart);
      ASSERT_EQ(index.find(set, key.data()), find_element(set, key.data()));
    }
  }
  EXPECT_GT(most, 300U) << "of an interval list more than one block";
}

// So that a change moves few.
TEST(SetIndex, OfAHundredThousandFindsEach) {
  constexpr uint32_t kMany = 100'000;
  for (const SetShape shape : {SetShape::exact, SetShape::interval}) {
    Set set = set_of({shape, {4}});
    SetIndex index(set, {1, 2});
    const auto given = [&](uint32_t i) {
      GivenElement element;
      element.key.resize(4);
      store_be32(element.key.data(), i * 16);
      if (shape == SetShape::interval) {
        element.last = element.key;
        element.last[3] = static_cast<uint8_t>(element.last[3] + 7);
      }
      return element;
    };
    for (uint32_t i = 0; i < kMany; ++i) put_in(set, index, given(i * 7919 % kMany), {});
    for (uint32_t i = 0; i < kMany; i += 3) take_out(set, index, find_given(set, index, given(i)));
    for (uint32_t i = 0; i < kMany; ++i) {
      const GivenElement wanted = given(i);
      const Element* found = index.find(set, wanted.key.data());
      ASSERT_EQ(found == nullptr, i % 3 == 0) << i;
      if (found == nullptr) continue;
      ASSERT_EQ(std::memcmp(&set.keys[found->key], wanted.key.data(), 4), 0);
    }
  }
}

}  // namespace
}  // namespace skerry::filter
