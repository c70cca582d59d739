// Which sockets this process holds: how many descriptors it has of each, and its reference, a bit in its
// process slot, which is set with the first of them and taken back with the last. The stack closes a socket
// when nobody has a reference any more (holders.cpp).
#pragma once

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// A descriptor more, or one less, of what the entry of the descriptor table names: a socket or an epoll set.
void hold(uint32_t entry);
void drop(uint32_t entry);
// The reference goes back if there is no descriptor: of a socket that was given to us and could not be
// installed, or that lingered and was not sent to us meanwhile.
void let_go_if_last(uint32_t socket);

// ---- for fork() and exec(): before, when hold() is to follow for each descriptor that is there; and after,
// of what there was none.
void count_sockets_from_nothing();
void let_go_of_lost_sockets();

}  // namespace skerry::sockets::client
