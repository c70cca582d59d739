// The sender's picture of what is lost: a scoreboard of intervals (RFC 2018), loss detection and pipe by RFC
// 6675, NewReno without SACK (RFC 6582), and proportional rate reduction (RFC 6937).
//
// One picture serves all cases. Of [snd_una, snd_nxt), bytes in `sacked` have left the network; what is not
// sacked below `lost_edge` is lost; what of that lies below `high_rxt` has been sent again. RFC 6675's IsLost
// is monotone in the sequence number, so two edges say everything and no list of segments is needed. A
// retransmission timeout is the case lost_edge = snd_nxt, high_rxt = snd_una.
//
// Time is not used here, so that a time-based detector (RACK, RFC 8985) can move `lost_edge` instead.
#pragma once

#include <cstdint>
#include <span>

#include "tcp/interval_set.hpp"
#include "wire/tcp.hpp"

namespace skerry::tcp {

// What of the connection the scoreboard needs to know.
struct SendWindow {
  uint32_t una;
  uint32_t nxt;
  uint32_t mss;
};

class Recovery {
 public:
  enum class Phase : uint8_t {
    open,  // nothing is known to be lost
    fast,  // fast recovery (RFC 6675 section 5, RFC 6582)
    loss,  // after a retransmission timeout (RFC 5681 section 3.1)
  };

  Phase phase() const { return phase_; }
  // Nothing to remember: the connection is on its fast path again.
  bool is_quiet() const { return phase_ == Phase::open && sacked_.empty() && duplicates_ == 0 && !guarded_; }

  // Begins with an empty scoreboard.
  void start(uint32_t una);

  // SACK blocks of a segment that acknowledges `ack`; returns how many bytes are newly sacked. A block that
  // reports duplicates (RFC 2883) or lies outside the window is skipped.
  uint32_t note_sacks(std::span<const SackBlock> blocks, uint32_t ack, const SendWindow& window);
  // A duplicate ACK (RFC 5681 section 2). Without SACK it stands for one segment that arrived.
  void note_duplicate(const SendWindow& window, bool sack);
  // snd_una moved to window.una, by `acked` bytes.
  void note_advance(const SendWindow& window, uint32_t acked, bool sack);

  // Moves lost_edge by what the scoreboard says (RFC 6675 section 4, IsLost). True if snd_una is lost.
  bool detect_loss(const SendWindow& window, bool sack);

  void enter_fast(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);
  void enter_loss(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);
  // True if everything outstanding at the start of the recovery is acknowledged.
  bool is_complete(uint32_t una) const { return at_or_before(recover_, una); }
  // Back to open: nothing at or after `una` is thought lost.
  void leave(uint32_t una, bool sack);

  // RFC 6675 pipe: bytes thought to be in the network.
  uint32_t in_flight(const SendWindow& window) const;

  // The next bytes to send again; false if there are none.
  bool next_hole(const SendWindow& window, Interval& hole) const;
  // RFC 6675 section 4, NextSeg rule (3): with nothing new to send, the next segment below the highest sacked
  // byte is taken for lost before that is known. False if there is none.
  bool suspect_next(const SendWindow& window);
  // [left, right) of a hole is sent again now, with timestamp `ts`.
  void note_retransmission(const SendWindow& window, uint32_t right, uint32_t ts);

  // The window that proportional rate reduction allows after `delivered` bytes were newly acknowledged or
  // sacked (RFC 6937 section 3.1, with the slow-start reduction bound).
  uint32_t reduced_window(const SendWindow& window, uint32_t delivered, uint32_t ssthresh,
                          bool advanced) const;
  void note_delivered(uint32_t bytes) { prr_delivered_ += bytes; }
  void note_sent(uint32_t bytes) { prr_out_ += bytes; }
  bool nothing_sent_yet() const { return prr_out_ == 0; }

  // Eifel detection (RFC 3522): the first ACK that advances echoes a time before the first retransmission, so
  // nothing was lost. Then the window is what it was.
  bool is_spurious(uint32_t ts_echo) const { return undo_armed_ && before(ts_echo, undo_ts_); }
  uint32_t undo_cwnd() const { return undo_cwnd_; }
  uint32_t undo_ssthresh() const { return undo_ssthresh_; }
  void forget_undo() { undo_armed_ = false; }

  uint32_t sacked_bytes() const { return sacked_.bytes() + assumed_bytes_; }

 private:
  uint32_t unsacked_before(uint32_t edge, uint32_t una) const {
    return beyond(edge, una) - sacked_.bytes_before(edge);
  }
  void begin(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);

  IntervalSet<32> sacked_;
  uint32_t assumed_bytes_ = 0;  // without SACK: what duplicate ACKs stand for (RFC 6582 window inflation)
  uint32_t duplicates_ = 0;     // duplicate ACKs since snd_una moved
  uint32_t lost_edge_ = 0;
  uint32_t high_rxt_ = 0;
  uint32_t recover_ = 0;     // snd_nxt when the recovery began (RFC 6675 RecoveryPoint)
  uint32_t rxt_mark_ = 0;    // snd_nxt at the latest retransmission
  uint32_t prr_flight_ = 0;  // RecoverFS
  uint32_t prr_delivered_ = 0;
  uint32_t prr_out_ = 0;
  uint32_t undo_cwnd_ = 0;
  uint32_t undo_ssthresh_ = 0;
  uint32_t undo_ts_ = 0;
  Phase phase_ = Phase::open;
  bool guarded_ = false;      // RFC 6582 section 3.2 step 2: `recover` must be passed before the next one
  bool undo_wanted_ = false;  // the first retransmission has not been sent yet
  bool undo_armed_ = false;
};

}  // namespace skerry::tcp
