// getaddrinfo(3), freeaddrinfo(3) (RFC 3493 section 6.1). What getaddrinfo() hands out lies in pages of its
// own: nothing here may call malloc.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "preload/interpose.hpp"
#include "preload/resolver.hpp"
#include "preload/resolver_files.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::state;

constinit Next<int(const char*, const char*, const addrinfo*, addrinfo**)> next_getaddrinfo{"getaddrinfo"};
constinit Next<void(addrinfo*)> next_freeaddrinfo{"freeaddrinfo"};

struct SocketKind {
  int type, protocol;
  const char* name;  // in services(5)
};
constexpr SocketKind kKinds[] = {
    {SOCK_STREAM, IPPROTO_TCP, "tcp"}, {SOCK_DGRAM, IPPROTO_UDP, "udp"}, {SOCK_RAW, IPPROTO_IP, ""}};

struct Answer;

struct Item {
  addrinfo info;  // first: what the program has points to the item
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  Answer* answer;
};

// The result of one call. A program may cut its list, join others to it and free the parts when it likes, as
// libc's items are allocated one by one: so the last of them frees the answer.
struct Answer {
  Item items[kAddressesMax * std::size(kKinds)];
  char canonical[256];
  std::atomic<uint32_t> items_left;
};
constexpr size_t kAnswerBytes = (sizeof(Answer) + 4095) / 4096 * 4096;

Answer* new_answer() {
  const long mapped = client::system_call(SYS_mmap, 0, kAnswerBytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped < 0 && mapped > -4096 ? nullptr : reinterpret_cast<Answer*>(mapped);
}

void free_answer(Answer* answer) {
  client::system_call(SYS_munmap, client::word(answer), kAnswerBytes);
}

constexpr int kKnownFlags = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL |
                            AI_ADDRCONFIG | AI_NUMERICSERV | AI_IDN | AI_CANONIDN;

// The node as addresses; 0 or EAI_*.
int numeric_node(const char* node, int family, Resolved& found) {
  in_addr v4{};
  in6_addr v6{};
  found.count = 1;
  found.kind = Resolved::Kind::found;
  if (inet_aton(node, &v4) != 0) {
    found.addresses[0] = IpAddress::v4(ntohl(v4.s_addr));
    return 0;
  }
  char plain[INET6_ADDRSTRLEN] = {};
  const size_t length = std::strcspn(node, "%");  // a zone means nothing without IPv6
  if (length >= sizeof plain) return EAI_NONAME;
  std::memcpy(plain, node, length);
  if (inet_pton(AF_INET6, plain, &v6) != 1) return EAI_NONAME;
  if (family == AF_INET) return EAI_ADDRFAMILY;
  std::memcpy(found.addresses[0].bytes.data(), &v6, 16);
  return 0;
}

void local_node(const addrinfo& hints, Resolved& found) {
  found.kind = Resolved::Kind::found;
  const bool passive = hints.ai_flags & AI_PASSIVE;
  if (hints.ai_family != AF_INET6)
    found.addresses[found.count++] = IpAddress::v4(passive ? INADDR_ANY : INADDR_LOOPBACK);
  if (hints.ai_family == AF_INET6 || (passive && hints.ai_family == AF_UNSPEC)) {
    const in6_addr address = passive ? in6_addr IN6ADDR_ANY_INIT : in6_addr IN6ADDR_LOOPBACK_INIT;
    std::memcpy(found.addresses[found.count++].bytes.data(), &address, 16);
  }
}

int from_kind(Resolved::Kind kind) {
  switch (kind) {
    case Resolved::Kind::found:
      return 0;
    case Resolved::Kind::no_name:
      return EAI_NONAME;
    case Resolved::Kind::no_data:
      return EAI_NODATA;
    case Resolved::Kind::try_again:
    case Resolved::Kind::failure:  // SERVFAIL or REFUSED of all servers, which to libc is no answer
      return EAI_AGAIN;
  }
  return EAI_FAIL;
}

int find_node(const char* node, const addrinfo& hints, Resolved& found) {
  if (node == nullptr) {
    local_node(hints, found);
    return 0;
  }
  const int numeric = numeric_node(node, hints.ai_family, found);
  if (numeric == 0 || numeric == EAI_ADDRFAMILY || (hints.ai_flags & AI_NUMERICHOST)) return numeric;
  // What is mapped into AF_INET6 may come from lines of either family.
  found = resolve(
      node, hints.ai_family == AF_INET6 && (hints.ai_flags & AI_V4MAPPED) ? AF_UNSPEC : hints.ai_family);
  return from_kind(found.kind);
}

// Which family an address is listed under; 0: not at all. IPv4 goes into AF_INET6 only when asked to.
int listed_family(const IpAddress& address, const addrinfo& hints, bool has_v4) {
  if (address.is_v4()) {
    if (hints.ai_family != AF_INET6) return AF_INET;
    return hints.ai_flags & AI_V4MAPPED ? AF_INET6 : 0;
  }
  if (hints.ai_family == AF_INET) return 0;
  // There is no IPv6 to reach it by, so it is offered only where there is nothing else.
  return hints.ai_family == AF_UNSPEC && has_v4 && !address.is_unspecified() ? 0 : AF_INET6;
}

int find_port(const char* service, const SocketKind& kind, const addrinfo& hints, uint16_t& port) {
  port = 0;
  if (service == nullptr || *service == 0) return 0;
  const char* end = service + std::strlen(service);
  const auto [stop, error] = std::from_chars(service, end, port);
  if (stop == end) return error == std::errc() ? 0 : EAI_SERVICE;
  if (hints.ai_flags & AI_NUMERICSERV) return EAI_NONAME;
  return find_service(service, kind.name, port) ? 0 : EAI_SERVICE;
}

void fill(Item& item, const IpAddress& address, int family, uint16_t port, const SocketKind& kind) {
  item.info.ai_family = family;
  item.info.ai_socktype = kind.type;
  item.info.ai_protocol = kind.protocol;
  if (family == AF_INET) {
    item.v4.sin_family = AF_INET;
    item.v4.sin_port = htons(port);
    item.v4.sin_addr.s_addr = htonl(address.as_v4());
    item.info.ai_addr = reinterpret_cast<sockaddr*>(&item.v4);
    item.info.ai_addrlen = sizeof item.v4;
  } else {
    item.v6.sin6_family = AF_INET6;
    item.v6.sin6_port = htons(port);
    std::memcpy(&item.v6.sin6_addr, address.bytes.data(), 16);
    item.info.ai_addr = reinterpret_cast<sockaddr*>(&item.v6);
    item.info.ai_addrlen = sizeof item.v6;
  }
}

// Every address with every kind of socket that the hints allow. Returns how many, or minus an EAI_* (they are
// negative themselves, so: an EAI_*).
int list(const Resolved& found, const char* service, const addrinfo& hints, Answer& answer) {
  int count = 0;
  int service_error = EAI_SOCKTYPE;
  const bool has_v4 = std::any_of(found.addresses, found.addresses + found.count,
                                  [](const IpAddress& address) { return address.is_v4(); });
  for (size_t i = 0; i < found.count; ++i) {
    const int family = listed_family(found.addresses[i], hints, has_v4);
    if (family == 0) continue;
    for (const SocketKind& kind : kKinds) {
      if (hints.ai_socktype != 0 && hints.ai_socktype != kind.type) continue;
      if (hints.ai_protocol != 0 && kind.protocol != 0 && hints.ai_protocol != kind.protocol) continue;
      uint16_t port = 0;
      if (const int error = find_port(service, kind, hints, port); error != 0) {
        service_error = error;
        continue;
      }
      if (count > 0) answer.items[count - 1].info.ai_next = &answer.items[count].info;
      answer.items[count].answer = &answer;
      fill(answer.items[count++], found.addresses[i], family, port, kind);
    }
    if (count == 0) return service_error;
  }
  return count > 0 ? count : EAI_NODATA;
}

}  // namespace

void resolve_addrinfo() {
  next_getaddrinfo.resolve();
  next_freeaddrinfo.resolve();
}

}  // namespace skerry::preload

using namespace skerry;
using namespace skerry::preload;

SKERRY_EXPORT int getaddrinfo(const char* node, const char* service, const addrinfo* wanted,
                              addrinfo** result) {
  if (!state.attached) return next_getaddrinfo(node, service, wanted, result);
  addrinfo hints{};
  if (wanted != nullptr) {
    hints = *wanted;
  } else {
    hints.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG;
  }
  if (node != nullptr && std::strcmp(node, "*") == 0) node = nullptr;
  if (service != nullptr && std::strcmp(service, "*") == 0) service = nullptr;
  if (node == nullptr && service == nullptr) return EAI_NONAME;
  if ((hints.ai_flags & ~kKnownFlags) != 0 || ((hints.ai_flags & AI_CANONNAME) && node == nullptr))
    return EAI_BADFLAGS;
  if (hints.ai_family != AF_UNSPEC && hints.ai_family != AF_INET && hints.ai_family != AF_INET6)
    return EAI_FAMILY;
  Resolved found;
  if (const int error = find_node(node, hints, found); error != 0) return error;
  Answer* answer = new_answer();
  if (answer == nullptr) return EAI_MEMORY;
  const int count = list(found, service, hints, *answer);
  if (count <= 0) {
    free_answer(answer);
    return count;
  }
  answer->items_left = static_cast<uint32_t>(count);
  if (hints.ai_flags & AI_CANONNAME) {
    const char* canonical = found.canonical[0] != 0 ? found.canonical : node;
    std::memcpy(answer->canonical, canonical, strnlen(canonical, sizeof answer->canonical - 1));
    answer->items[0].info.ai_canonname = answer->canonical;
  }
  *result = &answer->items[0].info;
  return 0;
}

SKERRY_EXPORT void freeaddrinfo(addrinfo* list) noexcept {
  if (!state.attached) return next_freeaddrinfo(list);
  while (list != nullptr) {
    Answer* const answer = reinterpret_cast<Item*>(list)->answer;
    list = list->ai_next;
    if (answer->items_left.fetch_sub(1) == 1) free_answer(answer);
  }
}
