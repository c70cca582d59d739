// Loss recovery of a sender: what is lost by RACK (RFC 8985 section 6), or without SACK by duplicate ACKs
// (NewReno, RFC 6582), how much may be sent meanwhile (proportional rate reduction, RFC 6937), and taking it
// back when nothing was lost (RFC 3522). The scoreboard keeps the bytes; here are the phases.
#pragma once

#include <cstdint>
#include <span>

#include "tcp/scoreboard.hpp"
#include "wire/tcp.hpp"

namespace skerry::tcp {

class Recovery {
 public:
  enum class Phase : uint8_t {
    open,  // nothing is known to be lost
    fast,  // fast recovery (RFC 5681 section 3.2)
    loss,  // after a retransmission timeout (RFC 5681 section 3.1)
  };

  Phase phase() const { return phase_; }
  // Nothing to remember: the connection is on its fast path again.
  bool is_quiet() const {
    return phase_ == Phase::open && scoreboard_.is_plain() && duplicates_ == 0 && !guarded_;
  }

  // Begins with an empty scoreboard. What was learnt about reordering stays.
  void start(const SendWindow& window);

  // SACK blocks of a segment that acknowledges `ack`; returns how many bytes are newly sacked. A block that
  // reports duplicates (RFC 2883) or lies outside the window is skipped.
  uint32_t note_sacks(std::span<const SackBlock> blocks, uint32_t ack, const SendWindow& window,
                      const Moment& moment);
  // The peer has received twice what lies in `block` (RFC 2883). If we had sent it again, that was hasty: the
  // reordering window widens, once a round trip (RFC 8985 section 6.2 step 4).
  void note_received_twice(const SackBlock& block, const SendWindow& window);
  // A duplicate ACK (RFC 5681 section 2). Without SACK it stands for one segment that arrived.
  void note_duplicate(const SendWindow& window, bool sack);
  // snd_una moved to window.una, by `acked` bytes.
  void note_advance(const SendWindow& window, uint32_t acked, bool sack, const Moment& moment);

  // Brings the scoreboard's losses up to date. True if something is lost.
  bool detect_loss(const SendWindow& window, bool sack, const Moment& moment);
  // Until detect_loss() may find more without another ACK (RFC 8985 section 6.3); 0: not at all.
  uint32_t wait_us() const { return scoreboard_.wait_us(); }

  void enter_fast(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);
  void enter_loss(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);
  // True if everything outstanding at the start of the recovery is acknowledged.
  bool is_complete(uint32_t una) const { return at_or_before(recover_, una); }
  // Back to open.
  void leave(const SendWindow& window, bool sack);

  // RFC 6675 pipe: bytes thought to be in the network.
  uint32_t in_flight(const SendWindow& window) const;

  // The next bytes to send again; false if there are none.
  bool next_hole(Interval& hole) const { return phase_ != Phase::open && scoreboard_.next_lost(hole); }
  // [left, right) is sent again now, with timestamp `ts`.
  void note_retransmission(const SendWindow& window, uint32_t left, uint32_t right, uint32_t ts,
                           uint32_t now_us);
  // New data was sent, up to window.nxt.
  void note_new_data(const SendWindow& window) { scoreboard_.extend(window.nxt); }

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
  void undo(const SendWindow& window, bool sack);
  uint32_t undo_cwnd() const { return undo_cwnd_; }
  uint32_t undo_ssthresh() const { return undo_ssthresh_; }
  void forget_undo() { undo_armed_ = false; }

  uint32_t sacked_bytes() const { return scoreboard_.bytes_sacked() + assumed_bytes_; }
  uint32_t lost_bytes() const { return scoreboard_.bytes_lost(); }
  uint32_t resent_bytes() const { return scoreboard_.bytes_sent_again(); }
  bool reordering_seen() const { return reordering_seen_; }
  // RFC 8985 section 6.2 step 4.
  uint32_t reordering_window_us(const SendWindow& window, const Moment& moment) const;

 private:
  void begin(const SendWindow& window, uint32_t cwnd, uint32_t ssthresh);
  bool many_sacked(const SendWindow& window) const;

  Scoreboard scoreboard_;
  uint32_t assumed_bytes_ = 0;  // without SACK: what duplicate ACKs stand for (RFC 6582 window inflation)
  uint32_t duplicates_ = 0;     // duplicate ACKs since snd_una moved
  uint32_t recover_ = 0;        // snd_nxt when the recovery began (RFC 6675 RecoveryPoint)
  uint32_t prr_flight_ = 0;     // RecoverFS
  uint32_t prr_delivered_ = 0;
  uint32_t prr_out_ = 0;
  uint32_t undo_cwnd_ = 0;
  uint32_t undo_ssthresh_ = 0;
  uint32_t undo_ts_ = 0;
  Phase phase_ = Phase::open;
  bool guarded_ = false;      // RFC 6582 section 3.2 step 2: `recover` must be passed before the next one
  bool undo_wanted_ = false;  // the first retransmission has not been sent yet
  bool undo_armed_ = false;

  // ---- of the path: outlives a recovery
  Interval repeated_;                 // what was sent again lately lies in here
  uint32_t widened_at_ = 0;           // snd_nxt when the window was widened last
  uint8_t quarters_ = 1;              // of the least round-trip time: the window's size
  uint8_t recoveries_to_narrow_ = 0;  // after which it is one quarter again
  bool reordering_seen_ = false;
};

}  // namespace skerry::tcp
