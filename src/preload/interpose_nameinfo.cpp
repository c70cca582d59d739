// getnameinfo(3) (RFC 3493 section 6.2).
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/utsname.h>

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

constinit Next<int(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int)> next_getnameinfo{
    "getnameinfo"};

int fit(const char* text, char* to, socklen_t room) {
  const size_t length = std::strlen(text);
  if (length + 1 > room) return EAI_OVERFLOW;
  std::memcpy(to, text, length + 1);
  return 0;
}

// Of a host in our own domain the name alone.
void leave_out_domain(char* name) {
  utsname ours{};
  if (client::system_call(SYS_uname, client::word(&ours)) != 0) return;
  const char* domain = std::strchr(ours.nodename, '.');
  char* theirs = std::strchr(name, '.');
  if (domain != nullptr && theirs != nullptr && same_name(domain, theirs)) *theirs = 0;
}

// EAI_NONAME: it has none.
int host_name(const IpAddress& address, int flags, char* host, socklen_t room) {
  if (flags & NI_NUMERICHOST) return EAI_NONAME;
  Resolved found = resolve_address(address);
  if (found.kind == Resolved::Kind::try_again || found.kind == Resolved::Kind::failure) return EAI_AGAIN;
  if (found.kind != Resolved::Kind::found) return EAI_NONAME;
  if (flags & NI_NOFQDN) leave_out_domain(found.canonical);
  return fit(found.canonical, host, room);
}

}  // namespace

void resolve_nameinfo() {
  next_getnameinfo.resolve();
}

}  // namespace skerry::preload

using namespace skerry;
using namespace skerry::preload;

SKERRY_EXPORT int getnameinfo(const sockaddr* address, socklen_t length, char* host, socklen_t host_room,
                              char* service, socklen_t service_room, int flags) {
  const bool inet =
      address != nullptr && ((address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) ||
                             (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)));
  if (!state.attached || !inet)
    return next_getnameinfo(address, length, host, host_room, service, service_room, flags);
  IpAddress ip;
  uint16_t port = 0;
  char text[INET6_ADDRSTRLEN];
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    ip = IpAddress::v4(ntohl(in.sin_addr.s_addr));
    port = ntohs(in.sin_port);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
  } else {
    sockaddr_in6 in6;
    std::memcpy(&in6, address, sizeof in6);
    std::memcpy(ip.bytes.data(), &in6.sin6_addr, 16);
    port = ntohs(in6.sin6_port);
    inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
  }
  if (host != nullptr && host_room > 0) {
    int error = host_name(ip, flags, host, host_room);
    if (error == EAI_NONAME && !(flags & NI_NAMEREQD)) error = fit(text, host, host_room);
    if (error != 0) return error;
  }
  if (service == nullptr || service_room == 0) return 0;
  if (!(flags & NI_NUMERICSERV) &&
      find_service_name(port, flags & NI_DGRAM ? "udp" : "tcp", service, service_room))
    return 0;
  char digits[8] = {};
  std::to_chars(digits, digits + sizeof digits - 1, port);
  return fit(digits, service, service_room);
}
