#include "ctl/table.hpp"

#include <gtest/gtest.h>

namespace skerry::ctl {
namespace {

TEST(Table, ColumnsLineUp) {
  EXPECT_EQ(
      format_table({{"NAME"}, {"PID", true}, {"STATE"}}, {{"redis", "7", "running"}, {"a", "12345", "-"}}),
      "NAME     PID  STATE\n"
      "redis      7  running\n"
      "a      12345  -\n");
}

TEST(Table, LettersBeyondAsciiTakeOneColumn) {
  EXPECT_EQ(format_table({{"N"}, {"X"}}, {{"é", "1"}, {"ab", "2"}}), "N   X\né   1\nab  2\n");
}

TEST(Table, WhatATerminalWouldActOnIsHidden) {
  EXPECT_EQ(format_table({{"N"}}, {{"a\033[2Jb\n"}}), "N\na?[2Jb?\n");
}

// A stack's words are a stranger's: none of them makes a line that seems to be ours.
TEST(Table, ALineOfAStrangersIsOneLineWithoutControls) {
  EXPECT_EQ(printable("a\nskerry: done\r\x7f"), "a?skerry: done??");
  EXPECT_EQ(printable("\u009b2J\u0085é\u00a0"), "?2J?é\u00a0")
      << "C1, of which CSI is one, and what is next to it";
  EXPECT_EQ(printable("\xc2"), "\xc2");
  EXPECT_EQ(printable_lines("a\nb\033\u009b"), "a\nb??");
}

TEST(Table, Durations) {
  EXPECT_EQ(format_duration(0), "0ms");
  EXPECT_EQ(format_duration(999), "999ms");
  EXPECT_EQ(format_duration(12'345), "12s");
  EXPECT_EQ(format_duration(200'000), "3m20s");
  EXPECT_EQ(format_duration(7'500'000), "2h05m");
  EXPECT_EQ(format_duration(99 * 3'600'000), "4d03h");
}

TEST(Table, CountsHaveThreeDigits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(7.25), "7.2");
  EXPECT_EQ(format_count(940), "940");
  EXPECT_EQ(format_count(999.6), "1.00k");
  EXPECT_EQ(format_count(1250), "1.25k");
  EXPECT_EQ(format_count(99'960), "100k");
  EXPECT_EQ(format_count(48'000'000), "48.0M");
  EXPECT_EQ(format_count(2e15), "2000T");
}

}  // namespace
}  // namespace skerry::ctl
