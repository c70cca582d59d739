// What TCP says, made visible to the program: positions first, then status, then the touch that wakes.
#include <algorithm>
#include <cerrno>

#include "sockets/server.hpp"

namespace skerry::sockets {

void Server::on_event(TimeNs now, const tcp::Event& event) {
  const uint32_t id = event.id;
  Socket& socket = sockets_[id];
  if (socket.kind == Kind::free)
    return;  // a passive open that nobody accepted yet: begin() shows its state then
  SocketOut& out = view_.out(id);
  bool tell = false;

  if (event.bits & tcp::kAcceptable) {
    wakeups_.touch_input(id, accept_all(now, id));
  }
  if (event.bits & tcp::kEstablished) {
    show_names(id);
    publish_send_buffer(id);
    out.long_rings.store(tcp_.long_rings(id), std::memory_order_relaxed);
    if (ends_at_once(id)) {
      tcp_.shutdown_write(now, id);
    } else {
      set_status(id, kConnected, kConnecting);
      tell = true;
    }
  }
  if (event.bits & tcp::kUrgent) {
    publish_urgent(id);
    wakeups_.urgent(id);
    tell = true;
  }
  if (event.bits & tcp::kReadable) {
    if (socket.notes_arrival) note_arrival(now, id);
    publish_reads(id);
    wakeups_.touch_input(id);
  }
  if (event.bits & tcp::kAcked) {
    if (tcp_.send_buffer(id) != socket.tx_limit) [[unlikely]]
      publish_send_buffer(id);
    out.tx_acked.store(tcp_.tx_acked(id), std::memory_order_release);
    wakeups_.freed(id);
  }
  if (event.bits & tcp::kPeerClosed) {
    publish_reads(id);
    const tcp::State state = tcp_.state(id);
    const bool both = state == tcp::State::closing || state == tcp::State::last_ack ||
                      state == tcp::State::time_wait || state == tcp::State::closed;
    set_status(id, kPeerClosed | kFinSeen | (both ? uint32_t{kHungUp} : 0));
    tell = true;
  }
  if (event.bits & tcp::kFinished) set_status(id, kOver);
  if (event.bits & tcp::kSoftError) {
    out.error.store(tcp_.soft_error(id));
    tell = true;
  }
  if (event.bits & tcp::kFailed) {
    out.error.store(failure(id));
    set_status(id, kHungUp | kPeerClosed, kConnecting | kConnected);
    tell = true;
  }
  if (tell) wakeups_.touch(id);
  if ((event.bits & tcp::kGone) != 0 && socket.orphan) free_index(id);
}

// A connection to itself takes up a shutdown() that came before it, and then has both its ends: who waits for
// it hears that it was aborted (Linux tcp_rcv_state_process(), SYN-RECV).
bool Server::ends_at_once(uint32_t id) const {
  return (sockets_[id].status & kWriteShut) != 0 && tcp_.local(id) == tcp_.remote(id);
}

// A reset after the peer's FIN says only that it reads no more (tcp_reset in Linux).
int Server::failure(uint32_t id) const {
  const int error = tcp_.error(id);
  return error == ECONNRESET && (sockets_[id].status & (kFinSeen | kWriteShut)) == kFinSeen ? EPIPE : error;
}

void Server::publish_reads(uint32_t id) {
  SocketOut& out = view_.out(id);
  // Stored first, so that who reads what came sees it.
  out.rx_tell_at.store(tcp_.tell_at(id), std::memory_order_relaxed);
  out.rx_base.store(tcp_.rx_base(id), std::memory_order_relaxed);
  out.rx_written.store(tcp_.rx_written(id), std::memory_order_release);
}

void Server::note_arrival(TimeNs now, uint32_t id) {
  view_.names(id).arrival_ns.store(now + real_time_offset_ns_, std::memory_order_relaxed);
}

void Server::publish_send_buffer(uint32_t id) {
  sockets_[id].tx_limit = tcp_.send_buffer(id);
  view_.out(id).tx_limit.store(sockets_[id].tx_limit, std::memory_order_release);
}

void Server::publish_urgent(uint32_t id) {
  const tcp::Tcp::Urgent urgent = tcp_.urgent(id);
  view_.out(id).urgent_position.store(urgent.position, std::memory_order_relaxed);
  view_.out(id).urgent_count.store(urgent.count, std::memory_order_release);
}

// Returns how many connections came to the listener's queue.
uint32_t Server::accept_all(TimeNs now, uint32_t listener) {
  Socket& queue = sockets_[listener];
  auto* ring = reinterpret_cast<std::atomic<uint32_t>*>(view_.rx(listener));
  const uint32_t capacity = view_.size().stream_bytes / 4;
  const uint32_t before = queue.rx_written;
  while (const std::optional<uint32_t> child = tcp_.accept(listener)) {
    const uint32_t read = view_.in(listener).rx_read.load(std::memory_order_acquire);
    const uint32_t waiting = (queue.rx_written - read) / 4;
    if (queue.orphan || waiting >= capacity) {
      if (waiting > capacity) ++counters_.faults;
      tcp_.close(now, *child, true);
      begin(*child, Kind::stream, 0);
      sockets_[*child].orphan = true;
      continue;
    }
    begin(*child, Kind::stream, kConnected);
    view_.out(*child).long_rings.store(tcp_.long_rings(*child), std::memory_order_relaxed);
    publish_send_buffer(*child);
    publish_urgent(*child);
    count_connection(*child);
    sockets_[*child].listener = listener;
    sockets_[*child].queue_position = queue.rx_written;
    show_names(*child);
    if (!queue.bound_address.is_unspecified()) sockets_[*child].bound_address = tcp_.local(*child).address;
    publish_reads(*child);  // what else happened to it comes as its next event
    ring[queue.rx_written / 4 & (capacity - 1)].store(*child, std::memory_order_relaxed);
    queue.rx_written += 4;
    ++counters_.accepted;
  }
  view_.out(listener).rx_written.store(queue.rx_written, std::memory_order_release);
  return (queue.rx_written - before) / 4;
}

void Server::count_connection(uint32_t id) {
  if (sockets_[id].counted) return;
  sockets_[id].counted = true;
  ++connected_;
}

void Server::show_names(uint32_t id) {
  view_.names(id).local = tcp_.local(id);
  view_.names(id).remote = tcp_.remote(id);
}

void Server::set_status(uint32_t id, uint32_t set, uint32_t clear) {
  if ((set & kConnected) != 0) count_connection(id);
  uint32_t& status = sockets_[id].status;
  status = (status & ~clear) | set;
  view_.out(id).status.store(status, std::memory_order_release);
}

// A socket begins its life: all of its words as a new one has them.
void Server::begin(uint32_t id, Kind kind, uint32_t status) {
  next_life(id);  // before its watchers are cleared: who was one finds this when it looks again
  sockets_[id] =
      Socket{.kind = kind, .status = kOpen | (kind == Kind::stream ? uint32_t{kStream} : 0) | status};
  clear_positions(id);
  SocketOut& out = view_.out(id);
  out.error.store(0, std::memory_order_relaxed);
  out.room.store(0, std::memory_order_relaxed);
  out.news.store(0, std::memory_order_relaxed);
  out.rx_drops.store(0, std::memory_order_relaxed);
  out.errors_queued.store(0, std::memory_order_relaxed);
  SocketIn& in = view_.in(id);
  for (std::atomic<uint16_t>& watcher : in.watchers) watcher.store(0, std::memory_order_relaxed);
  in.watch_all.store(0, std::memory_order_relaxed);
  in.flags.store(0, std::memory_order_relaxed);
  in.rx_lock.store(0, std::memory_order_relaxed);
  in.tx_lock.store(0, std::memory_order_relaxed);
  SocketNames& names = view_.names(id);
  names.local = Endpoint{};
  names.remote = Endpoint{};
  names.v6 = 0;
  names.kept_back.store(0, std::memory_order_relaxed);
  names.receive_timeout_ns.store(0, std::memory_order_relaxed);
  names.send_timeout_ns.store(0, std::memory_order_relaxed);
  names.option_bits.store(0, std::memory_order_relaxed);
  for (std::atomic<uint64_t>& value : names.option_values) value.store(0, std::memory_order_relaxed);
  names.owner.store(0, std::memory_order_relaxed);
  names.owner_type.store(0, std::memory_order_relaxed);
  names.urgent_bell.store(0, std::memory_order_relaxed);
  names.async_bell.store(0, std::memory_order_relaxed);
  names.arrival_ns.store(0, std::memory_order_relaxed);
  out.status.store(sockets_[id].status, std::memory_order_release);
}

// Who sees a word of the next life sees that it is another one.
void Server::next_life(uint32_t id) {
  std::atomic<uint32_t>& life = view_.out(id).life;
  life.store(life.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

// Both rings are empty and at their beginnings.
void Server::clear_positions(uint32_t id) {
  SocketOut& out = view_.out(id);
  out.rx_written.store(0, std::memory_order_relaxed);
  out.rx_base.store(0, std::memory_order_relaxed);
  out.tx_acked.store(0, std::memory_order_relaxed);
  out.tx_limit.store(view_.size().stream_bytes, std::memory_order_relaxed);
  out.urgent_count.store(0, std::memory_order_relaxed);
  out.long_rings.store(0, std::memory_order_relaxed);
  out.rx_tell_at.store(1, std::memory_order_relaxed);
  SocketIn& in = view_.in(id);
  in.rx_read.store(0, std::memory_order_relaxed);
  in.tx_written.store(0, std::memory_order_relaxed);
  in.tx_base.store(0, std::memory_order_relaxed);
  in.want_space.store(0, std::memory_order_relaxed);
  in.urgent_passed.store(0, std::memory_order_relaxed);
  in.urgent_taken.store(0, std::memory_order_relaxed);
  in.tx_urgent_count.store(0, std::memory_order_relaxed);
}

}  // namespace skerry::sockets
