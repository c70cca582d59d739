// Which elements of concatenated ranges may stand together, as nf_tables says (each case was tried with it;
// more are drawn by tests/programs/filter_kernel_test.py).
#include "filter/range_overlaps.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace skerry::filter {
namespace {

struct Box {
  std::array<uint8_t, 2> low, high;  // two fields of one byte
  uint8_t maps_to = 0;
};

int error_of(const std::vector<Box>& boxes, bool for_all_others = false) {
  Ruleset ruleset;
  Set& set = ruleset.sets.emplace_back();
  set.shape = SetShape::concatenated_ranges;
  set.fields = {1, 1};
  set.key_bytes = 8;
  const auto put = [&](const std::array<uint8_t, 2>& key) {
    const auto at = static_cast<uint32_t>(set.keys.size());
    for (const uint8_t byte :
         {key[0], uint8_t{0}, uint8_t{0}, uint8_t{0}, key[1], uint8_t{0}, uint8_t{0}, uint8_t{0}})
      set.keys.push_back(byte);
    return at;
  };
  if (for_all_others) set.elements.emplace_back().catchall = true;
  for (const Box& box : boxes) {
    Element& element = set.elements.emplace_back();
    element.key = put(box.low);
    element.key_end = put(box.high);
    element.data.bytes[0] = box.maps_to;
  }
  const auto refusal = find_range_overlaps(ruleset);
  return refusal ? refusal->error : 0;
}

TEST(RangeOverlaps, ElementsApartMayStandTogether) {
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{1, 91}, {1, 95}}, {{2, 80}, {9, 90}}}), 0);
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{2, 80}, {2, 90}}}, true), 0);
}

TEST(RangeOverlaps, OneThatBeginsOrEndsInOneBeforeItIsRefused) {
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{1, 85}, {1, 85}}}), EEXIST);
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{1, 85}, {1, 95}}}), EEXIST);
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{1, 70}, {1, 85}}}), EEXIST);
  EXPECT_EQ(error_of({{{0, 80}, {9, 80}}, {{3, 70}, {4, 80}}}), EEXIST);
}

TEST(RangeOverlaps, OneThatEnclosesOneBeforeItIsNot) {
  EXPECT_EQ(error_of({{{1, 85}, {1, 85}}, {{1, 80}, {1, 90}}}), 0);
  EXPECT_EQ(error_of({{{3, 70}, {4, 80}}, {{0, 80}, {9, 80}}}), 0);
}

TEST(RangeOverlaps, TheSameTwiceIsOneUnlessItMapsToTwoThings) {
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}}, {{1, 80}, {1, 90}}}), 0);
  EXPECT_EQ(error_of({{{1, 80}, {1, 90}, 1}, {{1, 80}, {1, 90}, 2}}), EEXIST);
}

}  // namespace
}  // namespace skerry::filter
