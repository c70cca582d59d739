#include "driver/tap/virtio_header.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

constexpr uint32_t kSlot = 70'000;

TEST(VirtioHeader, MarksSurviveTheWayThereAndBack) {
  Frame frame;
  frame.length = 60'000;
  frame.flags = kChecksumNeeded | kSegmentTcp4;
  frame.gso_size = 1448;
  frame.checksum_start = 34;
  frame.checksum_offset = 16;
  const std::optional<Frame> back = marks_from(header_for(frame), 60'000, kSlot);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->flags, frame.flags);
  EXPECT_EQ(back->gso_size, 1448);
  EXPECT_EQ(back->checksum_start, 34);
  EXPECT_EQ(back->checksum_offset, 16);
  EXPECT_EQ(back->length, 60'000u);
}

TEST(VirtioHeader, APlainFrameHasNoMarks) {
  const std::optional<Frame> frame = marks_from({}, 60, kSlot);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->flags, 0);
  EXPECT_EQ(header_for(*frame).flags, 0);
  EXPECT_EQ(header_for(*frame).gso_type, VirtioNetHeader::kGsoNone);
}

TEST(VirtioHeader, TheKernelsWordOnAChecksumIsTakenAndOursIsNotGiven) {
  VirtioNetHeader header;
  header.flags = VirtioNetHeader::kDataValid;
  const std::optional<Frame> frame = marks_from(header, 60, kSlot);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->flags, kChecksumVouched);
  EXPECT_EQ(header_for(*frame).flags, 0);
}

TEST(VirtioHeader, RefusesWhatWasNotOfferedOrLiesOutside) {
  VirtioNetHeader good;
  good.flags = VirtioNetHeader::kNeedsChecksum;
  good.gso_type = VirtioNetHeader::kGsoTcp4;
  good.gso_size = 1448;
  good.csum_start = 34;
  good.csum_offset = 16;
  ASSERT_TRUE(marks_from(good, 3000, kSlot));

  EXPECT_FALSE(marks_from(good, 0, kSlot));
  EXPECT_FALSE(marks_from(good, 51, kSlot)) << "the field ends behind the frame";
  EXPECT_FALSE(marks_from(good, kMaxFrame + 1, 2 * kSlot));
  VirtioNetHeader bad = good;
  bad.gso_type = 4;  // TCP over IPv6
  EXPECT_FALSE(marks_from(bad, 3000, kSlot));
  bad = good;
  bad.gso_type = 3;  // UDP fragmentation
  EXPECT_FALSE(marks_from(bad, 3000, kSlot));
  bad = good;
  bad.gso_size = 0;
  EXPECT_FALSE(marks_from(bad, 3000, kSlot)) << "segments of nothing never end";
  bad = good;
  bad.csum_offset = 256 + 16;
  EXPECT_FALSE(marks_from(bad, 3000, kSlot));
}

}  // namespace
}  // namespace skerry
