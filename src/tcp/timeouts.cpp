// What is due: retransmission (RFC 6298 section 5), the reordering window (RFC 8985 section 6.3), persist
// (RFC 9293 section 3.8.6.1), delayed ACK, keepalive (section 3.8.4), the end of FIN-WAIT-2 and of TIME-WAIT,
// a larger path MTU (RFC 1191 section 6.3), and giving up (section 3.8.3, RFC 5482).
#include <algorithm>
#include <cerrno>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

void Tcp::Impl::expire(TimeNs now) {
  for (TimeWaitEntry* oldest = time_wait.oldest(); oldest != nullptr && oldest->deadline <= now;
       oldest = time_wait.oldest())
    remove_time_wait(hasher(oldest->flow), oldest);
  wheel.expire(now, [&](ConnectionId id) { expire_connection(now, id); });
}

// The wheel may name a connection before anything is due; then it is only armed again.
void Tcp::Impl::expire_connection(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  if (b.has(kAckDelayed) && b.ack_deadline <= now) {
    b.flags &= ~kAckDelayed;
    b.ping_pong = false;  // no answer came in time (Linux tcp_delack_timer_handler)
    acknowledge_now(id, b);
  }
  if (b.has(kScoreboard) && cold[id].reorder_deadline <= now) {
    recover(now, id, 0, false);
    queue_output(id);
  }
  if (b.retransmit_deadline <= now) {
    if (b.has(kTailProbe)) {
      tail_probe_timeout(now, id);
    } else {
      retransmission_timeout(now, id);
    }
  }
  if (!b.has(kInUse) || b.state == State::closed) return;
  if (b.slow_deadline <= now) slow_timeout(now, id);
  if (!b.has(kInUse) || b.state == State::closed) return;
  if (b.has(kSmallPath) && cold[id].path_deadline <= now) try_wider_path(now, id);
  const TimeNs next = std::min({b.has(kAckDelayed) ? b.ack_deadline : kNever, b.retransmit_deadline,
                                b.slow_deadline, b.has(kScoreboard) ? cold[id].reorder_deadline : kNever,
                                b.has(kSmallPath) ? cold[id].path_deadline : kNever});
  if (next != kNever) wheel.arm(id, next);
}

void Tcp::Impl::retransmission_timeout(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (gives_up(now, id)) return;
  b.flags = (b.flags | kTimedOut) & ~(kTiming | kProbing | kTailDue);
  if (b.state < State::established) {
    // Of one that was acknowledged only the last asks again (Linux syn_ack_recalc()).
    if (!c.acknowledged || c.retries >= c.options.defer_accept) b.flags |= kSynDue;
  } else if (b.has(kPersist)) {
    b.flags |= kProbeDue | kPushDue;
  } else {
    ++counters.timeouts;
    open_scoreboard(id);
    c.reorder_deadline = kNever;
    // Once per loss, not once per time-out of the same segment (RFC 5681 section 3.1).
    const bool reduce = c.recovery.phase() == Recovery::Phase::open ||
                        (c.recovery.phase() == Recovery::Phase::loss && c.retries == 1);
    c.recovery.enter_loss(send_window(b), b.cwnd, b.ssthresh);
    if (reduce) b.ssthresh = c.cubic.on_congestion(b.cwnd, std::min(b.cwnd, b.snd_nxt - b.snd_una), b.mss);
    b.cwnd = b.mss;
  }
  ++c.doublings;
  TimeNs deadline = now + b.rtt.rto_ns(c.doublings);
  if (c.options.user_timeout != 0)
    deadline = std::min(deadline, std::max(now + 1, c.stalled_since + c.options.user_timeout));
  arm_retransmit(deadline, id, b);
  queue_output(id);
}

// RFC 1191 section 6.3. If the path is as small as it was, a router says so again.
void Tcp::Impl::try_wider_path(TimeNs now, ConnectionId id) {
  const Flow& flow = blocks[id].flow;
  const Path path = path_lookup ? path_lookup(path_context, flow.local, flow.remote) : Path{};
  use_path_mss(now, id, path.reachable ? path.mss : cold[id].path_mss);
}

void Tcp::Impl::resume(TimeNs now) {
  for (ConnectionId id = 0; id < limits.connections; ++id) {
    ControlBlock& b = blocks[id];
    if (!b.has(kInUse) || b.has(kLoops) || b.retransmit_deadline == kNever || cold[id].doublings == 0)
      continue;
    cold[id].doublings = 0;
    // Nobody could have answered the tries before; the user time-out goes on from the first of them.
    if (b.state >= State::established) cold[id].retries = std::min(cold[id].retries, 1u);
    arm_retransmit(now, id, b);
  }
}

// Counts one more time-out without an answer; true if that was the last.
bool Tcp::Impl::gives_up(TimeNs now, ConnectionId id) {
  const ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (++c.retries == 1) c.stalled_since = now - std::min(now, b.rtt.rto_ns());
  uint32_t most = kRetries;
  if (b.state < State::established) {
    most = c.parent != kNoConnection ? kSynAckRetries : c.options.syn_retries;
    if (c.acknowledged) most = std::max(most, c.options.defer_accept);
  } else if (b.has(kOrphan)) {
    most = kOrphanRetries;
  }
  const DurationNs user_timeout = c.options.user_timeout;
  bool over = user_timeout != 0 ? now - c.stalled_since >= user_timeout : c.retries > most;
  // A peer that answers each probe with a closed window would hold our memory for ever (RFC 6429 section 3).
  if (b.has(kOrphan) && b.has(kPersist) && c.doublings >= kOrphanRetries) over = true;
  if (!over) return false;
  fail(id, c.soft_error != 0 ? c.soft_error : ETIMEDOUT);
  return true;
}

void Tcp::Impl::start_persist(TimeNs now, ConnectionId id, DurationNs after) {
  ControlBlock& b = blocks[id];
  b.flags |= kPersist;
  arm_retransmit(now + after, id, b);
}

void Tcp::Impl::restart_keepalive(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  if (b.state < State::established || (b.has(kOrphan) && b.state == State::fin_wait_2)) return;
  if (!b.has(kKeepAlive)) {
    b.slow_deadline = kNever;
    return;
  }
  b.slow_deadline = std::max(now, b.last_heard + cold[id].options.keep_idle);
  wheel.arm(id, b.slow_deadline);
}

void Tcp::Impl::slow_timeout(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  if (b.has(kOrphan) && b.state == State::fin_wait_2) {
    finish(id);
    return;
  }
  const Options& options = c.options;
  if (b.last_heard >= c.keep_probe_time) c.keep_probes = 0;
  const DurationNs silence = now - b.last_heard;
  // While data waits for an ACK the retransmission timer decides.
  if (b.snd_una != b.snd_nxt || b.has(kPersist)) {
    b.slow_deadline = now + options.keep_idle;
    return;
  }
  if (silence < options.keep_idle && c.keep_probes == 0) {
    b.slow_deadline = b.last_heard + options.keep_idle;
    return;
  }
  if (options.user_timeout != 0 ? c.keep_probes > 0 && silence >= options.user_timeout
                                : c.keep_probes >= options.keep_count) {
    reset_peer(now, id);
    fail(id, ETIMEDOUT);
    return;
  }
  ++c.keep_probes;
  c.keep_probe_time = now;
  b.flags |= kProbeDue;
  b.slow_deadline = now + options.keep_interval;
  queue_output(id);
}

}  // namespace skerry::tcp
