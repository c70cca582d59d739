// Calls from the program (RFC 9293 section 3.9.1), with the results that Linux gives.
#include <algorithm>
#include <cerrno>

#include "base/check.hpp"
#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

int Tcp::Impl::bind(ConnectionId id, Endpoint& local, bool reuse_address, bool reuse_port) {
  use(id);
  ColdBlock& c = cold[id];
  if (c.bound.port != 0 || blocks[id].state != State::closed) return EINVAL;
  const uint16_t port = local.port != 0 ? local.port : ports.pick(random);
  if (port == 0 || connections_forbid({local.address, port}, reuse_address, reuse_port) ||
      ports.bind(id, {local.address, port}, reuse_address, reuse_port) != 0) {
    c.bound.address = {};  // one of before (Linux __inet_bind())
    return EADDRINUSE;
  }
  c.port_was_picked = local.port == 0;
  local.port = port;
  c.bound = local;
  c.reuse_address = reuse_address;
  c.reuse_port = reuse_port;
  return 0;
}

// Who is not bound, but connected from that port, or was until lately, must share it as whoever is bound
// there (Linux inet_bind_conflict()).
bool Tcp::Impl::connections_forbid(const Endpoint& local, bool reuse_address, bool reuse_port) const {
  if (!ports.has_connections(local.port)) return false;
  if (ports.connections_share(local.port, reuse_address, reuse_port)) return false;
  if (local.address.is_unspecified() && !reuse_address && !reuse_port) return true;
  // It takes 3 ms with 65 536 connections, and seldom comes to it: for one address, or where who binds would
  // share, but since the port last had none some connection did not.
  bool found = false;
  const auto look_at = [&](const Flow& flow, const auto& its) {
    if (flow.local_port != local.port || !Ports::overlap(flow.local, local.address)) return;
    found |= !(reuse_address && its.reuse_address) && !(reuse_port && its.reuse_port);
  };
  table.for_each([&](uint32_t id) { look_at(blocks[id].flow, cold[id]); });
  time_wait.for_each([&](const TimeWaitEntry& entry) { look_at(entry.flow, entry); });
  return found;
}

int Tcp::Impl::listen(ConnectionId id, uint32_t backlog, bool reuse_address, bool reuse_port) {
  use(id);
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (b.state != State::listen) {
    if (b.state != State::closed) return EINVAL;
    if (c.bound.port == 0) {
      Endpoint local{c.bound.address, 0};  // the address outlives a port that was given back
      if (const int error = bind(id, local, reuse_address, reuse_port)) return error;
    }
    if (!ports.may_listen(id)) return EADDRINUSE;
    b.flow = {};  // of an attempt to connect that failed
    b.state = State::listen;
  }
  c.backlog = backlog;
  return 0;
}

int Tcp::Impl::connect(TimeNs now, ConnectionId id, const Endpoint& remote, bool reuse_address,
                       bool reuse_port) {
  use(id);
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (b.state == State::syn_sent || b.state == State::syn_received) return EALREADY;
  if (b.state != State::closed) return EISCONN;
  const Path path = path_lookup ? path_lookup(path_context, c.bound.address, remote.address) : Path{};
  if (!path.reachable) return ENETUNREACH;
  Flow flow;
  flow.local = c.bound.address.is_unspecified() ? path.source : c.bound.address;
  flow.remote = remote.address;
  flow.remote_port = remote.port;
  uint32_t least_iss = 0;
  if (c.bound.port != 0) {
    flow.local_port = c.bound.port;
    if (!flow_is_free(now, flow, least_iss)) return EADDRNOTAVAIL;
  } else if (!pick_port(now, flow, least_iss)) {
    return EADDRNOTAVAIL;
  }
  if (c.bound.port == 0) {
    c.reuse_address = reuse_address;
    c.reuse_port = reuse_port;
  }
  reuse_block(id);
  uint32_t iss = initial_sequence(now, flow);
  if (least_iss != 0) iss = later(iss, least_iss);
  begin(now, id, flow, hasher(flow), path, iss);
  b.state = State::syn_sent;
  b.flags |= kSynDue;
  ++counters.active_opens;
  queue_output(id);
  return 0;
}

// RFC 6056 section 3.3.1, algorithm 1: a random start, then the next that makes a flow of its own.
bool Tcp::Impl::pick_port(TimeNs now, Flow& flow, uint32_t& least_iss) {
  constexpr uint32_t kPorts = kLastEphemeralPort - kFirstEphemeralPort + 1u;
  const uint32_t start = random.below(kPorts);
  for (uint32_t i = 0; i < kPorts; ++i) {
    flow.local_port = static_cast<uint16_t>(kFirstEphemeralPort + (start + i) % kPorts);
    if (!ports.is_bound(flow.local_port) && flow_is_free(now, flow, least_iss)) return true;
  }
  return false;
}

// True if nobody has the flow. One in TIME-WAIT may be taken over if timestamps tell old segments from new
// ones (RFC 6191 section 2, from the side that opens again; Linux tcp_tw_reuse).
bool Tcp::Impl::flow_is_free(TimeNs now, const Flow& flow, uint32_t& least_iss) {
  const uint32_t hash = hasher(flow);
  if (find(hash, flow) != kNoConnection) return false;
  TimeWaitEntry* const entry = time_wait.find(hash, flow);
  if (entry == nullptr) return true;
  if (!entry->timestamps || now - entry->since < kTimeWaitReuse) return false;
  least_iss = entry->snd_nxt + kReuseDistance;
  remove_time_wait(hash, entry);
  return true;
}

std::optional<ConnectionId> Tcp::Impl::accept(ConnectionId listener) {
  if (blocks[listener].state != State::listen) return std::nullopt;
  const ConnectionId id = listeners[listener].ready.head;
  if (id == kNoIndex) return std::nullopt;
  leave_listener(id);
  blocks[id].flags |= kOwned;
  event_bits[id] &= ~kEstablished;
  if (event_bits[id] != 0) event_links.push_back(events, id);
  return id;
}

bool Tcp::Impl::wrote(ConnectionId id, uint32_t tx_written, uint32_t tx_base) {
  ControlBlock& b = blocks[id];
  if (b.state < State::syn_sent) return true;  // there is no connection any more: nothing to take over
  const uint32_t acked = b.tx_acked();
  const uint32_t written = b.tx_written();
  const uint32_t unacked = tx_written - acked;
  if (unacked > ring_bytes(b) || unacked < written - acked) return false;
  if (b.has(kFinQueued)) return true;  // a write that raced shutdown(): what is behind the FIN is not sent
  if (acked == written) b.tx_base = b.iss + 1 + tx_base;
  if (tx_written == written) return true;
  b.snd_end += tx_written - written;
  if (b.state >= State::established) queue_output(id);
  return true;
}

// RFC 6093 section 2: what the program sent last with MSG_OOB ends before `tx_urgent`.
bool Tcp::Impl::urgent(ConnectionId id, uint32_t tx_urgent) {
  ControlBlock& b = blocks[id];
  const uint32_t end = b.iss + 1 + tx_urgent;
  if (before(b.snd_end, end)) return false;
  if (b.state < State::syn_sent || at_or_before(end, b.snd_una)) return true;
  b.flags |= kUrgentOut;
  cold[id].snd_up = end;
  return true;
}

bool Tcp::Impl::read(TimeNs now, ConnectionId id, uint32_t rx_read) {
  ControlBlock& b = blocks[id];
  if (!b.has(kInUse)) return true;  // as above
  const uint32_t read_to = b.irs + 1 + rx_read;
  const uint32_t end = b.irs + 1 + b.rx_written();
  if (read_to - b.rx_read > end - b.rx_read) return false;
  b.rx_read = read_to;
  if (b.rx_read - b.tuned_at >= b.rx_limit / 2) tune_receive_buffer(now, id, b);
  if (b.state < State::established || b.has(kPeerFin)) return true;
  // A window update goes out when it at least doubles the window (as Linux does) and is no silly step: one
  // that matters does not wait for a delayed ACK.
  const uint32_t step = beyond(right_edge(id, b), b.rcv_adv);
  const uint32_t left = b.rcv_adv - b.rcv_nxt;
  const bool opens = step >= left && step >= std::min<uint32_t>(b.rcv_mss, b.rx_limit / 2);
  if (opens || (b.rx_read == b.rcv_nxt && awaits_reader(b))) acknowledge_now(id, b);
  return true;
}

int Tcp::Impl::shutdown_write(ConnectionId id) {
  ControlBlock& b = blocks[id];
  if (b.state < State::syn_sent) return ENOTCONN;
  if (b.has(kFinQueued)) return 0;
  b.flags |= kFinQueued;
  if (b.state == State::established) b.state = State::fin_wait_1;
  if (b.state == State::close_wait) b.state = State::last_ack;
  if (b.state >= State::established) queue_output(id);
  return 0;
}

// Linux tcp_disconnect(): nobody is told but by a reset, and a port that nobody asked for is given back.
int Tcp::Impl::disconnect(TimeNs now, ConnectionId id) {
  use(id);
  ControlBlock& b = blocks[id];
  const State state = b.state;
  if (state == State::listen) close_listener(now, id);
  const bool tells = state == State::syn_received || state == State::established ||
                     state == State::close_wait || state == State::fin_wait_1 || state == State::fin_wait_2 ||
                     ((state == State::closing || state == State::last_ack) && has_more(b));
  if (tells) reset_peer(now, id);
  if (state >= State::syn_sent) leave_table(id);
  event_bits[id] = 0;
  if (event_links.is_linked(id)) event_links.remove(events, id);
  if (state != State::closed) give_back_port(id);
  reuse_block(id);
  return tells || state == State::syn_sent ? ECONNRESET : 0;
}

void Tcp::Impl::set_options(TimeNs now, ConnectionId id, const Options& options) {
  use(id);
  ControlBlock& b = blocks[id];
  const uint32_t before = b.rx_limit;
  cold[id].options = options;
  apply_options(id);
  restart_keepalive(now, id);
  if (b.rx_limit > before && b.state >= State::established) acknowledge_now(id, b);
  // Nagle or the cork may have held something back.
  if (b.state >= State::established && has_more(b)) queue_output(id);
}

void Tcp::Impl::close(TimeNs now, ConnectionId id, bool abort) {
  use(id);
  ControlBlock& b = blocks[id];
  switch (b.state) {
    case State::listen:
      close_listener(now, id);
      [[fallthrough]];
    case State::closed:
      discard(id);
      return;
    case State::syn_sent:
      leave_table(id);
      discard(id);
      return;
    default:
      break;
  }
  const bool unread = b.irs + 1 + b.rx_written() != b.rx_read;
  abort = abort || unread;
  if (abort && (b.state < State::established || !has_more(b))) {
    reset_peer(now, id);
    leave_table(id);
    discard(id);
    return;
  }
  b.flags |= kOrphan;
  event_bits[id] = 0;
  if (event_links.is_linked(id)) event_links.remove(events, id);
  if (abort) {
    // On Linux what the windows allow of a send() is on the wire when send() returns.
    b.flags |= kAborting;
    queue_output(id);
    return;
  }
  shutdown_write(id);
  if (b.state == State::fin_wait_2) {
    b.slow_deadline = now + kFinWait2;
    wheel.arm(id, b.slow_deadline);
  }
}

// What nobody will accept is reset.
void Tcp::Impl::close_listener(TimeNs now, ConnectionId id) {
  ListenerQueue& queue = listeners[id];
  for (IndexList* list : {&queue.half_open, &queue.ready}) {
    while (!list->empty()) {
      const ConnectionId child = list->head;
      leave_listener(child);
      if (blocks[child].state != State::closed) {
        reset_peer(now, child);
        leave_table(child);
      }
      discard(child);
    }
  }
  blocks[id].state = State::closed;
}

}  // namespace skerry::tcp
