// Making sockets and connections: socket(2), bind(2), listen(2), accept(2), connect(2), shutdown(2) and the
// two names. Results as the system calls give them, errors as -errno.
#pragma once

#include <sys/socket.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Whether a socket of this kind is ours to make: AF_INET and AF_INET6, when attached.
bool serves(int domain);

int open(int domain, int type, int protocol);
int bind(uint32_t socket, const sockaddr* address, socklen_t length);
int listen(uint32_t socket, int backlog);
// `flags`: SOCK_NONBLOCK, SOCK_CLOEXEC.
int accept(uint32_t socket, sockaddr* address, socklen_t* length, int flags);
int connect(uint32_t socket, const sockaddr* address, socklen_t length);
int shutdown(uint32_t socket, int how);
// Before the last descriptor of the program is closed: SO_LINGER, until the peer has what was sent (Linux
// tcp_close()). A signal ends it.
void linger(uint32_t socket);
int local_name(uint32_t socket, sockaddr* address, socklen_t* length);
int remote_name(uint32_t socket, sockaddr* address, socklen_t* length);

// Where bytes of the socket for `endpoint` go: 0.0.0.0 and :: mean this host (ip(7)); -ENETUNREACH for IPv6
// that is not v4-mapped, and for IPv4 of a socket with IPV6_V6ONLY.
int destination(uint32_t socket, Endpoint& endpoint);

}  // namespace skerry::sockets::client
