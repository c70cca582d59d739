// A segment for a synchronized connection: header prediction (RFC 1323 appendix, Jacobson 1990), and the
// steps of RFC 9293 section 3.10.7.4 with RFC 5961 (blind attacks) and RFC 7323 (PAWS) in their places.
#include <cerrno>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {
namespace {

uint32_t seconds(TimeNs now) {
  return static_cast<uint32_t>(now / kSecond);
}

void keep_timestamp(TimeNs now, ControlBlock& b, const TcpHeader& header) {
  // RFC 7323 section 4.3 (2): only from a segment that begins at or before what was last acknowledged.
  if (!at_or_before(header.seq, b.last_ack_sent) || before(header.options.ts_value, b.ts_recent)) return;
  b.ts_recent = header.options.ts_value;
  b.ts_recent_second = seconds(now);
}

// RFC 9293 section 3.4, table 6. What comes a little beyond the window is taken where the ring has room, and
// a segment that begins in it whole: passt overlooks windows that shrink by a hundredth (tcp_clamp_window),
// and sends only after three seconds again what was cut off.
bool is_acceptable(const ControlBlock& b, uint32_t seq, uint32_t length) {
  uint32_t window = b.rcv_adv - b.rcv_nxt;
  if (length == 0) return window == 0 ? seq == b.rcv_nxt : seq - b.rcv_nxt < window;
  if (window == 0) return false;
  window += window / 64;
  return seq - b.rcv_nxt < window || seq + length - 1 - b.rcv_nxt < window;
}

}  // namespace

void Tcp::Impl::receive(TimeNs now, const SegmentIn& segment) {
  ++counters.segments_in;
  const TcpHeader& header = segment.header;
  const Flow flow{segment.destination, segment.source, header.destination_port, header.source_port};
  const uint32_t hash = hasher(flow);
  const ConnectionId id = find(hash, flow);
  if (id == kNoConnection) {
    receive_unknown(now, segment, flow, hash);
    return;
  }
  ControlBlock& b = blocks[id];
  ++b.segments_in;
  b.last_heard = now;
  if (receive_predicted(now, id, b, segment)) return;
  if (b.state == State::syn_sent) {
    receive_syn_sent(now, id, segment);
  } else {
    receive_synchronized(now, id, segment);
  }
}

// The next segment in order of an established connection that has lost nothing. False: none of this applies
// and nothing was changed.
bool Tcp::Impl::receive_predicted(TimeNs now, ConnectionId id, ControlBlock& b, const SegmentIn& segment) {
  const TcpHeader& header = segment.header;
  const uint32_t length = static_cast<uint32_t>(segment.payload.size());
  const bool timestamps = b.has(kTimestamps);
  if (b.state != State::established || (b.flags & kSlowPath) != 0 || (header.flags & ~kTcpPsh) != kTcpAck ||
      header.seq != b.rcv_nxt || length > b.rcv_adv - b.rcv_nxt || header.options.sack_count != 0 ||
      header.options.has_timestamps != timestamps || header.ack - b.snd_una > b.snd_nxt - b.snd_una)
    return false;
  if (timestamps && before(header.options.ts_value, b.ts_recent)) return false;
  // An ACK that acknowledges nothing and brings nothing may be a duplicate, which means something.
  if (length == 0 && header.ack == b.snd_una) return false;

  if (timestamps) keep_timestamp(now, b, header);
  if (header.ack != b.snd_una) take_ack(now, id, b, header.ack);
  update_window(id, b, header);
  if (length > 0) {
    if (length >= b.rcv_mss) measure_from_echo(now, id, b, segment);
    note_push(b, header);
    take_in_order(now, id, b, segment.payload);
  }
  return true;
}

void Tcp::Impl::receive_synchronized(TimeNs now, ConnectionId id, const SegmentIn& segment) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  const TcpHeader& header = segment.header;
  ConstBytes payload = segment.payload;
  bool fin = header.has(kTcpFin);
  const bool reset = header.has(kTcpRst);

  // RFC 7323 section 5.3 R1, before all else. A reset is judged by its sequence number alone, and a SYN
  // without a timestamp is of a peer that began anew: it is challenged below (RFC 5961 section 4).
  const bool anew = (header.flags & (kTcpSyn | kTcpAck)) == kTcpSyn && !header.options.has_timestamps;
  if (b.has(kTimestamps) && !reset && !anew) {
    if (!header.options.has_timestamps) return;  // section 3.2
    const bool forgotten = seconds(now) - b.ts_recent_second > kPawsIdleSeconds;
    if (before(header.options.ts_value, b.ts_recent) && !forgotten) {
      challenge(now, id);
      return;
    }
    if (forgotten) b.ts_recent = header.options.ts_value;
  }

  // First, the sequence number.
  const uint32_t seq = header.seq;
  const uint32_t length =
      static_cast<uint32_t>(payload.size()) + (fin ? 1 : 0) + (header.has(kTcpSyn) ? 1 : 0);
  const bool window_closed = b.rcv_adv == b.rcv_nxt;
  if (window_closed && seq == b.rcv_nxt && !header.has(kTcpSyn)) {
    // A probe of the closed window: its bytes are dropped, its ACK counts (section 3.10.7.4, allowance).
    if (length > 0) acknowledge_now(id, b);
    payload = {};
    fin = false;
  } else if (!is_acceptable(b, seq, length)) {
    if (reset) return;
    if (b.state == State::syn_received && header.has(kTcpSyn) && seq == b.irs) {
      if (header.has(kTcpAck)) {  // the other end of a simultaneous open (figure 7)
        if (complete_open(now, id, segment)) acknowledge_now(id, b);
      } else {
        b.flags |= kSynDue;  // a retransmitted SYN: our SYN-ACK was lost
        queue_output(id);
      }
    } else if (length == 0 || header.has(kTcpSyn)) {
      challenge(now, id);
    } else {
      ++counters.duplicates_in;
      if (b.has(kSack) && at_or_before(seq + length, b.rcv_nxt)) {
        c.duplicate = {seq, seq + length};  // RFC 2883 section 4
        b.flags |= kOutOfOrder;
      }
      acknowledge_now(id, b);
    }
    return;
  }

  // Second, RST (RFC 5961 section 3.2): only the exact number resets.
  if (reset) {
    ++counters.resets_in;
    if (seq != b.rcv_nxt) {
      challenge(now, id);
    } else {
      fail(id, b.state == State::syn_received ? ECONNREFUSED : ECONNRESET);
    }
    return;
  }

  // Fourth, SYN (RFC 5961 section 4.2). In SYN-RECEIVED it can be the other half of a simultaneous open.
  if (header.has(kTcpSyn)) {
    challenge(now, id);
    return;
  }

  // Fifth, ACK.
  if (!header.has(kTcpAck)) return;
  if (b.state == State::syn_received) {
    if (!complete_open(now, id, segment)) return;
  } else if (header.ack - (b.snd_una - b.max_snd_wnd) > b.snd_nxt - (b.snd_una - b.max_snd_wnd)) {
    challenge(now, id);  // RFC 5961 section 5.2
    return;
  }
  if (b.has(kTimestamps)) keep_timestamp(now, b, header);
  const uint32_t old_window = b.snd_wnd;
  update_window(id, b, header);
  take_ack_slowly(now, id, segment, old_window);
  if (b.state == State::closed || !b.has(kInUse)) return;  // LAST-ACK, CLOSING ended, or the index is gone

  // Sixth to eighth: urgent pointer, text and FIN, cut to the window.
  if (header.has(kTcpUrg)) take_urgent(id, header);
  if (payload.empty() && !fin) return;
  if (payload.size() >= b.rcv_mss) measure_from_echo(now, id, b, segment);
  note_push(b, header);
  receive_data(now, id, seq, payload, fin);
}

// An ACK that tells a confused or blind sender where we are (RFC 5961 sections 3 to 5, 7), within a rate
// limit.
void Tcp::Impl::challenge(TimeNs now, ConnectionId id) {
  ColdBlock& c = cold[id];
  if (c.last_invalid_ack != 0 && now - c.last_invalid_ack < kInvalidAckInterval) return;
  c.last_invalid_ack = now;
  ++counters.challenge_acks;
  ControlBlock& b = blocks[id];
  if (b.state == State::syn_received) b.flags |= kSynDue;  // there the SYN-ACK says it
  acknowledge_now(id, b);
}

// RFC 5927: an ICMP error counts only if it quotes something that is in flight.
bool Tcp::Impl::unreachable(TimeNs now, const Flow& flow, uint32_t sequence, int error, uint16_t next_hop_mtu,
                            bool own) {
  const ConnectionId id = find(hasher(flow), flow);
  if (id == kNoConnection) return false;
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (before(sequence, b.snd_una) || !before(sequence, b.snd_nxt)) return false;
  if (next_hop_mtu != 0) {
    const uint32_t headers = flow.remote.is_v4() ? 40 : 60;
    const uint32_t least = own ? headers + kLeastMss : kLeastPathMtu;
    if (next_hop_mtu < least || next_hop_mtu - headers >= c.path_mss) return true;
    use_path_mss(now, id, static_cast<uint16_t>(next_hop_mtu - headers));
    if (b.state == State::syn_sent || b.state == State::syn_received) return true;
    // What is in flight was too large: it is sent again at once, and congestion is not to blame (RFC 1191
    // section 6.5).
    open_scoreboard(id);
    b.flags &= ~kTiming;
    c.recovery.enter_loss(send_window(b), b.cwnd, b.ssthresh);
    arm_retransmit(now + b.rtt.rto_ns(c.doublings), id, b);
    queue_output(id);
    return true;
  }
  // RFC 1122 section 4.2.3.9: in a synchronized state errors are soft. A connection that was never made fails
  // at once (RFC 5461), so that a program can try another address.
  if (b.state == State::syn_sent || b.state == State::syn_received) {
    fail(id, error);
  } else {
    c.soft_error = error;
    if (c.options.receive_errors) raise(id, kSoftError);
  }
  return true;
}

}  // namespace skerry::tcp
