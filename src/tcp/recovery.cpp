#include "tcp/recovery.hpp"

#include <algorithm>

#include "tcp/constants.hpp"

namespace skerry::tcp {

void Recovery::start(uint32_t una) {
  *this = Recovery{};
  lost_edge_ = high_rxt_ = recover_ = una;
}

uint32_t Recovery::note_sacks(std::span<const SackBlock> blocks, uint32_t ack, const SendWindow& window) {
  const uint32_t floor = later(ack, window.una);
  uint32_t fresh = 0;
  for (const SackBlock& block : blocks) {
    // A first block at or below the cumulative ACK is a D-SACK; inside another block it adds nothing new.
    if (!before(block.left, block.right) || before(window.nxt, block.right)) continue;
    const uint32_t left = later(block.left, floor);
    if (block.left != left || !before(left, block.right)) continue;
    fresh += sacked_.insert(left, block.right);
  }
  return fresh;
}

void Recovery::note_duplicate(const SendWindow& window, bool sack) {
  ++duplicates_;
  if (sack) return;
  const uint32_t flight = window.nxt - window.una;
  assumed_bytes_ = std::min(assumed_bytes_ + window.mss, beyond(flight, window.mss));
}

void Recovery::note_advance(const SendWindow& window, uint32_t acked, bool sack) {
  sacked_.trim_before(window.una);
  // The receiver acknowledges up to data that it once sacked but no further: it reneged (RFC 2018 section 8).
  if (!sacked_.empty() && sacked_[0].left == window.una) sacked_.clear();
  if (phase_ == Phase::open || sack) duplicates_ = 0;
  if (!sack) {
    // A partial ACK takes the lost segment and those that duplicate ACKs had announced (RFC 6582 step 3).
    assumed_bytes_ = phase_ == Phase::open ? 0 : beyond(assumed_bytes_, beyond(acked, window.mss));
    assumed_bytes_ = std::min(assumed_bytes_, beyond(window.nxt - window.una, window.mss));
    if (phase_ == Phase::fast) {
      lost_edge_ = earlier(window.una + window.mss, window.nxt);
      high_rxt_ = window.una;
    }
    if (guarded_ && before(recover_, window.una)) guarded_ = false;
  }
  lost_edge_ = later(lost_edge_, window.una);
  high_rxt_ = later(high_rxt_, window.una);
}

bool Recovery::detect_loss(const SendWindow& window, bool sack) {
  if (!sack) {
    if (phase_ == Phase::open && duplicates_ >= kDuplicateThreshold && !guarded_)
      lost_edge_ = earlier(window.una + window.mss, window.nxt);
    return before(window.una, lost_edge_);
  }
  uint32_t above = 0;
  for (uint32_t i = sacked_.size(); i > 0; --i) {
    above += sacked_[i - 1].bytes();
    if (sacked_.size() - i + 1 >= kDuplicateThreshold || above > (kDuplicateThreshold - 1) * window.mss) {
      lost_edge_ = later(lost_edge_, sacked_[i - 1].left);
      break;
    }
  }
  if (duplicates_ >= kDuplicateThreshold && !sacked_.empty()) lost_edge_ = later(lost_edge_, sacked_[0].left);
  // Data sent after the latest retransmission has arrived, the retransmission has not: it is lost as well.
  if (phase_ != Phase::open && before(window.una, high_rxt_) &&
      sacked_.bytes() - sacked_.bytes_before(rxt_mark_) > (kDuplicateThreshold - 1) * window.mss) {
    high_rxt_ = window.una;
    rxt_mark_ = window.nxt;
  }
  return before(window.una, lost_edge_);
}

void Recovery::begin(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh) {
  recover_ = rxt_mark_ = window.nxt;
  high_rxt_ = window.una;
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
    // The retransmission itself was lost: once more from the start, with the undo state of the first time.
    recover_ = rxt_mark_ = window.nxt;
    high_rxt_ = window.una;
  } else {
    begin(window, cwnd, ssthresh);
  }
  phase_ = Phase::loss;
  lost_edge_ = window.nxt;
  duplicates_ = assumed_bytes_ = 0;
  if (!sacked_.empty() && sacked_[0].left == window.una) sacked_.clear();
}

void Recovery::leave(uint32_t una, bool sack) {
  phase_ = Phase::open;
  lost_edge_ = high_rxt_ = una;
  duplicates_ = assumed_bytes_ = 0;
  guarded_ = !sack;
  undo_wanted_ = undo_armed_ = false;
}

uint32_t Recovery::in_flight(const SendWindow& window) const {
  const uint32_t outstanding = window.nxt - window.una;
  const uint32_t gone = sacked_.bytes() + assumed_bytes_ + unsacked_before(lost_edge_, window.una);
  const uint32_t again = unsacked_before(earlier(high_rxt_, lost_edge_), window.una);
  return outstanding + again > gone ? outstanding + again - gone : 0;
}

bool Recovery::next_hole(const SendWindow& window, Interval& hole) const {
  if (phase_ == Phase::open) return false;
  uint32_t left = later(window.una, high_rxt_);
  for (const Interval& interval : sacked_) {
    if (before(left, interval.left)) {
      hole = {left, earlier(interval.left, lost_edge_)};
      return before(hole.left, hole.right);
    }
    left = later(left, interval.right);
  }
  hole = {left, lost_edge_};
  return before(hole.left, hole.right);
}

bool Recovery::suspect_next(const SendWindow& window) {
  if (phase_ != Phase::fast || sacked_.empty()) return false;
  const uint32_t highest = sacked_[sacked_.size() - 1].left;
  uint32_t left = later(window.una, lost_edge_);
  for (const Interval& interval : sacked_)
    if (at_or_before(interval.left, left)) left = later(left, interval.right);
  if (!before(left, highest)) return false;
  lost_edge_ = earlier(left + window.mss, highest);
  return true;
}

void Recovery::note_retransmission(const SendWindow& window, uint32_t right, uint32_t ts) {
  high_rxt_ = later(high_rxt_, right);
  rxt_mark_ = window.nxt;
  if (undo_wanted_) {
    undo_wanted_ = false;
    undo_armed_ = true;
    undo_ts_ = ts;
  }
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
