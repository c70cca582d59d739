// What an ACK means for sending: progress and round-trip time (RFC 6298), the peer's window (RFC 9293 section
// 3.10.7.4), loss recovery (RFC 8985, 6582, 6937) and congestion control (RFC 5681, 9438).
#include <algorithm>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

// Progress: `ack` is beyond snd_una and not beyond snd_nxt.
void Tcp::Impl::take_ack(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t ack) {
  const uint32_t acked = ack - b.snd_una;
  if (ack - b.iss < acked) ++b.acked_wraps;
  b.snd_una = ack;
  if (b.has(kTiming) && at_or_before(b.rtt_seq, ack)) {
    take_sample(now, b);
    cold[id].delivery.end(now, ack);
    b.flags &= ~kTiming;
  }
  // RFC 6298 section 5.2, 5.3. After a back-off, or when the first sample came, the deadline may move nearer.
  if (b.snd_una == b.snd_nxt) {
    b.retransmit_deadline = kNever;
    if (!has_more(b)) cold[id].delivery.wait_for(now, Delivery::Limit::nothing);
  } else {
    await_ack(now, id, b);
  }
  if (!b.has(kScoreboard)) grow_window(now, id, b, acked);
  raise(id, kAcked);
  if (has_more(b)) queue_output(id);
}

// What was sent at rtt_start is acknowledged.
void Tcp::Impl::take_sample(TimeNs now, ControlBlock& b) {
  const DurationNs rtt = now - b.rtt_start;
  b.rtt.sample(rtt);
  const uint32_t rtt_us = static_cast<uint32_t>(std::clamp<DurationNs>(rtt / kMicrosecond, 1, UINT32_MAX));
  b.least_rtt_us = b.least_rtt_us == 0 ? rtt_us : std::min(b.least_rtt_us, rtt_us);
}

// A sample for what was sent twice, which only timestamps allow (RFC 7323 section 4.1).
void Tcp::Impl::sample_from_echo(TimeNs now, ControlBlock& b, const TcpHeader& header) {
  if (!b.has(kTimestamps) || header.options.ts_echo == 0) return;
  const uint32_t ticks = timestamp(now, b.ts_offset) - header.options.ts_echo;
  if (ticks < INT32_MAX) b.rtt.sample(ticks * kTimestampTick);
}

void Tcp::Impl::grow_window(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t acked) {
  if (!b.has(kCwndLimited)) return;  // an unused window proves nothing (RFC 9438 section 5.8, RFC 7661)
  if (b.cwnd < b.ssthresh) {
    b.cwnd += std::min(acked, b.ssthresh - b.cwnd);
  } else {
    b.cwnd = cold[id].cubic.grow(now, b.cwnd, acked, b.mss, b.rtt.srtt_ns());
  }
  b.cwnd = std::min(b.cwnd, kMaxStreamBytes);
  tune_send_buffer(id, b);
  if (b.snd_una == b.snd_nxt) b.flags &= ~kCwndLimited;
}

void Tcp::Impl::update_window(ConnectionId id, ControlBlock& b, const TcpHeader& header) {
  if (before(header.ack, b.snd_una)) return;
  if (!before(b.snd_wl1, header.seq) && !(b.snd_wl1 == header.seq && at_or_before(b.snd_wl2, header.ack)))
    return;
  const uint32_t window = static_cast<uint32_t>(header.window) << b.snd_scale();
  b.snd_wl1 = header.seq;
  b.snd_wl2 = header.ack;
  if (window == b.snd_wnd) return;
  b.snd_wnd = window;
  b.max_snd_wnd = std::max(b.max_snd_wnd, window);
  if (has_more(b)) queue_output(id);
}

// The rest of the ACK rules, for whatever header prediction did not take.
void Tcp::Impl::take_ack_slowly(TimeNs now, ConnectionId id, const SegmentIn& segment, uint32_t old_window) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  const TcpHeader& header = segment.header;
  const bool sack = b.has(kSack);
  if (b.has(kPersist)) c.retries = 0;  // the peer answers: a closed window alone ends nothing
  if (before(header.ack, b.snd_una)) return;
  const uint32_t flight = b.snd_nxt - b.snd_una;
  const uint32_t acked = header.ack - b.snd_una;

  const bool had_scoreboard = b.has(kScoreboard);
  const uint32_t sacked_before = had_scoreboard ? c.recovery.sacked_bytes() : 0;
  if (acked > 0) {
    if (!b.has(kTiming)) sample_from_echo(now, b, header);
    c.retries = c.doublings = 0;
    b.flags &= ~kTimedOut;
    if (b.has(kPersist)) b.flags &= ~kPersist;
    take_ack(now, id, b, header.ack);
    if (b.has(kScoreboard)) c.recovery.note_advance(send_window(b), acked, sack, moment(now, b));
  }
  const SackBlock* const twice = received_twice(header);
  const bool of_probe = twice != nullptr && b.has(kProbing) && c.probe_again && twice->right == c.probe_end;
  if (twice != nullptr) ++c.duplicate_sacks;
  if (twice != nullptr && !of_probe) c.recovery.note_received_twice(*twice, send_window(b));
  // Data or a new window come with the same acknowledgement and say nothing of what was lost.
  const bool bare = acked == 0 && segment.payload.empty() && !header.has(kTcpFin);
  if (b.has(kProbing)) {
    const bool same = bare && header.options.sack_count == 0 && b.snd_wnd == old_window;
    judge_probe(id, header, same, twice);
  }

  const bool news = sack && header.options.sack_count > 0 && flight > acked;
  const bool duplicate = bare && flight > 0 && (sack ? news : b.snd_wnd == old_window);
  if (news || duplicate) open_scoreboard(id);
  if (b.has(kScoreboard)) {
    const uint32_t fresh =
        news ? c.recovery.note_sacks(header.options.sack_blocks(), header.ack, send_window(b), moment(now, b))
             : 0;
    if (duplicate && (!sack || fresh > 0)) c.recovery.note_duplicate(send_window(b), sack);
    const uint32_t sacked_after = c.recovery.sacked_bytes();
    const uint32_t delivered = beyond(acked + sacked_after, sacked_before);
    if (acked > 0 && b.has(kTimestamps) && c.recovery.is_spurious(header.options.ts_echo)) {
      b.cwnd = std::max(b.cwnd, c.recovery.undo_cwnd());
      b.ssthresh = c.recovery.undo_ssthresh();
      c.recovery.undo(send_window(b), sack);
    }
    if (acked > 0) c.recovery.forget_undo();
    recover(now, id, delivered, acked > 0 && had_scoreboard);
    queue_output(id);
  } else if (b.has(kPersist) && has_more(b)) {
    queue_output(id);
  }

  // RFC 9293 section 3.10.7.4, fifth: our FIN is acknowledged.
  if (acked == 0 || !b.fin_acked()) return;
  switch (b.state) {
    case State::fin_wait_1:
      b.state = State::fin_wait_2;
      if (b.has(kOrphan)) {
        b.slow_deadline = now + kFinWait2;
        wheel.arm(id, b.slow_deadline);
      }
      break;
    case State::closing:
      enter_time_wait(now, id);
      break;
    case State::last_ack:
      finish(id);
      break;
    default:
      break;
  }
}

// The block by which the peer says that it received something twice, or null (RFC 2883 section 4).
const SackBlock* Tcp::Impl::received_twice(const TcpHeader& header) {
  const auto blocks = header.options.sack_blocks();
  if (blocks.empty()) return nullptr;
  const bool below = at_or_before(blocks[0].right, header.ack);
  const bool inside = blocks.size() > 1 && at_or_before(blocks[1].left, blocks[0].left) &&
                      at_or_before(blocks[0].right, blocks[1].right);
  return below || inside ? &blocks[0] : nullptr;
}

// From here on the connection remembers what became of each byte.
void Tcp::Impl::open_scoreboard(ConnectionId id) {
  ControlBlock& b = blocks[id];
  if (b.has(kScoreboard)) return;
  cold[id].recovery.start(send_window(b));
  cold[id].reorder_deadline = kNever;
  b.flags |= kScoreboard;
}

// One step of loss recovery, after the scoreboard has been brought up to date.
void Tcp::Impl::recover(TimeNs now, ConnectionId id, uint32_t delivered, bool advanced) {
  ControlBlock& b = blocks[id];
  Recovery& recovery = cold[id].recovery;
  const bool sack = b.has(kSack);
  const SendWindow window = send_window(b);
  if (recovery.phase() != Recovery::Phase::open && recovery.is_complete(b.snd_una)) {
    if (recovery.phase() == Recovery::Phase::fast) {
      b.cwnd = b.ssthresh;  // RFC 6937: exactly that at the end
      advanced = false;
    }
    recovery.leave(window, sack);
  }
  const bool lost = recovery.detect_loss(window, sack, moment(now, b));
  switch (recovery.phase()) {
    case Recovery::Phase::open:
      if (lost) {
        ++counters.fast_recoveries;
        b.flags &= ~kProbing;
        recovery.enter_fast(window, b.cwnd, b.ssthresh);
        b.ssthresh = cold[id].cubic.on_congestion(b.cwnd, std::min(b.cwnd, b.snd_nxt - b.snd_una), b.mss);
        recovery.note_delivered(delivered);
        b.cwnd = recovery.reduced_window(window, delivered, b.ssthresh, false);
      } else if (advanced) {
        grow_window(now, id, b, delivered);
      }
      break;
    case Recovery::Phase::fast:
      recovery.note_delivered(delivered);
      b.cwnd = recovery.reduced_window(window, delivered, b.ssthresh, advanced);
      break;
    case Recovery::Phase::loss:
      b.flags |= kCwndLimited;
      if (advanced) grow_window(now, id, b, delivered);
      break;
  }
  if (recovery.is_quiet()) b.flags &= ~kScoreboard;
  ColdBlock& c = cold[id];
  c.reorder_deadline = kNever;
  if (!b.has(kScoreboard) || recovery.wait_us() == 0) return;
  c.reorder_deadline = now + recovery.wait_us() * kMicrosecond;
  wheel.arm(id, c.reorder_deadline);
}

}  // namespace skerry::tcp
