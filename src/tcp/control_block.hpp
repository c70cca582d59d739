// The state of one connection, by index, without pointers: it lies in the arena and survives the process. All
// else (tables, wheel, lists) can be built again from it.
//
// ControlBlock is what every segment touches: four cache lines by time of use. ColdBlock is what losses,
// options, errors and closing need. Names are those of RFC 9293 section 3.3.1.
//
// Invariants of a synchronized block: snd_una <= snd_nxt <= snd_end + 1 (the FIN), rx_read <= rcv_nxt <=
// rcv_adv, all modulo 2^32, and rcv_adv never moves back.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tcp/cubic.hpp"
#include "tcp/delivery.hpp"
#include "tcp/flow.hpp"
#include "tcp/interval_set.hpp"
#include "tcp/recovery.hpp"
#include "tcp/rtt.hpp"
#include "tcp/tcp.hpp"

namespace skerry::tcp {

enum Flag : uint32_t {
  kInUse = 1u << 0,         // the program or the stack holds it
  kOwned = 1u << 1,         // the program knows the index: not a connection that waits for accept()
  kOrphan = 1u << 2,        // close() was called: only kGone is still to be told
  kTimestamps = 1u << 3,    // negotiated (RFC 7323)
  kSack = 1u << 4,          // negotiated (RFC 2018)
  kSynDue = 1u << 5,        // a SYN or SYN-ACK is to be sent
  kAckNow = 1u << 6,        // an ACK is to be sent in this breath
  kAckDelayed = 1u << 7,    // an ACK is to be sent by ack_deadline
  kProbeDue = 1u << 8,      // a window or keepalive probe is to be sent
  kPushDue = 1u << 9,       // what is held back is to be sent, however small (override time-out)
  kFinQueued = 1u << 10,    // the program has closed its direction
  kPeerFin = 1u << 11,      // the peer's FIN was taken: rcv_nxt counts it
  kOutOfOrder = 1u << 12,   // data or a FIN is held beyond a hole, or a duplicate is to be reported
  kScoreboard = 1u << 13,   // Recovery has something to remember
  kTimedOut = 1u << 14,     // a retransmission or persist time-out since the last progress
  kPersist = 1u << 15,      // the retransmission timer runs as persist timer (RFC 9293 section 3.8.6.1)
  kTiming = 1u << 16,       // rtt_seq is being timed
  kCwndLimited = 1u << 17,  // the congestion window was what stopped sending
  kNoDelay = 1u << 18,      // copies of options, for the fast path
  kCork = 1u << 19,
  kQuickAck = 1u << 20,
  kKeepAlive = 1u << 21,
  kLoops = 1u << 22,      // to ourselves
  kTailProbe = 1u << 23,  // the retransmission timer runs as that of a tail loss probe (RFC 8985 section 7.2)
  kTailDue = 1u << 24,    // a tail loss probe is to be sent
  kProbing = 1u << 25,    // one was sent, and what became of it is not known yet
  kLateAcks = 1u << 26,   // the peer holds ACKs back for longer than kPeerAckDelay
  kAborting = 1u << 27,   // a reset follows what the windows let out of what was written
  kUrgentOut = 1u << 28,  // bytes before snd_up are not acknowledged
  kSmallPath = 1u << 29,  // path_mss is less than link_mss, until path_deadline
  kReadOver = 1u << 30,   // the program reads no more
  kLongRings = 1u << 31,  // its rings are a pair of the long ones
};

// With any of these, a segment is not one that header prediction handles.
inline constexpr uint32_t kSlowPath = kOutOfOrder | kScoreboard | kTimedOut | kPersist | kProbing;

struct ControlBlock {
  // ---- identity: compared by lookup, copied by output, otherwise seldom written
  Flow flow;
  uint32_t iss = 0;
  uint32_t irs = 0;
  uint32_t flags = 0;
  uint32_t ts_offset = 0;  // added to the clock in every TSval (RFC 7323 section 5.4)
  uint32_t rx_limit = 0;   // bytes of the rx ring in use: half of what SO_RCVBUF shows
  uint32_t tx_limit = 0;   // bytes of the tx ring that the program may fill: SO_SNDBUF
  uint16_t mss = 0;        // payload of a full segment, timestamps already taken off (RFC 6691)
  State state = State::closed;
  uint8_t scales = 0;  // high half: ours (receive), low half: the peer's (send)

  // ---- receive
  alignas(64) uint32_t rcv_nxt = 0;
  uint32_t rcv_adv = 0;        // right edge of the window that was announced
  uint32_t rx_read = 0;        // sequence number up to which the program has read
  uint32_t rx_base = 0;        // sequence number of the byte at place 0 of the rx ring
  uint32_t last_ack_sent = 0;  // RFC 7323 section 4.3
  uint32_t ts_recent = 0;
  uint32_t ts_recent_second = 0;  // when ts_recent was set (RFC 7323 section 5.5)
  uint16_t rcv_mss = 0;           // largest segment seen, at most mss: what "full-sized" means for ACKs
  uint8_t ttl = 64;               // copies of options: of the packets that leave
  uint8_t type_of_service = 0;
  TimeNs ack_deadline = 0;  // meaningful with kAckDelayed
  TimeNs last_heard = 0;
  uint32_t segments_in = 0;
  uint32_t segments_out = 0;
  uint32_t tuned_at = 0;  // rx_read when tune_receive_buffer() looked last
  uint32_t tuned_us = 0;  // when that was

  // ---- send
  alignas(64) uint32_t snd_una = 0;
  uint32_t snd_nxt = 0;  // highest sent; retransmission does not move it
  uint32_t snd_end = 0;  // end of what the program has written; the FIN's number
  uint32_t tx_base = 0;  // sequence number of the byte at place 0 of the tx ring
  uint32_t snd_wnd = 0;  // bytes
  uint32_t snd_wl1 = 0;
  uint32_t snd_wl2 = 0;
  uint32_t max_snd_wnd = 0;  // RFC 5961 section 5, and sender SWS avoidance
  uint32_t snd_small = 0;    // end of the last segment smaller than mss (Minshall's Nagle)
  uint32_t cwnd = 0;         // bytes
  uint32_t ssthresh = 0;     // bytes
  uint32_t super_frame = 0;  // largest payload of one emission
  uint32_t rtt_seq = 0;      // with kTiming: the ACK that ends the sample
  RttEstimator rtt;

  // ---- times
  alignas(64) TimeNs rtt_start = 0;
  TimeNs last_sent = 0;            // data, for the restart after idle (RFC 5681 section 4.1)
  TimeNs retransmit_deadline = 0;  // kNever if it does not run
  TimeNs slow_deadline = 0;        // keepalive, or the end of FIN-WAIT-2; kNever if neither runs

  // How often the 32-bit positions went round, for byte counts of 64 bits.
  uint32_t received_wraps = 0;
  uint32_t acked_wraps = 0;
  uint32_t least_rtt_us = 0;  // 0: no sample yet

  // For TCP_INFO.
  uint32_t data_segments_out = 0;
  TimeNs last_data_heard = 0;
  uint32_t data_segments_in = 0;

  // What says how long an ACK may wait: see Tcp::Impl::awaits_reader().
  bool pushed = false;     // of what is not acknowledged, something ended with PSH
  bool ping_pong = false;  // data of ours answers the peer's soon, and carries the ACKs

  bool has(uint32_t flag) const { return (flags & flag) != 0; }
  uint8_t rcv_scale() const { return scales >> 4; }
  uint8_t snd_scale() const { return scales & 15; }
  bool fin_acked() const { return snd_una == snd_end + 1; }
  uint32_t rx_written() const { return rcv_nxt - irs - 1 - (has(kPeerFin) ? 1 : 0); }
  uint32_t tx_acked() const {
    return state == State::syn_sent || state == State::syn_received
               ? 0
               : snd_una - iss - 1 - (fin_acked() ? 1 : 0);
  }
  uint32_t tx_written() const { return snd_end - iss - 1; }
};
static_assert(sizeof(ControlBlock) == 4 * 64, "identity, receive, send, times: a cache line each");
static_assert(std::is_trivially_copyable_v<ControlBlock>);

struct ColdBlock {
  alignas(64) Delivery delivery;
  uint32_t rcv_rtt = 0;       // as the receiver sees it, in 1/8 microseconds; 0: no sample yet
  uint32_t rcv_rtt_echo = 0;  // TSecr of the segment that it was measured with last
  Options options;
  Endpoint bound;              // what bind() said; port 0: not bound
  bool reuse_address = false;  // of its port; a connection that was accepted has its listener's
  bool acknowledged = false;   // in SYN-RECEIVED: but there is nothing to read yet (TCP_DEFER_ACCEPT)
  bool reuse_port = false;
  bool port_was_picked = false;         // nobody asked for bound.port
  bool shares_way = false;              // its Path holds little: see Tcp::Impl::most_on_its_way()
  uint16_t link_mss = 0;                // without options: what a peer may send us
  uint16_t path_mss = 0;                // and what reaches it
  uint16_t peer_mss = 0;                // as the peer said it
  uint32_t long_rings = 0;              // which pair, + 1; 0: none
  ConnectionId parent = kNoConnection;  // the listener, until accept()
  uint32_t backlog = 0;                 // of a listener
  int error = 0;                        // errno
  int soft_error = 0;                   // errno of the last ICMP error, told if the connection then times out

  // ---- timers
  uint32_t doublings = 0;  // of the retransmission time-out
  uint32_t retries = 0;    // time-outs without an answer
  uint32_t keep_probes = 0;
  TimeNs keep_probe_time = 0;
  TimeNs stalled_since = 0;     // when what timed out first was sent, for TCP_USER_TIMEOUT
  TimeNs last_invalid_ack = 0;  // for kInvalidAckInterval
  TimeNs path_deadline = 0;     // with kSmallPath: when a larger one is tried

  // ---- receive
  IntervalSet<32> out_of_order;  // what the rx ring holds beyond rcv_nxt
  uint32_t recent[4] = {};       // where it grew lately, newest first (RFC 2018 section 4)
  uint32_t recent_count = 0;
  Interval duplicate;    // to be reported once (RFC 2883); empty: none
  uint32_t fin_seq = 0;  // of a FIN that arrived beyond a hole
  bool fin_held = false;
  uint32_t duplicate_acks_due = 0;  // without SACK each out-of-order segment earns its own ACK (RFC 5681)

  // ---- urgent data (RFC 6093)
  uint32_t snd_up = 0;           // with kUrgentOut: the number after the urgent byte of ours
  uint32_t urgent_position = 0;  // stream position of the peer's latest urgent byte
  uint32_t urgent_count = 0;     // how many there were

  // ---- loss and congestion
  uint32_t retransmissions = 0;
  uint64_t resent_bytes = 0;
  uint32_t duplicate_sacks = 0;
  uint32_t out_of_order_in = 0;      // segments
  uint32_t probe_end = 0;            // with kProbing: RFC 8985 TLP.end_seq
  bool probe_again = false;          // TLP.is_retrans
  bool probe_lone = false;           // nothing else was outstanding
  TimeNs reorder_deadline = kNever;  // with kScoreboard: when more may be lost (RFC 8985 section 6.3)
  Recovery recovery;
  Cubic cubic;

  uint8_t padding[64] = {};
};
// Were it an even number of cache lines, those of `delivery` would share a few sets of a processor's cache.
static_assert(sizeof(ColdBlock) / 64 % 2 == 1);
static_assert(std::is_trivially_copyable_v<ColdBlock>);

}  // namespace skerry::tcp
