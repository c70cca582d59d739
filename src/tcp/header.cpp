// What a segment of ours says: the fields of its header, the window it announces, its options, and where its
// payload lies (RFC 9293 section 3.1, RFC 7323, RFC 2018 section 4, RFC 2883).
#include <algorithm>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

void Tcp::Impl::emit_syn(TimeNs now, ConnectionId id, SegmentOut& out) {
  ControlBlock& b = blocks[id];
  const bool passive = b.state == State::syn_received;
  b.flags &= ~kSynDue;
  fill_header(now, id, b, b.iss, passive ? kTcpSyn | kTcpAck : kTcpSyn, out);
  fill_payload(id, b, b.iss, 0, b.mss, out);
  TcpHeader& header = out.header;
  TcpOptions& options = header.options;
  // A SYN-ACK says yes to what the SYN offered; a SYN offers all. Its window is never scaled.
  header.window = static_cast<uint16_t>(syn_window(id));
  if (passive) b.rcv_adv = b.rcv_nxt + header.window;
  options.has_mss = true;
  options.mss = announced_mss(id);
  options.has_window_scale = !passive || b.scales != 0;
  options.window_scale = rcv_scale;
  options.sack_permitted = !passive || b.has(kSack);
  options.has_timestamps = !passive || b.has(kTimestamps);
  options.ts_value = timestamp(now, b.ts_offset);
  options.ts_echo = passive ? b.ts_recent : 0;
  b.snd_nxt = b.iss + 1;
  if (b.retransmit_deadline == kNever) {
    b.flags |= kTiming;
    b.rtt_seq = b.snd_nxt;
    b.rtt_start = now;
    arm_retransmit(now + b.rtt.rto_ns(), id, b);
  }
}

void Tcp::Impl::emit_reply(SegmentOut& out) {
  const Reply reply = replies.pop();
  out.source = reply.flow.local;
  out.destination = reply.flow.remote;
  out.header = {};
  out.header.source_port = reply.flow.local_port;
  out.header.destination_port = reply.flow.remote_port;
  out.header.seq = reply.seq;
  out.header.ack = reply.ack;
  out.header.flags = reply.flags;
  out.header.window = reply.window;
  out.header.options.has_timestamps = reply.has_timestamps;
  out.header.options.ts_value = reply.ts_value;
  out.header.options.ts_echo = reply.ts_echo;
  out.payload[0] = out.payload[1] = {};
  out.gso_size = 0;
  out.ttl = Options{}.ttl;
  out.type_of_service = 0;
}

void Tcp::Impl::fill_header(TimeNs now, ConnectionId id, ControlBlock& b, uint32_t seq, uint8_t flags,
                            SegmentOut& out) {
  out.source = b.flow.local;
  out.destination = b.flow.remote;
  out.ttl = b.ttl;
  out.type_of_service = b.type_of_service;
  TcpHeader& header = out.header;
  header.source_port = b.flow.local_port;
  header.destination_port = b.flow.remote_port;
  header.seq = seq;
  header.ack = (flags & kTcpAck) != 0 ? b.rcv_nxt : 0;
  header.flags = flags;
  header.checksum = header.urgent = 0;
  header.window = announce_window(id, b);
  TcpOptions& options = header.options;
  options.has_mss = options.has_window_scale = options.sack_permitted = false;
  options.sack_count = 0;
  options.has_timestamps = b.has(kTimestamps);
  if (options.has_timestamps) {
    options.ts_value = timestamp(now, b.ts_offset);
    options.ts_echo = b.ts_recent;
  }
  if (b.has(kOutOfOrder) && b.has(kSack)) add_sack_blocks(id, b, options);
  if (b.has(kUrgentOut)) [[unlikely]]
    add_urgent(id, b, header);
  b.last_ack_sent = b.rcv_nxt;
  b.flags &= ~(kAckNow | kAckDelayed);
}

void Tcp::Impl::fill_payload(ConnectionId id, const ControlBlock& b, uint32_t seq, uint32_t bytes,
                             uint32_t mss, SegmentOut& out) {
  const uint8_t* const ring = tx_ring(id, b);
  const uint32_t capacity = ring_bytes(b);
  const uint32_t at = (seq - b.tx_base) & (capacity - 1);
  const uint32_t first = std::min(bytes, capacity - at);
  out.payload[0] = {ring + at, first};
  out.payload[1] = {ring, bytes - first};
  out.gso_size = bytes > mss ? static_cast<uint16_t>(mss) : 0;
}

// A SYN's window is the same whenever it is sent again.
uint32_t Tcp::Impl::syn_window(ConnectionId id) const {
  const uint32_t most = cold[id].shares_way ? kLeastShareSegments * cold[id].link_mss : uint32_t{UINT16_MAX};
  return std::min({blocks[id].rx_limit, most, uint32_t{UINT16_MAX}});
}

// The window field, and the promise that goes with it. Receiver silly-window avoidance (RFC 9293 section
// 3.8.6.2.2): the right edge moves by a full segment or half the buffer, or not at all; it never moves back.
uint16_t Tcp::Impl::announce_window(ConnectionId id, ControlBlock& b) {
  const uint32_t edge = right_edge(id, b);
  const uint32_t step = beyond(edge, b.rcv_adv);
  const bool worth_it = step >= std::min<uint32_t>(b.rcv_mss, b.rx_limit / 2);
  const uint32_t window = beyond(worth_it ? edge : b.rcv_adv, b.rcv_nxt);
  const uint8_t scale = b.rcv_scale();
  const uint32_t field = std::min<uint32_t>(window >> scale, UINT16_MAX);
  b.rcv_adv = later(b.rcv_adv, b.rcv_nxt + (field << scale));
  return static_cast<uint16_t>(field);
}

// The pointer is to the byte after the urgent one (RFC 6093 section 3.2), and if that is further than it
// reaches, as far as it does.
void Tcp::Impl::add_urgent(ConnectionId id, ControlBlock& b, TcpHeader& header) {
  const uint32_t snd_up = cold[id].snd_up;
  if (at_or_before(snd_up, b.snd_una)) b.flags &= ~kUrgentOut;
  if (!before(header.seq, snd_up) || header.has(kTcpRst)) return;
  header.flags |= kTcpUrg;
  header.urgent = static_cast<uint16_t>(std::min<uint32_t>(snd_up - header.seq, UINT16_MAX));
}

// RFC 2018 section 4: the block that grew last comes first; before it a duplicate (RFC 2883 section 4).
void Tcp::Impl::add_sack_blocks(ConnectionId id, ControlBlock& b, TcpOptions& options) {
  ColdBlock& c = cold[id];
  const uint8_t most = options.has_timestamps ? 3 : 4;
  uint8_t count = 0;
  if (c.duplicate.bytes() > 0) options.sack[count++] = {c.duplicate.left, c.duplicate.right};
  c.duplicate = {};
  const auto add = [&](const Interval& interval) {
    for (uint8_t i = 0; i < count; ++i)
      if (options.sack[i] == SackBlock{interval.left, interval.right}) return;
    if (count < most) options.sack[count++] = {interval.left, interval.right};
  };
  for (uint32_t i = 0; i < c.recent_count; ++i)
    if (const Interval* interval = c.out_of_order.find(c.recent[i])) add(*interval);
  for (const Interval& interval : c.out_of_order) add(interval);
  options.sack_count = count;
  settle_out_of_order(b, c);
}

}  // namespace skerry::tcp
