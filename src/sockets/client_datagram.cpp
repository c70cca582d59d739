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

bool fits(size_t payload_bytes) {
  return payload_bytes <= kMaxDatagramPayload &&
         datagram_bytes(static_cast<uint32_t>(payload_bytes)) <= capacity();
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

// False: there is none. What the sink cannot take stays.
template <class Sink>
bool take(uint32_t socket, Sink& to, int flags, Received& received) {
  SocketIn& in = state.in[socket];
  const SocketOut& out = state.out[socket];
  const Lock lock(in.rx_lock);
  if (!lock) {
    received.result = -EDEADLK;
    return true;
  }
  const uint32_t read = in.rx_read.load(std::memory_order_relaxed);
  if (!peek_header(socket, read, received.header)) return false;
  const uint32_t payload = received.header.payload_bytes;
  const size_t bytes = std::min<size_t>(payload, to.left());
  const uint32_t place =
      (read + static_cast<uint32_t>(sizeof(DatagramHeader)) - out.rx_base.load(std::memory_order_relaxed)) &
      (capacity() - 1);
  received.result = to.drain(rx_ring(socket), capacity(), place, bytes);
  if (received.result < 0) return true;
  if (bytes < payload) received.flags = MSG_TRUNC;
  received.result = static_cast<ssize_t>(flags & MSG_TRUNC ? payload : bytes);
  if (flags & MSG_PEEK) return true;
  if (in.flags.load(std::memory_order_relaxed) & kNotesArrival) [[unlikely]]
    state.names[socket].arrival_ns.store(received.header.arrival_ns, std::memory_order_relaxed);
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

// The words of what MSG_MORE and UDP_CORK keep back: see SocketNames.
uint32_t kept_bytes(uint32_t socket) {
  const uint32_t kept = state.names[socket].kept_back.load(std::memory_order_relaxed);
  return kept == 0 ? 0 : kept - 1;
}
void keep(uint32_t socket, uint32_t bytes) {
  state.names[socket].kept_back.store(bytes + 1, std::memory_order_relaxed);
}
void keep_nothing(uint32_t socket) {
  state.names[socket].kept_back.store(0, std::memory_order_relaxed);
}

constexpr ssize_t kLookAgain = -4096;  // no errno: what was kept back has been sent meanwhile

// Appends to what is kept back, or begins a datagram; -EAGAIN: no room. `header` is for one that begins,
// which it must not if this is to be `more_of_one`; its payload_bytes are what is left of `from`.
template <class Source>
ssize_t put(uint32_t socket, Source& from, DatagramHeader& header, bool more_of_one, bool keep_back) {
  SocketIn& in = state.in[socket];
  uint8_t* const ring = tx_ring(socket);
  const Lock lock(in.tx_lock);
  if (!lock) return -EDEADLK;
  const bool appends = keeps_something(socket);
  if (more_of_one && !appends) return kLookAgain;
  const uint32_t before = kept_bytes(socket);
  const size_t left = from.left();
  if (!fits(before + left)) {
    keep_nothing(socket);  // it is lost (udp_flush_pending_frames)
    return -EMSGSIZE;
  }
  if (!has_space(socket, datagram_bytes(before + static_cast<uint32_t>(left)))) return -EAGAIN;
  const uint32_t written = in.tx_written.load(std::memory_order_relaxed);
  uint32_t base = in.tx_base.load(std::memory_order_relaxed);
  if (!appends && free_bytes(socket, written) == capacity() && base != written) {
    base = written;
    in.tx_base.store(base, std::memory_order_relaxed);
  }
  const auto place = [&](uint32_t offset) { return (written - base + offset) & (capacity() - 1); };
  const ssize_t filled = from.fill(ring, capacity(), place(sizeof header + before), left);
  if (filled < 0 || (filled == 0 && left != 0)) return filled;
  auto* const header_bytes = reinterpret_cast<uint8_t*>(&header);
  if (appends) ring_load(header_bytes, ring, capacity(), place(0), sizeof header);
  const uint32_t payload = before + static_cast<uint32_t>(filled);
  // Seldom: what copies the header right away would wait for so narrow a store.
  if (header.payload_bytes != payload) [[unlikely]]
    header.payload_bytes = payload;
  ring_store(ring, capacity(), place(0), header_bytes, sizeof header);
  if (keep_back) {
    keep(socket, header.payload_bytes);
    return filled;
  }
  keep_nothing(socket);
  if (appends && header.peer.is_unspecified()) return filled;  // a connect() has lost it
  in.tx_written.store(written + datagram_bytes(header.payload_bytes), std::memory_order_release);
  publish(socket);
  return filled;
}

// Whether a datagram may begin, and where it goes; 0 or -errno.
int begin(uint32_t socket, const Endpoint* to, const Outfit& outfit, DatagramHeader& header) {
  Endpoint peer;
  if (to != nullptr) {
    if (to->port == 0) return -EINVAL;
    peer = *to;
  } else if (!(state.out[socket].status.load(std::memory_order_acquire) & kConnected)) {
    return -EDESTADDRREQ;
  } else {  // the peer of now: before the stack gets here, connect() may have named another
    peer = state.names[socket].remote;
    if (peer.port == 0 && state.names[socket].v6 != 0) return -EINVAL;  // it names that to udp_sendmsg
  }
  header.peer = peer.address;
  header.peer_port = peer.port;
  if (outfit.error != 0) return outfit.error;
  if (!fits(header.payload_bytes)) return -EMSGSIZE;
  if (const int error = take_error(socket); error != 0) return error;
  // A signal is for streams.
  return state.out[socket].status.load(std::memory_order_acquire) & kWriteShut ? -EPIPE : 0;
}

}  // namespace

void take_any_port(uint32_t socket) {
  if (state.names[socket].local.port != 0) return;
  Request request{.op = Op::bind, .socket = socket};
  request.endpoint.address = state.names[socket].local.address;
  request.value[0] = bind_flags(socket);
  call(request);
}

bool keeps_something(uint32_t socket) {
  return state.names[socket].kept_back.load(std::memory_order_relaxed) != 0;
}

Received receive_datagram(uint32_t socket, Pieces& to, int flags) {
  const Begun begun(socket);
  IntoPieces sink{to, false};
  Received received;
  TimeNs deadline = 0;
  for (;;) {
    // An error comes before what is there to be read (__skb_recv_udp).
    if (state.out[socket].error.load(std::memory_order_relaxed) != 0) [[unlikely]]
      if (const int error = take_error(socket); error != 0) return {.result = error};
    if (take(socket, sink, flags, received)) return received;
    received.result = nothing_to_read(socket, flags);
    if (received.result != -EAGAIN || may_not_wait(socket, flags)) return received;
    if (deadline == 0) deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
    // Not for EPOLLERR: what MSG_ERRQUEUE has to give ends no wait (__skb_wait_for_more_packets).
    const auto is_over = [&] {
      return (level(socket, kLevelIn) & (kLevelIn | EPOLLHUP)) != 0 ||
             state.out[socket].error.load(std::memory_order_relaxed) != 0;
    };
    const int waited =
        Wait(socket, begun).until(is_over, flags & kNotTheFirst ? ended_by_any_handler(deadline) : deadline);
    if (waited != 0) return {.result = waited};
  }
}

Received take_datagram(uint32_t socket, IntoPipe& to) {
  Received received;
  if (const int error = take_error(socket); error != 0) return {.result = error};
  if (!take(socket, to, 0, received)) received.result = nothing_to_read(socket, 0);
  return received;
}

template <class Source>
ssize_t send_datagram(uint32_t socket, Source& from, const Endpoint* to, const Outfit& outfit, int flags) {
  const Begun begun(socket);
  take_any_port(socket);
  if (from.left() > 65535) return -EMSGSIZE;
  if (flags & MSG_OOB) return -EOPNOTSUPP;
  const auto payload = static_cast<uint32_t>(from.left());
  const bool keep_back = (flags & MSG_MORE) || has_option(socket, kOptUdpCork);
  TimeNs deadline = 0;
  for (;;) {
    // What is kept back has passed all this (udp_sendmsg(), do_append_data).
    const bool more_of_one = keeps_something(socket);
    const PacketMarks marks = marks_of(socket);
    DatagramHeader header{.payload_bytes = payload,
                          .ttl = outfit.ttl != 0 ? outfit.ttl : marks.ttl,
                          .type_of_service = outfit.type_of_service.value_or(marks.type_of_service),
                          .local = outfit.source};
    if (!more_of_one)
      if (const int error = begin(socket, to, outfit, header); error != 0) return error;
    const ssize_t done = put(socket, from, header, more_of_one, keep_back);
    if (done == kLookAgain) continue;
    if (done != -EAGAIN || may_not_wait(socket, flags)) return done;
    if (deadline == 0) deadline = deadline_after(state.names[socket].send_timeout_ns.load());
    const auto has_room = [&] { return has_space(socket, datagram_bytes(kept_bytes(socket) + payload)); };
    const int waited =
        Wait(socket, begun).until(has_room, flags & kNotTheFirst ? ended_by_any_handler(deadline) : deadline);
    if (waited != 0) return waited;
  }
}

template ssize_t send_datagram(uint32_t, FromPieces&, const Endpoint*, const Outfit&, int);
template ssize_t send_datagram(uint32_t, FromFile&, const Endpoint*, const Outfit&, int);
template ssize_t send_datagram(uint32_t, FromPipe&, const Endpoint*, const Outfit&, int);

void send_what_is_kept_back(uint32_t socket) {
  Pieces nothing(nullptr, 0);
  FromPieces from{nothing};
  DatagramHeader header;
  put(socket, from, header, true, false);
}

// It writes its way over that of what is kept back, the address to send from too (__ip4_datagram_connect).
void redirect_what_is_kept_back(uint32_t socket, const Endpoint& peer) {
  if (!keeps_something(socket)) return;
  SocketIn& in = state.in[socket];
  const Lock lock(in.tx_lock);
  if (!lock || !keeps_something(socket)) return;
  const uint32_t place =
      (in.tx_written.load(std::memory_order_relaxed) - in.tx_base.load(std::memory_order_relaxed)) &
      (capacity() - 1);
  DatagramHeader header;
  auto* const bytes = reinterpret_cast<uint8_t*>(&header);
  ring_load(bytes, tx_ring(socket), capacity(), place, sizeof header);
  header.peer = peer.address;
  header.peer_port = peer.port;
  header.local = {};
  ring_store(tx_ring(socket), capacity(), place, bytes, sizeof header);
}

uint32_t next_datagram_bytes(uint32_t socket) {
  DatagramHeader header;
  return peek_header(socket, state.in[socket].rx_read.load(std::memory_order_relaxed), header)
             ? header.payload_bytes
             : 0;
}

}  // namespace skerry::sockets::client
