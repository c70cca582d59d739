#include "supervisor/toml_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace skerry::supervisor {

namespace {

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a truth value";
    default:
      return "a date or time";
  }
}

}  // namespace

size_t TomlTable::line_of(std::string_view key) const {
  const toml::node* node = table_->get(key);
  return node == nullptr ? line_ : node->source().begin.line;
}

void TomlTable::only(const std::vector<std::string>& keys) const {
  for (const auto& [key, node] : *table_) {
    if (std::find(keys.begin(), keys.end(), key.str()) != keys.end()) continue;
    mistakes_->add(key.source().begin.line,
                   fmt::format("{} has no key \"{}\"{}", title_, key.str(), suggestion(key.str(), keys)));
  }
}

void TomlTable::wrong_type(std::string_view key, std::string_view wanted, std::string_view example,
                           const toml::node& found) const {
  mistakes_->add(found.source().begin.line, fmt::format("\"{}\" in {} must be {}, not {}: write {} = {}", key,
                                                        title_, wanted, type_name(found), key, example));
}

std::optional<std::string> TomlTable::text(std::string_view key, std::string_view example) const {
  const toml::node* node = table_->get(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* value = node->as_string()) return value->get();
  wrong_type(key, "a text", example, *node);
  return std::nullopt;
}

std::optional<int64_t> TomlTable::integer(std::string_view key, std::string_view example) const {
  const toml::node* node = table_->get(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* value = node->as_integer()) return value->get();
  wrong_type(key, "a whole number", example, *node);
  return std::nullopt;
}

std::optional<std::vector<std::string>> TomlTable::texts(std::string_view key,
                                                         std::string_view example) const {
  const toml::node* node = table_->get(key);
  if (node == nullptr) return std::nullopt;
  std::vector<std::string> result;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    wrong_type(key, "an array of texts", example, *node);
    return std::nullopt;
  }
  for (const toml::node& item : *array) {
    if (const auto* value = item.as_string()) {
      result.push_back(value->get());
    } else {
      wrong_type(key, "an array of texts", example, item);
      return std::nullopt;
    }
  }
  return result;
}

std::vector<NamedTable> TomlTable::children(std::string_view kind) const {
  std::vector<NamedTable> result;
  const toml::node* node = table_->get(kind);
  if (node == nullptr) return result;
  const toml::table* tables = node->as_table();
  if (tables == nullptr) {
    mistakes_->add(node->source().begin.line,
                   fmt::format("\"{0}\" must be a table with a name: write [{0}.NAME]", kind));
    return result;
  }
  for (const auto& [key, child] : *tables) {
    const toml::table* table = child.as_table();
    if (table == nullptr) {
      mistakes_->add(
          key.source().begin.line,
          fmt::format("\"{0}\" must be a table with a name: write [{0}.NAME], and \"{1}\" below it", kind,
                      key.str()));
      continue;
    }
    const std::string name(key.str());
    result.push_back(
        {name, TomlTable(*table, fmt::format("[{}.{}]", kind, name), key.source().begin.line, *mistakes_)});
  }
  // The library sorts keys by name; people read from top to bottom.
  std::stable_sort(result.begin(), result.end(),
                   [](const NamedTable& a, const NamedTable& b) { return a.table.line() < b.table.line(); });
  return result;
}

std::vector<std::pair<std::string, std::string>> TomlTable::pairs(std::string_view key,
                                                                  std::string_view example) const {
  std::vector<std::pair<std::string, std::string>> result;
  const toml::node* node = table_->get(key);
  if (node == nullptr) return result;
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    wrong_type(key, "a table of texts", example, *node);
    return result;
  }
  for (const auto& [name, value] : *table) {
    if (const auto* text = value.as_string()) {
      result.emplace_back(std::string(name.str()), text->get());
    } else {
      wrong_type(key, "a table of texts", example, value);
    }
  }
  return result;
}

}  // namespace skerry::supervisor
