// Mistakes in a composition: a line and one sentence each, which says what to write instead. All are
// collected, so that a person mends a file in one go.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::supervisor {

struct Mistake {
  size_t line = 0;  // from 1; 0: the file as a whole
  std::string sentence;
};

class Mistakes {
 public:
  void add(size_t line, std::string sentence) { list_.push_back({line, std::move(sentence)}); }
  bool empty() const { return list_.empty(); }
  // In the order of the file.
  std::vector<Mistake> sorted() const;

 private:
  std::vector<Mistake> list_;
};

// "redis.toml:7: sentence" for each, one a line.
std::string format_mistakes(const std::string& file, const std::vector<Mistake>& mistakes);

// The candidate that was probably meant: fewest edits, at most a third of the word (but at least one).
// Empty if there is none.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
// "; did you mean \"x\"?" or, without a near one, "; choose one of a, b, c" (nothing if there are none).
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace skerry::supervisor
