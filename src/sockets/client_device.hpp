// SO_BINDTODEVICE and SO_BINDTOIFINDEX. Everything that comes from outside comes by eth0, so a socket that is
// bound to it hears what it should, and from the program's own loopback too, where Linux hears nothing. One
// that is bound to the loopback would have to be deaf for the network: that is refused, as it is on Linux to
// who has no privileges and is bound already.
#pragma once

#include <sys/socket.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

inline constexpr char kNetworkDevice[] = "eth0";

// As setsockopt(2): 0 or -errno.
int bind_to_device(uint32_t socket, const void* name, socklen_t length);
int bind_to_interface(uint32_t socket, int index);

int bound_interface(uint32_t socket);  // 0: to none

}  // namespace skerry::sockets::client
