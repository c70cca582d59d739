// What a program asks its stack, one call slot a request. Read first: session.hpp.
#pragma once

#include <atomic>
#include <cstdint>

#include "sockets/session.hpp"

namespace skerry::sockets {

// A request that needs the stack's answer. A thread claims a slot (state kCallFree -> kCallClaimed by
// compare-and-swap), fills it, stores kCallRequested, sets its call bit, rings, waits for kCallDone (yield,
// then futex on state), reads the result and stores kCallFree.
enum CallState : uint32_t { kCallFree = 0, kCallClaimed = 1, kCallRequested = 2, kCallDone = 3 };

enum class Op : uint32_t {
  open = 1,  // value[0]: 1 stream, 0 datagram             -> result: socket index, or -errno
  close,     // socket: the calling process holds no descriptor of it any more; value[0]: 1 = abort (linger 0)
  bind,      // endpoint (port 0 picks), value[0]: BindFlag -> endpoint as bound
  listen,    // value[0]: backlog, value[1]: BindFlag
  connect,   // endpoint, value[0]: BindFlag                -> 0: under way (stream) or done (datagram), or
             // -errno
  disconnect,  // connect(AF_UNSPEC)
  shutdown,  // value[0]: 0 SHUT_RD, 1 SHUT_WR, 2 both; value[1]: 1 = not while it is on its way to a process
  set_options,  // value[0..11]: OptionValue
  info,         // -> value: InfoValue, see session_info.hpp
  take_error,   // -> value: DatagramError, the oldest that MSG_ERRQUEUE has not had; or -EAGAIN
};

// Of the port that the socket has, or is given because it has none.
enum BindFlag : uint64_t {
  kReuseAddress = 1,
  kReusePort = 2,
  // IPV6_V6ONLY, of bind() and listen(): the socket takes no IPv4, so it does not collide with one that does.
  kV6Only = 4,
};

// value[] of Op::set_options: the whole set at once, as the program wants it now.
enum OptionValue : uint32_t {
  kOptionBits = 0,          // OptionBit
  kOptionKeepIdle = 1,      // seconds
  kOptionKeepInterval = 2,  // seconds
  kOptionKeepCount = 3,
  kOptionUserTimeout = 4,    // milliseconds
  kOptionMaxSegment = 5,     // bytes
  kOptionReceiveBuffer = 6,  // bytes of window, 0 = as the connection needs it
  kOptionSendBuffer = 7,     // bytes, 0 = as the connection needs it
  // Of streams alone; datagrams have theirs in their headers.
  kOptionMarks = 8,         // IP_TTL, 0 = the default; in the next byte IP_TOS
  kOptionSynRetries = 9,    // TCP_SYNCNT, 0 = the default
  kOptionDeferAccept = 10,  // TCP_DEFER_ACCEPT: time-outs of the SYN-ACK
  kOptionReceiveLow = 11,   // SO_RCVLOWAT: bytes
};
enum OptionBit : uint64_t {
  kNoDelay = 1,
  kCork = 2,
  kKeepAlive = 4,
  kQuickAck = 8,
  kBroadcast = 16,
  // Of datagrams, from IP_MTU_DISCOVER: see stack::DatagramRules.
  kWhole = 32,
  kMayBeCut = 64,
  kTrustsLink = 128,
  // SO_TIMESTAMP and SO_TIMESTAMPNS, of which one may be set: a stream notes when bytes came.
  kTimestamp = 1 << 12,
  kTimestampNs = 1 << 20,
  kReceiveErrors = 1 << 19,  // IP_RECVERR
  kForStack = 255 | kTimestamp | kTimestampNs | kReceiveErrors,
  // SO_LINGER with 0 seconds. The stack looks at it in SocketNames where nobody is left who could say so.
  kResetsOnClose = 1 << 22,
};

// Among the option bits too: whoever accepted the connection had a descriptor of it when this was set.
inline constexpr uint64_t kAccepted = uint64_t{1} << 41;

inline constexpr uint32_t kCallValues = 32;

// What became of a datagram: the answer to Op::take_error, as bytes of value[]. ip(7), IP_RECVERR.
struct DatagramError {
  int32_t error = 0;                     // errno value
  uint8_t type = 0, code = 0;            // ICMP's
  uint8_t ttl = 0, type_of_service = 0;  // that the message came with
  uint32_t info = 0;                     // with EMSGSIZE: what fits, in bytes of IP packet
  uint32_t payload_bytes = 0;            // of `payload`: as much of the datagram as was quoted and is kept
  uint64_t arrival_ns = 0;               // CLOCK_REALTIME
  Endpoint destination;                  // where the datagram was to go
  IpAddress local;                       // and from where
  IpAddress offender;                    // who says so
  uint8_t payload[96] = {};
};
static_assert(sizeof(DatagramError) <= kCallValues * 8);

struct alignas(64) Call {
  std::atomic<uint32_t> state;  // CallState; futex word
  uint32_t op = 0;
  uint32_t process = 0;  // slot of the caller
  uint32_t socket = 0;
  int32_t result = 0;  // >= 0, or -errno
  uint32_t pad = 0;
  Endpoint endpoint;  // both ways
  uint64_t value[kCallValues] = {};
};

}  // namespace skerry::sockets
