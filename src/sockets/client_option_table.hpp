// Which socket options there are. The table follows socket(7), tcp(7), ip(7), ipv6(7); limits and defaults
// are Linux's (net/ipv4/tcp.c do_tcp_setsockopt, net/core/sock.c sk_setsockopt, measured on 6.18). A name
// that is not here is ENOPROTOOPT, so a program that depends on it hears so.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "sockets/client_options.hpp"

namespace skerry::sockets::client {

// Places in SocketNames::option_values, two numbers a word. 0 means never set. The first seven are what
// Op::set_options takes from kOptionKeepIdle on, in its order.
enum Place : uint32_t {
  kKeepIdle,
  kKeepInterval,
  kKeepCount,
  kUserTimeout,
  kMaxSegment,
  kReceiveBuffer,
  kSendBuffer,
  kLingerSeconds,
  kTypeOfService,
  kTimeToLive,
  kReceiveLow,
  kPriority,
  kDeferAccept,
  kSynCount,
  kUnsentLow,
  kTrafficClass,
  kHopLimit,
  kPlaces,
};
static_assert(kPlaces <= 18);

enum class Kind : uint8_t {
  bit,       // on or off, in option_bits
  number,    // in option_values
  ignored,   // accepted, without effect; reads as `usual`
  constant,  // reads as `usual`; setting it is ENOPROTOOPT
};

struct Option {
  int level;
  int name;
  Kind kind;
  bool to_stack;
  uint64_t where;  // the bit, or the Place
  int least, most, usual;
};

inline constexpr Option kOptions[] = {
    {SOL_SOCKET, SO_REUSEADDR, Kind::bit, false, kOptReuseAddress, 0, 0, 0},
    {SOL_SOCKET, SO_REUSEPORT, Kind::bit, false, kOptReusePort, 0, 0, 0},
    {SOL_SOCKET, SO_KEEPALIVE, Kind::bit, true, kKeepAlive, 0, 0, 0},
    {SOL_SOCKET, SO_BROADCAST, Kind::bit, true, kBroadcast, 0, 0, 0},
    {SOL_SOCKET, SO_OOBINLINE, Kind::bit, false, kOptOobInline, 0, 0, 0},
    {SOL_SOCKET, SO_DONTROUTE, Kind::bit, false, kOptDontRoute, 0, 0, 0},
    {SOL_SOCKET, SO_TIMESTAMP_OLD, Kind::bit, true, kTimestamp, 0, 0, 0},
    {SOL_SOCKET, SO_TIMESTAMPNS_OLD, Kind::bit, true, kTimestampNs, 0, 0, 0},
    {SOL_SOCKET, SO_RCVLOWAT, Kind::number, true, kReceiveLow, INT32_MIN, INT32_MAX, 1},
    {SOL_SOCKET, SO_SNDLOWAT, Kind::constant, false, 0, 0, 0, 1},
    {SOL_SOCKET, SO_PRIORITY, Kind::number, false, kPriority, INT32_MIN, INT32_MAX, 0},
    {SOL_SOCKET, SO_NO_CHECK, Kind::ignored, false, 0, 0, 0, 0},
    {SOL_SOCKET, SO_MARK, Kind::constant, false, 0, 0, 0, 0},
    {SOL_SOCKET, SO_BUSY_POLL, Kind::ignored, false, 0, 0, 0, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, Kind::constant, false, 0, 0, 0, -1},
    {IPPROTO_TCP, TCP_NODELAY, Kind::bit, true, kNoDelay, 0, 0, 0},
    {IPPROTO_TCP, TCP_CORK, Kind::bit, true, kCork, 0, 0, 0},
    {IPPROTO_TCP, TCP_QUICKACK, Kind::bit, true, kQuickAck, 0, 0, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, Kind::number, true, kKeepIdle, 1, 32767, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, Kind::number, true, kKeepInterval, 1, 32767, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, Kind::number, true, kKeepCount, 1, 127, 9},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, Kind::number, true, kUserTimeout, 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_SYNCNT, Kind::number, true, kSynCount, 1, 127, 6},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, Kind::number, true, kDeferAccept, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, Kind::number, false, kUnsentLow, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_LINGER2, Kind::ignored, false, 0, 0, 0, 60},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, Kind::ignored, false, 0, 0, 0, 0},
    {IPPROTO_TCP, TCP_FASTOPEN, Kind::ignored, false, 0, 0, 0, 0},
    {IPPROTO_UDP, UDP_CORK, Kind::bit, false, kOptUdpCork, 0, 0, 0},
    {IPPROTO_IP, IP_TOS, Kind::number, true, kTypeOfService, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TTL, Kind::number, true, kTimeToLive, 1, 255, 64},
    {IPPROTO_IP, IP_PKTINFO, Kind::bit, false, kOptPacketInfo, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTOS, Kind::bit, false, kOptReceiveTos, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTTL, Kind::bit, false, kOptReceiveTtl, 0, 0, 0},
    {IPPROTO_IP, IP_RECVERR, Kind::bit, true, kReceiveErrors, 0, 0, 0},
    {IPPROTO_IP, IP_FREEBIND, Kind::bit, false, kOptFreeBind, 0, 0, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, Kind::ignored, false, 0, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_V6ONLY, Kind::bit, false, kOptV6Only, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, Kind::bit, false, kOptV6PacketInfo, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, Kind::bit, false, kOptV6ReceiveHopLimit, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, Kind::bit, false, kOptV6ReceiveTrafficClass, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVERR, Kind::bit, false, kOptV6ReceiveErrors, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_TCLASS, Kind::number, false, kTrafficClass, -1, 255, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, Kind::number, false, kHopLimit, -1, 255, 64},
};

inline const Option* find_option(int level, int name) {
  for (const Option& option : kOptions)
    if (option.level == level && option.name == name) return &option;
  return nullptr;
}

// Of the protocol that the socket does not speak.
inline bool is_of_the_other(int level, bool stream) {
  return level == (stream ? IPPROTO_UDP : IPPROTO_TCP);
}

inline uint32_t get_place(uint32_t socket, uint32_t place) {
  const uint64_t both = state.names[socket].option_values[place / 2].load(std::memory_order_relaxed);
  return static_cast<uint32_t>(both >> (place % 2 * 32));
}

// IP_MTU_DISCOVER as bits. The default has none, so nobody needs to set it.
struct Discovery {
  int mode;
  uint64_t bits;
};
inline constexpr Discovery kDiscovery[] = {
    {IP_PMTUDISC_WANT, 0},
    {IP_PMTUDISC_DONT, kMayBeCut},
    {IP_PMTUDISC_DO, kWhole},
    {IP_PMTUDISC_PROBE, kWhole | kTrustsLink},
    {IP_PMTUDISC_INTERFACE, kWhole | kMayBeCut | kTrustsLink},
    {IP_PMTUDISC_OMIT, kMayBeCut | kTrustsLink},
};

inline bool is_discovery(int level, int name) {
  return (level == IPPROTO_IP && name == IP_MTU_DISCOVER) ||
         (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER);
}

}  // namespace skerry::sockets::client
