// The session: the memory between one program (all processes of its cell) and its stack. This file says what
// the words mean, session_call.hpp what can be asked, session_view.hpp where they lie, anchor_protocol.hpp
// how a process arrives: together the whole contract of the door. server.* is the stack's side, client.* (and
// preload/) the program's.
//
// Trust: the program may write anything anywhere in here at any time. The stack keeps sizes, positions and
// ownership in private memory, loads a shared word once, checks it, then uses it; a lie costs the liar its
// socket or its session and never more. The program trusts its stack for delivery and for descriptors, as it
// would trust a kernel.
//
// Notes instead of queues: "socket i wants attention" is a bit, set by one side (fetch_or), taken by the
// other (exchange) before it looks at the socket's words. Bits cannot overflow, need no lock among the
// threads and processes of the program, survive a killed writer and mean the same when set twice.
//
// Sleeping: who is about to sleep stores its `armed` word, fences, looks once more, then sleeps. Who
// published something fences, loads the word, and if it is set exchanges it with 0 and rings. Both fences are
// seq_cst.
//   program -> stack: Control::stack_armed, rung by a byte into the session pipe (the stack sleeps on several
//   pipes). stack -> program: Waiter::armed, rung by futex (kFutex) or by a byte into the waiter's own pipe
//   (kPipe), for threads that sleep in the kernel's epoll or poll beside other descriptors. Nobody sleeps on
//   a waiter that brings signals (kSignal).
#pragma once

#include <atomic>
#include <cstdint>

#include "wire/address.hpp"

namespace skerry::sockets {

inline constexpr uint32_t kSessionMagic = 0x53'4b'52'59;  // "SKRY"
inline constexpr uint32_t kSessionVersion = 1;

inline constexpr uint32_t kMaxSockets = 65536;
inline constexpr uint32_t kMaxDescriptors = 65536;  // descriptor numbers that a process can use for sockets
inline constexpr uint32_t kMaxWaiters = 2048;       // no process uses one beyond
inline constexpr uint32_t kMaxProcesses = 1024;
inline constexpr uint32_t kNoSocket = UINT32_MAX;

// What the region is cut into. The stack has it from its settings, the program from the attach reply.
struct SessionSize {
  uint32_t sockets = 16384;            // a multiple of 64
  uint32_t waiters = 2048;             // epoll sets, and threads that block or poll
  uint32_t calls = 256;                // a multiple of 64: threads with a request under way
  uint32_t processes = kMaxProcesses;  // of the program, at most as many
  uint32_t stream_bytes =
      512 << 10;  // each of a socket's two rings, a power of two; pages are used as touched
  // Pairs of larger rings, for streams over long paths (tcp.hpp). The stack gives them out, so that not more
  // than these ever fill.
  uint32_t long_rings = 0;
  uint32_t long_bytes = 0;  // each ring, a power of two
};

// ----------------------------------------------------------------------------------------------------------
// control

struct alignas(64) Control {
  // Written by the stack before the first attach, never changed: for getifaddrs, source address display, and
  // how to wait.
  uint32_t magic = 0;
  uint32_t version = 0;
  Ipv4Address address = 0;
  uint32_t prefix_length = 0;
  Ipv4Address gateway = 0;  // 0: none
  uint32_t mtu = 0;
  MacAddress mac;
  uint32_t one_core = 0;  // 1: nobody of the network runs on another core, so a program sleeps at once

  // The stack's: process slots from here on have never been used, so nobody need look at them.
  std::atomic<uint32_t> slot_limit;

  // 1: the stack sleeps, ring it after publishing.
  alignas(64) std::atomic<uint32_t> stack_armed;
  alignas(64) std::atomic<uint64_t> call_bits[16];  // program sets: call i is requested (bit per call slot)
  // Bit w of word w/64 here means: word w of the dirty bitmap is not 0. Program sets the bitmap first, then
  // this.
  alignas(64) std::atomic<uint64_t> dirty_summary[kMaxSockets / 64 / 64];
};

// ------------------------------------------------------------------------------------------------------------
// socket

// What the stack says of a socket: level, not edge. One relaxed load tells poll() most of it.
enum StatusBit : uint32_t {
  kOpen = 1,         // in use
  kStream = 2,       // SOCK_STREAM, else SOCK_DGRAM
  kListening = 4,    // rx holds indices of completed connections, four bytes each
  kConnecting = 8,   // an active open is under way
  kConnected = 16,   // established (or a datagram socket with a peer)
  kPeerClosed = 32,  // no bytes follow rx_written: read gives 0 there, POLLRDHUP
  kHungUp = 64,      // both directions are over: POLLHUP; writes give EPIPE (or the error)
  kWriteShut = 128,  // shutdown(SHUT_WR) was done
  kReadShut = 256,   // shutdown(SHUT_RD) was done
  kFinSeen = 512,    // the peer's FIN came: read gives 0 at the end, whatever went wrong afterwards
  kOver = 1024,      // the connection is over, and has no peer's name any more
};

// Written by the stack, read by the program.
struct alignas(64) SocketOut {
  std::atomic<uint32_t> status;      // StatusBit
  std::atomic<uint32_t> rx_written;  // stream: bytes; datagram: bytes of records; listener: 4 a connection
  std::atomic<uint32_t> rx_base;     // stored before the rx_written that needs it
  std::atomic<uint32_t> tx_acked;    // how far the tx ring is free again
  std::atomic<uint32_t> tx_limit;    // how much of it may be filled: SO_SNDBUF
  std::atomic<int32_t> error;        // SO_ERROR; the program takes it with exchange(0)
  std::atomic<uint32_t>
      rx_tell_at;  // streams: the program sets the dirty bit once rx_read reaches this (windows, ACKs)
  std::atomic<uint32_t> rx_drops;  // datagrams that found no room
  // Streams: how many urgent bytes the peer has announced, and the position of the latest, which is stored
  // first and may not have come yet.
  std::atomic<uint32_t> urgent_count;
  std::atomic<uint32_t> urgent_position;
  std::atomic<uint32_t> room;        // how often want_space was fulfilled
  std::atomic<uint32_t> news;        // how often something else happened, but for input
  std::atomic<uint32_t> long_rings;  // streams: which pair of those it has, + 1; final before kConnected
  // Another number whenever the index begins a life or ends one; never reset. Who slept compares it: the
  // index may be another socket's by now.
  std::atomic<uint32_t> life;
  std::atomic<uint32_t> errors_queued;  // datagram sockets: what MSG_ERRQUEUE has to give
};

// Who has `queued` of at most `most` bytes in its ring is writable: a third is free (Linux
// sk_stream_is_writeable), so that a writer is not woken for every byte. Both sides go by it.
constexpr bool is_writable(uint32_t most, uint32_t queued) {
  return queued < most && most - queued >= queued / 2;
}

// EPOLLEXCLUSIVE, in SocketIn::watchers: of these the stack tells only as many sleepers as connections came.
// Who is awake is told too, for it looks before it sleeps. One that gets no place is told always, as are all.
inline constexpr uint16_t kExclusive = 0x8000;

// Written by the program, read by the stack (and by the other processes of the program). The stack zeroes
// it, and the program's words of SocketNames, when it gives the socket a new life: before Op::open answers,
// before the index appears in a listener's ring.
struct alignas(64) SocketIn {
  std::atomic<uint32_t> rx_read;      // how far the program has read; listeners: moved by compare-and-swap
  std::atomic<uint32_t> tx_written;   // how far the program has written
  std::atomic<uint32_t> tx_base;      // may move while tx_acked == tx_written; stored before tx_written
  std::atomic<uint32_t> want_space;   // 1: tell the watchers when tx_acked moves (set, fence, look again)
  std::atomic<uint16_t> watchers[8];  // waiter + 1 of those to tell, 0 = free place; perhaps with kExclusive
  std::atomic<uint32_t> watch_all;    // 1: more watchers than places: every waiter in use is told
  std::atomic<uint32_t> flags;        // DescriptionFlag: what all descriptors of this socket share
  std::atomic<uint32_t> rx_lock;      // among the program's threads; the stack never looks
  std::atomic<uint32_t> tx_lock;
  std::atomic<uint32_t> urgent_passed;  // the urgent_count whose byte was read past; the stack never looks
  std::atomic<uint32_t> urgent_taken;   // the same of the one that MSG_OOB has read
  // How often MSG_OOB has sent, and the position after the latest urgent byte: stored in the order position,
  // count, tx_written.
  std::atomic<uint32_t> tx_urgent_count;
  std::atomic<uint32_t> tx_urgent;
};
static_assert(sizeof(SocketOut) == 64 && sizeof(SocketIn) == 64, "a cache line for each side");

// Names and rarely used words. The stack writes; local and remote are final once the status bit that needs
// them is set (bound: after the bind or connect call returned; remote: kConnected, or the connection came out
// of accept).
struct alignas(64) SocketNames {
  Endpoint local;
  Endpoint remote;
  uint32_t v6 = 0;  // program's: 1 if it was made as AF_INET6, so addresses are shown as ::ffff:a.b.c.d
  // Program's, of datagram sockets: payload bytes + 1 of what MSG_MORE keeps back behind tx_written; 0:
  // nothing.
  std::atomic<uint32_t> kept_back;
  // Program's, shared by all descriptors and processes; times in nanoseconds, 0 = none.
  std::atomic<uint64_t> receive_timeout_ns;
  std::atomic<uint64_t> send_timeout_ns;
  std::atomic<uint64_t> option_bits;  // what getsockopt must give back; the program's own encoding
  std::atomic<uint64_t> option_values[12];
  // F_SETOWN, and the waiters + 1 that bring its signals: the stack tells the first of urgent data; the other
  // is among the socket's watchers.
  std::atomic<int32_t> owner;
  std::atomic<uint32_t> owner_type;
  std::atomic<uint32_t> urgent_bell;
  std::atomic<uint32_t> async_bell;
  // When bytes came last, CLOCK_REALTIME; 0: none did. Of streams with kTimestamp or kTimestampNs, the
  // stack's; of datagram sockets with kNotesArrival the program's: the last one that was read.
  std::atomic<uint64_t> arrival_ns;
};

enum DescriptionFlag : uint32_t {
  kNonBlocking = 1,    // O_NONBLOCK
  kAsync = 2,          // O_ASYNC
  kConnectDue = 4,     // a connect() left before it knew; the next one tells what became of it
  kLowWater = 8,       // streams: SO_RCVLOWAT is more than one byte
  kNotesArrival = 16,  // datagram sockets: SIOCGSTAMP was asked
};

// A datagram in a ring: this header, then the payload, the whole padded to 8 bytes; header and payload may
// wrap.
struct DatagramHeader {
  uint32_t payload_bytes = 0;  // 0 to 65507
  uint16_t peer_port = 0;      // rx: who sent it; tx: to whom (0 at no address: the connected peer)
  // rx: what it came with; tx: what it leaves with (ttl 0: the default).
  uint8_t ttl = 0;
  uint8_t type_of_service = 0;
  IpAddress peer;
  IpAddress local;          // rx: the address it was sent to (IP_PKTINFO); tx: source to use, or unspecified
  uint64_t arrival_ns = 0;  // rx: SO_TIMESTAMP, CLOCK_REALTIME; tx: 0
};
static_assert(sizeof(DatagramHeader) == 48);

// Ring bytes that a datagram takes.
constexpr uint32_t datagram_bytes(uint32_t payload_bytes) {
  return static_cast<uint32_t>(sizeof(DatagramHeader)) + ((payload_bytes + 7) & ~7u);
}

// ------------------------------------------------------------------------------------------------------------
// waiter

// kSignal: a byte into the pipe each time, from which the kernel makes a signal; it stays armed.
enum Armed : uint32_t { kAwake = 0, kFutex = 1, kPipe = 2, kSignal = 3 };

// One epoll set, or one thread that blocks or polls. Allocated by the program: its word of
// SessionView::waiter_owners() by compare-and-swap from 0 to the process slot + 1 of its maker. Of an epoll
// set that word is then kSetOwner and another number each time, because a forked child has the set too: it
// belongs to all processes that say so in Process::sets, and the last of them frees it, or the stack if that
// one died. Those words lie close together, because they are searched, and what is searched is touched.
inline constexpr uint32_t kSetOwner = 1u << 31;
struct alignas(64) Waiter {
  std::atomic<uint32_t> armed;  // Armed; the futex word itself
  // The stack's, of epoll sets: how many processes that shared it have died.
  std::atomic<uint32_t> deaths;
  alignas(64) std::atomic<uint64_t> ready_summary[kMaxSockets / 64 / 64];
};

// -----------------------------------------------------------------------------------------------------------
// process

// One process of the program. refs: it holds at least one descriptor of socket i (set by itself, or by the
// stack when a fork copies them; cleared by itself before Op::close, or by the stack when it died).
// Its number in the cell's namespace is in SessionView::process_ids(); 0 = free slot, stored by the stack
// from the attach request; until a forked child sends that, kUnnamedProcess.
inline constexpr uint32_t kUnnamedProcess = UINT32_MAX;  // no process has this number
struct alignas(64) Process {
  std::atomic<uint32_t> fd_limit;  // program's: all of fds from here on are 0; survives exec with fds
  // Not 0: it is in exec(), and this is the number of the attempt, another one each time. SessionView::kept()
  // says which of its refs it keeps if that succeeds. Set by the program, cleared by the program if it fails,
  // by the stack when it has.
  std::atomic<uint32_t> executing;
  // As refs, of epoll sets: bit w says that it has a descriptor of the one at waiter w.
  std::atomic<uint64_t> sets[kMaxWaiters / 64];
  // refs[sockets / 64], kept[sockets / 64] and then fds[kMaxDescriptors] follow: see SessionView.
};

// fds[n] of a process: what descriptor n is. 0 = not ours.
// internal: the client's own (anchor, pipe ends), which no call of the program may touch.
enum class FdKind : uint32_t { none = 0, socket = 1, epoll = 2, internal = 3 };
constexpr uint32_t fd_entry(FdKind kind, uint32_t index) {
  return (static_cast<uint32_t>(kind) << 28) | index;
}
constexpr FdKind fd_kind(uint32_t entry) {
  return static_cast<FdKind>(entry >> 28);
}
constexpr uint32_t fd_index(uint32_t entry) {
  return entry & 0x0fff'ffff;
}

}  // namespace skerry::sockets
