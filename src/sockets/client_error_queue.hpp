// MSG_ERRQUEUE: what became of datagrams that this socket sent (ip(7), IP_RECVERR).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>

namespace skerry::sockets::client {

// As recvmsg(2) with MSG_ERRQUEUE of a datagram socket: the datagram as far as it is known, its destination,
// and beside it why it did not get there. -EAGAIN: nothing went wrong.
ssize_t receive_error(uint32_t socket, msghdr& message);

}  // namespace skerry::sockets::client
