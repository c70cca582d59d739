// Who holds a socket, and what becomes of it when nobody does any more.
#include <algorithm>

#include "sockets/server.hpp"

namespace skerry::sockets {

namespace {

constexpr DurationNs kSuspectFor = kSecond;  // longer than any accept() takes between its two steps

}  // namespace

bool Server::is_live(uint32_t slot) const {
  return std::find(live_.begin(), live_.end(), slot) != live_.end();
}

// True if a live process of the program holds a descriptor of the socket, as far as its own words say, or one
// is on its way to a process.
bool Server::is_held(uint32_t id) const {
  return sockets_[id].carriers > 0 || std::any_of(live_.begin(), live_.end(), [&](uint32_t slot) {
           return (view_.refs(slot)[id / 64].load() >> (id % 64) & 1) != 0;
         });
}

// A connection that nobody has accepted, as far as the program says.
bool Server::waits_in_queue(const Socket& socket) const {
  const uint32_t read = view_.in(socket.listener).rx_read.load(std::memory_order_relaxed);
  return static_cast<int32_t>(read - socket.queue_position) <= 0;
}

// Of those that sleep on a listener with EPOLLEXCLUSIVE only some were told of a connection, and who was told
// may have closed it or died instead.
void Server::tell_of_waiting(uint32_t id) {
  if (!sockets_[id].listening) return;
  const uint32_t read = view_.in(id).rx_read.load(std::memory_order_relaxed);
  if (const uint32_t waiting = (sockets_[id].rx_written - read) / 4; waiting != 0)
    wakeups_.touch(id, waiting);
}

// Nobody holds the socket any more. What was written before is still to be sent, and what was read is no
// reason for a reset: the program's last words come first.
void Server::let_go(TimeNs now, uint32_t id, bool abort) {
  const Socket& socket = sockets_[id];
  if (socket.kind == Kind::stream && !socket.listening) take_positions(now, id);
  if (!socket.orphan) release(now, id, abort);
}

// The index is free once TCP or UDP has finished with it.
void Server::release(TimeNs now, uint32_t id, bool abort) {
  Socket& socket = sockets_[id];
  next_life(id);  // to programs this one is over, whatever TCP has still to do
  ++counters_.closed;
  if (socket.kind == Kind::datagram) {
    // What was written before the close is still to be sent, as on Linux, where sendto() had done it.
    begin_sending(id);
    if (socket.sending) {
      socket.orphan = true;
    } else {
      udp_.close(id);
      free_index(id);
    }
    return;
  }
  socket.orphan = true;
  if (socket.listening) abandon_queue(now, id);
  tcp_.close(now, id, abort);
}

// Nobody will accept what waits in the listener's queue: it is emptied first, so that an accept() in another
// thread either has its connection, or does not get it any more.
void Server::abandon_queue(TimeNs now, uint32_t listener) {
  const uint32_t read = view_.in(listener).rx_read.exchange(sockets_[listener].rx_written);
  for (uint32_t child = 0; child < sockets_.size(); ++child) {
    if (sockets_[child].kind != Kind::stream || sockets_[child].listener != listener) continue;
    const bool waits = static_cast<int32_t>(read - sockets_[child].queue_position) <= 0;
    sockets_[child].listener = kNoSocket;
    if (waits && !sockets_[child].orphan && !is_held(child)) release(now, child, true);
  }
}

// Not as long as it is carried: the index would be another socket's when the carrier asks for it.
void Server::free_index(uint32_t id) {
  if (sockets_[id].carriers > 0) {
    sockets_[id].orphan = sockets_[id].gone = true;
    return;
  }
  if (sockets_[id].counted) --connected_;
  if (sockets_[id].receives_errors) errors_.forget(id);
  sockets_[id] = Socket{};
  next_life(id);
  view_.out(id).status.store(0, std::memory_order_release);
  ids_.release(id);
}

// After a process died: closes what nobody holds. A connection that was taken out of a listener's queue but
// has no holder may be in the middle of an accept() in another process, unless one has ended since; only if
// it still is so a second later, it is closed.
void Server::sweep(TimeNs now) {
  sweep_at_ = kNever;
  for (uint32_t id = 0; id < sockets_.size(); ++id) {
    Socket& socket = sockets_[id];
    // Before the descriptors: who accepts has one first, so with the bit set nobody is about to have one.
    const uint64_t options = view_.names(id).option_bits.load(std::memory_order_acquire);
    if (socket.kind == Kind::free || socket.orphan || is_held(id)) {
      socket.suspect_since = kNever;
      if (socket.kind != Kind::free && !socket.orphan) tell_of_waiting(id);
      continue;
    }
    if (socket.listener != kNoSocket) {
      if (waits_in_queue(socket)) continue;
      if (socket.suspect_since == kNever) socket.suspect_since = now;
      if (!(options & kAccepted) && now - socket.suspect_since < kSuspectFor) {
        sweep_at_ = std::min(sweep_at_, socket.suspect_since + kSuspectFor);
        continue;
      }
    }
    let_go(now, id, options & kResetsOnClose);
  }
}

}  // namespace skerry::sockets
