// Tables for people: columns as wide as their widest cell, two spaces between them.
#pragma once

#include <string>
#include <vector>

namespace skerry::ctl {

struct Column {
  std::string title;
  bool right = false;  // numbers line up at their last digit
};

// With the line of titles; every line ends with a newline and none with a space. Each row has one cell a
// column. Bytes that a terminal would act on become '?'.
std::string format_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows);

// What a terminal would act on becomes '?', the end of a line too: a stranger's text is one line at most.
std::string printable(std::string text);
// The same of text of our own that has lines.
std::string printable_lines(std::string text);

std::string format_duration(uint64_t milliseconds);  // "940ms", "12s", "3m20s", "2h05m", "4d03h"
std::string format_count(double amount);             // three digits: "0", "7.2", "940", "1.25k", "48.0M"

}  // namespace skerry::ctl
