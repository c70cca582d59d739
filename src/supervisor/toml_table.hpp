// One table of a composition, read key by key. Whatever is wrong (unknown key, wrong type, out of range)
// becomes a mistake with its line and an example of the right form; the reader carries on with what it has.
#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/mistakes.hpp"

namespace skerry::supervisor {

struct NamedTable;

class TomlTable {
 public:
  // `title` names the table in sentences: "[program.redis]". `line` is where it begins.
  TomlTable(const toml::table& table, std::string title, size_t line, Mistakes& mistakes)
      : table_(&table), title_(std::move(title)), line_(line), mistakes_(&mistakes) {}

  const std::string& title() const { return title_; }
  size_t line() const { return line_; }
  size_t line_of(std::string_view key) const;  // of its value; of the table if it is absent
  bool has(std::string_view key) const { return table_->contains(key); }

  // Every key that is none of these is a mistake.
  void only(const std::vector<std::string>& keys) const;

  // Nothing if the key is absent or wrong. `example` is the right form of the value: `"10.77.0.2"`.
  std::optional<std::string> text(std::string_view key, std::string_view example) const;
  std::optional<int64_t> integer(std::string_view key, std::string_view example) const;
  std::optional<std::vector<std::string>> texts(std::string_view key, std::string_view example) const;

  // The tables [KIND.NAME] in the order of the file; called on the root.
  std::vector<NamedTable> children(std::string_view kind) const;
  // Pairs of a table of texts: environment = { KEY = "value" }.
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view key,
                                                         std::string_view example) const;

  void mistake(std::string_view key, std::string sentence) const {
    mistakes_->add(line_of(key), std::move(sentence));
  }

 private:
  void wrong_type(std::string_view key, std::string_view wanted, std::string_view example,
                  const toml::node& found) const;

  const toml::table* table_;
  std::string title_;
  size_t line_;
  Mistakes* mistakes_;
};

struct NamedTable {
  std::string name;
  TomlTable table;
};

}  // namespace skerry::supervisor
