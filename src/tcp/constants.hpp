// Every number that TCP is free to choose, with where it comes from.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace skerry::tcp {

// ---- segments
inline constexpr uint16_t kDefaultMss = 536;  // RFC 9293 section 3.7.1: if the peer names none
// Less than a peer may ask for. With timestamps and four SACK blocks this leaves 64 bytes of payload, the
// least that links cut super-frames into.
inline constexpr uint16_t kLeastMss = 112;
inline constexpr uint16_t kLeastPathMtu = 552;  // Linux route.min_pmtu: smaller ICMP claims are ignored
inline constexpr DurationNs kPathMtuExpires = 600 * kSecond;  // RFC 1191 section 6.3, Linux mtu_expires
inline constexpr uint32_t kInitialWindowSegments = 10;        // RFC 6928
inline constexpr uint32_t kMaxStreamBytes = 1u << 30;         // RFC 7323 section 2.3: the largest window
inline constexpr uint32_t kTimestampBytes = 12;               // the option and two bytes of padding

// ---- retransmission (RFC 6298)
inline constexpr DurationNs kInitialRto = 1 * kSecond;
inline constexpr DurationNs kLeastRto = 200 * kMillisecond;  // Linux TCP_RTO_MIN; RFC 6298 says 1 s
inline constexpr DurationNs kGreatestRto = 120 * kSecond;    // Linux TCP_RTO_MAX
inline constexpr DurationNs kRtoAfterLostSyn = 3 * kSecond;  // RFC 6298 section 5.7: without a sample
inline constexpr uint32_t kRetries = 15;  // Linux tcp_retries2: R2 of RFC 9293 section 3.8.3, about 15 min
inline constexpr uint32_t kOrphanRetries = 8;       // Linux tcp_orphan_retries: nobody waits for it any more
inline constexpr uint32_t kSynAckRetries = 5;       // Linux tcp_synack_retries
inline constexpr uint32_t kDuplicateThreshold = 3;  // RFC 5681 section 3.2, RFC 6675 DupThresh
// RFC 8985 section 6.2 step 4: so many recoveries after a needless retransmission.
inline constexpr uint8_t kRecoveriesToNarrow = 16;
// What a tail loss probe waits for beyond two round trips: the time in which a busy machine gets round to it.
// Linux: two of its ticks, 8 ms where there are 250 a second.
inline constexpr DurationNs kTailProbeSlack = 4 * kMillisecond;
// RFC 8985 TLP.max_ack_delay: how long a peer may hold back the ACK of a lone segment. Linux takes 40 ms
// on short paths, and rounds up; who takes longer is noticed.
inline constexpr DurationNs kPeerAckDelay = 50 * kMillisecond;

// ---- buffers
// Linux tcp_rmem[1], of which half is window, and tcp_wmem[1]; the rings are the limit upwards.
inline constexpr uint32_t kFirstReceiveBuffer = 65536;
inline constexpr uint32_t kLeastShareSegments = 4;  // so that two can be acknowledged and two come
inline constexpr uint32_t kFirstSendBuffer = 16384;
// Linux tcp_sndbuf_expand(): room for twice the congestion window, in segments with what the kernel needs
// around them.
inline constexpr uint32_t kSendBufferWindows = 2;
inline constexpr uint32_t kSegmentOverhead = 256;
inline constexpr uint32_t kSegmentHeadroom = 640;
// A handshake that takes so long is one over a long path: at 512 KiB under way, that is a Gbit/s.
inline constexpr DurationNs kLongPath = 4 * kMillisecond;
// Who reads half of its window in less than a round trip, or than this, gets a larger one.
inline constexpr DurationNs kPromptRead = 10 * kMillisecond;

// ---- acknowledgments
inline constexpr DurationNs kDelayedAck = 40 * kMillisecond;  // Linux TCP_DELACK_MIN; RFC 9293 allows 500 ms
inline constexpr DurationNs kCorkLimit = 200 * kMillisecond;  // tcp(7), TCP_CORK
// Linux tcp_invalid_ratelimit: one answer per connection and interval to what lies outside the window, so
// that two ends out of step do not acknowledge each other for ever, and for RFC 5961 section 7.
inline constexpr DurationNs kInvalidAckInterval = 500 * kMillisecond;

// ---- closing
inline constexpr DurationNs kTimeWait = 60 * kSecond;      // Linux TCP_TIMEWAIT_LEN for 2 MSL
inline constexpr DurationNs kFinWait2 = 60 * kSecond;      // Linux tcp_fin_timeout, for closed sockets
inline constexpr DurationNs kTimeWaitReuse = 1 * kSecond;  // RFC 6191, Linux tcp_tw_reuse_delay
inline constexpr uint32_t kReuseDistance = 65535 + 2;  // Linux: a reused flow starts beyond the old window

// ---- timestamps (RFC 7323)
inline constexpr DurationNs kTimestampTick = kMillisecond;    // Linux: 1 ms, section 5.4 allows 1 ms to 1 s
inline constexpr uint64_t kPawsIdleSeconds = 24 * 24 * 3600;  // section 5.5: then ts_recent is forgotten

// ---- ports (RFC 6056 section 3.2 asks for 1024 up; these are Linux's ip_local_port_range)
inline constexpr uint16_t kFirstEphemeralPort = 32768;
inline constexpr uint16_t kLastEphemeralPort = 60999;

}  // namespace skerry::tcp
