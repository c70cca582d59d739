// The next segment (RFC 9293 sections 3.8.6.2.1 and 3.10.7.4 "Data Queue"): retransmissions first, then new
// data as far as the peer's window, the congestion window, Nagle (RFC 896, Minshall's variant) and
// silly-window avoidance allow, then a bare ACK. Payload stays in the program's ring.
#include <algorithm>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

bool Tcp::Impl::next_segment(TimeNs now, const Room& room, SegmentOut& out) {
  if (!replies.empty() && has_room_for_reply(room)) {
    emit_reply(out);
    ++counters.segments_out;
    return true;
  }
  return next_of(output, now, room.link, out) || next_of(looped_output, now, room.loop, out);
}

bool Tcp::Impl::has_room_for_reply(const Room& room) const {
  if (room.link == 0 && room.loop == 0) return false;
  if (room.link != 0 && room.loop != 0) return true;
  const Flow& flow = replies.front().flow;
  const bool loops = path_lookup && path_lookup(path_context, flow.local, flow.remote).loops;
  return (loops ? room.loop : room.link) != 0;
}

bool Tcp::Impl::next_of(IndexList& list, TimeNs now, uint32_t max_payload, SegmentOut& out) {
  while (max_payload > 0 && !list.empty()) {
    const ConnectionId id = list.head;
    output_links.remove(list, id);
    if (!emit(now, id, max_payload, out)) continue;
    ControlBlock& b = blocks[id];
    // Whoever may have more takes its turn again behind the others.
    if ((b.flags & (kAckNow | kProbeDue | kScoreboard | kAborting)) != 0 || has_more(b)) queue_output(id);
    ++b.segments_out;
    ++counters.segments_out;
    return true;
  }
  return false;
}

bool Tcp::Impl::has_more(const ControlBlock& b) const {
  return before(b.snd_nxt, b.snd_end) || (b.has(kFinQueued) && b.snd_nxt == b.snd_end);
}

bool Tcp::Impl::emit(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out) {
  ControlBlock& b = blocks[id];
  if (b.state < State::established) {
    if (!b.has(kSynDue)) return false;
    emit_syn(now, id, out);
    return true;
  }
  if (b.has(kAborting)) [[unlikely]] {
    if (!emit_new_data(now, id, max_payload, out)) emit_last_reset(now, id, out);
    return true;
  }
  if (b.has(kScoreboard) && emit_retransmission(now, id, max_payload, out)) return true;
  if (b.has(kTailDue) && emit_tail_probe(now, id, max_payload, out)) return true;
  if (emit_new_data(now, id, max_payload, out)) return true;
  if (b.has(kProbeDue)) {
    // As Linux probes: a number that was acknowledged makes the peer say where it is (RFC 9293 sections
    // 3.8.4, 3.8.6.1).
    b.flags &= ~kProbeDue;
    ++counters.window_probes;
    fill_header(now, id, b, b.snd_una - 1, kTcpAck, out);
    fill_payload(id, b, b.snd_una, 0, b.mss, out);
    return true;
  }
  if (b.has(kAckNow)) {
    ColdBlock& c = cold[id];
    fill_header(now, id, b, b.snd_nxt, kTcpAck, out);
    fill_payload(id, b, b.snd_nxt, 0, b.mss, out);
    if (c.duplicate_acks_due > 1) {
      --c.duplicate_acks_due;
      acknowledge_now(id, b);
    } else {
      c.duplicate_acks_due = 0;
    }
    return true;
  }
  return false;
}

// The end of a connection that was aborted: nothing of it is left.
void Tcp::Impl::emit_last_reset(TimeNs now, ConnectionId id, SegmentOut& out) {
  const ControlBlock& b = blocks[id];
  fill_header(now, id, blocks[id], b.snd_nxt, kTcpRst | kTcpAck, out);
  fill_payload(id, b, b.snd_nxt, 0, b.mss, out);
  ++counters.resets_out;
  leave_table(id);
  discard(id);
}

bool Tcp::Impl::emit_retransmission(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out) {
  const ControlBlock& b = blocks[id];
  const Recovery& recovery = cold[id].recovery;
  Interval hole;
  if (!recovery.next_hole(hole)) return false;
  const uint32_t mss = std::min<uint32_t>(b.mss, max_payload);
  const uint32_t flight = recovery.in_flight(send_window(b));
  const bool first = flight == 0 || recovery.nothing_sent_yet();
  uint32_t budget = beyond(b.cwnd, flight);
  if (first) budget = std::max(budget, mss);
  if (budget < std::min(mss, hole.bytes())) return false;
  send_again(now, id, hole, mss, std::min({budget, largest_emission(b, mss), max_payload}), out);
  return true;
}

// Sends the beginning of `hole` again, at most `most` bytes; what is more than `mss` in whole segments.
void Tcp::Impl::send_again(TimeNs now, ConnectionId id, const Interval& hole, uint32_t mss, uint32_t most,
                           SegmentOut& out) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  uint32_t bytes = beyond(earlier(hole.right, b.snd_end), hole.left);
  if (bytes > most) bytes = most < mss ? most : most - most % mss;
  const bool fin = hole.left + bytes == b.snd_end && before(b.snd_end, hole.right);
  const uint32_t right = hole.left + bytes + (fin ? 1 : 0);
  uint8_t flags = kTcpAck;
  if (bytes > 0 && hole.left + bytes == b.snd_end) flags |= kTcpPsh;
  if (fin) flags |= kTcpFin;
  // SACK blocks would make a full segment two. They go on a bare ACK of their own.
  const bool held = b.has(kOutOfOrder);
  b.flags &= ~kOutOfOrder;
  fill_header(now, id, b, hole.left, flags, out);
  if (held) b.flags |= kOutOfOrder | kAckNow;
  fill_payload(id, b, hole.left, bytes, mss, out);
  b.flags &= ~(kTiming | kPushDue);  // Karn: what is outstanding can no longer be timed
  const uint32_t segments = std::max(1u, (bytes + mss - 1) / mss);
  c.retransmissions += segments;
  c.resent_bytes += bytes;
  counters.retransmissions += segments;
  c.recovery.note_retransmission(send_window(b), hole.left, right, out.header.options.ts_value,
                                 moment(now, b).now_us);
  c.recovery.note_sent(right - hole.left);
  note_data_sent(now, id, b);
}

bool Tcp::Impl::emit_new_data(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out) {
  ControlBlock& b = blocks[id];
  if (!has_more(b)) {
    b.flags &= ~kPushDue;
    return false;
  }
  const uint32_t mss = full_segment(b, max_payload);
  const uint32_t most = std::min(largest_emission(b, mss), max_payload);
  const uint32_t bytes = sendable(now, id, b, most, mss);
  // The FIN is a byte of sequence space, so it too needs room in the peer's window.
  const bool fin =
      b.has(kFinQueued) && b.snd_nxt + bytes == b.snd_end && beyond(b.snd_una + b.snd_wnd, b.snd_nxt) > bytes;
  if (bytes == 0 && !fin) {
    cold[id].delivery.wait_for(now, what_stops(id, b));
    if (b.snd_una == b.snd_nxt && !b.has(kPersist))
      start_persist(now, id, b.has(kCork) ? kCorkLimit : b.rtt.rto_ns());
    return false;
  }
  send_new(now, id, bytes, fin, mss, out);
  Delivery& delivery = cold[id].delivery;
  const bool starved = b.snd_nxt == b.snd_end && !b.has(kCwndLimited);
  if (starved) delivery.starved();
  const bool full = b.snd_end - b.snd_una >= b.tx_limit;
  delivery.wait_for(now, starved && full ? Delivery::Limit::buffer : Delivery::Limit::network);
  return true;
}

// Why there is data, but none to be sent now.
Delivery::Limit Tcp::Impl::what_stops(ConnectionId id, const ControlBlock& b) const {
  const uint32_t most = std::min<uint32_t>(beyond(b.snd_end, b.snd_nxt), b.mss);
  const bool window = beyond(b.snd_una + b.snd_wnd, b.snd_nxt) < most;
  const bool network = beyond(b.cwnd, in_flight(id, b)) < most;
  return window && !network ? Delivery::Limit::window : Delivery::Limit::network;
}

void Tcp::Impl::send_new(TimeNs now, ConnectionId id, uint32_t bytes, bool fin, uint32_t mss,
                         SegmentOut& out) {
  ControlBlock& b = blocks[id];
  uint8_t flags = kTcpAck;
  if (bytes > 0 && b.snd_nxt + bytes == b.snd_end) flags |= kTcpPsh;
  if (fin) flags |= kTcpFin;
  fill_header(now, id, b, b.snd_nxt, flags, out);
  fill_payload(id, b, b.snd_nxt, bytes, mss, out);
  b.data_segments_out += bytes <= mss ? 1 : (bytes + mss - 1) / mss;
  const bool idle = b.snd_una == b.snd_nxt;
  b.snd_nxt += bytes + (fin ? 1 : 0);
  b.snd_small = bytes % mss != 0 ? b.snd_nxt : later(b.snd_small, b.snd_una);
  b.flags &= ~(kPushDue | kProbeDue);
  if (!b.has(kTiming)) {
    cold[id].delivery.begin(now, b.snd_una, idle, b.rtt_start);
    b.flags |= kTiming;
    b.rtt_seq = b.snd_nxt;
    b.rtt_start = now;
  }
  if (b.has(kScoreboard)) {
    cold[id].recovery.note_new_data(send_window(b));
    cold[id].recovery.note_sent(bytes);
  }
  if (bytes > 0 && b.data_segments_in != 0 && now - b.last_data_heard < kDelayedAck) b.ping_pong = true;
  note_data_sent(now, id, b);
}

// Payload of one SegmentOut: several segments if the link cuts them. Each has an urgent pointer of its own,
// so none that has one is cut of a super-frame.
uint32_t Tcp::Impl::largest_emission(const ControlBlock& b, uint32_t mss) {
  return std::max<uint32_t>(b.has(kUrgentOut) ? 0 : b.super_frame, mss);
}

// Payload of a full segment with the options that it will carry (RFC 6691).
uint32_t Tcp::Impl::full_segment(const ControlBlock& b, uint32_t max_payload) {
  constexpr uint32_t kSackBytes = 4 + 4 * 8;
  const bool sacks = b.has(kOutOfOrder) && b.has(kSack) && b.mss > 2 * kSackBytes;
  return std::min<uint32_t>(sacks ? b.mss - kSackBytes : b.mss, max_payload);
}

// How many new bytes may go now, at most `most`.
uint32_t Tcp::Impl::sendable(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t most, uint32_t mss) {
  const uint32_t waiting = beyond(b.snd_end, b.snd_nxt);
  const uint32_t usable = std::min(waiting, beyond(b.snd_una + b.snd_wnd, b.snd_nxt));
  const uint32_t flight = in_flight(id, b);
  if (flight == 0 && now - b.last_sent > b.rtt.rto_ns()) {
    // Restart after idle (RFC 5681 section 4.1): what the path could take then says nothing now.
    b.cwnd = std::min(b.cwnd, std::max(kInitialWindowSegments * b.mss, 2u * b.mss));
    cold[id].cubic.on_idle();
  }
  const uint32_t room = beyond(b.cwnd, flight);
  uint32_t bytes = std::min(usable, most);
  if (bytes > room) {
    b.flags |= kCwndLimited;
    bytes = room < mss ? 0 : room;
  } else if (usable == waiting && room - bytes >= mss) {
    b.flags &= ~kCwndLimited;
  }
  if (bytes >= mss && bytes < waiting) return bytes - bytes % mss;
  if (bytes >= mss) {
    // The rest of the data would leave a small segment at its end; Nagle may hold that back.
    const uint32_t tail = bytes % mss;
    return tail == 0 || may_send_small(b) ? bytes : bytes - tail;
  }
  if (bytes == 0) return 0;
  if (b.has(kPushDue)) return bytes;
  if (bytes == waiting && may_send_small(b)) return bytes;
  // Sender silly-window avoidance (section 3.8.6.2.1): a peer whose whole window is small.
  return bytes < waiting && 2 * bytes >= b.max_snd_wnd && bytes == usable ? bytes : 0;
}

// Nagle with Minshall's change: a small segment waits only for another small one, not for full ones.
bool Tcp::Impl::may_send_small(const ControlBlock& b) {
  if ((b.flags & (kFinQueued | kUrgentOut)) != 0) return true;
  if (b.has(kCork)) return b.has(kPushDue);
  return b.has(kNoDelay) || at_or_before(b.snd_small, b.snd_una);
}

void Tcp::Impl::note_data_sent(TimeNs now, ConnectionId id, ControlBlock& b) {
  b.last_sent = now;
  if (b.retransmit_deadline == kNever || b.has(kPersist)) {
    if (b.has(kPersist)) cold[id].retries = cold[id].doublings = 0;
    b.flags &= ~kPersist;
    await_ack(now, id, b);
  } else if (may_probe(b) && now + tail_probe_ns(b) < b.retransmit_deadline) {
    await_ack(now, id, b);
  }
}

}  // namespace skerry::tcp
