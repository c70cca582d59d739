// Reading and writing: recv(2) and send(2) on both kinds of sockets. Results as the system calls give them,
// errors as -errno.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "sockets/client_state.hpp"
#include "sockets/client_transfer.hpp"

namespace skerry::sockets::client {

// Beside MSG_*, of recvmmsg() and sendmmsg(): a message before this one has moved, so any handler ends the
// wait.
inline constexpr int kNotTheFirst = 1 << 24;

// `flags` are MSG_*. Streams:
ssize_t receive_stream(uint32_t socket, Pieces& to, int flags);
// What is there, without waiting; -EAGAIN, or kPipeWaits.
ssize_t take_stream(uint32_t socket, IntoPipe& to);
// Until all is sent, the source has no more, or the socket may not wait; kPipeWaits before the first byte.
template <class Source>  // of client_transfer.hpp
ssize_t send_stream(uint32_t socket, Source& from, int flags);

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
