#include "preload/resolver_files.hpp"

#include <arpa/inet.h>
#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "sockets/client_system.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool to_number(std::string_view text, uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool copy_text(std::string_view text, char* to, size_t room) {
  if (text.size() >= room) return false;
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = 0;
  return true;
}

bool to_address(std::string_view text, IpAddress& address) {
  Ipv4Address v4 = 0;
  if (to_ipv4(text, v4)) {
    address = IpAddress::v4(v4);
    return true;
  }
  char copy[64];
  return copy_text(text, copy, sizeof copy) && inet_pton(AF_INET6, copy, address.bytes.data()) == 1;
}

void read_option(std::string_view word, ResolverConfig& config) {
  const size_t colon = word.find(':');
  uint32_t number = 0;
  if (colon == std::string_view::npos || !to_number(after(word, colon + 1), number)) return;
  const std::string_view name = first(word, colon);
  // Limits of resolv.conf(5).
  if (name == "ndots") config.ndots = std::min(number, 15u);
  if (name == "timeout") config.timeout_s = std::clamp(number, 1u, 30u);
  if (name == "attempts") config.attempts = std::clamp(number, 1u, 5u);
}

// "NOTFOUND=return", "!UNAVAIL=return", "SUCCESS=continue"
void read_action(std::string_view word, HostSources::One& source) {
  static constexpr std::pair<std::string_view, uint8_t> kStatuses[] = {
      {"success", HostSources::success},
      {"notfound", HostSources::notfound},
      {"unavail", HostSources::unavail},
      {"tryagain", HostSources::tryagain},
  };
  const bool others = word.starts_with('!');
  if (others) word.remove_prefix(1);
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return;
  for (const auto& [name, bit] : kStatuses) {
    if (!same_name(first(word, equals), name)) continue;
    const auto bits = static_cast<uint8_t>(others ? ~bit : bit);
    if (same_name(after(word, equals + 1), "return")) source.ends_with |= bits;
    if (same_name(after(word, equals + 1), "continue")) source.ends_with &= static_cast<uint8_t>(~bits);
  }
}

// The names of a line: of the first one that counts the host's own, and behind the aliases of another its own
// name as one more, if it is another. False: there was no name.
bool add_names(Words line, bool is_first, HostNames& names) {
  const std::string_view own = line.next();
  if (is_first) {
    names.aliases_bytes = 0;
    if (own.empty() || !copy_text(own, names.canonical, sizeof names.canonical)) return false;
  }
  for (std::string_view word = line.next(); !word.empty(); word = line.next()) names.add_alias(word);
  if (own != names.canonical) names.add_alias(own);
  return true;
}

// "80/tcp"
bool read_port(std::string_view word, std::string_view protocol, uint16_t& port) {
  const size_t slash = word.find('/');
  uint32_t number = 0;
  if (slash == std::string_view::npos || after(word, slash + 1) != protocol ||
      !to_number(first(word, slash), number) || number > 65535)
    return false;
  port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

std::string_view Words::next() {
  while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  size_t length = 0;
  while (length < rest_.size() && !is_space(rest_[length])) ++length;
  const std::string_view word = first(rest_, length);
  rest_.remove_prefix(length);
  return word;
}

Lines::Lines(const char* path)
    : file_(static_cast<int>(
          client::system_call(SYS_openat, AT_FDCWD, client::word(path), O_RDONLY | O_CLOEXEC))) {}

Lines::~Lines() {
  if (file_ >= 0) client::close_descriptor(file_);
}

bool Lines::fill() {
  if (file_ < 0) return false;
  std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const long got = client::system_call(SYS_read, file_, client::word(buffer_ + end_),
                                       static_cast<long>(sizeof buffer_ - end_));
  if (got <= 0) return false;
  end_ += static_cast<size_t>(got);
  return true;
}

bool Lines::next(std::string_view& line) {
  for (;;) {
    const std::string_view held(buffer_ + begin_, end_ - begin_);
    const size_t newline = held.find('\n');
    if (newline != std::string_view::npos) {
      begin_ += newline + 1;
      if (skipping_) {
        skipping_ = false;
        continue;
      }
      line = first(held, newline);
      return true;
    }
    const bool full = held.size() == sizeof buffer_;
    if (!full && fill()) continue;
    if (held.empty()) return false;
    const bool give = !skipping_;
    skipping_ = full;
    begin_ = end_;
    line = held;
    if (give) return true;
  }
}

void read_config_line(std::string_view line, ResolverConfig& config) {
  if (line.starts_with(';')) return;
  Words words(line);
  const std::string_view keyword = words.next();
  if (keyword == "nameserver") {
    // We have no IPv6 to ask over.
    if (config.server_count < ResolverConfig::kServersMax &&
        to_ipv4(words.next(), config.servers[config.server_count]))
      ++config.server_count;
  } else if (keyword == "search" || keyword == "domain") {
    config.search_count = 0;
    for (std::string_view word = words.next();
         !word.empty() && config.search_count < ResolverConfig::kSearchMax; word = words.next())
      if (copy_text(word, config.search[config.search_count], sizeof config.search[0])) ++config.search_count;
  } else if (keyword == "options") {
    for (std::string_view word = words.next(); !word.empty(); word = words.next()) read_option(word, config);
  }
}

ResolverConfig read_config() {
  ResolverConfig config;
  Lines lines("/etc/resolv.conf");
  for (std::string_view line; lines.next(line);) read_config_line(line, config);
  if (config.server_count == 0) config.servers[config.server_count++] = INADDR_LOOPBACK;
  return config;
}

bool read_sources_line(std::string_view line, HostSources& sources) {
  // Neither the colon nor brackets need space beside them.
  std::string_view rest = first(line, line.find('#'));
  const auto skip_spaces = [&] {
    while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  };
  const auto take_until = [&](const char* ends) {
    const std::string_view word = first(rest, rest.find_first_of(ends));
    rest.remove_prefix(word.size());
    return word;
  };
  skip_spaces();
  if (take_until(": \t\r\n") != "hosts" || rest.empty()) return false;
  sources.count = 0;
  HostSources::One* about = nullptr;  // the service that what is in brackets is about, if we have it
  bool in_brackets = false;
  for (;;) {
    skip_spaces();
    if (rest.empty()) return true;
    if (rest.front() == ':' || rest.front() == (in_brackets ? ']' : '[')) {
      if (rest.front() != ':') in_brackets = !in_brackets;
      rest.remove_prefix(1);
      continue;
    }
    const std::string_view word = take_until(in_brackets ? "] \t\r\n" : "[ \t\r\n");
    if (in_brackets) {
      if (about != nullptr) read_action(word, *about);
      continue;
    }
    about = nullptr;
    if ((word != "files" && word != "dns") || sources.count == HostSources::kMost) continue;
    about = &sources.each[sources.count++];
    *about = {word == "dns" ? HostSources::Kind::dns : HostSources::Kind::files, HostSources::success};
  }
}

HostSources read_sources() {
  HostSources sources;
  Lines lines("/etc/nsswitch.conf");
  for (std::string_view line; lines.next(line);) read_sources_line(line, sources);
  return sources;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool to_ipv4(std::string_view text, Ipv4Address& address) {
  char copy[16];
  in_addr parsed{};
  if (!copy_text(text, copy, sizeof copy) || inet_pton(AF_INET, copy, &parsed) != 1) return false;
  address = ntohl(parsed.s_addr);
  return true;
}

void HostNames::add_alias(std::string_view name) {
  if (copy_text(name, aliases + aliases_bytes, sizeof aliases - aliases_bytes))
    aliases_bytes += name.size() + 1;
}

size_t find_in_hosts(std::string_view name, int family, IpAddress* addresses, size_t room, HostNames& names) {
  size_t count = 0;
  Lines lines("/etc/hosts");
  for (std::string_view line; count < room && lines.next(line);) {
    Words words(line);
    IpAddress address;
    if (!to_address(words.next(), address)) continue;
    if (family != AF_UNSPEC && address.is_v4() != (family == AF_INET)) continue;
    bool is_listed = false;
    Words rest = words;
    for (std::string_view word = rest.next(); !word.empty(); word = rest.next())
      is_listed = is_listed || same_name(word, name);
    if (!is_listed) continue;
    addresses[count++] = address;
    add_names(words, count == 1, names);
  }
  return count;
}

bool find_address_in_hosts(const IpAddress& address, HostNames& names) {
  Lines lines("/etc/hosts");
  for (std::string_view line; lines.next(line);) {
    Words words(line);
    IpAddress listed;
    if (to_address(words.next(), listed) && listed == address && add_names(words, true, names)) return true;
  }
  return false;
}

bool find_service(std::string_view name, std::string_view protocol, uint16_t& port) {
  Lines lines("/etc/services");
  for (std::string_view line; lines.next(line);) {
    Words words(line);
    bool matches = words.next() == name;
    const std::string_view where = words.next();
    for (std::string_view word = words.next(); !word.empty(); word = words.next())
      matches = matches || word == name;
    if (matches && !name.empty() && read_port(where, protocol, port)) return true;
  }
  return false;
}

bool find_service_name(uint16_t port, std::string_view protocol, char* name, size_t room) {
  Lines lines("/etc/services");
  for (std::string_view line; lines.next(line);) {
    Words words(line);
    const std::string_view listed = words.next();
    uint16_t number = 0;
    if (read_port(words.next(), protocol, number) && number == port) return copy_text(listed, name, room);
  }
  return false;
}

}  // namespace skerry::preload
