// Payload into the rx ring, and what to acknowledge when: RFC 9293 sections 3.8.6.2 and 3.8.6.3, RFC 5681
// section 4.2, RFC 2018 section 4, RFC 2883. Out-of-order data is stored where it belongs, ahead of rcv_nxt,
// so each byte is copied once; a bounded list of intervals says what is there, and what does not fit is
// dropped.
#include <algorithm>
#include <cerrno>

#include "base/ring_math.hpp"
#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {
namespace {

void advance(ControlBlock& b, uint32_t rcv_nxt) {
  if (rcv_nxt - b.irs < b.rcv_nxt - b.irs) ++b.received_wraps;
  b.rcv_nxt = rcv_nxt;
}

}  // namespace

void Tcp::Impl::store(ConnectionId id, ControlBlock& b, uint32_t seq, ConstBytes payload) {
  // An empty ring starts again at place 0, so that a connection of small requests stays in the same lines.
  if (b.rx_read == b.rcv_nxt && !b.has(kOutOfOrder)) b.rx_base = b.rcv_nxt;
  const uint32_t capacity = ring_bytes(b);
  ring_store(rx_ring(id, b), capacity, (seq - b.rx_base) & (capacity - 1), payload.data(),
             static_cast<uint32_t>(payload.size()));
}

// The whole payload begins at rcv_nxt and fits the window; nothing is held out of order.
void Tcp::Impl::take_in_order(TimeNs now, ConnectionId id, ControlBlock& b, ConstBytes payload) {
  const uint32_t length = static_cast<uint32_t>(payload.size());
  store(id, b, b.rcv_nxt, payload);
  advance(b, b.rcv_nxt + length);
  ++b.data_segments_in;
  b.last_data_heard = now;
  if (length > b.rcv_mss) b.rcv_mss = static_cast<uint16_t>(std::min<uint32_t>(length, b.mss));
  acknowledge_later(now, id, b);
  raise(id, kReadable);
}

void Tcp::Impl::receive_data(TimeNs now, ConnectionId id, uint32_t seq, ConstBytes payload, bool fin) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  // After the peer's FIN nothing more can come (RFC 9293 section 3.10.7.4, seventh and eighth).
  if (b.has(kPeerFin)) {
    acknowledge_now(id, b);
    return;
  }
  if (!payload.empty()) {
    ++b.data_segments_in;
    b.last_data_heard = now;
  }
  const uint32_t old = beyond(b.rcv_nxt, seq);
  if (old >= payload.size() + (fin ? 1 : 0)) return;
  if (old > 0) {
    ++counters.duplicates_in;
    if (b.has(kSack)) {
      c.duplicate = {seq, b.rcv_nxt};
      b.flags |= kOutOfOrder;
    }
    payload = payload.subspan(std::min<size_t>(old, payload.size()));
    seq = b.rcv_nxt;
  }
  const uint32_t room = b.rx_read + ring_bytes(b) - seq;
  if (payload.size() > room) {
    payload = payload.first(room);
    fin = false;
  }
  if (b.has(kOrphan) && !payload.empty()) {
    // Nobody will read it (RFC 9293 section 3.6, RFC 2525 section 2.17).
    if (b.has(kAborting)) return;  // the reset is on its way
    reset_peer(now, id);
    finish(id);
    return;
  }
  if (b.has(kReadOver) && b.has(kFinQueued) && !payload.empty()) {  // Linux tcp_rcv_state_process
    reset_peer(now, id);
    fail(id, ECONNRESET);
    return;
  }
  const uint32_t end = seq + static_cast<uint32_t>(payload.size());

  if (seq != b.rcv_nxt) {
    ++counters.out_of_order_in;
    ++c.out_of_order_in;
    if (!payload.empty() && c.out_of_order.has_room_for(seq, end)) {
      store(id, b, seq, payload);
      if (c.out_of_order.insert(seq, end) == 0) {
        ++counters.duplicates_in;
        if (b.has(kSack)) c.duplicate = {seq, end};
      }
      note_arrival(c, seq);
      b.flags |= kOutOfOrder;
    }
    if (fin) {
      c.fin_held = true;
      c.fin_seq = end;
      b.flags |= kOutOfOrder;
    }
    if (!b.has(kSack)) ++c.duplicate_acks_due;
    acknowledge_now(id, b);
    return;
  }

  c.duplicate_acks_due = 0;  // from here on there is news to acknowledge
  if (!payload.empty()) {
    store(id, b, seq, payload);
    advance(b, end);
    if (payload.size() > b.rcv_mss)
      b.rcv_mss = static_cast<uint16_t>(std::min<size_t>(payload.size(), b.mss));
    raise(id, kReadable);
  }
  bool hole_filled = false;
  while (!c.out_of_order.empty() && at_or_before(c.out_of_order[0].left, b.rcv_nxt)) {
    advance(b, later(b.rcv_nxt, c.out_of_order[0].right));
    c.out_of_order.trim_before(b.rcv_nxt);
    hole_filled = true;
  }
  b.rcv_adv = later(b.rcv_adv, b.rcv_nxt);
  fin = (fin && b.rcv_nxt == end) || (c.fin_held && b.rcv_nxt == c.fin_seq);
  settle_out_of_order(b, c);
  if (fin) {
    take_fin(now, id);
  } else if (hole_filled || b.has(kOutOfOrder)) {
    acknowledge_now(id, b);  // RFC 5681 section 4.2: at once while holes are being filled
  } else {
    acknowledge_later(now, id, b);
  }
}

// The round trip as a receiver sees it, from our ACK to what the peer sent at its word (Linux
// tcp_rcv_rtt_measure_ts). Only full segments, which a sender does not hold back; one for each timestamp.
void Tcp::Impl::measure_from_echo(TimeNs now, ConnectionId id, const ControlBlock& b,
                                  const SegmentIn& segment) {
  const uint32_t echo = segment.header.options.ts_echo;
  ColdBlock& c = cold[id];
  if (!b.has(kTimestamps) || echo == 0 || echo == c.rcv_rtt_echo) return;
  c.rcv_rtt_echo = echo;
  const uint32_t ticks = timestamp(now, b.ts_offset) - echo;
  if (ticks >= kGreatestRto / kTimestampTick) return;
  const uint32_t rtt_us = std::max(ticks, 1u) * static_cast<uint32_t>(kTimestampTick / kMicrosecond);
  c.rcv_rtt = c.rcv_rtt == 0 ? rtt_us * 8 : c.rcv_rtt - c.rcv_rtt / 8 + rtt_us;
}

// The urgent pointer means the byte before the one it points to, as everywhere (RFC 6093 section 3.2). What
// was read, or is older than what is known, means nothing any more (Linux tcp_check_urg).
void Tcp::Impl::take_urgent(ConnectionId id, const TcpHeader& header) {
  const ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  const uint32_t byte = header.seq + header.urgent - (header.urgent != 0 ? 1 : 0);
  if (before(byte, b.rcv_nxt) || b.has(kPeerFin | kOrphan)) return;
  const uint32_t position = byte - b.irs - 1;
  if (c.urgent_count != 0 && !before(c.urgent_position, position)) return;
  c.urgent_position = position;
  ++c.urgent_count;
  raise(id, kUrgent);
}

void Tcp::Impl::take_fin(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  cold[id].fin_held = false;
  ++b.rcv_nxt;
  b.rcv_adv = later(b.rcv_adv, b.rcv_nxt);
  b.flags |= kPeerFin;
  acknowledge_now(id, b);
  raise(id, kPeerClosed);
  switch (b.state) {
    case State::established:
      b.state = State::close_wait;
      break;
    case State::fin_wait_1:
      // Our FIN is not acknowledged: an ACK for it would have moved us to FIN-WAIT-2 before.
      b.state = State::closing;
      break;
    case State::fin_wait_2:
      enter_time_wait(now, id);
      break;
    default:
      break;
  }
}

// An ACK goes out with the next data, or with every second full-sized segment, or after a delay. A peer whose
// window is half used waits for none of these.
void Tcp::Impl::acknowledge_later(TimeNs now, ConnectionId id, ControlBlock& b) {
  if (b.rcv_nxt - b.last_ack_sent >= std::min(2u * b.rcv_mss, b.rx_limit / 2) || b.has(kQuickAck)) {
    acknowledge_now(id, b);
  } else if (!b.has(kAckDelayed)) {
    b.flags |= kAckDelayed;
    b.ack_deadline = now + kDelayedAck;
    wheel.arm(id, b.ack_deadline);
  }
}

void Tcp::Impl::acknowledge_now(ConnectionId id, ControlBlock& b) {
  b.flags |= kAckNow;
  queue_output(id);
}

// The fast path may resume when nothing is held and nothing is to be reported.
void Tcp::Impl::settle_out_of_order(ControlBlock& b, const ColdBlock& c) {
  if (c.out_of_order.empty() && !c.fin_held && c.duplicate.bytes() == 0) b.flags &= ~kOutOfOrder;
}

// Remembers where the out-of-order data grew, newest first (RFC 2018 section 4).
void Tcp::Impl::note_arrival(ColdBlock& c, uint32_t seq) {
  constexpr uint32_t kKept = sizeof c.recent / sizeof c.recent[0];
  for (uint32_t i = std::min(c.recent_count, kKept - 1); i > 0; --i) c.recent[i] = c.recent[i - 1];
  c.recent[0] = seq;
  c.recent_count = std::min(c.recent_count + 1, kKept);
}

}  // namespace skerry::tcp
