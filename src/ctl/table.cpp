#include "ctl/table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace skerry::ctl {

namespace {

// Columns that a text takes: its code points, for UTF-8 without wide characters.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// Control characters: those of ASCII, and C1 as UTF-8 writes them, in two bytes.
std::string without_controls(std::string text, bool keeps_lines) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    if (byte(i) == 0xc2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xa0)
      text.replace(i, 2, "?");
    else if ((byte(i) < 0x20 && !(keeps_lines && text[i] == '\n')) || byte(i) == 0x7f)
      text[i] = '?';
  }
  return text;
}

}  // namespace

std::string printable(std::string text) {
  return without_controls(std::move(text), false);
}

std::string printable_lines(std::string text) {
  return without_controls(std::move(text), true);
}

std::string format_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns) lines[0].push_back(column.title);
  for (const std::vector<std::string>& row : rows) {
    lines.emplace_back();
    for (const std::string& cell : row) lines.back().push_back(printable(cell));
  }
  std::vector<size_t> widths(columns.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  }
  std::string text;
  for (const auto& line : lines) {
    std::string out;
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string padding(widths[i] - width_of(line[i]), ' ');
      if (i > 0) out += "  ";
      out += columns[i].right ? padding + line[i] : line[i] + padding;
    }
    text += out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string format_duration(uint64_t milliseconds) {
  if (milliseconds < 1000) return fmt::format("{}ms", milliseconds);
  const uint64_t seconds = milliseconds / 1000, minutes = seconds / 60, hours = minutes / 60;
  if (minutes == 0) return fmt::format("{}s", seconds);
  if (hours == 0) return fmt::format("{}m{:02}s", minutes, seconds % 60);
  if (hours < 24) return fmt::format("{}h{:02}m", hours, minutes % 60);
  return fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::string format_count(double amount) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  while (amount >= 999.5 && unit + 1 < std::size(kUnits)) {
    amount /= 1000;
    ++unit;
  }
  if (unit == 0 && amount == static_cast<double>(static_cast<int>(amount)))
    return fmt::format("{:.0f}", amount);
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", amount, unit == 0 ? std::min(decimals, 1) : decimals, kUnits[unit]);
}

}  // namespace skerry::ctl
