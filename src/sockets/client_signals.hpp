// Signals that tell of sockets (fcntl(2), socket(7)): SIGURG to a socket's owner when urgent data is
// announced, and SIGIO with O_ASYNC when there is something to read or room to write again.
//
// The stack can signal nobody, and shall not. It writes a byte into a pipe whose read end is ours, with
// O_ASYNC and an owner: then the kernel raises the signal, with the rights of who set that owner. There is
// one such pipe, a bell, for each owner and signal; nobody empties it, since the kernel signals also when it
// is full. A bell is the process's that made it: a child that should ring too sets an owner of its own.
#pragma once

#include <fcntl.h>

#include <cstdint>

namespace skerry::sockets::client {

// F_SETOWN_EX and F_GETOWN_EX. 0, -EINVAL, -ESRCH; -ENOMEM: too many owners, or no waiter is free.
int set_owner(uint32_t socket, const f_owner_ex& owner);
f_owner_ex owner_of(uint32_t socket);
// F_SETOWN and FIOSETOWN, F_GETOWN and FIOGETOWN: a process, or a group if it is negative.
int set_owner(uint32_t socket, int owner);
int owner_number(const f_owner_ex& owner);

// O_ASYNC was switched: what F_SETFL and FIOASYNC do beside keeping the flag.
int set_async(uint32_t socket, bool on);

void release_bells();  // at the end of the session
void forget_bells_after_fork();

}  // namespace skerry::sockets::client
