#include "sockets/client_urgent.hpp"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "sockets/client_options.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

struct Mark {
  uint32_t count;
  uint32_t distance;  // bytes from rx_read to it
  bool arrived;
};

Mark mark_of(uint32_t socket, uint32_t read) {
  const SocketOut& out = state.out[socket];
  Mark mark;
  mark.count = out.urgent_count.load(std::memory_order_acquire);
  const uint32_t position = out.urgent_position.load(std::memory_order_relaxed);
  mark.distance = position - read;
  mark.arrived = static_cast<int32_t>(out.rx_written.load(std::memory_order_acquire) - position) > 0;
  return mark;
}

uint32_t read_position(uint32_t socket) {
  return state.in[socket].rx_read.load(std::memory_order_relaxed);
}

bool is_inline(uint32_t socket) {
  return has_option(socket, kOptOobInline);
}

void pass(uint32_t socket, const Mark& mark) {
  state.in[socket].urgent_passed.store(mark.count, std::memory_order_release);
}

}  // namespace

uint32_t urgent_level(uint32_t socket, uint32_t ready) {
  const uint32_t read = read_position(socket);
  const Mark mark = mark_of(socket, read);
  if (!mark.arrived) return ready;
  if (state.in[socket].urgent_taken.load(std::memory_order_relaxed) != mark.count) ready |= EPOLLPRI;
  const uint32_t written = state.out[socket].rx_written.load(std::memory_order_acquire);
  if (mark.distance == 0 && written - read == 1 && !is_inline(socket)) ready &= ~(EPOLLIN | EPOLLRDNORM);
  return ready;
}

uint32_t readable_to_mark(uint32_t socket, uint32_t& read, uint32_t available, bool peek) {
  const Mark mark = mark_of(socket, read);
  if (static_cast<int32_t>(mark.distance) < 0) {
    pass(socket, mark);
    return available;
  }
  if (mark.distance != 0) return std::min(available, mark.distance);
  if (available == 0) return 0;
  if (!peek) pass(socket, mark);
  if (is_inline(socket)) return available;
  ++read;
  if (!peek) state.in[socket].rx_read.store(read, std::memory_order_release);
  return available - 1;
}

uint32_t input_to_mark(uint32_t socket, uint32_t available) {
  const Mark mark = mark_of(socket, read_position(socket));
  return is_inline(socket) ? available : std::min(available, mark.distance);
}

bool at_mark(uint32_t socket, uint32_t ahead) {
  return has_urgent(socket) && mark_of(socket, read_position(socket)).distance == ahead;
}

// Linux tcp_recv_urg().
ssize_t receive_urgent(uint32_t socket, Pieces& to, int flags) {
  SocketIn& in = state.in[socket];
  const SocketOut& out = state.out[socket];
  const Lock lock(in.rx_lock);
  if (!lock) return -EDEADLK;
  const Mark mark = mark_of(socket, read_position(socket));
  const bool taken = in.urgent_taken.load(std::memory_order_relaxed) == mark.count;
  if (is_inline(socket) || !has_urgent(socket) || taken) return -EINVAL;
  if (!mark.arrived)
    return out.status.load(std::memory_order_acquire) & (kPeerClosed | kReadShut | kHungUp) ? 0 : -EAGAIN;
  if (!(flags & MSG_PEEK)) in.urgent_taken.store(mark.count, std::memory_order_relaxed);
  if (to.left() == 0) return 0;
  const uint32_t capacity = ring_bytes(socket);
  const uint32_t position = read_position(socket) + mark.distance;
  to.from_ring(rx_ring(socket), capacity,
               (position - out.rx_base.load(std::memory_order_relaxed)) & (capacity - 1), 1);
  return 1;
}

}  // namespace skerry::sockets::client
