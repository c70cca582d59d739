// The files behind name resolution: nsswitch.conf(5), resolv.conf(5), hosts(5), services(5). Read a line at a
// time into a fixed buffer; lines that do not fit are cut, as glibc does with fields that do not.
#pragma once

#include <cstdint>
#include <string_view>

#include "wire/address.hpp"

namespace skerry::preload {

// Parts of a text, without std::string_view::substr(): that can throw, and exceptions would bring their whole
// run-time into every program. `length` and `from` are at most the text's size.
inline std::string_view first(std::string_view text, size_t length) {
  return {text.data(), length < text.size() ? length : text.size()};
}
inline std::string_view after(std::string_view text, size_t from) {
  text.remove_prefix(from);
  return text;
}

// The words of one line, up to a '#'.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(first(line, line.find('#'))) {}
  // The next word; empty at the end.
  std::string_view next();

 private:
  std::string_view rest_;
};

// The lines of a file. Opens in the constructor; a file that cannot be read has no lines.
class Lines {
 public:
  explicit Lines(const char* path);
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  bool next(std::string_view& line);  // valid until the next call

 private:
  bool fill();

  int file_;
  char buffer_[4096];
  size_t begin_ = 0, end_ = 0;
  bool skipping_ = false;  // inside a line that did not fit
};

struct ResolverConfig {
  static constexpr size_t kServersMax = 3, kSearchMax = 6;  // resolv.conf(5)
  Ipv4Address servers[kServersMax] = {};
  size_t server_count = 0;
  char search[kSearchMax][256] = {};
  size_t search_count = 0;
  uint32_t ndots = 1, timeout_s = 5, attempts = 2;
};

// One line of resolv.conf. Unknown words are passed over.
void read_config_line(std::string_view line, ResolverConfig& config);
ResolverConfig read_config();

// nsswitch.conf(5): who is asked for a host, in this order. Services that we do not have are passed over, as
// those of a program that cannot load them.
struct HostSources {
  enum Status : uint8_t { success = 1, notfound = 2, unavail = 4, tryagain = 8 };
  enum class Kind : uint8_t { files, dns };
  struct One {
    Kind kind;
    uint8_t ends_with;  // Status bits after which nobody else is asked
  };
  static constexpr size_t kMost = 4;
  One each[kMost] = {{Kind::files, success}, {Kind::dns, success}};  // without a line (glibc since 2.35)
  size_t count = 2;
};

// One line of nsswitch.conf; false if it is not about hosts. The last that is counts, as in glibc.
bool read_sources_line(std::string_view line, HostSources& sources);
HostSources read_sources();

bool same_name(std::string_view a, std::string_view b);  // without regard to case

// A dotted quad; false otherwise.
bool to_ipv4(std::string_view text, Ipv4Address& address);

// What a host is called: the name that it has itself, and others.
struct HostNames {
  char canonical[256] = {};
  char aliases[2048];  // one behind the other, each with its 0; those without room are left out
  size_t aliases_bytes = 0;

  void add_alias(std::string_view name);
};

// Addresses of a family, or with AF_UNSPEC of both, that hosts(5) gives for a name; how many, at most `room`.
// The names in `names` if there are any.
size_t find_in_hosts(std::string_view name, int family, IpAddress* addresses, size_t room, HostNames& names);
// The names of an address; false if there are none.
bool find_address_in_hosts(const IpAddress& address, HostNames& names);

// services(5): port in host byte order; `protocol` "tcp" or "udp".
bool find_service(std::string_view name, std::string_view protocol, uint16_t& port);
bool find_service_name(uint16_t port, std::string_view protocol, char* name, size_t room);

}  // namespace skerry::preload
