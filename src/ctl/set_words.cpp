#include "ctl/set_words.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "ctl/running.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

enum class Shape { number, number_of_host, ipv4, ipv6, ether, text, hex };
struct Type {
  uint32_t number;  // TYPE_* of nft's datatype.h
  const char* name;
  size_t bytes;
  Shape shape;
};
constexpr Type kTypes[] = {
    {2, "nf_proto", 1, Shape::number},
    {6, "ll_addr", 6, Shape::ether},
    {7, "ipv4_addr", 4, Shape::ipv4},
    {8, "ipv6_addr", 16, Shape::ipv6},
    {9, "ether_addr", 6, Shape::ether},
    {10, "ether_type", 2, Shape::hex},
    {12, "inet_proto", 1, Shape::number},
    {13, "inet_service", 2, Shape::number},
    {14, "icmp_type", 1, Shape::number},
    {15, "tcp_flag", 1, Shape::hex},
    {19, "mark", 4, Shape::number_of_host},
    {20, "iface_index", 4, Shape::number_of_host},
    {21, "iface_type", 2, Shape::number_of_host},
    {26, "ct_state", 4, Shape::number_of_host},
    {27, "ct_dir", 1, Shape::number},
    {28, "ct_status", 4, Shape::number_of_host},
    {29, "icmpv6_type", 1, Shape::number},
    {31, "pkt_type", 1, Shape::number},
    {32, "icmp_code", 1, Shape::number},
    {33, "icmpv6_code", 1, Shape::number},
    {34, "icmpx_code", 1, Shape::number},
    {36, "dscp", 1, Shape::hex},
    {37, "ecn", 1, Shape::number},
    {39, "boolean", 1, Shape::number},
    {41, "ifname", 16, Shape::text},
    {42, "igmp_type", 1, Shape::number},
};

// The fields of a key, the first one in the highest bits of its type (TYPE_BITS of nft); none if one is
// unknown, or the key is not as long as they are.
std::vector<Type> fields_of(uint64_t number, uint64_t bytes) {
  constexpr unsigned kBits = 6;
  std::vector<Type> fields;
  for (; number != 0; number >>= kBits) {
    const auto type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& each) {
      return each.number == (number & ((1U << kBits) - 1));
    });
    if (type == std::end(kTypes)) return {};
    fields.insert(fields.begin(), *type);
  }
  if (fields.size() == 1) return fields[0].bytes == bytes ? fields : std::vector<Type>{};
  size_t sum = 0;
  for (const Type& each : fields) sum += (each.bytes + 3) & ~size_t{3};
  return sum == bytes ? fields : std::vector<Type>{};
}

std::string type_text(const std::vector<Type>& fields) {
  std::vector<std::string> names;
  for (const Type& each : fields) names.emplace_back(each.name);
  return fmt::format("{}", fmt::join(names, " . "));
}

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::strchr("/\\_.-", c) != nullptr;
  });
}

std::vector<uint8_t> bytes_of(const std::string& digits) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::strtoul(digits.substr(i, 2).c_str(), nullptr, 16)));
  return bytes;
}

// In sets with ranges nft keeps all numbers big-endian, so that they are in order.
std::string field_text(const Type& type, const uint8_t* from, bool ranges) {
  char text[INET6_ADDRSTRLEN] = {};
  uint64_t number = 0;
  switch (type.shape) {
    case Shape::ipv4:
      return ::inet_ntop(AF_INET, from, text, sizeof text);
    case Shape::ipv6:
      return ::inet_ntop(AF_INET6, from, text, sizeof text);
    case Shape::ether:
      return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", from[0], from[1], from[2], from[3],
                         from[4], from[5]);
    case Shape::text: {
      const std::string name(reinterpret_cast<const char*>(from),
                             ::strnlen(reinterpret_cast<const char*>(from), type.bytes));
      return is_name(name) ? "\"" + name + "\"" : "?";
    }
    case Shape::number_of_host:
      for (size_t i = 0; i < type.bytes; ++i) number = number << 8 | from[ranges ? i : type.bytes - 1 - i];
      return fmt::format("{:#x}", number);
    case Shape::number:
    case Shape::hex:
      break;
  }
  for (size_t i = 0; i < type.bytes; ++i) number = number << 8 | from[i];
  return type.shape == Shape::hex ? fmt::format("{:#x}", number) : fmt::format("{}", number);
}

// "eth*": all names that begin so are one range. Empty: the range is none of those.
std::string wildcard(const Type& type, const uint8_t* low, const uint8_t* high) {
  size_t same = 0;
  while (same < type.bytes && low[same] != 0) ++same;
  const std::string name(reinterpret_cast<const char*>(low), same);
  const bool all =
      std::count(low + same, low + type.bytes, 0) == std::count(high + same, high + type.bytes, 0xff);
  return all && is_name(name) && std::equal(low, low + same, high) ? "\"" + name + "*\"" : "";
}

std::string range_text(const Type& type, const uint8_t* low, const uint8_t* high, bool ranges) {
  const std::string one = field_text(type, low, ranges), other = field_text(type, high, ranges);
  if (type.shape == Shape::text && std::memcmp(low, high, type.bytes) != 0) {
    const std::string names = wildcard(type, low, high);
    if (!names.empty()) return names;
  }
  return one == other ? one : one + "-" + other;
}

// A key, or a range of keys: each field by itself. What has no known type stays hexadecimal.
std::string key_text(const json& row, const char* first, const char* last, const std::vector<Type>& fields,
                     bool ranges) {
  const std::string begin = text_of(row, first), end = row.contains(last) ? text_of(row, last) : begin;
  const std::vector<uint8_t> low = bytes_of(begin), high = bytes_of(end);
  size_t needed = 0;
  for (const Type& each : fields) needed += fields.size() == 1 ? each.bytes : (each.bytes + 3) & ~size_t{3};
  if (fields.empty() || low.size() != needed || high.size() != needed)
    return begin == end ? "0x" + begin : "0x" + begin + "-0x" + end;
  std::vector<std::string> texts;
  size_t at = 0;
  for (const Type& each : fields) {
    texts.push_back(range_text(each, &low[at], &high[at], ranges));
    at += (each.bytes + 3) & ~size_t{3};
  }
  return fmt::format("{}", fmt::join(texts, " . "));
}

std::string tally_text(const json& tally) {
  if (tally.contains("counter"))
    return fmt::format(" counter packets {} bytes {}", number_of(tally["counter"], "packets"),
                       number_of(tally["counter"], "bytes"));
  if (tally.contains("quota"))
    return fmt::format(
        " quota {}{} bytes used {} bytes",
        tally["quota"].is_object() && tally["quota"].value("over", json()) == true ? "over " : "",
        number_of(tally["quota"], "bytes"), number_of(tally["quota"], "used"));
  return "";
}

// What an element has counted, and beside it what tells no number, like a limit: nft reads all that the set
// declares, or nothing.
std::string tallies_text(const json& declared, const json& tallies) {
  std::string text;
  size_t told = 0;
  for (const json& statement : declared.value("counts", json::array())) {
    const std::string kind = text_of(statement, "kind");
    if (kind != "counter" && kind != "quota")
      text += " " + statement_text(statement);
    else if (told < tallies.size())
      text += tally_text(tallies[told++]);
  }
  return told > 0 ? text : "";
}

std::vector<Type> key_fields(const json& declared) {
  return fields_of(number_of(declared, "key_type"), number_of(declared, "key_bytes"));
}

}  // namespace

std::string nft_time(uint64_t milliseconds) {
  constexpr std::array<std::pair<uint64_t, const char*>, 5> kUnits = {
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}}};
  std::string text;
  for (const auto& [size, name] : kUnits) {
    if (milliseconds >= size) text += fmt::format("{}{}", milliseconds / size, name);
    milliseconds %= size;
  }
  return text.empty() ? "0s" : text;
}

Result<std::string> set_body(const json& declared, bool maps) {
  const std::vector<Type> key = key_fields(declared);
  if (key.empty())
    return Error{"the elements of this set have no type with a name: write them into the file, and load it"};
  std::string body = "type " + type_text(key);
  const std::string map = maps ? declared.value("map", "") : "";
  if (map == "verdict") body += " : verdict";
  if (map == "object") body += " : " + text_of(declared, "kind");
  if (map == "data") {
    const std::vector<Type> data =
        fields_of(number_of(declared, "data_type"), number_of(declared, "data_bytes"));
    if (data.empty())
      return Error{"what this map holds has no type with a name: write it into the file, and load it"};
    body += " : " + type_text(data);
  }
  std::vector<std::string> flags;
  if (declared.value("constant", false)) flags.emplace_back("constant");
  if (declared.value("dynamic", false)) flags.emplace_back("dynamic");
  if (declared.value("ranges", false)) flags.emplace_back("interval");
  if (declared.value("timeout", false)) flags.emplace_back("timeout");
  if (!flags.empty()) body += fmt::format("; flags {}", fmt::join(flags, ","));
  return body + ";";
}

std::string statement_text(const json& statement) {
  if (!statement.is_object()) return "";
  const std::string kind = text_of(statement, "kind");
  const char* const over = statement.value("over", json()) == true ? "over " : "";
  if (kind == "counter") return kind;
  if (kind == "quota") return fmt::format("quota {}{} bytes", over, number_of(statement, "bytes"));
  if (kind == "ct count") return fmt::format("ct count {}{}", over, number_of(statement, "connections"));
  constexpr std::array<std::pair<uint64_t, const char*>, 5> kUnits = {
      {{1, "second"}, {60, "minute"}, {3600, "hour"}, {86400, "day"}, {604800, "week"}}};
  const bool of_bytes = statement.value("of_bytes", json()) == true;
  const uint64_t burst = number_of(statement, "burst");
  for (const auto& [seconds, unit] : kUnits) {
    if (kind != "limit" || seconds != number_of(statement, "seconds")) continue;
    return fmt::format("limit rate {}{}{}/{}", over, number_of(statement, "rate"), of_bytes ? " bytes" : "",
                       unit) +
           (burst == 0 ? "" : fmt::format(" burst {} {}", burst, of_bytes ? "bytes" : "packets"));
  }
  return "";
}

std::string companions(const json& declared) {
  std::string text;
  for (const json& name : declared.value("chains", json::array()))
    if (name.is_string() && is_name(name.get<std::string>()))
      text += fmt::format("chain {} {{ }}; ", name.get<std::string>());
  const std::string kind = text_of(declared, "kind");
  const char* const begins = kind == "counter"     ? "packets 0 bytes 0"
                             : kind == "quota"     ? "1 mbytes"
                             : kind == "ct helper" ? "type \"ftp\" protocol tcp"
                                                   : "rate 1/second";
  for (const json& name : declared.value("objects", json::array()))
    if (name.is_string() && is_name(name.get<std::string>()) && (is_name(kind) || kind == "ct helper"))
      text += fmt::format("{} {} {{ {}; }}; ", kind, name.get<std::string>(), begins);
  return text;
}

std::string element_text(const json& declared, const json& row) {
  std::string text = text_of(row, "key") == "*" ? "*"
                                                : key_text(row, "key", "last", key_fields(declared),
                                                           declared.value("ranges", json()) == true);
  text += tallies_text(declared, row.value("tallies", json::array()));
  if (row.contains("timeout_ms")) text += " timeout " + nft_time(number_of(row, "timeout_ms"));
  if (row.contains("expires_ms")) text += " expires " + nft_time(number_of(row, "expires_ms"));
  if (row.contains("data"))
    text += " : " + key_text(row, "data", "data",
                             fields_of(number_of(declared, "data_type"), number_of(declared, "data_bytes")),
                             false);
  if (row.contains("verdict")) text += " : " + text_of(row, "verdict");
  if (row.contains("chain")) text += " " + text_of(row, "chain");
  if (row.contains("object")) text += " : " + text_of(row, "object");
  return text;
}

}  // namespace skerry::ctl
