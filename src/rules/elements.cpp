// Elements for the sets of rules at work, as the control side writes them: names become indices, text
// becomes bytes. What a set takes is the engine's to say.
#include <fmt/format.h>

#include <array>

#include "filter/words.hpp"
#include "rules/rows.hpp"
#include "rules/rules.hpp"

namespace skerry {
namespace {

using filter::Code;
using filter::GivenElement;
using filter::kNone;
using nlohmann::json;

constexpr size_t kMostKeyBytes = 64;

constexpr std::array<std::pair<std::string_view, Code>, 6> kVerdicts = {{{"accept", Code::accept},
                                                                         {"drop", Code::drop},
                                                                         {"continue", Code::next},
                                                                         {"return", Code::back},
                                                                         {"jump", Code::jump},
                                                                         {"goto", Code::go}}};

Result<std::vector<uint8_t>> bytes_of(const std::string& digits) {
  const auto value_of = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::vector<uint8_t> bytes;
  if (digits.empty() || digits.size() % 2 != 0 || digits.size() > 2 * kMostKeyBytes)
    return Error{"an element's key or data is no text of hexadecimal bytes"};
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = value_of(digits[i]), low = value_of(digits[i + 1]);
    if (high < 0 || low < 0) return Error{"an element's key or data is no text of hexadecimal bytes"};
    bytes.push_back(static_cast<uint8_t>(high << 4 | low));
  }
  return bytes;
}

// The index of what has this name in the table; kNone if nothing does.
template <class Named>
uint32_t index_of(const std::vector<Named>& all, uint32_t table, const std::string& name) {
  for (uint32_t i = 0; i < all.size(); ++i)
    if (all[i].table == table && all[i].name == name) return i;
  return kNone;
}

uint32_t table_of(const filter::Ruleset& ruleset, const std::string& name) {
  for (uint32_t i = 0; i < ruleset.tables.size(); ++i)
    if (filter::table_name(ruleset, i) == name) return i;
  return kNone;
}

Result<void> read_target(const filter::Ruleset& ruleset, const filter::Set& set, const json& row,
                         GivenElement& element) {
  if (row.contains("data")) {
    const Result<std::vector<uint8_t>> data = bytes_of(row["data"].get<std::string>());
    if (!data) return data.error();
    if (data->size() > element.data.bytes.size()) return Error{"a map holds at most 16 bytes for an element"};
    std::copy(data->begin(), data->end(), element.data.bytes.begin());
    element.data.length = static_cast<uint8_t>(data->size());
  }
  if (row.contains("object")) {
    const auto name = row["object"].get<std::string>();
    for (const filter::NamedObject& object : ruleset.objects)
      if (object.table == set.table && object.name == name &&
          ruleset.stateful[object.stateful].kind == set.object_kind)
        element.stateful = object.stateful;
    if (element.stateful == kNone) return Error{fmt::format("there is no object {}", name)};
  }
  if (!row.contains("verdict")) return {};
  const auto word = row["verdict"].get<std::string>();
  const auto known =
      std::find_if(kVerdicts.begin(), kVerdicts.end(), [&](const auto& each) { return each.first == word; });
  if (known == kVerdicts.end()) return Error{"an element has a verdict that is not known here"};
  element.verdict.code = known->second;
  if (!row.contains("chain")) return {};
  const auto name = row["chain"].get<std::string>();
  element.verdict.chain = index_of(ruleset.chains, set.table, name);
  if (name.empty() || element.verdict.chain == kNone)
    return Error{fmt::format("there is no chain {} to go to", name)};
  return {};
}

Result<GivenElement> read_element(const filter::Ruleset& ruleset, const filter::Set& set, const json& row) {
  GivenElement element;
  if (const auto key = row.at("key").get<std::string>(); key != "*") {
    Result<std::vector<uint8_t>> bytes = bytes_of(key);
    if (!bytes) return bytes.error();
    element.key = std::move(*bytes);
  }
  if (row.contains("last")) {
    Result<std::vector<uint8_t>> bytes = bytes_of(row["last"].get<std::string>());
    if (!bytes) return bytes.error();
    element.last = std::move(*bytes);
  }
  for (const auto& [name, time] :
       {std::pair{"timeout_ms", &element.timeout_ns}, {"expires_ms", &element.expires_ns}}) {
    const json value = row.value(name, json(0U));
    if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT64_MAX / kMillisecond)
      return Error{"the time of an element is no number of milliseconds, or too long"};
    *time = value.get<uint64_t>() * kMillisecond;
  }
  if (Result<void> read = read_target(ruleset, set, row, element); !read) return read.error();
  return element;
}

std::string digits_of(const uint8_t* bytes, size_t count) {
  std::string digits;
  for (size_t i = 0; i < count; ++i) digits += fmt::format("{:02x}", bytes[i]);
  return digits;
}

// Names are the text's own, so there may be many: some thousand bytes of them, beside the rows.
template <class Named, class Wanted>
json names_of(const std::vector<Named>& all, Wanted wanted) {
  constexpr size_t kMostBytes = 8000;
  json names = json::array();
  size_t bytes = 0;
  for (const Named& each : all) {
    if (!wanted(each)) continue;
    bytes += each.name.size() + 3;
    if (bytes > kMostBytes) break;
    names.push_back(each.name);
  }
  return names;
}

json statement_of(const filter::Stateful& stateful) {
  json statement{{"kind", filter::kind_name(stateful.kind)}, {"over", stateful.inverted}};
  if (stateful.kind == filter::StatefulKind::limit)
    statement.update({{"rate", stateful.rate},
                      {"seconds", stateful.period_ns / kSecond},
                      {"burst", stateful.burst},
                      {"of_bytes", stateful.in_bytes}});
  if (stateful.kind == filter::StatefulKind::quota) statement["bytes"] = stateful.bytes;
  if (filter::counts_connections(stateful)) statement["connections"] = stateful.connections;
  return statement;
}

json declaration_of(const filter::Ruleset& ruleset, const filter::Set& set) {
  json declared{{"key_type", set.key_type},
                {"key_bytes", set.key_bytes},
                {"ranges", set.shape != filter::SetShape::exact},
                {"constant", set.constant},
                {"dynamic", set.takes_expressions},
                {"timeout", set.has_timeout},
                {"timeout_ms", set.timeout_ns / kMillisecond},
                {"size", set.most_elements},
                {"counts", json::array()}};
  for (const filter::Stateful& each : set.element_expressions)
    declared["counts"].push_back(statement_of(each));
  if (!set.maps) return declared;
  declared["map"] = set.maps_verdict ? "verdict" : set.maps_object ? "object" : "data";
  declared["data_type"] = set.data_type;
  declared["data_bytes"] = set.data_bytes;
  if (set.maps_verdict)
    declared["chains"] = names_of(ruleset.chains, [&](const filter::Chain& chain) {
      return chain.table == set.table && !chain.is_base && !chain.name.empty();
    });
  if (!set.maps_object) return declared;
  declared["kind"] = filter::kind_name(set.object_kind);
  declared["objects"] = names_of(ruleset.objects, [&](const filter::NamedObject& object) {
    return object.table == set.table && ruleset.stateful[object.stateful].kind == set.object_kind;
  });
  return declared;
}

json element_row(const filter::Engine& engine, const GivenElement& element) {
  const filter::Ruleset& ruleset = engine.ruleset();
  json row{{"key", element.key.empty() ? "*" : digits_of(element.key.data(), element.key.size())}};
  if (!element.last.empty() && element.last != element.key)
    row["last"] = digits_of(element.last.data(), element.last.size());
  if (element.data.length > 0) row["data"] = digits_of(element.data.bytes.data(), element.data.length);
  for (const filter::NamedObject& object : ruleset.objects)
    if (element.stateful != kNone && object.stateful == element.stateful) row["object"] = object.name;
  return row;
}

void add_verdict(const filter::Ruleset& ruleset, const filter::Verdict& verdict, json& row) {
  for (const auto& [word, code] : kVerdicts)
    if (code == verdict.code) row["verdict"] = word;
  if (verdict.chain != kNone) row["chain"] = ruleset.chains[verdict.chain].name;
}

void add_tallies(const filter::Engine& engine, const filter::OwnCounters& counters, json& row) {
  for (const uint32_t own : counters)
    if (json tally = tally_of(engine, own); !tally.is_null()) row["tallies"].push_back(std::move(tally));
}

}  // namespace

Result<uint32_t> Rules::find_set(const json& request) const {
  const filter::Ruleset& ruleset = in_force_.engine().ruleset();
  const auto table_name = request.at("table").get<std::string>(), name = request.at("set").get<std::string>();
  const uint32_t table = table_of(ruleset, table_name);
  if (table == kNone) return Error{fmt::format("there is no table {}", table_name), ENOENT};
  const uint32_t set = index_of(ruleset.sets, table, name);
  if (set == kNone || ruleset.sets[set].anonymous)
    return Error{fmt::format("table {} has no set {}", table_name, name), ENOENT};
  return set;
}

Result<void> Rules::change_elements(const json& request, TimeNs now) {
  const filter::Ruleset& ruleset = in_force_.engine().ruleset();
  const Result<uint32_t> set = find_set(request);
  if (!set) return set.error();
  const auto change = request.at("change").get<std::string>();
  if (change != "add" && change != "delete") return Error{"elements are to add or to delete"};
  std::vector<GivenElement> given;
  for (const json& row : request.at("elements").get_ref<const json::array_t&>()) {
    Result<GivenElement> element = read_element(ruleset, ruleset.sets[*set], row);
    if (!element) return element.error();
    given.push_back(std::move(*element));
  }
  const auto refusal =
      in_force_.change(*set, change == "add" ? filter::Change::add : filter::Change::remove, given, now);
  if (refusal) return Error{refusal->sentence, refusal->error};
  return {};
}

Result<json> Rules::elements(const json& request, TimeNs now) const {
  const filter::Engine& engine = in_force_.engine();
  const filter::Ruleset& ruleset = engine.ruleset();
  const Result<uint32_t> index = find_set(request);
  if (!index) return index.error();
  const filter::Set& set = ruleset.sets[*index];
  const auto first = request.value("first", size_t{0});
  const filter::DynamicSet* const dynamic = engine.dynamic_set(*index);
  Rows rows(dynamic != nullptr ? first : 0);
  if (dynamic != nullptr && first >= set.most_elements) {
    // Who asks only what it is need not wait for a look at all.
  } else if (dynamic != nullptr) {
    dynamic->for_each(now, [&](const uint8_t* key, const filter::Element& element) {
      rows.add([&] {
        GivenElement given;
        given.key.assign(key, key + set.key_bytes);
        given.data = element.data;
        json row = element_row(engine, given);
        if (dynamic->timeout(element) != 0) {
          row["timeout_ms"] = dynamic->timeout(element) / kMillisecond;
          row["expires_ms"] = (dynamic->expires(element) - now) / kMillisecond;
        }
        if (element.counts) add_tallies(engine, element.counters, row);
        return row;
      });
    });
  } else {
    const auto add = [&](const GivenElement& given, const filter::Element& element) {
      rows.add([&] {
        json row = element_row(engine, given);
        if (set.maps_verdict) add_verdict(ruleset, element.verdict, row);
        if (element.counts) add_tallies(engine, element.counters, row);
        return row;
      });
      return !rows.more;
    };
    filter::for_each_element(set, add, first);
  }
  return json{{"ok", true},
              {"declared", declaration_of(ruleset, set)},
              {"rows", std::move(rows.rows)},
              {"more", rows.more}};
}

}  // namespace skerry
