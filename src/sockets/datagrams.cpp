// Datagrams in session rings: a header and a payload each, padded to eight bytes.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/ring_math.hpp"
#include "sockets/server.hpp"

namespace skerry::sockets {
namespace {

constexpr uint32_t kMaxDatagram = 65507;  // 65535 less the IPv4 and UDP headers
constexpr uint32_t kTurn = 32;            // datagrams that a socket sends before the next has its turn

// What SO_RCVBUF counts of a datagram: the memory that Linux takes for it (SKB_TRUESIZE, measured on 6.18).
constexpr uint32_t kernel_bytes(uint32_t payload_bytes) {
  const uint32_t with_the_rest = payload_bytes + 370;
  if (payload_bytes <= 190) return 832;
  return with_the_rest > 16384 ? payload_bytes + 832 : 256 + std::bit_ceil(with_the_rest);
}

}  // namespace

// What SO_RCVBUF counts of the datagrams between two positions; what their headers say is the program's own
// loss.
uint32_t Server::counted_bytes(uint32_t id, uint32_t at, uint32_t end) const {
  const uint32_t capacity = view_.size().stream_bytes;
  uint32_t bytes = 0;
  while (at != end) {
    DatagramHeader header;
    ring_load(reinterpret_cast<uint8_t*>(&header), view_.rx(id), capacity,
              (at - sockets_[id].rx_base) & (capacity - 1), sizeof header);
    const uint32_t length = std::min(header.payload_bytes, kMaxDatagram);
    bytes += kernel_bytes(length);
    at += std::min(datagram_bytes(length), end - at);
  }
  return bytes;
}

// One is always taken, as on Linux. What waits is counted when it comes and looked at once more when it has
// been read, before anything is written over it; all of it after set_options(), and for who goes back or
// passes the end. Whatever a program says costs a look at each header that its ring can hold, no more, for
// each datagram that comes; what it makes of its headers is its own loss, until all has been read.
bool Server::has_room_for(uint32_t id, uint32_t read, uint32_t payload_bytes) {
  Socket& socket = sockets_[id];
  if (socket.receive_buffer == 0) return true;
  const uint32_t waits = socket.rx_written - read;
  if (socket.counts_held && waits <= socket.rx_written - socket.held_from)
    socket.held_bytes -= counted_bytes(id, socket.held_from, read);
  else
    socket.held_bytes = counted_bytes(id, read, socket.rx_written);
  if (waits == 0) socket.held_bytes = 0;  // whatever was made of the headers meanwhile
  socket.counts_held = true;
  socket.held_from = read;
  return waits == 0 || socket.held_bytes + kernel_bytes(payload_bytes) <= socket.receive_buffer;
}

bool Server::deliver(TimeNs now, uint32_t id, const Endpoint& from, const Endpoint& to,
                     const stack::Marks& marks, ConstBytes payload) {
  if (id >= sockets_.size() || sockets_[id].kind != Kind::datagram || payload.size() > kMaxDatagram)
    return false;
  Socket& socket = sockets_[id];
  SocketOut& out = view_.out(id);
  const uint32_t capacity = view_.size().stream_bytes;
  const auto length = static_cast<uint32_t>(payload.size());
  const uint32_t read = view_.in(id).rx_read.load(std::memory_order_acquire);
  const uint32_t used = socket.rx_written - read;
  if (used > capacity || capacity - used < datagram_bytes(length) || !has_room_for(id, read, length)) {
    // Also what a program that lies about its position gets: no datagrams.
    ++counters_.datagram_drops;
    out.rx_drops.store(out.rx_drops.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return false;
  }
  if (used == 0) {
    socket.rx_base = socket.rx_written;
    out.rx_base.store(socket.rx_base, std::memory_order_relaxed);
  }
  DatagramHeader header;
  header.payload_bytes = length;
  header.peer_port = from.port;
  header.ttl = marks.ttl;
  header.type_of_service = marks.type_of_service;
  header.peer = from.address;
  header.local = to.address;
  header.arrival_ns = now + real_time_offset_ns_;
  const uint32_t mask = capacity - 1;
  const uint32_t at = socket.rx_written - socket.rx_base;
  uint8_t* ring = view_.rx(id);
  ring_store(ring, capacity, at & mask, reinterpret_cast<const uint8_t*>(&header), sizeof header);
  ring_store(ring, capacity, (at + static_cast<uint32_t>(sizeof header)) & mask, payload.data(), length);
  socket.rx_written += datagram_bytes(length);
  if (socket.counts_held) socket.held_bytes += kernel_bytes(length);
  out.rx_written.store(socket.rx_written, std::memory_order_release);
  wakeups_.touch_input(id);
  return true;
}

// Who asked (IP_RECVERR) hears all of it, and can read it; else a connected socket hears what no waiting
// mends (Linux __udp4_lib_err()).
void Server::refused(TimeNs now, uint32_t id, const stack::TransportError& error) {
  if (id >= sockets_.size() || sockets_[id].kind != Kind::datagram) return;
  const Socket& socket = sockets_[id];
  const stack::DatagramRules& rules = socket.rules;
  const bool may_be_cut = rules.may_be_cut && !rules.whole && !rules.trusts_link;
  if (error.next_hop_mtu != 0 && may_be_cut) return;
  if (!socket.receives_errors && (!error.hard || !udp_.is_connected(id))) return;
  if (socket.receives_errors) {
    DatagramError entry{.error = error.error,
                        .type = error.type,
                        .code = error.code,
                        .ttl = error.ttl,
                        .type_of_service = error.type_of_service,
                        .info = error.next_hop_mtu,
                        .payload_bytes = error.quoted,
                        .arrival_ns = now + real_time_offset_ns_,
                        .destination = error.remote,
                        .local = error.local.address,
                        .offender = IpAddress::v4(error.offender)};
    static_assert(sizeof entry.payload == stack::TransportError::kQuoteBytes);
    std::copy_n(error.quote.begin(), error.quoted, entry.payload);
    errors_.push(id, entry);
    view_.out(id).errors_queued.store(errors_.count(id), std::memory_order_release);
  }
  fail(id, error.error);
}

// The error that is pending afterwards is the next one's (Linux sock_dequeue_err_skb()).
int32_t Server::take_error(Call& request) {
  const uint32_t id = request.socket;
  const std::optional<DatagramError> error = errors_.take(id);
  if (!error) return -EAGAIN;
  const DatagramError* next = errors_.front(id);
  SocketOut& out = view_.out(id);
  out.error.store(next == nullptr ? 0 : next->error);
  out.errors_queued.store(errors_.count(id), std::memory_order_release);
  if (next != nullptr) wakeups_.touch(id);
  std::memcpy(request.value, &*error, sizeof *error);
  return 0;
}

void Server::fail(uint32_t id, int error) {
  view_.out(id).error.store(error);
  wakeups_.touch(id);
}

Server::Queues Server::datagram_queues(uint32_t id) const {
  const Socket& socket = sockets_[id];
  const uint32_t capacity = view_.size().stream_bytes;
  const SocketIn& in = view_.in(id);
  return {.rx = std::min(socket.rx_written - in.rx_read.load(std::memory_order_relaxed), capacity),
          .tx = std::min(in.tx_written.load(std::memory_order_relaxed) - socket.tx_taken, capacity)};
}

void Server::begin_sending(uint32_t id) {
  Socket& socket = sockets_[id];
  if (socket.sending) return;
  SocketIn& in = view_.in(id);
  if (in.tx_written.load(std::memory_order_acquire) == socket.tx_taken) return;
  // Our view of the ring was empty until now, so the program may have moved its base.
  socket.tx_base = in.tx_base.load(std::memory_order_relaxed);
  socket.sending = true;
  senders_.insert(senders_.begin(), id);
}

void Server::end_sending(uint32_t id) {
  sockets_[id].sending = false;
  std::erase(senders_, id);
  if (sockets_[id].orphan) {
    udp_.close(id);
    free_index(id);
  }
}

void Server::end_turn() {
  in_turn_ = 0;
  std::rotate(senders_.begin(), senders_.end() - 1, senders_.end());
}

bool Server::next_datagram(DatagramOut& out) {
  while (!senders_.empty()) {
    const uint32_t id = senders_.back();
    Socket& socket = sockets_[id];
    const uint32_t capacity = view_.size().stream_bytes;
    const uint32_t written = view_.in(id).tx_written.load(std::memory_order_acquire);
    const uint32_t available = written - socket.tx_taken;
    if (available == 0) {
      end_sending(id);
      continue;
    }
    const uint8_t* ring = view_.tx(id);
    const uint32_t mask = capacity - 1;
    const uint32_t at = socket.tx_taken - socket.tx_base;
    DatagramHeader header;
    if (available <= capacity && available >= sizeof header) {
      ring_load(reinterpret_cast<uint8_t*>(&header), ring, capacity, at & mask, sizeof header);
    } else {
      header.payload_bytes = UINT32_MAX;
    }
    if (header.payload_bytes > kMaxDatagram || datagram_bytes(header.payload_bytes) > available) {
      refuse_ring(id, written);
      continue;
    }
    const uint32_t start = (at + static_cast<uint32_t>(sizeof header)) & mask;
    const uint32_t first = std::min(header.payload_bytes, capacity - start);
    out.socket = id;
    out.to = Endpoint{header.peer, header.peer_port};
    out.source = header.local;
    out.rules = socket.rules;
    out.rules.marks = {header.ttl != 0 ? header.ttl : stack::Marks{}.ttl, header.type_of_service};
    out.payload[0] = {ring + start, first};
    out.payload[1] = {ring, header.payload_bytes - first};
    return true;
  }
  return false;
}

void Server::datagram_done(const DatagramOut& datagram, int error) {
  if (error == EAGAIN) return end_turn();
  const uint32_t id = datagram.socket;
  Socket& socket = sockets_[id];
  const auto length = static_cast<uint32_t>(datagram.payload[0].size() + datagram.payload[1].size());
  socket.tx_taken += datagram_bytes(length);
  // Of a socket without a peer, the next datagram is for somebody else, who has nothing to do with what a
  // rule says of this one.
  if (error != 0 && (error != EPERM || udp_.is_connected(id))) fail(id, error);
  if (view_.names(id).local.port == 0) view_.names(id).local = udp_.local(id);  // bound by its first sendto()
  view_.out(id).tx_acked.store(socket.tx_taken, std::memory_order_release);
  wakeups_.freed(id);
  if (++in_turn_ == kTurn) end_turn();
}

// A header that cannot be true: nothing behind it can be trusted to be a header either, so all is thrown
// away.
void Server::refuse_ring(uint32_t id, uint32_t written) {
  ++counters_.faults;
  sockets_[id].tx_taken = written;
  view_.out(id).tx_acked.store(written);
  end_sending(id);
}

}  // namespace skerry::sockets
