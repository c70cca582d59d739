// gethostbyname(3) and its relatives: the older face of the resolver.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "preload/interpose.hpp"
#include "preload/resolver.hpp"
#include "preload/resolver_files.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

using sockets::client::state;

constinit Next<int(const char*, int, hostent*, char*, size_t, hostent**, int*)> next_by_name2_r{
    "gethostbyname2_r"};
constinit Next<int(const void*, socklen_t, int, hostent*, char*, size_t, hostent**, int*)> next_by_addr_r{
    "gethostbyaddr_r"};

// Cuts what a hostent points to from the caller's buffer.
class Buffer {
 public:
  Buffer(char* begin, size_t room) : at_(begin), left_(room) {}

  // Aligned for pointers; null when it does not fit.
  char* take(size_t bytes) {
    const size_t skew = -reinterpret_cast<uintptr_t>(at_) & (alignof(char*) - 1);
    if (left_ < skew || left_ - skew < bytes) return nullptr;
    char* taken = at_ + skew;
    at_ = taken + bytes;
    left_ -= skew + bytes;
    return taken;
  }

 private:
  char* at_;
  size_t left_;
};

struct Host {
  const HostNames& names;
  int family;
  const IpAddress* addresses;
  size_t count;
};

// 0, or ERANGE if the buffer is too small.
int build(const Host& host, Buffer buffer, hostent& entry) {
  const size_t bytes = host.family == AF_INET ? 4 : 16;
  const HostNames& names = host.names;
  const auto alias_count =
      static_cast<size_t>(std::count(names.aliases, names.aliases + names.aliases_bytes, '\0'));
  const size_t name_bytes = std::strlen(names.canonical) + 1;
  char* name = buffer.take(name_bytes);
  char* aliases = buffer.take((alias_count + 1) * sizeof(char*));
  char* alias_text = buffer.take(names.aliases_bytes);
  char* list = buffer.take((host.count + 1) * sizeof(char*));
  char* data = buffer.take(host.count * bytes);
  for (const char* part : {name, aliases, alias_text, list, data})
    if (part == nullptr) return ERANGE;
  std::memcpy(name, names.canonical, name_bytes);
  std::memcpy(alias_text, names.aliases, names.aliases_bytes);
  auto** other_names = reinterpret_cast<char**>(aliases);
  for (size_t i = 0; i < alias_count; ++i) {
    other_names[i] = alias_text;
    alias_text += std::strlen(alias_text) + 1;
  }
  other_names[alias_count] = nullptr;
  auto** pointers = reinterpret_cast<char**>(list);
  for (size_t i = 0; i < host.count; ++i) {
    pointers[i] = data + i * bytes;
    std::memcpy(pointers[i], host.addresses[i].bytes.data() + (16 - bytes), bytes);
  }
  pointers[host.count] = nullptr;
  entry = {.h_name = name,
           .h_aliases = other_names,
           .h_addrtype = host.family,
           .h_length = static_cast<int>(bytes),
           .h_addr_list = pointers};
  return 0;
}

int to_h_error(Resolved::Kind kind) {
  switch (kind) {
    case Resolved::Kind::found:
      return NETDB_SUCCESS;
    case Resolved::Kind::no_data:
      return NO_DATA;
    case Resolved::Kind::try_again:
    case Resolved::Kind::failure:
      return TRY_AGAIN;
    case Resolved::Kind::no_name:
      return HOST_NOT_FOUND;
  }
  return NO_RECOVERY;
}

// Keeps the addresses of one family.
void keep_family(Resolved& found, int family) {
  size_t kept = 0;
  for (size_t i = 0; i < found.count; ++i)
    if (found.addresses[i].is_v4() == (family == AF_INET)) found.addresses[kept++] = found.addresses[i];
  found.count = kept;
  if (kept == 0 && found.kind == Resolved::Kind::found) found.kind = Resolved::Kind::no_data;
}

Resolved look_up(const char* name, int family) {
  Resolved found;
  in_addr v4{};
  if (inet_aton(name, &v4) != 0) {
    found.kind = Resolved::Kind::found;
    found.addresses[found.count++] = IpAddress::v4(ntohl(v4.s_addr));
    std::strncpy(found.canonical, name, sizeof found.canonical - 1);
  } else {
    found = resolve(name, family);
  }
  keep_family(found, family);
  return found;
}

// The buffers of the calls that return static data (not safe among threads, as they never were).
char static_buffer[12288];  // as many aliases as there may be, of a letter each
hostent static_entry;

}  // namespace
}  // namespace skerry::preload

using namespace skerry;
using namespace skerry::preload;

SKERRY_EXPORT int gethostbyname2_r(const char* name, int family, hostent* entry, char* buffer, size_t room,
                                   hostent** result, int* error) {
  if (!state.attached) return next_by_name2_r(name, family, entry, buffer, room, result, error);
  *result = nullptr;
  if (family != AF_INET && family != AF_INET6) {
    *error = NO_RECOVERY;
    return EAFNOSUPPORT;
  }
  const Resolved found = look_up(name, family);
  if (found.kind != Resolved::Kind::found) {
    h_errno = *error = to_h_error(found.kind);  // CPython looks at libc's own, as libc's functions set it too
    return 0;
  }
  *error = NETDB_SUCCESS;
  if (const int failed = build({found, family, found.addresses, found.count}, {buffer, room}, *entry);
      failed != 0) {
    *error = NETDB_INTERNAL;
    return failed;
  }
  *result = entry;
  return 0;
}

SKERRY_EXPORT int gethostbyname_r(const char* name, hostent* entry, char* buffer, size_t room,
                                  hostent** result, int* error) {
  return gethostbyname2_r(name, AF_INET, entry, buffer, room, result, error);
}

SKERRY_EXPORT hostent* gethostbyname2(const char* name, int family) {
  hostent* result = nullptr;
  gethostbyname2_r(name, family, &static_entry, static_buffer, sizeof static_buffer, &result, &h_errno);
  return result;
}

SKERRY_EXPORT hostent* gethostbyname(const char* name) {
  return gethostbyname2(name, AF_INET);
}

SKERRY_EXPORT int gethostbyaddr_r(const void* address, socklen_t length, int family, hostent* entry,
                                  char* buffer, size_t room, hostent** result, int* error) {
  if (!state.attached) return next_by_addr_r(address, length, family, entry, buffer, room, result, error);
  *result = nullptr;
  IpAddress ip;
  if (family == AF_INET && length >= 4)
    ip = IpAddress::v4(load_be32(static_cast<const uint8_t*>(address)));
  else if (family == AF_INET6 && length >= 16)
    std::memcpy(ip.bytes.data(), address, 16);
  else
    return EAFNOSUPPORT;
  const Resolved found = resolve_address(ip);
  if (found.kind != Resolved::Kind::found) {
    h_errno = *error = to_h_error(found.kind);  // CPython looks at libc's own, as libc's functions set it too
    return 0;
  }
  *error = NETDB_SUCCESS;
  if (const int failed = build({found, family, &ip, 1}, {buffer, room}, *entry); failed != 0) {
    *error = NETDB_INTERNAL;
    return failed;
  }
  *result = entry;
  return 0;
}

SKERRY_EXPORT hostent* gethostbyaddr(const void* address, socklen_t length, int family) {
  hostent* result = nullptr;
  gethostbyaddr_r(address, length, family, &static_entry, static_buffer, sizeof static_buffer, &result,
                  &h_errno);
  return result;
}
