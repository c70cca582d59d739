// Opening a connection: segments for nobody, for LISTEN, SYN-SENT, SYN-RECEIVED and TIME-WAIT (RFC 9293
// sections 3.10.7.1 to 3.10.7.4), options by RFC 7323, 2018 and 6691, reuse of TIME-WAIT by RFC 6191.
#include <algorithm>
#include <cerrno>

#include "base/check.hpp"
#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

namespace {

// A SYN that begins a connection.
bool is_first(const TcpHeader& header) {
  return (header.flags & (kTcpSyn | kTcpAck | kTcpRst | kTcpFin)) == kTcpSyn;
}

// A peer that began anew at its address, as each program's stack is one, knows nothing of the connection that
// waits here; its numbers and its clock are drawn afresh, and half of them are below the old ones. Such a SYN
// gets an ACK, as in any synchronized state (RFC 9293 section 3.5.1), and if it was reset, counts as it comes
// again. Linux ends TIME-WAIT at that reset; here only this one SYN profits, and TIME-WAIT is cut short by
// nothing else (RFC 1337 section 3, fix 1).
bool comes_again(const TcpHeader& header, const TimeWaitEntry& entry) {
  return is_first(header) && entry.forgotten && header.seq == entry.syn_seq;
}

// RFC 9293 section 3.6.1 and RFC 6191 section 2: a SYN that is surely newer than the old connection.
bool is_newer(const TcpHeader& header, const TimeWaitEntry& entry) {
  if (!is_first(header)) return false;
  if (entry.timestamps && header.options.has_timestamps && header.options.ts_value != entry.ts_recent)
    return before(entry.ts_recent, header.options.ts_value);
  return before(entry.rcv_nxt, header.seq);
}

}  // namespace

void Tcp::Impl::receive_unknown(TimeNs now, const SegmentIn& segment, const Flow& flow, uint32_t hash) {
  const ConnectionId listener = ports.listener({flow.local, flow.local_port}, hash);
  TimeWaitEntry* const old = time_wait.find(hash, flow);
  if (old != nullptr && !comes_again(segment.header, *old) && !is_newer(segment.header, *old)) {
    receive_time_wait(now, segment, *old);
  } else if (listener != kNoConnection) {
    receive_listen(now, listener, segment, flow, hash, old);
  } else {
    ++counters.no_connection;
    reset_stranger(segment, flow);
  }
}

void Tcp::Impl::receive_time_wait(TimeNs now, const SegmentIn& segment, TimeWaitEntry& entry) {
  const TcpHeader& header = segment.header;
  if (header.has(kTcpRst)) {
    if (entry.syn_answered && header.seq == entry.rcv_nxt) entry.forgotten = true;  // RFC 5961 section 3.2
    return;
  }
  const bool empty = segment.payload.empty() && !header.has(kTcpSyn | kTcpFin);
  if (empty && header.seq == entry.rcv_nxt) return;
  if (header.has(kTcpFin)) time_wait.restart(&entry, now + kTimeWait);
  if (entry.last_invalid_ack != 0 && now - entry.last_invalid_ack < kInvalidAckInterval) return;
  entry.last_invalid_ack = now;
  entry.syn_answered = is_first(header);
  if (entry.syn_answered) {
    entry.forgotten = false;
    entry.syn_seq = header.seq;
  }
  acknowledge_from(now, entry);
}

void Tcp::Impl::receive_listen(TimeNs now, ConnectionId listener, const SegmentIn& segment, const Flow& flow,
                               uint32_t hash, TimeWaitEntry* old) {
  const TcpHeader& header = segment.header;
  if (header.has(kTcpRst)) return;
  if (header.has(kTcpAck)) {
    reset_stranger(segment, flow);
    return;
  }
  if (!header.has(kTcpSyn) || header.has(kTcpFin)) return;
  ListenerQueue& queue = listeners[listener];
  if (queue.ready_count > cold[listener].backlog) {
    ++counters.listen_overflows;  // the peer tries again (listen(2))
    return;
  }
  const Path path = path_lookup ? path_lookup(path_context, flow.local, flow.remote) : Path{};
  if (!path.reachable) return;
  std::optional<uint32_t> index;
  if (half_open < limits.half_open) index = ids.allocate();
  if (!index) {
    // The oldest half-open connection gives way if its peer has been silent for a whole time-out (RFC 4987
    // section 3.3). One that may still be on its way does not: a burst of honest peers is asked to wait.
    ++counters.listen_overflows;
    const ConnectionId oldest = queue.half_open.head;
    if (oldest == kNoIndex || cold[oldest].retries == 0) return;
    abandon(oldest);
    index = ids.allocate();
  }
  const ConnectionId id = *index;
  CHECK(!blocks[id].has(kInUse));
  use(id);
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  c.options = cold[listener].options;
  c.bound.address = cold[listener].bound.address;
  c.reuse_address = cold[listener].reuse_address;
  c.reuse_port = cold[listener].reuse_port;
  apply_options(id);
  b.flags &= ~kOwned;
  uint32_t iss = initial_sequence(now, flow);
  if (old != nullptr) {
    iss = later(iss, old->snd_nxt + kReuseDistance);
    remove_time_wait(hash, old);
  }
  begin(now, id, flow, hash, path, iss);
  b.state = State::syn_received;
  c.parent = listener;
  child_links.push_back(queue.half_open, id);
  ++half_open;
  negotiate(now, id, header);
  b.flags |= kSynDue;
  queue_output(id);
}

// A half-open connection ends without a word.
void Tcp::Impl::abandon(ConnectionId id) {
  leave_table(id);
  leave_listener(id);
  discard(id);
}

// What the peer's SYN says; both sides of an option must have it.
void Tcp::Impl::negotiate(TimeNs now, ConnectionId id, const TcpHeader& header) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  const TcpOptions& options = header.options;
  b.irs = header.seq;
  b.rcv_nxt = b.rcv_adv = b.rx_read = b.rx_base = b.last_ack_sent = header.seq + 1;
  if (options.has_timestamps) {
    b.flags |= kTimestamps;
    b.ts_recent = options.ts_value;
    b.ts_recent_second = static_cast<uint32_t>(now / kSecond);
  }
  if (options.sack_permitted) b.flags |= kSack;
  b.scales = options.has_window_scale ? static_cast<uint8_t>(rcv_scale << 4 | options.window_scale) : 0;
  if (options.has_mss) c.peer_mss = options.mss;
  set_mss(id);
  b.rcv_mss = std::min<uint16_t>(b.mss, kDefaultMss);
  b.snd_wnd = b.max_snd_wnd = header.window;  // never scaled in a SYN (RFC 7323 section 2.2)
  b.snd_wl1 = header.seq;
  b.snd_wl2 = header.ack;
}

void Tcp::Impl::receive_syn_sent(TimeNs now, ConnectionId id, const SegmentIn& segment) {
  ControlBlock& b = blocks[id];
  const TcpHeader& header = segment.header;
  const bool ack_ok = header.has(kTcpAck) && header.ack == b.iss + 1;
  if (header.has(kTcpAck) && !ack_ok) {
    if (header.has(kTcpRst)) return;
    reset_stranger(segment, b.flow);
    // It ends what the peer still had of another connection: our first SYN went there, and the next need not
    // wait for its time-out (Linux tcp_rcv_synsent_state_process()).
    if (!b.has(kTiming)) return;
    b.flags = (b.flags | kSynDue) & ~kTiming;
    queue_output(id);
    return;
  }
  if (header.has(kTcpRst)) {
    if (!ack_ok) return;
    ++counters.resets_in;
    fail(id, ECONNREFUSED);
    return;
  }
  if (!header.has(kTcpSyn)) return;
  negotiate(now, id, header);
  b.rcv_adv = b.rcv_nxt + syn_window(id);  // as our SYN said
  if (!ack_ok) {                           // simultaneous open (RFC 9293 figure 7)
    b.state = State::syn_received;
    b.flags |= kSynDue;
    queue_output(id);
    return;
  }
  b.snd_una = header.ack;
  if (!b.has(kTiming)) sample_from_echo(now, b, header);
  established(now, id);
  acknowledge_now(id, b);
}

// The ACK of our SYN, in SYN-RECEIVED. True: established now, and the segment is to be processed on.
bool Tcp::Impl::complete_open(TimeNs now, ConnectionId id, const SegmentIn& segment) {
  ControlBlock& b = blocks[id];
  const TcpHeader& header = segment.header;
  if (header.ack != b.iss + 1) {
    reset_stranger(segment, b.flow);
    return false;
  }
  const ConnectionId parent = cold[id].parent;
  if (parent != kNoConnection) {
    // As if the ACK had been lost (Linux tcp_check_req): who has something to say says it now.
    if (cold[id].retries < cold[id].options.defer_accept && segment.payload.empty() && !header.has(kTcpFin)) {
      b.flags &= ~kTiming;  // what comes at last tells nothing of the way
      cold[id].acknowledged = true;
      return false;
    }
    ListenerQueue& queue = listeners[parent];
    if (queue.ready_count > cold[parent].backlog) {
      ++counters.listen_overflows;  // as if it had been lost: the SYN-ACK is sent again later
      return false;
    }
    child_links.remove(queue.half_open, id);
    --half_open;
    child_links.push_back(queue.ready, id);
    ++queue.ready_count;
    ++counters.passive_opens;
    raise(parent, kAcceptable);
  }
  b.snd_una = header.ack;
  b.snd_wl1 = header.seq;
  b.snd_wl2 = header.ack;
  if (!b.has(kTiming) && !cold[id].acknowledged) sample_from_echo(now, b, header);
  established(now, id);
  return true;
}

void Tcp::Impl::established(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (b.has(kTiming)) take_sample(now, b);
  if (b.rtt.srtt == 0) b.rtt.rto_us = static_cast<uint32_t>(kRtoAfterLostSyn / kMicrosecond);
  // RFC 6928 section 2; one segment if SYNs were lost, but a single time-out may be the 1 s timer's error
  // (RFC 6298 appendix A).
  const uint32_t mss = b.mss;
  take_long_rings(id);
  const bool lost = c.retries > 1 && !c.acknowledged;  // a deferred accept's time-outs lost nothing
  b.cwnd = lost ? mss : std::min(kInitialWindowSegments * mss, std::max(2 * mss, 14600u));
  tune_send_buffer(id, b);
  c.retries = c.doublings = 0;
  b.flags &= ~(kTiming | kTimedOut | kSynDue);
  b.retransmit_deadline = kNever;
  b.state = b.has(kFinQueued) ? State::fin_wait_1 : State::established;
  restart_keepalive(now, id);
  raise(id, kEstablished);
  queue_output(id);
}

// RFC 9293 section 3.5.2: a reset that the sender of `segment` will believe.
void Tcp::Impl::reset_stranger(const SegmentIn& segment, const Flow& flow) {
  const TcpHeader& header = segment.header;
  if (header.has(kTcpRst)) return;
  Reply reply{.flow = flow};
  if (header.has(kTcpAck)) {
    reply.seq = header.ack;
    reply.flags = kTcpRst;
  } else {
    reply.ack = header.seq + static_cast<uint32_t>(segment.payload.size()) + (header.has(kTcpSyn) ? 1 : 0) +
                (header.has(kTcpFin) ? 1 : 0);
    reply.flags = kTcpRst | kTcpAck;
  }
  if (replies.push(reply)) ++counters.resets_out;
}

}  // namespace skerry::tcp
