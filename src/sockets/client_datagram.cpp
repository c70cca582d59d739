#include "sockets/client_datagram.hpp"

#include "sockets/client_call.hpp"
#include "sockets/client_level.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

uint32_t capacity() {
  return static_cast<uint32_t>(state.stream_bytes);
}

// The header at `read`, if a whole record is there.
bool peek_header(uint32_t socket, uint32_t read, DatagramHeader& header) {
  const SocketOut& out = state.out[socket];
  const uint32_t available = out.rx_written.load(std::memory_order_acquire) - read;
  if (available < sizeof header) return false;
  const uint32_t place = (read - out.rx_base.load(std::memory_order_relaxed)) & (capacity() - 1);
  ring_load(reinterpret_cast<uint8_t*>(&header), rx_ring(socket), capacity(), place, sizeof header);
  return datagram_bytes(header.payload_bytes) <= available;
}

ssize_t nothing_to_read(uint32_t socket, int flags) {
  if (const int error = take_error(socket); error != 0) return error;
  const uint32_t status = state.out[socket].status.load(std::memory_order_acquire);
  // Only who may wait hears that it is over (__skb_wait_for_more_packets).
  const bool over = (status & kPeerClosed) || ((status & kReadShut) && !may_not_wait(socket, flags));
  return over ? 0 : -EAGAIN;
}

bool take(uint32_t socket, Pieces& to, int flags, Received& received) {
  SocketIn& in = state.in[socket];
  const SocketOut& out = state.out[socket];
  const Lock lock(in.rx_lock);
  if (!lock) return false;
  const uint32_t read = in.rx_read.load(std::memory_order_relaxed);
  if (!peek_header(socket, read, received.header)) return false;
  const uint32_t payload = received.header.payload_bytes;
  const size_t bytes = std::min<size_t>(payload, to.left());
  const uint32_t place =
      (read + static_cast<uint32_t>(sizeof(DatagramHeader)) - out.rx_base.load(std::memory_order_relaxed)) &
      (capacity() - 1);
  to.from_ring(rx_ring(socket), capacity(), place, bytes);
  if (bytes < payload) received.flags = MSG_TRUNC;
  received.result = static_cast<ssize_t>(flags & MSG_TRUNC ? payload : bytes);
  if (flags & MSG_PEEK) return true;
  const uint32_t now_read = read + datagram_bytes(payload);
  // The stack needs no note: it looks at rx_read when the next datagram comes.
  in.rx_read.store(now_read, std::memory_order_release);
  return true;
}

uint32_t free_bytes(uint32_t socket, uint32_t written) {
  return capacity() - (written - state.out[socket].tx_acked.load(std::memory_order_seq_cst));
}

// Whether a record of `bytes` fits; if not, the stack is asked to tell when there is space.
bool has_space(uint32_t socket, uint32_t bytes) {
  SocketIn& in = state.in[socket];
  const uint32_t written = in.tx_written.load(std::memory_order_relaxed);
  if (free_bytes(socket, written) >= bytes) return true;
  in.want_space.store(1, std::memory_order_seq_cst);
  return free_bytes(socket, written) >= bytes;
}

bool put(uint32_t socket, Pieces& from, const DatagramHeader& header) {
  SocketIn& in = state.in[socket];
  const uint32_t bytes = datagram_bytes(header.payload_bytes);
  const Lock lock(in.tx_lock);
  if (!lock || !has_space(socket, bytes)) return false;
  const uint32_t written = in.tx_written.load(std::memory_order_relaxed);
  uint32_t base = in.tx_base.load(std::memory_order_relaxed);
  if (free_bytes(socket, written) == capacity() && base != written) {
    base = written;
    in.tx_base.store(base, std::memory_order_relaxed);
  }
  const uint32_t place = (written - base) & (capacity() - 1);
  ring_store(tx_ring(socket), capacity(), place, reinterpret_cast<const uint8_t*>(&header), sizeof header);
  from.to_ring(tx_ring(socket), capacity(), (place + static_cast<uint32_t>(sizeof header)) & (capacity() - 1),
               header.payload_bytes);
  in.tx_written.store(written + bytes, std::memory_order_release);
  publish(socket);
  return true;
}

// Linux has given the socket a port before it finds that there is nobody to send to (inet_send_prepare).
void take_any_port(uint32_t socket) {
  if (state.names[socket].local.port != 0) return;
  Request request{.op = Op::bind, .socket = socket};
  request.endpoint.address = state.names[socket].local.address;
  call(request);
}

}  // namespace

Received receive_datagram(uint32_t socket, Pieces& to, int flags) {
  const uint32_t life = life_of(socket);
  Received received;
  TimeNs deadline = 0;
  for (;;) {
    // An error comes before what is there to be read (__skb_recv_udp).
    if (state.out[socket].error.load(std::memory_order_relaxed) != 0) [[unlikely]]
      if (const int error = take_error(socket); error != 0) return {.result = error};
    if (take(socket, to, flags, received)) return received;
    received.result = nothing_to_read(socket, flags);
    if (received.result != -EAGAIN || may_not_wait(socket, flags)) return received;
    if (deadline == 0) deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
    // Not for EPOLLERR: what MSG_ERRQUEUE has to give ends no wait (__skb_wait_for_more_packets).
    const auto is_over = [&] {
      return (level(socket, kLevelIn) & (kLevelIn | EPOLLHUP)) != 0 ||
             state.out[socket].error.load(std::memory_order_relaxed) != 0;
    };
    if (const int waited = Wait(socket, life).until(is_over, deadline); waited != 0)
      return {.result = waited};
  }
}

ssize_t send_datagram(uint32_t socket, Pieces& from, const Endpoint* to, const Outfit& outfit, int flags) {
  const uint32_t life = life_of(socket);
  if (flags & MSG_OOB) return -EOPNOTSUPP;
  if (from.left() > kMaxDatagramPayload) return -EMSGSIZE;
  const PacketMarks marks = marks_of(socket);
  DatagramHeader header{.payload_bytes = static_cast<uint32_t>(from.left()),
                        .ttl = outfit.ttl != 0 ? outfit.ttl : marks.ttl,
                        .type_of_service = outfit.type_of_service.value_or(marks.type_of_service),
                        .local = outfit.source};
  if (datagram_bytes(header.payload_bytes) > capacity()) return -EMSGSIZE;
  const uint32_t status = state.out[socket].status.load(std::memory_order_acquire);
  if (to != nullptr) {
    if (to->port == 0) return -EINVAL;
    header.peer = to->address;
    header.peer_port = to->port;
  } else if (!(status & kConnected)) {
    take_any_port(socket);
    return -EDESTADDRREQ;
  } else {  // the peer of now: before the stack gets here, connect() may have named another
    const Endpoint peer = state.names[socket].remote;
    header.peer = peer.address;
    header.peer_port = peer.port;
  }
  if (outfit.error != 0) return outfit.error;
  if (const int error = take_error(socket); error != 0) return error;
  if (status & kWriteShut) {
    take_any_port(socket);
    return -EPIPE;  // a signal is for streams
  }
  TimeNs deadline = 0;
  while (!put(socket, from, header)) {
    if (may_not_wait(socket, flags)) return -EAGAIN;
    if (deadline == 0) deadline = deadline_after(state.names[socket].send_timeout_ns.load());
    const int waited =
        Wait(socket, life)
            .until([&] { return has_space(socket, datagram_bytes(header.payload_bytes)); }, deadline);
    if (waited != 0) return waited;
  }
  return static_cast<ssize_t>(header.payload_bytes);
}

uint32_t next_datagram_bytes(uint32_t socket) {
  DatagramHeader header;
  return peek_header(socket, state.in[socket].rx_read.load(std::memory_order_relaxed), header)
             ? header.payload_bytes
             : 0;
}

}  // namespace skerry::sockets::client
