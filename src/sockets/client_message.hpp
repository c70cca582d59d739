// One call of the program on one socket, stream or datagram: recv(2) and send(2) in all their shapes. Results
// as the system calls give them, errors as -errno.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

ssize_t receive(uint32_t socket, const iovec* pieces, size_t count, int flags, sockaddr* address = nullptr,
                socklen_t* length = nullptr);
ssize_t receive_message(uint32_t socket, msghdr* message, int flags);
// As recvmmsg(2); `timeout` is looked at between messages, as there, and what is left of it stored.
int receive_messages(uint32_t socket, mmsghdr* messages, unsigned count, int flags, timespec* timeout);

ssize_t send(uint32_t socket, const iovec* pieces, size_t count, int flags, const sockaddr* address = nullptr,
             socklen_t length = 0);
ssize_t send_message(uint32_t socket, const msghdr* message, int flags);
int send_messages(uint32_t socket, mmsghdr* messages, unsigned count, int flags);

// sendfile(2) from a file of the kernel's.
ssize_t send_file(uint32_t socket, int file, off_t* offset, size_t bytes);

}  // namespace skerry::sockets::client
