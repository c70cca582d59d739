// TCP (RFC 9293) driven by three events: a segment, a deadline, a call from the program. Clock and randomness
// are arguments; nothing here makes a system call, starts a thread or allocates after construction.
//
// One index names a connection everywhere: its control block in the arena, its two byte rings in session
// memory, and the socket of the program. Indices come from an IndexPool that TCP shares with the other
// protocols of the stack.
//
// Streams. Each connection has two rings of `stream_bytes` (a power of two) in memory that the program can
// write:
//   rx: TCP writes, the program reads.   tx: the program writes, TCP reads (also for retransmission).
// Positions are free-running 32-bit byte counts since the connection began. The byte at position p is at ring
// place
// ((p - base) & (stream_bytes - 1)); the ring's writer may move `base` while the ring is empty, so that a
// connection of small requests keeps touching the same cache lines and pages instead of walking the whole
// ring. TCP keeps its own copy of every position and base and checks what the program says before it uses it.
//
// What is under way on a long path fills more than such a ring. So a connection whose handshake took long
// gets a pair of larger ones from a small store of them, for its whole life: long_rings().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/index_pool.hpp"
#include "base/random.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "tcp/delivery.hpp"
#include "tcp/segment.hpp"
#include "wire/address.hpp"

namespace skerry::tcp {

using ConnectionId = uint32_t;
inline constexpr ConnectionId kNoConnection = UINT32_MAX;

// Where the byte rings of all connections lie: connection i has rx at base + i * stride + rx_offset, and so
// on.
struct Streams {
  uint8_t* base = nullptr;
  uint64_t stride = 0;
  uint64_t rx_offset = 0;
  uint64_t tx_offset = 0;
  uint32_t stream_bytes = 0;  // capacity of each ring, a power of two
  // For long paths: so many pairs of such rings, one pair behind the other, rx first.
  uint8_t* long_base = nullptr;
  uint32_t long_rings = 0;
  uint32_t long_bytes = 0;  // a power of two, more than stream_bytes
};

struct Limits {
  uint32_t connections = 1024;  // capacity of the index pool and of the arena
  uint32_t half_open = 512;     // connections in SYN-RECEIVED over all listeners (RFC 4987)
  uint32_t time_wait = 4096;    // the oldest is dropped beyond this
};

// What the path to a peer can do, told by IP when a connection is made (RFC 6691, RFC 1191).
struct Path {
  IpAddress source;          // the address we speak from
  uint16_t mss = 1460;       // largest TCP payload in one packet that arrives, without options
  uint16_t link_mss = 1460;  // the same of our own link: what a peer may send us
  uint32_t super_frame = 0;  // largest payload of one SegmentOut if the link cuts segments, else 0
  uint32_t holds = 0;        // bytes that the way here has room for, and loses what is more; 0: it waits
  bool reachable = false;    // false: no route
  bool loops = false;        // never leaves the host
};

// The longest payload that can be sent now, to others and to ourselves; 0: nothing can.
struct Room {
  uint32_t link;
  uint32_t loop;

  Room(uint32_t to_others, uint32_t to_ourselves) : link(to_others), loop(to_ourselves) {}
  Room(uint32_t anywhere) : Room(anywhere, anywhere) {}
};

enum class State : uint8_t {
  closed,
  listen,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait,
};

// What happened to a connection since it was last asked: bits, delivered once each by next_event.
enum EventBit : uint32_t {
  kReadable = 1,     // rx_written moved
  kAcked = 2,        // tx_acked moved: there is room in the tx ring
  kEstablished = 4,  // an active open completed
  kAcceptable = 8,   // on a listener: accept() has something
  kFailed = 16,      // error() is set: reset, refused, timed out, unreachable
  kPeerClosed = 32,  // FIN arrived: no bytes follow rx_written
  kUrgent = 128,     // the peer announced an urgent byte: urgent() says where
  kFinished = 256,   // both directions are closed and acknowledged
  kSoftError = 512,  // soft_error() is set; the connection goes on
  kGone = 64,  // closed by the program and finished: TCP is done with the index, its holder may release it
};

struct Event {
  ConnectionId id = kNoConnection;
  uint32_t bits = 0;
};

// Per-socket options that programs set (socket(7), tcp(7)).
struct Options {
  bool no_delay = false;    // TCP_NODELAY: Nagle off (RFC 896)
  bool cork = false;        // TCP_CORK
  bool keep_alive = false;  // SO_KEEPALIVE (RFC 9293 section 3.8.4)
  bool quick_ack = false;   // TCP_QUICKACK
  DurationNs keep_idle = 7200 * kSecond;
  DurationNs keep_interval = 75 * kSecond;
  uint32_t keep_count = 9;
  DurationNs user_timeout = 0;  // TCP_USER_TIMEOUT, 0 = the rules of RFC 9293 section 3.8.3
  uint16_t max_segment = 0;     // TCP_MAXSEG, 0 = from the path
  uint32_t receive_buffer = 0;  // bytes of window, 0 = as the connection needs it
  uint32_t send_buffer = 0;     // bytes, 0 = as the connection needs it
  uint32_t syn_retries = 6;     // TCP_SYNCNT
  // TCP_DEFER_ACCEPT: a listener's connection that has brought nothing yet waits for so many time-outs of its
  // SYN-ACK.
  uint32_t defer_accept = 0;
  uint32_t receive_low = 0;     // SO_RCVLOWAT: the receive buffer grows to hold twice that
  bool receive_errors = false;  // IP_RECVERR: soft errors are told at once
  uint8_t ttl = 64;             // IP_TTL
  uint8_t type_of_service = 0;  // IP_TOS
};

// A snapshot for getsockopt(TCP_INFO) and for `skerry ss`.
struct Info {
  State state = State::closed;
  Endpoint local, remote;
  uint32_t rx_queue = 0;  // bytes that the program has not read
  uint32_t tx_queue = 0;  // bytes that are not acknowledged
  uint32_t mss = 0, congestion_window = 0, slow_start_threshold = 0, peer_window = 0,
           receive_window = 0;  // bytes
  DurationNs smoothed_rtt = 0, rtt_variance = 0, retransmission_timeout = 0;
  uint64_t bytes_acked = 0, bytes_received = 0;
  uint64_t segments_out = 0, segments_in = 0;
  uint32_t retransmissions = 0;  // segments, in the life of the connection
  // What is on its way, in bytes: all of it, and of that sacked, lost, and sent again.
  uint32_t outstanding = 0, sacked = 0, lost = 0, resent = 0;
  uint32_t unsent = 0;
  uint32_t receive_mss = 0, advertised_mss = 0, path_mtu = 0;
  uint32_t receive_buffer = 0, send_buffer = 0;
  uint32_t least_rtt_us = 0;
  uint32_t timeouts = 0, doublings = 0, probes = 0;  // without an answer
  enum class Congestion : uint8_t { open, disorder, reduced, recovery, loss } congestion = Congestion::open;
  bool reordering_seen = false;
  TimeNs last_sent = 0, last_received = 0, last_heard = 0;  // data, data, anything
  uint64_t bytes_sent = 0, bytes_resent = 0;                // the first with the second in it
  uint32_t data_segments_out = 0, data_segments_in = 0;
  uint32_t duplicate_sacks = 0, out_of_order_in = 0;
  uint32_t backlog = 0;  // of a listener
  uint32_t receive_rtt_us = 0;
  Delivery delivery;
  uint8_t send_scale = 0, receive_scale = 0;
  bool timestamps = false, sack = false;
};

// Counted in one place, shown by `skerry top`.
struct Counters {
  uint64_t segments_in = 0, segments_out = 0, retransmissions = 0, fast_recoveries = 0, timeouts = 0;
  uint64_t resets_in = 0, resets_out = 0, duplicates_in = 0, out_of_order_in = 0, no_connection = 0;
  uint64_t tail_probes = 0, challenge_acks = 0, listen_overflows = 0, active_opens = 0, passive_opens = 0,
           window_probes = 0;
};

class Tcp {
 public:
  // Bytes of arena that `limits` need. The arena holds all state that must survive the process, by index.
  static size_t arena_bytes(const Limits& limits);

  // `arena` is zeroed memory of arena_bytes(limits); arena, streams, `ids` and `random` outlive the object.
  // `secret` keys initial sequence numbers (RFC 6528) and the connection table; `random` serves ephemeral
  // ports (RFC 6056).
  Tcp(Bytes arena, const Limits& limits, const Streams& streams, IndexPool& ids, const SipKey& secret,
      Random& random);
  ~Tcp();
  Tcp(const Tcp&) = delete;
  Tcp& operator=(const Tcp&) = delete;

  // The path to a peer, asked once per connection of whoever owns us (IP). Set before the first event.
  using PathLookup = Path (*)(void* context, const IpAddress& local, const IpAddress& remote);
  void set_path_lookup(PathLookup lookup, void* context);

  // ---- to whom a segment from `remote` to `local` would go
  struct Receiver {
    bool whole = true;         // false: in TIME-WAIT, or its handshake with a listener is under way
    bool any_address = false;  // a listener that is bound to none in particular
  };
  std::optional<Receiver> receiver(const Endpoint& local, const Endpoint& remote) const;

  // ---- from the wire
  void receive(TimeNs now, const SegmentIn& segment);
  // An ICMP error about a segment of ours, checked against the window (RFC 5927). `error` is an errno value;
  // `next_hop_mtu` is not 0 for "fragmentation needed" (RFC 1191). `own`: our own stack says so, not a
  // stranger. True: it was about what is in flight.
  bool unreachable(TimeNs now, const Endpoint& local, const Endpoint& remote, uint32_t sequence, int error,
                   uint16_t next_hop_mtu, bool own = false);

  // The link was away and is back: what waits for an answer asks again now instead of after its back-off,
  // which says how long the link was away and nothing about the path (RFC 6069 section 3).
  void resume(TimeNs now);

  // ---- to the wire
  // The next segment that may be sent now and for which there is room; false if there is none. It counts as
  // sent: a caller that cannot send it has lost it as a wire would. Connections take turns.
  bool next_segment(TimeNs now, const Room& room, SegmentOut& out);
  // False if next_segment would surely give nothing: cheap.
  bool has_output() const;

  // ---- time
  TimeNs deadline() const;  // kNever if no timer runs
  void expire(TimeNs now);  // runs what is due; cheap when nothing is

  // ---- from the program. The int results are 0 or an errno value. `id` is an index that the caller holds
  // from the pool; TCP itself takes indices for passive opens and hands them over with accept(). Binds to an
  // address and port; port 0 picks one (written back). An unspecified address matches all; :: also IPv4.
  // Who listens or connects without a port gets one, which others may reuse as they may one that was bound.
  int bind(ConnectionId id, Endpoint& local, bool reuse_address, bool reuse_port);
  int listen(ConnectionId id, uint32_t backlog, bool reuse_address = false, bool reuse_port = false);
  int connect(TimeNs now, ConnectionId id, const Endpoint& remote, bool reuse_address = false,
              bool reuse_port = false);
  // The oldest completed connection of the listener; the caller now holds its index.
  std::optional<ConnectionId> accept(ConnectionId listener);
  // The program's write position, and the base that holds if TCP's view of the ring was empty. False: the
  // program lied (more than the ring holds); nothing was taken over. What is behind a FIN is not sent.
  bool wrote(TimeNs now, ConnectionId id, uint32_t tx_written, uint32_t tx_base);
  // The last byte before the position `tx_urgent` is urgent (MSG_OOB). False: it was not written yet.
  bool urgent(ConnectionId id, uint32_t tx_urgent);
  // The program's read position; may open the window. False: the program lied (beyond what was written).
  bool read(TimeNs now, ConnectionId id, uint32_t rx_read);
  int shutdown_write(TimeNs now, ConnectionId id);  // FIN after what has been written
  // What comes once both directions are shut meets a reset, as on Linux; until then it is taken in.
  void shutdown_read(ConnectionId id);
  // connect(AF_UNSPEC): the peer of a connection is reset, a listener resets what was not accepted, and the
  // index is as new, but for its options and the address that the program bound; positions begin at 0. What
  // SO_ERROR says of it then.
  int disconnect(TimeNs now, ConnectionId id);
  // The program is done with it: FIN, or RST if unread bytes remain (RFC 2525 section 2.17) or `abort`
  // (linger 0), behind what the windows let out of what was written. kGone follows, at once or after the
  // handshake; TIME-WAIT holds no index of the pool. A listener resets what was not accepted.
  void close(TimeNs now, ConnectionId id, bool abort);
  void set_options(TimeNs now, ConnectionId id, const Options& options);
  const Options& options(ConnectionId id) const;

  // ---- what the socket layer reads
  bool next_event(Event& event);  // false: nothing more happened
  bool has_events() const;
  uint32_t rx_written(ConnectionId id) const;
  uint32_t rx_base(ConnectionId id) const;
  // The position from which on read() matters: to the window, or to a peer that waits for its ACK.
  uint32_t tell_at(ConnectionId id) const;
  uint32_t tx_acked(ConnectionId id) const;
  // How many urgent bytes the peer has announced, and the position of the latest.
  struct Urgent {
    uint32_t count, position;
  };
  Urgent urgent(ConnectionId id) const;
  uint32_t long_rings(ConnectionId id) const;      // which pair it has, + 1; 0: its own. From kEstablished on
  uint32_t receive_buffer(ConnectionId id) const;  // bytes of window
  uint32_t send_buffer(ConnectionId id) const;     // bytes of the tx ring that may be filled
  State state(ConnectionId id) const;
  int error(ConnectionId id) const;  // errno value or 0
  int soft_error(ConnectionId id) const;
  Info info(ConnectionId id) const;
  Endpoint local(ConnectionId id) const;
  Endpoint remote(ConnectionId id) const;
  const Counters& counters() const;
  // Every socket in use and every TIME-WAIT (there `id` is kNoConnection), for `skerry ss`.
  using Visitor = void (*)(void* context, ConnectionId id, const Info& info);
  void for_each(Visitor visit, void* context) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::tcp
