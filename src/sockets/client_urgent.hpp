// Urgent data as Linux has it (tcp(7), "Sockets API"; RFC 6093): the last byte of a send with MSG_OOB. It
// lies in the stream where it was sent. Reading stops before it, then goes on behind it, and only MSG_OOB
// reads it; with SO_OOBINLINE it is a byte like the others, and reading only stops before it. The one that is
// announced later takes the place of the one before, which then is a byte like the others.
#pragma once

#include <sys/types.h>

#include "sockets/client_pieces.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// An urgent byte was announced and not read past yet: then the functions below say what that means.
inline bool has_urgent(uint32_t socket) {
  return state.out[socket].urgent_count.load(std::memory_order_acquire) !=
         state.in[socket].urgent_passed.load(std::memory_order_relaxed);
}

// `ready` as poll(2) has it, with EPOLLPRI while the byte is there and without input if there is no other.
uint32_t urgent_level(uint32_t socket, uint32_t ready);

// Bytes that may be read at position `read`, of `available`: none beyond the mark. At the mark itself `read`
// steps over the byte, and so does rx_read unless `peek`. Under rx_lock.
uint32_t readable_to_mark(uint32_t socket, uint32_t& read, uint32_t available, bool peek);

// What FIONREAD says where there are `available` bytes.
uint32_t input_to_mark(uint32_t socket, uint32_t available);

// SIOCATMARK; `ahead`: whether it lies so many bytes further on.
bool at_mark(uint32_t socket, uint32_t ahead = 0);

// recv(MSG_OOB).
ssize_t receive_urgent(uint32_t socket, Pieces& to, int flags);

}  // namespace skerry::sockets::client
