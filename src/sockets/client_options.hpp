// Socket options. What programs set lies in SocketNames, where all processes of the program see it; what the
// stack must act on is sent to it as a whole set.
#pragma once

#include <sys/socket.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Bits of SocketNames::option_bits; the low ones are OptionBit, which the stack gets as they are.
enum ClientOption : uint64_t {
  kOptReuseAddress = 1 << 8,
  kOptReusePort = 1 << 9,
  kOptV6Only = 1 << 10,
  kOptLinger = 1 << 11,
  kOptPacketInfo = 1 << 13,
  kOptV6PacketInfo = 1 << 14,
  kOptOobInline = 1 << 15,
  kOptDontRoute = 1 << 16,
  kOptReceiveTos = 1 << 17,
  kOptReceiveTtl = 1 << 18,
  kOptV6ReceiveErrors = 1 << 23,
  kOptFreeBind = 1 << 21,
  kOptV6ReceiveHopLimit = 1 << 24,
  kOptV6ReceiveTrafficClass = 1 << 25,
  kOptUdpCork = 1 << 26,
  kOptReceiveDrops = 1 << 27,
  kOptSelectErrors = 1 << 28,
  kOptInputLeft = 1 << 29,
  kOptBindsNoPort = 1 << 30,
  kOptReceiveOptions = 1ull << 31,
  kOptReturnOptions = 1ull << 32,
  kOptOriginalDestination = 1ull << 33,
  kOptMulticastLoop = 1ull << 34,
  kOptMulticastAll = 1ull << 35,
  kOptV6MulticastLoop = 1ull << 36,
  kOptV6MulticastAll = 1ull << 37,
  kOptV6Whole = 1ull << 38,
  kOptBoundToNetwork = 1ull << 39,
  kOptNoCheck = 1ull << 40,  // 1 << 41 is kAccepted
};

inline bool has_option(uint32_t socket, uint64_t bit) {
  return state.names[socket].option_bits.load(std::memory_order_relaxed) & bit;
}

int set_option(uint32_t socket, int level, int name, const void* value, socklen_t length);
int get_option(uint32_t socket, int level, int name, void* value, socklen_t* length);

bool is_v6_only(uint32_t socket);

// What bind() is told of the options, and whoever else gives the socket a port: BindFlag.
uint64_t bind_flags(uint32_t socket);

// SO_RCVLOWAT of a stream: so many bytes make a read worth it, and poll() say so.
uint32_t least_input(uint32_t socket);
// The same as far as the window can hold it, which a peer may have to fill up.
uint32_t enough_input(uint32_t socket);

// What the socket's datagrams leave with, where the call does not say otherwise.
struct PacketMarks {
  uint8_t ttl, type_of_service;
};
PacketMarks marks_of(uint32_t socket);

// An accepted socket starts with what its listener has (measured: all but O_NONBLOCK).
void inherit_options(uint32_t listener, uint32_t accepted);

// SO_LINGER: so long close() waits for the peer to have what was sent.
DurationNs lingers_ns(uint32_t socket);
// SO_LINGER with zero seconds: close() resets the connection.
bool aborts_on_close(uint32_t socket);

// FIONREAD, FIONBIO, FIOASYNC, SIOCOUTQ, SIOCATMARK, FIOSETOWN and the like of a socket; -ENOTTY for what is
// not a socket's.
int control(uint32_t socket, unsigned long request, void* argument);

}  // namespace skerry::sockets::client
