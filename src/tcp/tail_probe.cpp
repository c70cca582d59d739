// Tail loss probe (RFC 8985 section 7): if the last segments of a flight are lost, no later one arrives that
// would say so, and a retransmission time-out is long. So after two round trips without an ACK one segment is
// sent, new or the last once more; its SACK shows the holes before it.
//
// The ACK of less than two full segments may be held back by the peer, so their probe waits for as long as
// peers usually do that. One that does it for longer answers the first probe with a D-SACK, and is sent no
// more such probes: there the time-out is soon enough.
//
// RFC 8985 sends no probe during fast recovery. Here that too may end with one lost ACK, since a peer that
// receives a whole flight in one breath acknowledges it once; so there is one, which only asks for an ACK.
#include <algorithm>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

void Tcp::Impl::tail_probe_timeout(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  // More may have been sent since the timer was set, but who sends on and on without an answer must learn of
  // it as soon as a time-out would tell (section 7.2): the segment that is timed has none either.
  const TimeNs time_out = b.has(kTiming) ? b.rtt_start + b.rtt.rto_ns() : kNever;
  const TimeNs due = std::min(b.last_sent + tail_probe_ns(b), time_out);
  if (due > now) {
    arm_retransmit(due, id, b);
    b.flags |= kTailProbe;
    return;
  }
  b.flags |= kTailDue;
  arm_retransmit(now + b.rtt.rto_ns(), id, b);
  queue_output(id);
}

// RFC 8985 section 7.3. New data is sent even beyond the congestion window, by the one segment.
bool Tcp::Impl::emit_tail_probe(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  b.flags &= ~kTailDue;
  if (b.snd_una == b.snd_nxt) return false;  // an ACK was faster
  ++counters.tail_probes;
  const uint32_t mss = std::min<uint32_t>(b.mss, max_payload);
  const uint32_t usable = std::min(beyond(b.snd_end, b.snd_nxt), beyond(b.snd_una + b.snd_wnd, b.snd_nxt));
  c.probe_again = usable == 0;
  c.probe_lone = is_lone(b);
  b.flags |= kProbing;
  if (usable > 0) {
    send_new(now, id, std::min(usable, full_segment(b, max_payload)), false, mss, out);
  } else {
    open_scoreboard(id);
    const uint32_t bytes = std::min(mss, b.snd_nxt - b.snd_una);
    send_again(now, id, {b.snd_nxt - bytes, b.snd_nxt}, mss, mss, out);
  }
  c.probe_end = b.snd_nxt;
  return true;
}

// RFC 8985 section 7.4.2: what an ACK at or beyond the probe's end says about it.
void Tcp::Impl::judge_probe(ConnectionId id, const TcpHeader& header, bool duplicate,
                            const SackBlock* twice) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (before(header.ack, c.probe_end)) return;
  const bool needless = twice != nullptr && twice->right == c.probe_end;
  if (c.probe_again && (needless || duplicate)) {
    if (c.probe_lone) b.flags |= kLateAcks;
  } else if (c.probe_again && c.recovery.phase() == Recovery::Phase::open) {
    if (header.ack == c.probe_end) return;  // which of the two arrived is not known yet
    // The probe repaired a loss that nobody else has seen: that too was congestion.
    b.ssthresh = c.cubic.on_congestion(b.cwnd, b.cwnd, b.mss);
    b.cwnd = std::min(b.cwnd, b.ssthresh);
  }
  b.flags &= ~kProbing;
}

}  // namespace skerry::tcp
