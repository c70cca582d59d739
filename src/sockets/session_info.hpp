// What Op::info answers: all that getsockopt(TCP_INFO) can show of a stream. Part of the contract of
// session.hpp.
#pragma once

#include "sockets/session_call.hpp"

namespace skerry::sockets {

// value[] after Op::info; "a, b" is a << 32 | b, and what has no unit is a number. Times are microseconds
// where the name says nothing, and the last three say how long ago it was.
enum InfoValue : uint32_t {
  kInfoState = 0,     // tcp::State | congestion << 8 | scales << 16 (send | receive << 4) |
                      // timestamps << 24 | sack << 25
  kInfoMss,           // bytes: send, receive
  kInfoPath,          // bytes: MSS that we announced, path MTU
  kInfoRtt,           // smoothed, variance
  kInfoTimeout,       // retransmission time-out, least round-trip time
  kInfoWindow,        // bytes: congestion window, slow-start threshold
  kInfoPeerWindow,    // bytes: what the peer's window allows, not sent yet
  kInfoOutstanding,   // bytes: all, sacked
  kInfoLost,          // bytes: lost, sent again
  kInfoTries,         // without an answer: time-outs, doublings << 16 | probes
  kInfoRetransmits,   // segments: sent again, doubled at the receiver
  kInfoOrder,         // segments out of order, 1 if the path is known to reorder
  kInfoBuffers,       // bytes: receive, send
  kInfoSegments,      // out, in
  kInfoDataSegments,  // out, in
  kInfoAcked,         // bytes
  kInfoReceived,      // bytes
  kInfoSent,          // bytes
  kInfoResent,        // bytes
  kInfoQueue,         // of a listener: connections that wait, backlog
  kInfoLastSent,      // milliseconds
  kInfoLastReceived,  // milliseconds
  kInfoLastHeard,     // milliseconds
  kInfoRate,          // bytes per second that reached the peer
  kInfoReceiveRtt,    // as the receiver sees it, 1 if the program limits that rate
  kInfoBusy,          // how long there was something to send or to be acknowledged
  kInfoWindowStops,   // how long of this the peer's window kept it back
  kInfoBufferStops,   // how long the send buffer was too small
  kInfoValues,
};

static_assert(kInfoValues <= kCallValues);

}  // namespace skerry::sockets
