#include "sockets/server.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "sockets/asked_calls.hpp"
#include "sockets/notes.hpp"

namespace skerry::sockets {

Server::Server(SessionView view, tcp::Tcp& tcp, stack::Udp& udp, const stack::Routes& routes, IndexPool& ids)
    : view_(view),
      tcp_(tcp),
      udp_(udp),
      routes_(routes),
      ids_(ids),
      wakeups_(view),
      sockets_(view.size().sockets) {
  CHECK(ids.capacity() == view.size().sockets);
  senders_.reserve(view.size().sockets);
}

uint32_t Server::rx(TimeNs now) {
  uint32_t work = 0;
  for (tcp::Event event; tcp_.next_event(event); ++work) on_event(now, event);
  wakeups_.ring();
  return work;
}

uint32_t Server::tx(TimeNs now) {
  uint32_t work = take_calls(view_, [&](uint32_t index) { serve_call(now, index); });
  take_notes(view_.dirty(), view_.control().dirty_summary, view_.size().sockets, [&](uint32_t id) {
    look_at(now, id);
    ++work;
  });
  if (now >= sweep_at_) sweep(now);
  // A call may have finished something at once (a connection to ourselves, a reset).
  for (tcp::Event event; tcp_.next_event(event); ++work) on_event(now, event);
  wakeups_.ring();
  return work;
}

bool Server::arm() {
  Control& control = view_.control();
  control.stack_armed.store(1);  // seq_cst: the looks below come after it
  return !has_notes(control.dirty_summary, view_.size().sockets) && !has_calls(view_) && !tcp_.has_events();
}

void Server::disarm() {
  view_.control().stack_armed.store(0, std::memory_order_relaxed);
}

// The program touched this socket's words. Notes are only hints: nothing is wrong with one for a socket that
// is closed.
void Server::look_at(TimeNs now, uint32_t id) {
  const Socket& socket = sockets_[id];
  if (socket.orphan || socket.listening) return;
  if (socket.kind == Kind::stream) take_positions(now, id);
  if (socket.kind == Kind::datagram) begin_sending(id);
}

void Server::take_positions(TimeNs now, uint32_t id) {
  SocketIn& in = view_.in(id);
  const uint32_t written = in.tx_written.load(std::memory_order_acquire);
  const uint32_t base = in.tx_base.load(std::memory_order_relaxed);
  const uint32_t read = in.rx_read.load(std::memory_order_acquire);
  const bool was_listener = sockets_[id].rx_written != 0;  // then `read` is about its queue
  if (!tcp_.wrote(now, id, written, base) || (!was_listener && !tcp_.read(now, id, read))) {
    fault(now, id);
    return;
  }
  const uint32_t urgent = in.tx_urgent_count.load(std::memory_order_relaxed);
  if (urgent != sockets_[id].tx_urgent_count) [[unlikely]]
    if (tcp_.urgent(id, in.tx_urgent.load(std::memory_order_relaxed))) sockets_[id].tx_urgent_count = urgent;
  view_.out(id).rx_tell_at.store(tcp_.tell_at(id), std::memory_order_relaxed);
}

void Server::fault(TimeNs now, uint32_t id) {
  ++counters_.faults;
  view_.out(id).error.store(ECONNABORTED);
  set_status(id, kHungUp | kPeerClosed);
  wakeups_.touch(id);
  release(now, id, true);
}

void Server::process_arrived(uint32_t slot) {
  CHECK(slot < view_.size().processes && !is_live(slot));
  live_.push_back(slot);
}

void Server::process_forked(uint32_t parent, uint32_t child) {
  for (uint32_t word = 0; word < view_.size().sockets / 64; ++word) {
    view_.refs(child)[word].store(view_.refs(parent)[word].load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
  }
  Process& from = view_.process(parent);
  for (uint32_t word = 0; word < kMaxWaiters / 64; ++word)
    view_.process(child).sets[word].store(from.sets[word].load());
}

// Who could pass it had accepted it, so it waits in no queue.
bool Server::carry(uint32_t id) {
  Socket& socket = sockets_[id];
  if (socket.kind == Kind::free || socket.orphan) return false;
  socket.listener = kNoSocket;
  ++socket.carriers;
  return true;
}

void Server::claim(uint32_t id, uint32_t slot) {
  view_.refs(slot)[id / 64].fetch_or(uint64_t{1} << (id % 64));
}

void Server::put_down(uint32_t id) {
  Socket& socket = sockets_[id];
  CHECK(socket.carriers > 0);
  if (--socket.carriers > 0) return;
  if (socket.gone) {
    free_index(id);
  } else if (!is_held(id)) {
    sweep_at_ = 0;  // in this breath's tx
  }
}

// What its threads waited for and asked for is moot, and answers that nobody fetched (of Op::close) would
// stay for ever.
void Server::forget_program(uint32_t slot) {
  wakeups_.program_over(slot, live_);
  for (uint32_t index = 0; index < view_.size().calls; ++index) {
    Call& call = view_.call(index);
    const uint32_t state = call.state.load(std::memory_order_acquire);
    if ((state == kCallRequested || state == kCallDone) && call.process == slot) call.state.store(kCallFree);
  }
  sweep_at_ = 0;  // in this breath's tx
}

void Server::process_executed(uint32_t slot) {
  for (uint32_t word = 0; word < view_.size().sockets / 64; ++word)
    view_.refs(slot)[word].fetch_and(view_.kept(slot)[word].load());
  forget_program(slot);
}

void Server::process_died(uint32_t slot) {
  std::erase(live_, slot);
  for (uint32_t word = 0; word < view_.size().sockets / 64; ++word) view_.refs(slot)[word].store(0);
  Process& process = view_.process(slot);
  const uint32_t fds = std::min(process.fd_limit.load(std::memory_order_relaxed), kMaxDescriptors);
  for (uint32_t fd = 0; fd < fds; ++fd) view_.fds(slot)[fd].store(0, std::memory_order_relaxed);
  process.fd_limit.store(0, std::memory_order_relaxed);
  process.executing.store(0, std::memory_order_relaxed);
  forget_program(slot);
}

}  // namespace skerry::sockets
