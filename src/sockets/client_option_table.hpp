// Which socket options there are. The table follows socket(7), tcp(7), ip(7), ipv6(7); limits and defaults
// are Linux's (net/ipv4/tcp.c do_tcp_setsockopt, net/core/sock.c sk_setsockopt, measured on 6.18). A name
// that is not here is ENOPROTOOPT, so a program that depends on it hears so.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <type_traits>

#include "sockets/client_options.hpp"
#include "sockets/client_stream.hpp"

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
  kBusyPoll,
  kIncomingCpu,
  kFinTimeout,
  kWindowClamp,
  kFastOpen,
  kMulticastTtl,
  kMulticastHops,
  kPlaces,
};
static_assert(kPlaces <= 2 * std::extent_v<decltype(SocketNames::option_values)>);

enum class Kind : uint8_t {
  bit,       // on or off, in option_bits: a bit that is not set means `usual`
  number,    // in option_values
  kept,      // only to be given back: in option_values, as what of it differs from `usual`
  ignored,   // accepted, without effect; reads as `usual`
  constant,  // reads as `usual`; setting it is the errno `most`, to 0 it is the errno `least`
};

struct Option {
  int level;
  int name;
  Kind kind;
  bool to_stack;
  uint64_t where;          // the bit, or the Place
  int least, most, usual;  // of bits 0 and 0: any number is on or off
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
    {SOL_SOCKET, SO_SNDLOWAT, Kind::constant, false, 0, ENOPROTOOPT, ENOPROTOOPT, 1},
    {SOL_SOCKET, SO_PRIORITY, Kind::kept, false, kPriority, 0, 6, 0},
    {SOL_SOCKET, SO_NO_CHECK, Kind::bit, false, kOptNoCheck, 0, 0, 0},
    {SOL_SOCKET, SO_BSDCOMPAT, Kind::ignored, false, 0, 0, 0, 0},
    {SOL_SOCKET, SO_RXQ_OVFL, Kind::bit, false, kOptReceiveDrops, 0, 0, 0},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, Kind::bit, false, kOptSelectErrors, 0, 0, 0},
    {SOL_SOCKET, SO_BUSY_POLL, Kind::kept, false, kBusyPoll, 0, INT32_MAX, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, Kind::kept, false, kIncomingCpu, INT32_MIN, INT32_MAX, -1},
    // Those are for who has privileges.
    {SOL_SOCKET, SO_DEBUG, Kind::constant, false, 0, 0, EACCES, 0},
    {SOL_SOCKET, SO_MARK, Kind::constant, false, 0, EPERM, EPERM, 0},
    {SOL_SOCKET, SO_PREFER_BUSY_POLL, Kind::constant, false, 0, 0, EPERM, 0},
    {IPPROTO_TCP, TCP_REPAIR, Kind::constant, false, 0, EPERM, EPERM, 0},
    {IPPROTO_IP, IP_TRANSPARENT, Kind::constant, false, 0, 0, EPERM, 0},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, Kind::constant, false, 0, 0, EPERM, 0},
    {IPPROTO_TCP, TCP_NODELAY, Kind::bit, true, kNoDelay, 0, 0, 0},
    {IPPROTO_TCP, TCP_CORK, Kind::bit, true, kCork, 0, 0, 0},
    {IPPROTO_TCP, TCP_QUICKACK, Kind::bit, true, kQuickAck, 0, 0, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, Kind::number, true, kKeepIdle, 1, 32767, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, Kind::number, true, kKeepInterval, 1, 32767, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, Kind::number, true, kKeepCount, 1, 127, 9},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, Kind::number, true, kUserTimeout, 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_SYNCNT, Kind::number, true, kSynCount, 1, 127, 6},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, Kind::number, true, kDeferAccept, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, Kind::kept, false, kUnsentLow, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_LINGER2, Kind::kept, false, kFinTimeout, INT32_MIN, INT32_MAX, 60},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, Kind::kept, false, kWindowClamp, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_FASTOPEN, Kind::kept, false, kFastOpen, 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_INQ, Kind::bit, false, kOptInputLeft, 0, 1, 0},
    {IPPROTO_UDP, UDP_CORK, Kind::bit, false, kOptUdpCork, 0, 0, 0},
    {IPPROTO_IP, IP_TOS, Kind::number, true, kTypeOfService, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TTL, Kind::number, true, kTimeToLive, 1, 255, 64},
    {IPPROTO_IP, IP_PKTINFO, Kind::bit, false, kOptPacketInfo, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTOS, Kind::bit, false, kOptReceiveTos, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTTL, Kind::bit, false, kOptReceiveTtl, 0, 0, 0},
    {IPPROTO_IP, IP_RECVERR, Kind::bit, true, kReceiveErrors, 0, 0, 0},
    {IPPROTO_IP, IP_FREEBIND, Kind::bit, false, kOptFreeBind, 0, 0, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, Kind::bit, false, kOptBindsNoPort, 0, 1, 0},
    {IPPROTO_IP, IP_RECVOPTS, Kind::bit, false, kOptReceiveOptions, 0, 0, 0},
    {IPPROTO_IP, IP_RETOPTS, Kind::bit, false, kOptReturnOptions, 0, 0, 0},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, Kind::bit, false, kOptOriginalDestination, 0, 0, 0},
    {IPPROTO_IP, IP_MULTICAST_TTL, Kind::kept, false, kMulticastTtl, 0, 255, 1},
    {IPPROTO_IP, IP_MULTICAST_LOOP, Kind::bit, false, kOptMulticastLoop, 0, 0, 1},
    {IPPROTO_IP, IP_MULTICAST_ALL, Kind::bit, false, kOptMulticastAll, 0, 1, 1},
    {IPPROTO_IP, IP_HDRINCL, Kind::constant, false, 0, ENOPROTOOPT, ENOPROTOOPT, 0},
    {IPPROTO_IP, IP_NODEFRAG, Kind::constant, false, 0, ENOPROTOOPT, ENOPROTOOPT, 0},
    {IPPROTO_IP, IP_ROUTER_ALERT, Kind::constant, false, 0, EINVAL, EINVAL, 0},
    {IPPROTO_IPV6, IPV6_V6ONLY, Kind::bit, false, kOptV6Only, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, Kind::bit, false, kOptV6PacketInfo, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, Kind::bit, false, kOptV6ReceiveHopLimit, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, Kind::bit, false, kOptV6ReceiveTrafficClass, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_RECVERR, Kind::bit, false, kOptV6ReceiveErrors, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_DONTFRAG, Kind::bit, false, kOptV6Whole, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_FREEBIND, Kind::bit, false, kOptFreeBind, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_TCLASS, Kind::kept, false, kTrafficClass, 0, 255, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, Kind::kept, false, kHopLimit, 0, 255, 64},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, Kind::kept, false, kMulticastHops, 0, 255, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, Kind::bit, false, kOptV6MulticastLoop, 0, 1, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, Kind::bit, false, kOptV6MulticastAll, 0, 0, 1},
};

inline const Option* find_option(int level, int name) {
  for (const Option& option : kOptions)
    if (option.level == level && option.name == name) return &option;
  return nullptr;
}

// Whether the socket has options of that level at all.
inline bool knows_level(uint32_t socket, int level) {
  if (level == IPPROTO_IPV6) return state.names[socket].v6 != 0;
  return level == SOL_SOCKET || level == IPPROTO_IP ||
         level == (is_stream(socket) ? IPPROTO_TCP : IPPROTO_UDP);
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
