#include "supervisor/mistakes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace skerry::supervisor {

namespace {

// Edits (insert, delete, replace, swap of neighbours) from one word to the other: optimal string alignment.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above.back();
}

}  // namespace

std::vector<Mistake> Mistakes::sorted() const {
  std::vector<Mistake> list = list_;
  std::stable_sort(list.begin(), list.end(),
                   [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
  return list;
}

std::string format_mistakes(const std::string& file, const std::vector<Mistake>& mistakes) {
  std::string text;
  for (const Mistake& mistake : mistakes) {
    text += mistake.line == 0 ? fmt::format("{}: {}\n", file, mistake.sentence)
                              : fmt::format("{}:{}: {}\n", file, mistake.line, mistake.sentence);
  }
  return text;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t fewest = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edits(word, candidate);
    if (distance < fewest) {
      fewest = distance;
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  if (candidates.empty()) return "";
  const std::string near = nearest(word, candidates);
  if (!near.empty()) return fmt::format("; did you mean \"{}\"?", near);
  if (candidates.size() == 1) return fmt::format("; write \"{}\"", candidates.front());
  return fmt::format("; choose one of {}", fmt::join(candidates, ", "));
}

}  // namespace skerry::supervisor
