// Reading and writing: recv(2) and send(2) on both kinds of sockets. Results as the system calls give them,
// errors as -errno.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "sockets/client_pieces.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// `flags` are MSG_*. Streams:
ssize_t receive_stream(uint32_t socket, Pieces& to, int flags);
ssize_t send_stream(uint32_t socket, Pieces& from, int flags);
// `bytes` of a file from `position` on, or less where it ends; straight from the page cache into the ring.
ssize_t send_stream_from_file(uint32_t socket, int file, off_t position, size_t bytes);
// `bytes` that wait in a pipe.
ssize_t send_stream_from_pipe(uint32_t socket, int pipe, size_t bytes);

inline bool is_stream(uint32_t socket) {
  return state.out[socket].status.load(std::memory_order_relaxed) & kStream;
}

inline bool may_not_wait(uint32_t socket, int flags) {
  return (flags & MSG_DONTWAIT) || (state.in[socket].flags.load(std::memory_order_relaxed) & kNonBlocking);
}

// SO_ERROR is told once, to whoever asks first: -errno, or 0.
inline int take_error(uint32_t socket) {
  std::atomic<int32_t>& error = state.out[socket].error;
  return error.load(std::memory_order_relaxed) == 0 ? 0 : -error.exchange(0, std::memory_order_acq_rel);
}

// -EPIPE, with the signal unless MSG_NOSIGNAL.
int broken_pipe(int flags);

}  // namespace skerry::sockets::client
