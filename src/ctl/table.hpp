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

// Bytes that a terminal would act on become '?'; lines stay lines.
std::string printable(std::string text);

std::string format_duration(uint64_t milliseconds);  // "940ms", "12s", "3m20s", "2h05m", "4d03h"
std::string format_count(double amount);             // three digits: "0", "7.2", "940", "1.25k", "48.0M"

}  // namespace skerry::ctl
