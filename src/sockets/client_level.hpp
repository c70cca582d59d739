// What a socket is ready for, in the bits of poll(2) and epoll(7), computed from the session's words as Linux
// computes them from its own (net/ipv4/tcp.c tcp_poll, net/core/datagram.c datagram_poll; measured there).
#pragma once

#include <poll.h>
#include <sys/epoll.h>

#include "sockets/client_options.hpp"
#include "sockets/client_urgent.hpp"

namespace skerry::sockets::client {

inline constexpr uint32_t kLevelIn = EPOLLIN | EPOLLRDNORM;
inline constexpr uint32_t kLevelOut = EPOLLOUT | EPOLLWRNORM;

inline bool has_send_space(const SocketOut& out, const SocketIn& in) {
  const uint32_t used =
      in.tx_written.load(std::memory_order_relaxed) - out.tx_acked.load(std::memory_order_seq_cst);
  return is_writable(out.tx_limit.load(std::memory_order_relaxed), used);
}

// SO_RCVLOWAT: less than that is nothing yet. Who has read some and waits for more waits for as much again
// (Linux tcp_data_ready()).
inline uint32_t low_water_level(uint32_t socket, uint32_t ready) {
  const uint32_t waiting = state.out[socket].rx_written.load(std::memory_order_acquire) -
                           state.in[socket].rx_read.load(std::memory_order_relaxed);
  return waiting < enough_input(socket) ? ready & ~kLevelIn : ready;
}

// `wanted` tells whether space matters: then the stack is asked to tell when it comes (set, look again).
inline uint32_t send_level(const SocketOut& out, SocketIn& in, uint32_t wanted) {
  if (has_send_space(out, in)) return kLevelOut;
  if (!(wanted & kLevelOut)) return 0;
  in.want_space.store(1, std::memory_order_seq_cst);
  return has_send_space(out, in) ? kLevelOut : 0;
}

inline uint32_t level(uint32_t socket, uint32_t wanted) {
  const SocketOut& out = state.out[socket];
  SocketIn& in = state.in[socket];
  // The status first: with kPeerClosed in it, the rx_written read after it is the last.
  const uint32_t status = out.status.load(std::memory_order_acquire);
  const bool has_input =
      out.rx_written.load(std::memory_order_acquire) != in.rx_read.load(std::memory_order_relaxed);
  if (status & kListening) return status & kReadShut ? kLevelOut | EPOLLHUP : has_input ? kLevelIn : 0;

  uint32_t ready = has_input ? kLevelIn : 0;
  if ((out.error.load(std::memory_order_relaxed) |
       static_cast<int32_t>(out.errors_queued.load(std::memory_order_relaxed))) != 0)
    ready |= EPOLLERR;
  if (!(status & kStream)) {
    if ((ready & EPOLLERR) && has_option(socket, kOptSelectErrors)) ready |= EPOLLPRI;
    if (status & (kReadShut | kHungUp)) ready |= kLevelIn | EPOLLRDHUP;
    if ((status & kHungUp) || (status & (kReadShut | kWriteShut)) == (kReadShut | kWriteShut))
      ready |= EPOLLHUP;
    return ready | send_level(out, in, wanted);
  }

  if (has_urgent(socket)) [[unlikely]]
    ready = urgent_level(socket, ready);
  if (in.flags.load(std::memory_order_relaxed) & kLowWater) [[unlikely]]
    ready = low_water_level(socket, ready);
  if ((status & kConnecting) && !(status & kHungUp)) return ready;
  const bool read_over = status & (kPeerClosed | kReadShut | kHungUp);
  const bool write_over = status & (kWriteShut | kHungUp);
  if (read_over) ready |= kLevelIn | EPOLLRDHUP;
  if ((read_over && write_over) || !(status & kConnected)) ready |= EPOLLHUP;
  return ready | (write_over ? kLevelOut : send_level(out, in, wanted));
}

}  // namespace skerry::sockets::client
