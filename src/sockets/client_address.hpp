// sockaddr, as programs give and want it, to and from Endpoint.
#pragma once

#include <sys/socket.h>

#include "wire/address.hpp"

namespace skerry::sockets::client {

// 0, or -errno: -EINVAL (too short), -EAFNOSUPPORT. A socket made as AF_INET6 (`v6`) takes sockaddr_in6
// alone, others sockaddr_in.
int from_sockaddr(const sockaddr* address, socklen_t length, bool v6, Endpoint& endpoint);

// Stores at most *length bytes and the full length into *length; nothing if address or length is null.
void to_sockaddr(const Endpoint& endpoint, bool v6, sockaddr* address, socklen_t* length);

}  // namespace skerry::sockets::client
