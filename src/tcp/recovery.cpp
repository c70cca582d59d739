#include "tcp/recovery.hpp"

#include <algorithm>

#include "tcp/constants.hpp"

namespace skerry::tcp {

void Recovery::start(const SendWindow& window) {
  scoreboard_.start(window);
  assumed_bytes_ = duplicates_ = 0;
  recover_ = window.una;
  repeated_ = {window.una, window.una};
  phase_ = Phase::open;
  guarded_ = undo_wanted_ = undo_armed_ = false;
}

uint32_t Recovery::note_sacks(std::span<const SackBlock> blocks, uint32_t ack, const SendWindow& window,
                              const Moment& moment) {
  const uint32_t floor = later(ack, window.una);
  uint32_t fresh = 0;
  for (const SackBlock& block : blocks) {
    // A first block at or below the cumulative ACK is a D-SACK; inside another block it adds nothing new.
    if (!before(block.left, block.right) || before(window.nxt, block.right)) continue;
    if (before(block.left, floor)) continue;
    fresh += scoreboard_.sack(block.left, block.right, moment);
  }
  return fresh;
}

void Recovery::note_received_twice(const SackBlock& block, const SendWindow& window) {
  if (!before(block.left, block.right) || before(block.left, repeated_.left) ||
      before(repeated_.right, block.right))
    return;
  reordering_seen_ = true;
  recoveries_to_narrow_ = kRecoveriesToNarrow;
  if (before(window.una, widened_at_)) return;
  widened_at_ = window.nxt;
  quarters_ = static_cast<uint8_t>(std::min(quarters_ + 1, 255));
}

void Recovery::note_duplicate(const SendWindow& window, bool sack) {
  ++duplicates_;
  if (sack) return;
  const uint32_t flight = window.nxt - window.una;
  assumed_bytes_ = std::min(assumed_bytes_ + window.mss, beyond(flight, window.mss));
}

void Recovery::note_advance(const SendWindow& window, uint32_t acked, bool sack, const Moment& moment) {
  scoreboard_.advance(window.una, moment);
  // The receiver acknowledges up to data that it once sacked but no further: it reneged (RFC 2018 section 8).
  if (scoreboard_.reneged()) scoreboard_.forget_sacks();
  if (phase_ == Phase::open || sack) duplicates_ = 0;
  if (sack) return;
  // A partial ACK takes the lost segment and those that duplicate ACKs had announced (RFC 6582 step 3).
  assumed_bytes_ = phase_ == Phase::open ? 0 : beyond(assumed_bytes_, beyond(acked, window.mss));
  assumed_bytes_ = std::min(assumed_bytes_, beyond(window.nxt - window.una, window.mss));
  if (phase_ == Phase::fast) scoreboard_.lose_first(window);
  if (guarded_ && before(recover_, window.una)) guarded_ = false;
}

bool Recovery::detect_loss(const SendWindow& window, bool sack, const Moment& moment) {
  if (sack) return scoreboard_.detect_loss(moment.now_us, reordering_window_us(window, moment));
  if (phase_ == Phase::open && duplicates_ >= kDuplicateThreshold && !guarded_)
    scoreboard_.lose_first(window);
  Interval lost;
  return scoreboard_.next_lost(lost);
}

uint32_t Recovery::reordering_window_us(const SendWindow& window, const Moment& moment) const {
  // While nothing tells that the path reorders, three segments above a hole say that it is one, as ever.
  const bool reorders = reordering_seen_ || scoreboard_.saw_reordering();
  if (!reorders && (phase_ != Phase::open || many_sacked(window))) return 0;
  const uint64_t window_us =
      std::min<uint64_t>(quarters_ * uint64_t{moment.least_rtt_us} / 4, moment.smoothed_rtt_us);
  return std::max(static_cast<uint32_t>(window_us), 1u);
}

// RFC 6675 section 4, IsLost; and three ACKs, since segments may be smaller than mss.
bool Recovery::many_sacked(const SendWindow& window) const {
  return duplicates_ >= kDuplicateThreshold || scoreboard_.runs_sacked() >= kDuplicateThreshold ||
         scoreboard_.bytes_sacked() > (kDuplicateThreshold - 1) * window.mss;
}

void Recovery::begin(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh) {
  recover_ = window.nxt;
  undo_cwnd_ = cwnd;
  undo_ssthresh_ = ssthresh;
  undo_wanted_ = true;
  undo_armed_ = false;
}

void Recovery::enter_fast(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh) {
  begin(window, cwnd, ssthresh);
  phase_ = Phase::fast;
  prr_flight_ = std::max(window.nxt - window.una, window.mss);
  prr_delivered_ = prr_out_ = 0;
}

void Recovery::enter_loss(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh) {
  if (phase_ == Phase::loss) {
    recover_ = window.nxt;  // the retransmission itself was lost: the undo state stays that of the first time
  } else {
    begin(window, cwnd, ssthresh);
  }
  phase_ = Phase::loss;
  duplicates_ = assumed_bytes_ = 0;
  if (scoreboard_.reneged()) scoreboard_.forget_sacks();
  scoreboard_.lose_all();
}

void Recovery::leave(const SendWindow& window, bool sack) {
  reordering_seen_ |= scoreboard_.saw_reordering();
  if (recoveries_to_narrow_ > 0 && --recoveries_to_narrow_ == 0) quarters_ = 1;
  phase_ = Phase::open;
  duplicates_ = assumed_bytes_ = 0;
  guarded_ = !sack;
  undo_wanted_ = undo_armed_ = false;
  if (!sack) scoreboard_.start(window);
}

void Recovery::undo(const SendWindow& window, bool sack) {
  scoreboard_.find_all();
  leave(window, sack);
}

uint32_t Recovery::in_flight(const SendWindow& window) const {
  return beyond(window.nxt - window.una, scoreboard_.bytes_sacked_or_lost() + assumed_bytes_);
}

void Recovery::note_retransmission(const SendWindow& window, uint32_t left, uint32_t right, uint32_t ts,
                                   uint32_t now_us) {
  scoreboard_.sent_again(left, right, window.nxt, now_us);
  const bool first = repeated_.bytes() == 0;
  repeated_ = {first ? left : earlier(repeated_.left, left), first ? right : later(repeated_.right, right)};
  if (!undo_wanted_) return;
  undo_wanted_ = false;
  undo_armed_ = true;
  undo_ts_ = ts;
}

uint32_t Recovery::reduced_window(const SendWindow& window, uint32_t delivered, uint32_t ssthresh,
                                  bool advanced) const {
  const uint32_t pipe = in_flight(window);
  uint32_t allowed;
  if (pipe > ssthresh) {
    const uint64_t share = (uint64_t{prr_delivered_} * ssthresh + prr_flight_ - 1) / prr_flight_;
    allowed = beyond(static_cast<uint32_t>(share), prr_out_);
  } else {
    uint32_t limit = std::max(beyond(prr_delivered_, prr_out_), delivered);
    if (advanced) limit += window.mss;
    allowed = std::min(ssthresh - pipe, limit);
  }
  if (prr_out_ == 0) allowed = std::max(allowed, window.mss);
  return pipe + allowed;
}

}  // namespace skerry::tcp
