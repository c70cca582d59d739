// What a firewall knows of a TCP connection that passes it: the state that its segments led to, and for each
// side how far it sent and how far it may. It sees segments once and in the order in which they pass; some
// are lost behind it, and some belong to a connection that began before it did.
//
// Read first: van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2001); RFC 5961 for challenge
// ACKs. What follows from which segment is Linux's (nf_conntrack_proto_tcp.c), tested against it.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace skerry::filter {

enum class TcpState : uint8_t {
  none,
  syn_sent,
  syn_received,
  established,
  fin_wait,
  close_wait,
  last_ack,
  time_wait,
  closed,
  syn_sent2,  // simultaneous open
};

// Sequence numbers (RFC 9293 section 3.4).
constexpr bool is_before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}
constexpr bool is_behind(uint32_t a, uint32_t b) {
  return is_before(b, a);
}

// What a segment is for, by the strongest of its flags.
enum class TcpKind : uint8_t { syn, syn_ack, fin, ack, rst, none };

// A segment, as far as the tracker looks at it.
struct TcpSegment {
  // False where there is no whole header or its flags cannot stand together. `transport` begins with the TCP
  // header; `bytes` of it are in the packet, of which all of the header can be seen.
  bool read(ConstBytes transport, size_t bytes);
  // The most common one: nothing but an ACK and bytes, without options or with timestamps alone. Its
  // header's length and flags are as they lie in memory; each other byte is read once: somebody else may be
  // writing there.
  bool read_plain(const uint8_t* transport, uint16_t length_and_flags, size_t bytes);
  // What a SYN offers: flags of a TcpSide, and the scale.
  uint8_t offers(uint8_t& scale) const;
  // The highest right edge among the first SACK option's blocks, or the ACK itself.
  uint32_t highest_sack() const;

  TcpKind kind{};
  bool syn = false, ack_set = false, rst = false;
  uint32_t seq = 0, ack = 0, end = 0;  // end: behind the last byte, SYN and FIN count as bytes
  uint32_t ack_shift = 0;              // what translation has added to what is acknowledged
  uint16_t window = 0;
  ConstBytes options;
};

// One direction. What is in it means nothing before its first segment: max_window is 0.
struct TcpSide {
  static constexpr uint8_t kScales = 1, kSackPermitted = 2, kCloseBegun = 4, kLiberal = 8,
                           kUnacknowledged = 16, kMaxAckSet = 32;
  uint32_t end;         // behind the last byte sent
  uint32_t max_end;     // behind the last byte that may be sent
  uint32_t max_window;  // largest window told
  uint32_t max_ack;
  uint8_t scale;
  uint8_t flags;

  bool operator==(const TcpSide&) const = default;
};

class TcpFlow {
 public:
  enum class Fate : uint8_t {
    valid,    // part of the connection; `timeout` counts from now
    ignored,  // may be part of it or not: nothing is learned
    invalid,
    reopens,  // the connection is over, and this is the first of another one
  };
  struct Outcome {
    Fate fate = Fate::valid;
    DurationNs timeout = 0;  // 0: as it was
    bool assured = false;    // valid in both directions from now on
    bool over = false;       // forget the connection
  };
  // What the table knows of the connection.
  struct Known {
    bool replied;  // both sides have been heard
    bool assured;
    DurationNs left;  // of its time
  };

  // The first segment. False: no connection begins with it.
  bool begin(const TcpSegment& segment);
  // Segments were not seen.
  void resume() {
    if (state_ == TcpState::established) sides_[0].max_window = sides_[1].max_window = 0;
  }
  // Also for the first.
  Outcome segment(const TcpSegment& segment, bool reply, const Known& known);

  TcpState state() const { return state_; }
  // `next` may begin between the same ends: this one is over, and what is left of it lies before that
  // (nf_nat_may_kill(), nf_seq_has_advanced()).
  bool makes_way_for(const TcpFlow& next) const {
    return state_ >= TcpState::time_wait && is_before(sides_[0].end, next.sides_[0].end);
  }
  // What comes now belongs to another one.
  bool is_over() const { return state_ == TcpState::time_wait || state_ == TcpState::closed; }
  // It is over, or soon will be: the first to go when room is needed.
  bool is_closing() const { return state_ >= TcpState::fin_wait && state_ <= TcpState::closed; }
  bool operator==(const TcpFlow&) const = default;

 private:
  enum class Place : uint8_t { inside, ignored, invalid };

  // conntrack_window.cpp
  Place place(const TcpSegment& segment, bool reply);
  static void start_side(TcpSide& sender, TcpSide& receiver, const TcpSegment& segment, bool reply);

  Fate reset(const TcpSegment& segment, bool reply, const Known& known, TcpState& next, bool& judged) const;
  bool ignore(const TcpSegment& segment, bool reply, TcpState& before, TcpState& next);
  DurationNs shorten_life(const TcpSegment& segment, bool reply, const Known& known);
  DurationNs timeout(const TcpSegment& segment) const;

  static constexpr uint8_t kChallengeExpected = 64, kSimultaneous = 128;

  std::array<TcpSide, 2> sides_;
  // Of the last one that changed something, or was let pass unexplained.
  uint32_t last_seq_, last_ack_, last_end_;
  uint16_t last_window_;
  TcpKind last_kind_;
  bool last_reply_;
  uint8_t last_scale_, last_flags_;  // of a SYN
  uint8_t retransmissions_;
  TcpState state_;
};

}  // namespace skerry::filter
