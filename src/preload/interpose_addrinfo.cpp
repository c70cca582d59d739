// getaddrinfo(3), freeaddrinfo(3) (RFC 3493 section 6.1). What getaddrinfo() hands out lies in pages of its
// own: nothing here may call malloc.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
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
  bool is_usual;     // listed when neither a type nor a protocol is asked for
};
// libc's own list, in its order. Raw sockets have no services, and whatever protocol is asked for.
constexpr SocketKind kKinds[] = {
    {SOCK_STREAM, IPPROTO_TCP, "tcp", true},    {SOCK_DGRAM, IPPROTO_UDP, "udp", true},
    {SOCK_DCCP, IPPROTO_DCCP, "dccp", false},   {SOCK_DGRAM, IPPROTO_UDPLITE, "udplite", false},
    {SOCK_STREAM, IPPROTO_SCTP, "sctp", false}, {SOCK_SEQPACKET, IPPROTO_SCTP, "sctp", false},
    {SOCK_RAW, IPPROTO_IP, "", true},
};

// What is listed of each address.
struct Offer {
  int type, protocol;
  uint16_t port;
};
struct Offers {
  Offer each[std::size(kKinds)];
  size_t count = 0;
};

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

// The node as an address; 0 or EAI_*. What is written as IPv6 is listed as such, though it may be IPv4's.
int numeric_node(const char* node, addrinfo& hints, Resolved& found) {
  in_addr v4{};
  in6_addr v6{};
  found.count = 1;
  found.kind = Resolved::Kind::found;
  if (inet_aton(node, &v4) != 0) {
    if (hints.ai_family == AF_INET6 && !(hints.ai_flags & AI_V4MAPPED)) return EAI_ADDRFAMILY;
    found.addresses[0] = IpAddress::v4(ntohl(v4.s_addr));
    return 0;
  }
  char plain[INET6_ADDRSTRLEN] = {};
  const size_t length = std::strcspn(node, "%");  // a zone means nothing without IPv6
  if (length >= sizeof plain) return EAI_NONAME;
  std::memcpy(plain, node, length);
  if (inet_pton(AF_INET6, plain, &v6) != 1) return EAI_NONAME;
  std::memcpy(found.addresses[0].bytes.data(), &v6, 16);
  if (hints.ai_family == AF_INET) return found.addresses[0].is_v4() ? 0 : EAI_ADDRFAMILY;
  hints.ai_family = AF_INET6;
  hints.ai_flags |= AI_V4MAPPED;
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

int find_node(const char* node, addrinfo& hints, Resolved& found) {
  if (node == nullptr) {
    local_node(hints, found);
    return 0;
  }
  const int numeric = numeric_node(node, hints, found);
  if (numeric == 0 || numeric == EAI_ADDRFAMILY || (hints.ai_flags & AI_NUMERICHOST)) return numeric;
  // What is mapped into AF_INET6 may come from lines of either family.
  found = resolve(
      node, hints.ai_family == AF_INET6 && (hints.ai_flags & AI_V4MAPPED) ? AF_UNSPEC : hints.ai_family);
  return from_kind(found.kind);
}

// Which family an address is listed under; 0: not at all. IPv4 goes into AF_INET6 only when asked to.
int listed_family(const IpAddress& address, const addrinfo& hints, bool has_v4, bool has_v6) {
  if (address.is_v4()) {
    if (hints.ai_family != AF_INET6) return AF_INET;
    const bool is_mapped = (hints.ai_flags & AI_V4MAPPED) && (!has_v6 || (hints.ai_flags & AI_ALL));
    return is_mapped ? AF_INET6 : 0;
  }
  if (hints.ai_family == AF_INET) return 0;
  // There is no IPv6 to reach it by, so it is offered only where there is nothing else.
  return hints.ai_family == AF_UNSPEC && has_v4 && !address.is_unspecified() ? 0 : AF_INET6;
}

// The service's port, negative if it is a name; 0 or EAI_*. As libc reads it: " 80" is 80, and 65536 is 0.
int read_port(const char* service, const addrinfo& hints, int& port) {
  char* end = nullptr;
  port = static_cast<int>(std::strtoul(service, &end, 10));
  if (*end == 0) return 0;
  port = -1;
  return hints.ai_flags & AI_NUMERICSERV ? EAI_NONAME : 0;
}

// What is listed of each address: all that is usual or has the service, or the first that has the type and
// the protocol that are asked for. 0 or EAI_*.
int find_offers(const char* service, const addrinfo& hints, Offers& offers) {
  int number = 0;
  if (service != nullptr && *service == 0) service = nullptr;
  if (service != nullptr)
    if (const int error = read_port(service, hints, number); error != 0) return error;
  const bool is_name = number < 0;
  const bool is_all = hints.ai_socktype == 0 && hints.ai_protocol == 0;
  for (const SocketKind& kind : kKinds) {
    const bool is_raw = kind.type == SOCK_RAW;
    if (hints.ai_socktype != 0 && hints.ai_socktype != kind.type) continue;
    if (hints.ai_protocol != 0 && !is_raw && hints.ai_protocol != kind.protocol) continue;
    if (is_all && !is_name && !kind.is_usual) continue;
    auto port = static_cast<uint16_t>(number);
    const bool fits = is_raw ? service == nullptr || (is_all && !is_name)
                             : !is_name || find_service(service, kind.name, port);
    if (fits) offers.each[offers.count++] = {kind.type, is_raw ? hints.ai_protocol : kind.protocol, port};
    if (!is_all) return fits ? 0 : EAI_SERVICE;
  }
  if (offers.count > 0) return 0;
  return hints.ai_socktype != 0 ? EAI_SOCKTYPE : EAI_SERVICE;
}

void fill(Item& item, const IpAddress& address, int family, const Offer& offer) {
  item.info.ai_family = family;
  item.info.ai_socktype = offer.type;
  item.info.ai_protocol = offer.protocol;
  if (family == AF_INET) {
    item.v4.sin_family = AF_INET;
    item.v4.sin_port = htons(offer.port);
    item.v4.sin_addr.s_addr = htonl(address.as_v4());
    item.info.ai_addr = reinterpret_cast<sockaddr*>(&item.v4);
    item.info.ai_addrlen = sizeof item.v4;
  } else {
    item.v6.sin6_family = AF_INET6;
    item.v6.sin6_port = htons(offer.port);
    std::memcpy(&item.v6.sin6_addr, address.bytes.data(), 16);
    item.info.ai_addr = reinterpret_cast<sockaddr*>(&item.v6);
    item.info.ai_addrlen = sizeof item.v6;
  }
}

// Every address of a family that the hints allow, with every offer. Returns how many.
size_t list(const Resolved& found, const Offers& offers, const addrinfo& hints, Answer& answer) {
  size_t count = 0;
  const IpAddress* const end = found.addresses + found.count;
  const auto is_v4 = [](const IpAddress& one) { return one.is_v4(); };
  const bool has_v4 = std::any_of(found.addresses, end, is_v4);
  const bool has_v6 = !std::all_of(found.addresses, end, is_v4);
  for (const IpAddress* address = found.addresses; address != end; ++address) {
    const int family = listed_family(*address, hints, has_v4, has_v6);
    for (size_t i = 0; family != 0 && i < offers.count; ++i) {
      if (count > 0) answer.items[count - 1].info.ai_next = &answer.items[count].info;
      answer.items[count].answer = &answer;
      fill(answer.items[count++], *address, family, offers.each[i]);
    }
  }
  return count;
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
  Offers offers;
  if (const int error = find_offers(service, hints, offers); error != 0) return error;
  Resolved found;
  if (const int error = find_node(node, hints, found); error != 0) return error;
  Answer* answer = new_answer();
  if (answer == nullptr) return EAI_MEMORY;
  const size_t count = list(found, offers, hints, *answer);
  if (count == 0) {
    free_answer(answer);
    return EAI_NODATA;
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
