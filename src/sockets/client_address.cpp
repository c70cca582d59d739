#include "sockets/client_address.hpp"

#include <errno.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace skerry::sockets::client {

int from_sockaddr(const sockaddr* address, socklen_t length, bool v6, Endpoint& endpoint) {
  if (address == nullptr || length < sizeof(sa_family_t)) return -EINVAL;
  if (v6) {
    sockaddr_in6 in6{};
    if (length < offsetof(sockaddr_in6, sin6_scope_id)) return -EINVAL;
    std::memcpy(&in6, address, std::min<size_t>(length, sizeof in6));
    if (in6.sin6_family != AF_INET6) return -EAFNOSUPPORT;
    std::memcpy(endpoint.address.bytes.data(), &in6.sin6_addr, 16);
    endpoint.port = ntohs(in6.sin6_port);
    return 0;
  }
  sockaddr_in in{};
  if (length < sizeof in) return -EINVAL;
  std::memcpy(&in, address, sizeof in);
  if (in.sin_family != AF_INET && !(in.sin_family == AF_UNSPEC && in.sin_addr.s_addr == INADDR_ANY))
    return -EAFNOSUPPORT;
  endpoint.address = IpAddress::v4(ntohl(in.sin_addr.s_addr));
  endpoint.port = ntohs(in.sin_port);
  return 0;
}

void to_sockaddr(const Endpoint& endpoint, bool v6, sockaddr* address, socklen_t* length) {
  if (length == nullptr || address == nullptr) return;
  const auto room = static_cast<size_t>(*length);
  if (v6) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint.port);
    // Nowhere is :: on a socket of this family, however the stack writes it.
    if (!endpoint.address.is_unspecified()) std::memcpy(&in6.sin6_addr, endpoint.address.bytes.data(), 16);
    std::memcpy(address, &in6, std::min(room, sizeof in6));
    *length = sizeof in6;
    return;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(endpoint.port);
  in.sin_addr.s_addr = htonl(endpoint.address.is_v4() ? endpoint.address.as_v4() : INADDR_ANY);
  std::memcpy(address, &in, std::min(room, sizeof in));
  *length = sizeof in;
}

}  // namespace skerry::sockets::client
