// What a sender has outstanding, as a short list of runs: bytes of one fate (on their way, sacked, lost, sent
// again). And in which order they were sent, from which RACK (RFC 8985 section 6) tells what is lost: a
// segment is, once something that was sent later has arrived and a reordering window has passed.
//
// Originals go out in the order of their sequence numbers, so neither a list of segments nor a time of
// sending is kept for them, and nothing at all while nothing is lost. A retransmission remembers how far new
// data had got, which orders it among the originals. The reordering window is counted from the first sign
// that a run was overtaken: that is when RFC 8985 would have it for two segments sent at one time, and later
// by what lay between their sendings, never earlier.
//
// Invariant: the runs are [runs[0].left, runs[1].left), ..., [runs[size-1].left, end), and no two neighbours
// are alike. When the list is full, a SACK that it cannot take is forgotten, and then a byte is sent once too
// often; what is sent again always finds a place.
#pragma once

#include <cstdint>

#include "tcp/interval_set.hpp"

namespace skerry::tcp {

// What of the connection loss recovery needs to know.
struct SendWindow {
  uint32_t una;
  uint32_t nxt;
  uint32_t mss;
};

// When something happens, beside the round trips that the connection has seen; microseconds that may wrap.
struct Moment {
  uint32_t now_us;
  uint32_t least_rtt_us;
  uint32_t smoothed_rtt_us;
};

class Scoreboard {
 public:
  // Begins anew with everything on its way.
  void start(const SendWindow& window);
  // New data was sent, up to `nxt`.
  void extend(uint32_t nxt);
  // snd_una is now `una`.
  void advance(uint32_t una, const Moment& moment);
  // The peer holds [left, right), which lies in the window. Returns how many of these bytes are news.
  uint32_t sack(uint32_t left, uint32_t right, const Moment& moment);
  // The peer took back what it had sacked (RFC 2018 section 8).
  void forget_sacks();
  // True if the first byte outstanding is one that the peer said it held.
  bool reneged() const { return size_ > 0 && (runs_[0].marks & kSacked) != 0; }

  // RFC 8985 section 6.2 step 5: what has been overtaken for `window_us` is lost. True if anything is.
  bool detect_loss(uint32_t now_us, uint32_t window_us);
  // Until more may be found lost without another ACK; 0: nothing waits (section 6.3).
  uint32_t wait_us() const { return wait_us_; }
  void lose_all();                            // all that is not sacked
  void lose_first(const SendWindow& window);  // the first segment, unless it has been sent again
  void find_all();                            // what was thought lost is on its way

  // The next bytes to send again; false if there are none.
  bool next_lost(Interval& lost) const;
  // [left, right), of one run, is sent again.
  void sent_again(uint32_t left, uint32_t right, uint32_t nxt, uint32_t now_us);

  uint32_t bytes_sacked() const { return bytes(kSacked); }
  uint32_t bytes_lost() const { return bytes(kLost); }
  uint32_t bytes_sent_again() const { return bytes(kAgain); }
  uint32_t bytes_sacked_or_lost() const { return bytes(kSacked | kLost); }
  uint32_t runs_sacked() const;
  // Nothing is sacked, lost or sent again.
  bool is_plain() const { return size_ == 0 || (size_ == 1 && runs_[0].marks == 0); }
  // Something arrived before what was sent earlier: the path reorders (RFC 8985 section 6.2 step 3).
  bool saw_reordering() const { return reordering_; }

 private:
  static constexpr uint32_t kRuns = 40;
  enum Mark : uint32_t { kSacked = 1, kLost = 2, kAgain = 4, kOvertaken = 8 };

  // Marks that a run does not have leave their fields 0, so that runs can be compared.
  struct Run {
    uint32_t left = 0;
    uint32_t marks = 0;
    uint32_t order = 0;         // kAgain: snd_nxt when it was sent
    uint32_t sent_us = 0;       // kAgain
    uint32_t overtaken_us = 0;  // kOvertaken
  };
  // A place in the order of sending: after all originals that end at or before `order`.
  struct Stamp {
    uint32_t order = 0;
    bool again = false;
    uint32_t sent_us = 0;
    uint32_t left = 0;
  };

  static bool is_earlier(const Stamp& a, const Stamp& b);
  static bool alike(const Run& a, const Run& b);
  uint32_t right_of(uint32_t i) const { return i + 1 < size_ ? runs_[i + 1].left : end_; }
  Stamp stamp(const Run& run, uint32_t right) const;
  void arrived(const Run& run, uint32_t right, const Moment& moment);
  bool split(uint32_t at, uint32_t most = kRuns - 2);  // two places are for what is sent again
  bool join_again();
  void tidy();
  uint32_t bytes(uint32_t marks) const;

  uint32_t size_ = 0;
  uint32_t end_ = 0;
  uint32_t highest_ = 0;  // end of the highest byte that arrived (RFC 8985 RACK.fack)
  uint32_t wait_us_ = 0;
  Stamp newest_;  // of what has arrived, what was sent last
  bool reordering_ = false;
  Run runs_[kRuns];
};

}  // namespace skerry::tcp
