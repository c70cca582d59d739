// The inside of Tcp: its tables and the steps that the events are made of. Read tcp.hpp first. The steps are
// in files by time of use:
//   input.cpp             a segment for a synchronized connection: header prediction, then RFC 9293 3.10.7.4
//   handshake.cpp         a segment for any other state, or for nobody (3.10.7.1 to 3.10.7.3)
//   receive_data.cpp      payload into the rx ring, FIN, what to acknowledge and when
//   acknowledgment.cpp    what an ACK means for sending: progress, loss, windows
//   tail_probe.cpp        the probe for a loss that no ACK reports
//   output.cpp            which segment goes next
//   header.cpp            what it says
//   timeouts.cpp          what is due
//   connection.cpp        life and death of a block
//   delivery.hpp          how fast data reaches the peer, and what stops more
//   buffers.cpp           how large its windows and buffers are
//   program.cpp           calls from the program
//   tcp.cpp               the public face, and what it lets others see
//
// receive() and the program's calls never send; they leave notes (flags, a place in the output list), and
// next_segment() turns those into segments. So a connection sends at most one pure ACK per breath.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "tcp/constants.hpp"
#include "tcp/control_block.hpp"
#include "tcp/flow_table.hpp"
#include "tcp/ports.hpp"
#include "tcp/reply_queue.hpp"
#include "tcp/tcp.hpp"
#include "tcp/time_wait.hpp"
#include "tcp/timer_wheel.hpp"

namespace skerry::tcp {

// Where the three arrays lie in the arena.
struct ArenaLayout {
  size_t cold;
  size_t time_wait;
  size_t end;

  explicit ArenaLayout(const Limits& limits);
};

// Connections of a listener that accept() has not handed over.
struct ListenerQueue {
  IndexList half_open;  // in SYN-RECEIVED
  IndexList ready;
  uint32_t ready_count = 0;
};

struct Tcp::Impl {
  Impl(Bytes arena, const Limits& limits, const Streams& streams, IndexPool& ids, const SipKey& secret,
       Random& random);

  // ---- input.cpp
  void receive(TimeNs now, const SegmentIn& segment);
  bool receive_predicted(TimeNs now, ConnectionId id, ControlBlock& b, const SegmentIn& segment);
  void receive_synchronized(TimeNs now, ConnectionId id, const SegmentIn& segment);
  void challenge(TimeNs now, ConnectionId id);
  bool unreachable(TimeNs now, const Flow& flow, uint32_t sequence, int error, uint16_t next_hop_mtu,
                   bool own);

  // ---- handshake.cpp
  void receive_unknown(TimeNs now, const SegmentIn& segment, const Flow& flow, uint32_t hash);
  void receive_time_wait(TimeNs now, const SegmentIn& segment, TimeWaitEntry& entry);
  // `old` is the flow's entry in TIME-WAIT, which a new connection takes the place of, or null.
  void receive_listen(TimeNs now, ConnectionId listener, const SegmentIn& segment, const Flow& flow,
                      uint32_t hash, TimeWaitEntry* old);
  void abandon(ConnectionId id);
  void receive_syn_sent(TimeNs now, ConnectionId id, const SegmentIn& segment);
  // True: the connection is established now and the segment is to be processed on.
  bool complete_open(TimeNs now, ConnectionId id, const SegmentIn& segment);
  void negotiate(TimeNs now, ConnectionId id, const TcpHeader& header);
  void established(TimeNs now, ConnectionId id);
  void reset_stranger(const SegmentIn& segment, const Flow& flow);

  // ---- receive_data.cpp
  void take_in_order(TimeNs now, ConnectionId id, ControlBlock& b, ConstBytes payload);
  void receive_data(TimeNs now, ConnectionId id, uint32_t seq, ConstBytes payload, bool fin);
  void take_fin(TimeNs now, ConnectionId id);
  void store(ConnectionId id, ControlBlock& b, uint32_t seq, ConstBytes payload);
  void take_urgent(ConnectionId id, const TcpHeader& header);
  void acknowledge_later(TimeNs now, ConnectionId id, ControlBlock& b);
  void acknowledge_now(ConnectionId id, ControlBlock& b);
  // Whether the ACK that is delayed goes out once the program has read everything (Linux tcp_cleanup_rbuf):
  // the peer has no more for now, perhaps because Nagle makes it wait, and no answer has carried ACKs lately.
  static bool awaits_reader(const ControlBlock& b) {
    return (b.flags & (kAckDelayed | kAckNow)) == kAckDelayed && b.pushed && !b.ping_pong;
  }
  static void note_push(ControlBlock& b, const TcpHeader& header) {
    b.pushed = header.has(kTcpPsh) || (b.pushed && b.has(kAckDelayed));
  }
  void measure_from_echo(TimeNs now, ConnectionId id, const ControlBlock& b, const SegmentIn& segment);
  static void settle_out_of_order(ControlBlock& b, const ColdBlock& c);
  static void note_arrival(ColdBlock& c, uint32_t seq);

  // ---- acknowledgment.cpp
  void take_ack(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t ack);
  void take_ack_slowly(TimeNs now, ConnectionId id, const SegmentIn& segment, uint32_t old_window);
  void sample_from_echo(TimeNs now, ControlBlock& b, const TcpHeader& header);
  void update_window(ConnectionId id, ControlBlock& b, const TcpHeader& header);
  void grow_window(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t acked);
  void take_sample(TimeNs now, ControlBlock& b);
  static const SackBlock* received_twice(const TcpHeader& header);
  void open_scoreboard(ConnectionId id);
  void recover(TimeNs now, ConnectionId id, uint32_t delivered, bool advanced);
  SendWindow send_window(const ControlBlock& b) const { return {b.snd_una, b.snd_nxt, b.mss}; }
  uint32_t in_flight(ConnectionId id, const ControlBlock& b) const {
    return b.has(kScoreboard) ? cold[id].recovery.in_flight(send_window(b)) : b.snd_nxt - b.snd_una;
  }

  static Moment moment(TimeNs now, const ControlBlock& b) {
    return {static_cast<uint32_t>(now / kMicrosecond), b.least_rtt_us, b.rtt.srtt / 8};
  }

  // ---- tail_probe.cpp
  void await_ack(TimeNs now, ConnectionId id, ControlBlock& b) {
    const bool probe = may_probe(b);
    arm_retransmit(now + (probe ? tail_probe_ns(b) : b.rtt.rto_ns()), id, b);
    if (probe) b.flags |= kTailProbe;
  }
  // So little that the peer may hold its ACK back (RFC 5681 section 4.2).
  static bool is_lone(const ControlBlock& b) { return b.snd_nxt - b.snd_una < 2u * b.mss; }
  static bool may_probe(const ControlBlock& b) {
    return (b.flags & (kSack | kProbing | kTimedOut)) == kSack && b.rtt.srtt != 0 &&
           !(is_lone(b) && b.has(kLateAcks));
  }
  static DurationNs tail_probe_ns(const ControlBlock& b) {
    const DurationNs slack = is_lone(b) ? kTailProbeSlack + kPeerAckDelay : kTailProbeSlack;
    return std::min(b.rtt.rto_ns(), 2 * b.rtt.srtt_ns() + slack);
  }
  void tail_probe_timeout(TimeNs now, ConnectionId id);
  bool emit_tail_probe(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out);
  void judge_probe(ConnectionId id, const TcpHeader& header, bool duplicate, const SackBlock* twice);

  // ---- output.cpp
  bool next_segment(TimeNs now, const Room& room, SegmentOut& out);
  bool next_of(IndexList& list, TimeNs now, uint32_t max_payload, SegmentOut& out);
  bool has_room_for_reply(const Room& room) const;
  bool emit(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out);
  void emit_last_reset(TimeNs now, ConnectionId id, SegmentOut& out);
  bool emit_retransmission(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out);
  void send_again(TimeNs now, ConnectionId id, const Interval& hole, uint32_t mss, uint32_t most,
                  SegmentOut& out);
  bool emit_new_data(TimeNs now, ConnectionId id, uint32_t max_payload, SegmentOut& out);
  void send_new(TimeNs now, ConnectionId id, uint32_t bytes, bool fin, uint32_t mss, SegmentOut& out);
  static uint32_t full_segment(const ControlBlock& b, uint32_t max_payload);
  static uint32_t largest_emission(const ControlBlock& b, uint32_t mss);
  uint32_t sendable(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t most, uint32_t mss);
  static bool may_send_small(const ControlBlock& b);
  Delivery::Limit what_stops(ConnectionId id, const ControlBlock& b) const;
  void note_data_sent(TimeNs now, ConnectionId id, ControlBlock& b);
  bool has_more(const ControlBlock& b) const;
  IndexList& output_of(ConnectionId id) { return blocks[id].has(kLoops) ? looped_output : output; }
  void queue_output(ConnectionId id) {
    if (!output_links.is_linked(id)) output_links.push_back(output_of(id), id);
  }

  // ---- header.cpp
  void emit_syn(TimeNs now, ConnectionId id, SegmentOut& out);
  void emit_reply(SegmentOut& out);
  void fill_header(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t seq, uint8_t flags,
                   SegmentOut& out);
  void fill_payload(ConnectionId id, const ControlBlock& b, uint32_t seq, uint32_t bytes, uint32_t mss,
                    SegmentOut& out);
  uint32_t syn_window(ConnectionId id) const;
  // As far as the peer may send, were it told now.
  uint32_t right_edge(ConnectionId id, const ControlBlock& b) const {
    const uint32_t edge = beyond(b.rx_limit, b.rcv_nxt - b.rx_read);
    return b.rcv_nxt + (way_holds == 0 ? edge : std::min(edge, most_on_its_way(id)));
  }
  uint16_t announce_window(ConnectionId id, ControlBlock& b);
  void add_urgent(ConnectionId id, ControlBlock& b, TcpHeader& header);
  void add_sack_blocks(ConnectionId id, ControlBlock& b, TcpOptions& options);

  // ---- timeouts.cpp
  void expire(TimeNs now);
  void expire_connection(TimeNs now, ConnectionId id);
  void retransmission_timeout(TimeNs now, ConnectionId id);
  void slow_timeout(TimeNs now, ConnectionId id);
  void resume(TimeNs now);
  void try_wider_path(TimeNs now, ConnectionId id);
  bool gives_up(TimeNs now, ConnectionId id);
  void start_persist(TimeNs now, ConnectionId id, DurationNs after);
  void restart_keepalive(TimeNs now, ConnectionId id);
  void arm_retransmit(TimeNs deadline, ConnectionId id, ControlBlock& b) {
    b.flags &= ~kTailProbe;
    b.retransmit_deadline = deadline;
    wheel.arm(id, deadline);
  }

  // ---- connection.cpp
  void use(ConnectionId id);          // makes the block of a fresh index usable
  void reuse_block(ConnectionId id);  // for a new connection under the same index
  void apply_options(ConnectionId id);
  void tune_receive_buffer(TimeNs now, ConnectionId id, ControlBlock& b);
  void tune_send_buffer(ConnectionId id, ControlBlock& b);
  void take_long_rings(ConnectionId id);
  void give_back_long_rings(ConnectionId id);
  void share_way(ConnectionId id, uint32_t holds);
  uint32_t most_on_its_way(ConnectionId id) const;
  void begin(TimeNs now, ConnectionId id, const Flow& flow, uint32_t hash, const Path& path, uint32_t iss);
  void set_mss(ConnectionId id);
  void use_path_mss(TimeNs now, ConnectionId id, uint16_t path_mss);
  uint16_t announced_mss(ConnectionId id) const;
  void leave_table(ConnectionId id);
  void leave_listener(ConnectionId id);
  void fail(ConnectionId id, int error);
  void finish(ConnectionId id);
  void discard(ConnectionId id);
  void reset_peer(TimeNs now, ConnectionId id);
  void enter_time_wait(TimeNs now, ConnectionId id);
  void acknowledge_from(TimeNs now, const TimeWaitEntry& entry);
  void remove_time_wait(uint32_t hash, TimeWaitEntry* entry);
  void raise(ConnectionId id, uint32_t bits);
  uint32_t initial_sequence(TimeNs now, const Flow& flow) const;
  uint32_t timestamp_offset(const Flow& flow) const;
  uint32_t timestamp(TimeNs now, uint32_t offset) const {
    return static_cast<uint32_t>(now / kTimestampTick) + offset;
  }

  // ---- program.cpp, buffers.cpp
  int bind(ConnectionId id, Endpoint& local, bool reuse_address, bool reuse_port);
  bool connections_forbid(const Endpoint& local, bool reuse_address, bool reuse_port) const;
  int listen(ConnectionId id, uint32_t backlog, bool reuse_address, bool reuse_port);
  int connect(TimeNs now, ConnectionId id, const Endpoint& remote, bool reuse_address, bool reuse_port);
  bool pick_port(TimeNs now, Flow& flow, uint32_t& least_iss);
  bool flow_is_free(TimeNs now, const Flow& flow, uint32_t& least_iss);
  std::optional<ConnectionId> accept(ConnectionId listener);
  bool wrote(ConnectionId id, uint32_t tx_written, uint32_t tx_base);
  bool urgent(ConnectionId id, uint32_t tx_urgent);
  bool read(TimeNs now, ConnectionId id, uint32_t rx_read);
  int shutdown_write(ConnectionId id);
  int disconnect(TimeNs now, ConnectionId id);
  void give_back_port(ConnectionId id);
  void set_options(TimeNs now, ConnectionId id, const Options& options);
  void close(TimeNs now, ConnectionId id, bool abort);
  void close_listener(TimeNs now, ConnectionId id);

  uint32_t ring_bytes(const ControlBlock& b) const {
    return b.has(kLongRings) ? streams.long_bytes : streams.stream_bytes;
  }
  uint8_t* rx_ring(ConnectionId id, const ControlBlock& b) const {
    if (b.has(kLongRings)) [[unlikely]]
      return long_rx_ring(id);
    return streams.base + id * streams.stride + streams.rx_offset;
  }
  const uint8_t* tx_ring(ConnectionId id, const ControlBlock& b) const {
    if (b.has(kLongRings)) [[unlikely]]
      return long_rx_ring(id) + streams.long_bytes;
    return streams.base + id * streams.stride + streams.tx_offset;
  }
  uint8_t* long_rx_ring(ConnectionId id) const {
    return streams.long_base + 2 * uint64_t{streams.long_bytes} * (cold[id].long_rings - 1);
  }
  uint32_t find(uint32_t hash, const Flow& flow) const {
    return table.find(hash, flow, [this](uint32_t i) -> const Flow& { return blocks[i].flow; });
  }

  const Limits limits;
  const Streams streams;
  const uint8_t rcv_scale;
  IndexPool& ids;
  const SipKey secret;
  Random& random;
  PathLookup path_lookup = nullptr;
  void* path_context = nullptr;

  ControlBlock* const blocks;
  ColdBlock* const cold;
  const FlowHash hasher;
  FlowTable table;
  TimeWait time_wait;
  Ports ports;
  TimerWheel wheel;

  IndexLinks output_links;
  IndexList output;         // has something to send, or may have
  IndexList looped_output;  // the same to ourselves, which goes on when the link does not
  IndexLinks event_links;
  IndexList events;
  std::vector<uint32_t> event_bits;
  IndexLinks child_links;
  std::vector<ListenerQueue> listeners;
  std::vector<uint32_t> free_long_rings;
  uint32_t half_open = 0;
  uint32_t way_holds = 0;  // Path::holds of those that share their way
  uint32_t sharing = 0;    // how many do

  ReplyQueue replies;
  Counters counters;
};

}  // namespace skerry::tcp
