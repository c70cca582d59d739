// The stack's side of the door: carries what TCP and UDP say into session memory, and what the program
// writes, reads and asks for to TCP and UDP. Read first: session.hpp.
//
// Invariant: everything the program can write is loaded once, checked against private state, then used. A
// socket whose words lie is reset and counted as a fault; a call that makes no sense gets an errno.
#pragma once

#include <cstdint>
#include <vector>

#include "base/index_pool.hpp"
#include "base/time.hpp"
#include "sockets/datagram_errors.hpp"
#include "sockets/session_view.hpp"
#include "sockets/wakeups.hpp"
#include "stack/routes.hpp"
#include "stack/udp.hpp"
#include "stack/udp_component.hpp"
#include "tcp/tcp.hpp"

namespace skerry::sockets {

// A datagram that the program wrote. The payload stays in the socket's ring, in two pieces: copy it out at
// once.
struct DatagramOut {
  uint32_t socket = kNoSocket;
  Endpoint to;       // Endpoint{}: the connected peer
  IpAddress source;  // unspecified: the socket's own
  stack::DatagramRules rules;
  ConstBytes payload[2];
};

struct ServerCounters {
  uint64_t opened = 0, closed = 0, accepted = 0, calls = 0, faults = 0, datagram_drops = 0;
};

class Server {
 public:
  // All references outlive the server. `ids` is the pool that `tcp` shares: one index names a socket
  // everywhere.
  Server(SessionView view, tcp::Tcp& tcp, stack::Udp& udp, const stack::Routes& routes, IndexPool& ids);

  // ---- Component
  uint32_t rx(TimeNs now);
  uint32_t tx(TimeNs now);
  TimeNs deadline() const { return sweep_at_; }
  bool arm();
  void disarm();

  // ---- UDP delivers here (stack::UdpSink). False: no room, the datagram is dropped and counted.
  bool deliver(TimeNs now, uint32_t socket, const Endpoint& from, const Endpoint& to,
               const stack::Marks& marks, ConstBytes payload);
  // An ICMP error about a datagram that the socket sent.
  void refused(TimeNs now, uint32_t socket, const stack::TransportError& error);
  // The next datagram to send, after tx() has looked at the program's notes; false if there is none now. Each
  // is answered with datagram_done: 0, EAGAIN (it stays, and the next socket has its turn) or an errno value
  // for the socket.
  bool next_datagram(DatagramOut& out);
  void datagram_done(const DatagramOut& datagram, int error);
  // Sockets that had something to send when it was last looked for.
  uint32_t sending() const { return static_cast<uint32_t>(senders_.size()); }
  // What must be added to `now` for CLOCK_REALTIME: datagrams carry their time of arrival.
  void set_real_time_offset(uint64_t offset_ns) { real_time_offset_ns_ = offset_ns; }

  // ---- the life of the program's processes, as the anchors tell it; slots are below SessionSize::processes
  void process_arrived(uint32_t slot);
  void process_died(uint32_t slot);
  void process_forked(uint32_t parent, uint32_t child);
  void process_executed(uint32_t slot);
  void doorbell_made(uint32_t waiter, Fd write_end) { wakeups_.set_pipe(waiter, std::move(write_end)); }
  // Carriers of a socket (AnchorOp::carry); false: there is no such socket.
  bool carry(uint32_t socket);
  void claim(uint32_t socket, uint32_t slot);
  void put_down(uint32_t socket);

  // Sockets in use, those included that nobody holds but TCP or UDP has not finished with.
  uint32_t in_use() const { return ids_.allocated(); }
  // Bytes that wait in the rings of a datagram socket, headers included; what the program claims, within the
  // rings.
  struct Queues {
    uint32_t rx, tx;
  };
  Queues datagram_queues(uint32_t socket) const;
  // Stream sockets with a connection, about: for the stack to pace itself.
  uint32_t connected() const { return connected_; }
  const ServerCounters& counters() const { return counters_; }
  const uint64_t& rings() const { return wakeups_.rings(); }

 private:
  enum class Kind : uint8_t { free, stream, datagram };

  // What the stack knows of a socket by itself. Positions are private copies of what was published.
  struct Socket {
    Kind kind = Kind::free;
    uint32_t status = 0;  // StatusBits, as published
    bool listening = false;
    bool counted = false;           // in connected_
    bool orphan = false;            // no process holds it: waits for TCP to finish
    TimeNs suspect_since = kNever;  // accepted and taken, yet a sweep found no holder
    uint32_t carriers = 0;          // connections that carry it to other processes
    bool gone = false;              // TCP or UDP has finished with it; the index waits for its carriers
    uint32_t listener = kNoSocket;  // accepted from there, for as long as that listener lives
    uint32_t queue_position = 0;    // where in the listener's queue it stood
    // Listeners and datagram sockets: what we have put there. Of a stream, it is not 0 where the ring is, or
    // was until the next connect(), a listener's queue: late pops must fail, so its positions only go on.
    uint32_t rx_written = 0;
    uint32_t rx_base = 0;   // datagram sockets
    uint32_t tx_taken = 0;  // datagram sockets: how far we have read the program's ring
    uint32_t tx_base = 0;
    bool sending = false;          // datagram sockets: in senders_
    bool receives_errors = false;  // datagram sockets: IP_RECVERR
    bool notes_arrival = false;    // streams: SO_TIMESTAMP
    stack::DatagramRules rules;    // datagram sockets
    uint32_t receive_buffer = 0;   // datagram sockets: SO_RCVBUF where it is less than the usual, else 0
    bool counts_held = false;      // with it: it counts `held_bytes` from `held_from` on
    uint32_t held_bytes = 0;
    uint32_t held_from = 0;        // rx_read, as has_room_for() last saw it
    IpAddress bound_address;       // what bind() said, which a disconnected stream has again
    uint32_t tx_limit = 0;         // streams: as published
    uint32_t tx_urgent_count = 0;  // streams: urgent bytes that TCP knows of
  };

  // events.cpp: from TCP to the program
  void on_event(TimeNs now, const tcp::Event& event);
  int failure(uint32_t id) const;
  bool ends_at_once(uint32_t id) const;
  void publish_reads(uint32_t id);
  void note_arrival(TimeNs now, uint32_t id);
  uint32_t accept_all(TimeNs now, uint32_t listener);
  void count_connection(uint32_t id);
  void show_names(uint32_t id);
  void set_status(uint32_t id, uint32_t set, uint32_t clear = 0);
  void begin(uint32_t id, Kind kind, uint32_t status);
  void next_life(uint32_t id);
  void clear_positions(uint32_t id);
  void publish_send_buffer(uint32_t id);
  void publish_urgent(uint32_t id);

  // server.cpp: from the program
  void look_at(TimeNs now, uint32_t id);
  void take_positions(TimeNs now, uint32_t id);
  void forget_program(uint32_t slot);
  void fault(TimeNs now, uint32_t id);

  // calls.cpp
  void serve_call(TimeNs now, uint32_t index);
  int32_t perform(TimeNs now, Call& request);
  int32_t open(const Call& request);
  bool is_live(uint32_t slot) const;
  int32_t bind(Call& request);
  int32_t connect(TimeNs now, Call& request);
  int32_t disconnect(TimeNs now, uint32_t id);
  void disconnect_stream(TimeNs now, uint32_t id);
  int32_t shutdown(TimeNs now, const Call& request);
  void info(TimeNs now, Call& request) const;
  bool is_held(uint32_t id) const;
  bool waits_in_queue(const Socket& socket) const;
  void tell_of_waiting(uint32_t id);
  void let_go(TimeNs now, uint32_t id, bool abort);
  void release(TimeNs now, uint32_t id, bool abort);
  void abandon_queue(TimeNs now, uint32_t listener);
  void free_index(uint32_t id);
  void sweep(TimeNs now);

  // options.cpp
  void set_options(TimeNs now, const Call& request);
  void set_stream_options(TimeNs now, const Call& request);
  void tell_if_enough(uint32_t id, uint32_t receive_low);

  // datagrams.cpp
  uint32_t counted_bytes(uint32_t id, uint32_t at, uint32_t end) const;
  bool has_room_for(uint32_t id, uint32_t read, uint32_t payload_bytes);
  void fail(uint32_t id, int error);
  int32_t take_error(Call& request);
  void begin_sending(uint32_t id);
  void end_sending(uint32_t id);
  void end_turn();
  void refuse_ring(uint32_t id, uint32_t written);

  SessionView view_;
  tcp::Tcp& tcp_;
  stack::Udp& udp_;
  const stack::Routes& routes_;
  IndexPool& ids_;
  std::vector<uint32_t> live_;  // slots of the processes that live
  Wakeups wakeups_;
  std::vector<Socket> sockets_;
  std::vector<uint32_t> senders_;  // datagram sockets with something to send, each once; the last is served
  DatagramErrors errors_;
  uint32_t in_turn_ = 0;  // datagrams that it has sent in this turn
  ServerCounters counters_;
  uint32_t connected_ = 0;
  TimeNs sweep_at_ = kNever;
  uint64_t real_time_offset_ns_ = 0;
};

}  // namespace skerry::sockets
