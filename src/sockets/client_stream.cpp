// Streams are byte rings: a read is a copy and a store of rx_read, a write a copy and a store of tx_written.
// Position p lies at ring place (p - base) & (capacity - 1); see tcp.hpp for who moves the base.
#include "sockets/client_stream.hpp"

#include <signal.h>

#include "sockets/client_level.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

// Nothing to read: end of stream (0), an error, or -EAGAIN. The order is Linux's (tcp_recvmsg_locked).
ssize_t nothing_to_read(uint32_t socket, uint32_t status) {
  if (status & kFinSeen) return 0;
  if (const int error = take_error(socket); error != 0) return error;
  if (status & (kPeerClosed | kReadShut | kHungUp)) return 0;
  if (status & (kConnected | kConnecting)) return -EAGAIN;
  return -ENOTCONN;
}

// SO_RCVLOWAT: how many bytes a read waits for that may wait.
uint32_t low_water(uint32_t socket) {
  const bool set = state.in[socket].flags.load(std::memory_order_relaxed) & kLowWater;
  return set ? least_input(socket) : 1;
}

constexpr ssize_t kLookAgain = -4096;  // no errno: something came meanwhile, and it may be urgent

// What is there up to an urgent byte, at most what `to` takes.
template <class Sink>
ssize_t take(uint32_t socket, Sink& to, int flags) {
  SocketIn& in = state.in[socket];
  const SocketOut& out = state.out[socket];
  const Lock lock(in.rx_lock);
  if (!lock) return -EDEADLK;
  // A listener's ring is its queue of connections.
  if (out.status.load(std::memory_order_acquire) & kListening) [[unlikely]]
    return -ENOTCONN;
  uint32_t read = in.rx_read.load(std::memory_order_relaxed);
  uint32_t available = out.rx_written.load(std::memory_order_acquire) - read;
  if (has_urgent(socket)) [[unlikely]]
    available = readable_to_mark(socket, read, available, (flags & MSG_PEEK) != 0);
  if (available == 0) {
    const uint32_t status = out.status.load(std::memory_order_acquire);
    available = out.rx_written.load(std::memory_order_acquire) - read;
    if (available == 0) return nothing_to_read(socket, status);
    return kLookAgain;
  }
  const uint32_t capacity = ring_bytes(socket);
  const uint32_t place = (read - out.rx_base.load(std::memory_order_relaxed)) & (capacity - 1);
  const ssize_t bytes = to.drain(rx_ring(socket), capacity, place, std::min<size_t>(available, to.left()));
  if (bytes < 0 || (flags & MSG_PEEK)) return bytes;
  const uint32_t now_read = read + static_cast<uint32_t>(bytes);
  // seq_cst, because rx_tell_at moves back when SO_RCVBUF shrinks: see Server::set_options().
  in.rx_read.exchange(now_read, std::memory_order_seq_cst);
  if (static_cast<int32_t>(now_read - out.rx_tell_at.load(std::memory_order_seq_cst)) >= 0) publish(socket);
  return bytes;
}

// Nothing is taken, so each look begins with the first byte again.
ssize_t peek_stream(uint32_t socket, const Pieces& to, int flags) {
  const Begun begun(socket);
  const std::atomic<uint32_t>& written = state.out[socket].rx_written;
  const auto is_over = [&] { return (level(socket, kLevelIn) & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0; };
  const size_t least = flags & MSG_WAITALL ? to.left() : std::min<size_t>(to.left(), enough_input(socket));
  TimeNs deadline = 0;
  int ended = 0;  // why it waits no more: one look is left, since less than it waits for may have come
  for (;;) {
    const bool over = is_over();  // before the look: what was over then brings no more
    const uint32_t until = written.load(std::memory_order_acquire);
    Pieces pieces = to;
    IntoPieces sink{pieces, (flags & MSG_TRUNC) != 0};
    const ssize_t seen = take(socket, sink, flags);
    if (seen == kLookAgain) continue;
    const bool some = seen > 0;
    if (!some && seen != -EAGAIN) return seen;
    if (ended != 0) return some ? seen : ended;
    if (some && (over || static_cast<size_t>(seen) >= least || at_mark(socket, static_cast<uint32_t>(seen))))
      return seen;
    if (may_not_wait(socket, flags)) return seen;
    if (deadline == 0) deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
    const auto has_more = [&] {
      return (level(socket, kLevelIn) & (kLevelIn | EPOLLERR | EPOLLHUP)) != 0 &&
             (!some || written.load(std::memory_order_acquire) != until || is_over());
    };
    ended = Wait(socket, begun)
                .until(has_more, some || (flags & kNotTheFirst) ? ended_by_any_handler(deadline) : deadline);
    if (to.left() == 0) return 0;  // as in receive_stream()
    if (ended == -EBADF) return some ? seen : ended;
  }
}

bool can_send(uint32_t socket) {
  const SocketOut& out = state.out[socket];
  const uint32_t status = out.status.load(std::memory_order_acquire);
  return (status & (kConnected | kWriteShut | kHungUp)) == kConnected &&
         out.error.load(std::memory_order_relaxed) == 0;
}

// The order is Linux's: the error that ended it once, then EPIPE for ever (sk_stream_error).
ssize_t cannot_send(uint32_t socket, int flags) {
  if (const int error = take_error(socket); error != 0) return error == -EPIPE ? broken_pipe(flags) : error;
  const uint32_t status = state.out[socket].status.load(std::memory_order_acquire);
  if ((status & (kConnecting | kWriteShut | kHungUp)) == kConnecting) return -EAGAIN;
  return can_send(socket) ? -EAGAIN : broken_pipe(flags);
}

uint32_t queued_bytes(uint32_t socket, uint32_t written) {
  return written - state.out[socket].tx_acked.load(std::memory_order_seq_cst);
}

// The limit may have come down below what is queued.
uint32_t free_bytes(uint32_t socket, uint32_t queued) {
  const uint32_t most = state.out[socket].tx_limit.load(std::memory_order_relaxed);
  return most > queued ? most - queued : 0;
}

// Copies what fits. If not everything does, the stack is asked to tell when there is space.
template <class Source>
ssize_t put(uint32_t socket, Source& from, int flags) {
  if (!can_send(socket)) [[unlikely]]
    return from.is_at_end() ? 0 : cannot_send(socket, flags);
  if (from.left() == 0) return 0;
  SocketIn& in = state.in[socket];
  const Lock lock(in.tx_lock);
  if (!lock) return -EDEADLK;
  const uint32_t written = in.tx_written.load(std::memory_order_relaxed);
  uint32_t queued = queued_bytes(socket, written);
  uint32_t space = free_bytes(socket, queued);
  if (space < from.left()) [[unlikely]] {
    in.want_space.store(1, std::memory_order_seq_cst);
    queued = queued_bytes(socket, written);
    space = free_bytes(socket, queued);
    if (space == 0) return -EAGAIN;
  }
  uint32_t base = in.tx_base.load(std::memory_order_relaxed);
  if (queued == 0 && base != written) {
    base = written;
    in.tx_base.store(base, std::memory_order_relaxed);
  }
  const uint32_t capacity = ring_bytes(socket);
  const ssize_t bytes = from.fill(tx_ring(socket), capacity, (written - base) & (capacity - 1),
                                  std::min<size_t>(space, from.left()));
  if (bytes <= 0) [[unlikely]]
    return bytes;
  if ((flags & MSG_OOB) && from.left() == 0) [[unlikely]] {
    in.tx_urgent.store(written + static_cast<uint32_t>(bytes), std::memory_order_relaxed);
    in.tx_urgent_count.fetch_add(1, std::memory_order_release);
  }
  in.tx_written.store(written + static_cast<uint32_t>(bytes), std::memory_order_release);
  publish(socket);
  return bytes;
}

}  // namespace

int broken_pipe(int flags) {
  if (!(flags & MSG_NOSIGNAL)) system_call(SYS_tgkill, system_call(SYS_getpid), thread_id(), SIGPIPE);
  return -EPIPE;
}

ssize_t receive_stream(uint32_t socket, Pieces& to, int flags) {
  if (flags & MSG_OOB) return receive_urgent(socket, to, flags);
  if (flags & MSG_ERRQUEUE) return -EAGAIN;
  if (flags & MSG_PEEK) return peek_stream(socket, to, flags);
  const Begun begun(socket);
  IntoPieces sink{to, (flags & MSG_TRUNC) != 0};
  const size_t least = flags & MSG_WAITALL ? to.left() : std::min<size_t>(to.left(), low_water(socket));
  ssize_t done = 0;
  TimeNs deadline = 0;
  int ended = 0;  // as in peek_stream()
  for (;;) {
    if (done > 0 && state.out[socket].error.load(std::memory_order_acquire) != 0 &&
        state.out[socket].rx_written.load(std::memory_order_acquire) ==
            state.in[socket].rx_read.load(std::memory_order_relaxed))
      return done;  // the next call tells
    const ssize_t got = take(socket, sink, flags);
    if (got == kLookAgain) continue;
    if (got > 0) {
      done += got;
      if (static_cast<size_t>(done) >= least || at_mark(socket)) return done;
      continue;
    }
    if (got != -EAGAIN || ended != 0 || may_not_wait(socket, flags))
      return done > 0 ? done : got == -EAGAIN && ended != 0 ? ended : got;
    if (deadline == 0) deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
    ended = Wait(socket, begun)
                .until([&] { return (level(socket, kLevelIn) & (kLevelIn | EPOLLERR | EPOLLHUP)) != 0; },
                       done > 0 || (flags & kNotTheFirst) ? ended_by_any_handler(deadline) : deadline);
    if (to.left() == 0) return 0;  // tcp_recvmsg() waits for nothing once
    if (ended == -EBADF) return done > 0 ? done : ended;
  }
}

ssize_t take_stream(uint32_t socket, IntoPipe& to) {
  ssize_t got = kLookAgain;
  while (got == kLookAgain) got = take(socket, to, 0);
  return got;
}

template <class Source>
ssize_t send_stream(uint32_t socket, Source& from, int flags) {
  const Begun begun(socket);
  ssize_t done = 0;
  TimeNs deadline = 0;
  for (;;) {
    if (done > 0 && !can_send(socket)) return done;  // why, the next call tells
    const ssize_t put_now = put(socket, from, flags);
    if (put_now > 0) done += put_now;
    if (put_now >= 0 && (put_now == 0 || from.left() == 0)) return done;
    if (put_now > 0) continue;
    if (put_now != -EAGAIN) return done > 0 ? done : put_now;
    if (may_not_wait(socket, flags)) return done > 0 ? done : -EAGAIN;
    if (deadline == 0) deadline = deadline_after(state.names[socket].send_timeout_ns.load());
    const int waited =
        Wait(socket, begun)
            .until([&] { return (level(socket, kLevelOut) & (kLevelOut | EPOLLERR)) != 0; },
                   done > 0 || (flags & kNotTheFirst) ? ended_by_any_handler(deadline) : deadline);
    if (waited != 0) return done > 0 ? done : waited;
  }
}

template ssize_t send_stream(uint32_t, FromPieces&, int);
template ssize_t send_stream(uint32_t, FromFile&, int);
template ssize_t send_stream(uint32_t, FromPipe&, int);

}  // namespace skerry::sockets::client
