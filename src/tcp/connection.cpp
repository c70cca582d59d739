// Life and death of a control block: RFC 9293 sections 3.3.2 and 3.6, initial sequence numbers by RFC 6528.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/check.hpp"
#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

uint8_t receive_scale(uint32_t ring_bytes) {
  uint8_t scale = 0;
  while ((ring_bytes >> scale) > UINT16_MAX) ++scale;
  return scale;
}

}  // namespace

ArenaLayout::ArenaLayout(const Limits& limits)
    : cold(aligned(limits.connections * sizeof(ControlBlock))),
      time_wait(cold + aligned(limits.connections * sizeof(ColdBlock))),
      end(time_wait + aligned(limits.time_wait * sizeof(TimeWaitEntry))) {}

Tcp::Impl::Impl(Bytes arena, const Limits& the_limits, const Streams& the_streams, IndexPool& the_ids,
                const SipKey& the_secret, Random& the_random)
    : limits(the_limits),
      streams(the_streams),
      rcv_scale(receive_scale(std::max(the_streams.stream_bytes, the_streams.long_bytes))),
      ids(the_ids),
      secret(the_secret),
      random(the_random),
      blocks(reinterpret_cast<ControlBlock*>(arena.data())),
      cold(reinterpret_cast<ColdBlock*>(arena.data() + ArenaLayout(limits).cold)),
      hasher(secret),
      table(limits.connections),
      time_wait(reinterpret_cast<TimeWaitEntry*>(arena.data() + ArenaLayout(limits).time_wait),
                limits.time_wait),
      ports(blocks, cold, limits.connections),
      wheel(limits.connections),
      output_links(limits.connections),
      event_links(limits.connections),
      event_bits(limits.connections),
      child_links(limits.connections),
      listeners(limits.connections) {
  CHECK(arena.size() >= ArenaLayout(limits).end);
  CHECK(reinterpret_cast<uintptr_t>(arena.data()) % alignof(ControlBlock) == 0);
  CHECK(limits.time_wait > 0);
  CHECK(std::has_single_bit(streams.stream_bytes) && streams.stream_bytes >= 2);
  CHECK(streams.stream_bytes <= kMaxStreamBytes && ids.capacity() <= limits.connections);
  CHECK(streams.long_rings == 0 || std::has_single_bit(streams.long_bytes));
  CHECK(streams.long_bytes <= kMaxStreamBytes);
  for (uint32_t pair = streams.long_rings; pair > 0; --pair) free_long_rings.push_back(pair - 1);
}

void Tcp::Impl::use(ConnectionId id) {
  if (blocks[id].has(kInUse)) return;
  cold[id] = {};
  reuse_block(id);
}

// Everything as new but what belongs to the socket: options and the bound address. Positions begin at 0,
// which is the sequence number after a (still unknown) initial one.
void Tcp::Impl::reuse_block(ConnectionId id) {
  give_back_long_rings(id);
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  ColdBlock fresh;
  fresh.options = c.options;
  fresh.bound = c.bound;
  fresh.reuse_address = c.reuse_address;
  fresh.reuse_port = c.reuse_port;
  fresh.port_was_picked = c.port_was_picked;
  c = fresh;
  b = ControlBlock{};
  b.flags = kInUse | kOwned;
  b.iss = b.irs = UINT32_MAX;
  b.retransmit_deadline = b.slow_deadline = kNever;
  apply_options(id);
}

uint32_t Tcp::Impl::initial_sequence(TimeNs now, const Flow& flow) const {
  uint8_t bytes[sizeof(Flow)];
  std::memcpy(bytes, &flow, sizeof flow);
  constexpr DurationNs kClock = 4 * kMicrosecond;  // RFC 6528 section 3, M
  return static_cast<uint32_t>(siphash24(secret, bytes) + now / kClock);
}

uint32_t Tcp::Impl::timestamp_offset(const Flow& flow) const {
  // The same for all connections of a pair of hosts, so that time never runs backwards for a peer that keeps
  // our last TSval in TIME-WAIT (RFC 6191), and yet unknown to others (RFC 7323 section 5.4).
  uint8_t bytes[33];
  std::memcpy(bytes, flow.local.bytes.data(), 16);
  std::memcpy(bytes + 16, flow.remote.bytes.data(), 16);
  bytes[32] = 't';
  return static_cast<uint32_t>(siphash24(secret, bytes));
}

void Tcp::Impl::begin(TimeNs now, ConnectionId id, const Flow& flow, uint32_t hash, const Path& path,
                      uint32_t iss) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  b.flow = flow;
  b.iss = iss;
  b.snd_una = b.snd_nxt = iss;
  b.snd_end = b.tx_base = b.snd_small = iss + 1;
  b.ts_offset = timestamp_offset(flow);
  b.super_frame = path.super_frame;
  if (path.loops) b.flags |= kLoops;
  b.last_heard = b.last_sent = now;
  b.rtt = {};
  b.ssthresh = UINT32_MAX;
  b.scales = 0;
  c.link_mss = path.link_mss;
  share_way(id, path.holds);
  c.peer_mss = kDefaultMss;
  use_path_mss(now, id, path.mss);
  b.cwnd = b.mss;
  table.insert(hash, id);
  ports.connection_opened(flow.local_port, c.reuse_address, c.reuse_port);
}

void Tcp::Impl::use_path_mss(TimeNs now, ConnectionId id, uint16_t path_mss) {
  ControlBlock& b = blocks[id];
  ColdBlock& c = cold[id];
  c.path_mss = path_mss;
  set_mss(id);
  b.flags &= ~kSmallPath;
  if (path_mss >= c.link_mss) return;
  b.flags |= kSmallPath;
  c.path_deadline = now + kPathMtuExpires;
  wheel.arm(id, c.path_deadline);
}

// RFC 6691: what we announce is what we can take.
uint16_t Tcp::Impl::announced_mss(ConnectionId id) const {
  const ColdBlock& c = cold[id];
  return c.options.max_segment != 0 ? std::min(c.options.max_segment, c.link_mss) : c.link_mss;
}

void Tcp::Impl::set_mss(ConnectionId id) {
  ControlBlock& b = blocks[id];
  const ColdBlock& c = cold[id];
  // What the peer or the program asks for has a least value; what the path can take is a fact.
  uint32_t wanted = c.peer_mss;
  if (c.options.max_segment != 0) wanted = std::min<uint32_t>(wanted, c.options.max_segment);
  const uint32_t mss = std::min<uint32_t>(c.path_mss, std::max<uint32_t>(wanted, kLeastMss));
  b.mss = static_cast<uint16_t>(mss - (b.has(kTimestamps) ? kTimestampBytes : 0));  // RFC 6691
}

void Tcp::Impl::leave_table(ConnectionId id) {
  ControlBlock& b = blocks[id];
  table.erase(hasher(b.flow), id);
  if (cold[id].shares_way) --sharing;
  cold[id].shares_way = false;
  ports.connection_closed(b.flow.local_port);
  b.retransmit_deadline = b.slow_deadline = kNever;
  wheel.disarm(id);
  if (output_links.is_linked(id)) output_links.remove(output_of(id), id);
}

void Tcp::Impl::leave_listener(ConnectionId id) {
  ColdBlock& c = cold[id];
  if (c.parent == kNoConnection) return;
  ListenerQueue& queue = listeners[c.parent];
  if (blocks[id].state == State::syn_received) {
    child_links.remove(queue.half_open, id);
    --half_open;
  } else {
    child_links.remove(queue.ready, id);
    --queue.ready_count;
  }
  c.parent = kNoConnection;
}

// The connection ends with an error: reset, timed out, refused.
void Tcp::Impl::fail(ConnectionId id, int error) {
  ControlBlock& b = blocks[id];
  if (b.state == State::syn_received && cold[id].parent != kNoConnection) {
    abandon(id);
    return;
  }
  cold[id].error = error;
  leave_table(id);
  give_back_port(id);
  if (b.state < State::established)
    b.snd_una = b.iss + 1;  // positions stay meaningful: nothing is acknowledged
  b.state = State::closed;
  raise(id, kFailed);
  if (b.has(kOrphan)) discard(id);
}

// What ended, or was undone, holds its port only if somebody asked for that one (Linux tcp_set_state).
void Tcp::Impl::give_back_port(ConnectionId id) {
  ColdBlock& c = cold[id];
  if (c.bound.port == 0 || !c.port_was_picked) return;
  ports.release(id, c.bound.port);
  c.bound.port = 0;
}

// The connection ends in order.
void Tcp::Impl::finish(ConnectionId id) {
  ControlBlock& b = blocks[id];
  leave_table(id);
  give_back_port(id);
  b.state = State::closed;
  raise(id, kFinished);
  if (b.has(kOrphan)) discard(id);
}

// TCP is done with the index: back to the pool, or to the program that holds it.
void Tcp::Impl::discard(ConnectionId id) {
  ControlBlock& b = blocks[id];
  const bool owned = b.has(kOwned);
  if (cold[id].bound.port != 0) ports.release(id, cold[id].bound.port);
  give_back_long_rings(id);
  b = ControlBlock{};
  cold[id].bound = {};
  event_bits[id] = 0;
  if (event_links.is_linked(id)) event_links.remove(events, id);
  if (owned) {
    event_bits[id] = kGone;
    event_links.push_back(events, id);
  } else {
    ids.release(id);
  }
}

void Tcp::Impl::reset_peer(TimeNs now, ConnectionId id) {
  const ControlBlock& b = blocks[id];
  Reply reply{.flow = b.flow, .seq = b.snd_nxt, .ack = b.rcv_nxt, .flags = kTcpRst | kTcpAck};
  if (b.has(kTimestamps)) {
    reply.has_timestamps = true;
    reply.ts_value = timestamp(now, b.ts_offset);
    reply.ts_echo = b.ts_recent;
  }
  if (replies.push(reply)) ++counters.resets_out;
}

void Tcp::Impl::enter_time_wait(TimeNs now, ConnectionId id) {
  ControlBlock& b = blocks[id];
  TimeWaitEntry entry;
  entry.flow = b.flow;
  entry.snd_nxt = b.snd_nxt;
  entry.rcv_nxt = b.rcv_nxt;
  entry.rcv_wnd = b.rcv_adv - b.rcv_nxt;
  entry.rcv_scale = b.rcv_scale();
  entry.timestamps = b.has(kTimestamps);
  entry.ts_recent = b.ts_recent;
  entry.ts_offset = b.ts_offset;
  entry.reuse_address = cold[id].reuse_address;
  entry.reuse_port = cold[id].reuse_port;
  entry.since = now;
  entry.deadline = now + kTimeWait;
  finish(id);
  acknowledge_from(now, entry);
  TimeWaitEntry dropped;
  ports.connection_opened(entry.flow.local_port, entry.reuse_address, entry.reuse_port);
  if (time_wait.add(hasher(entry.flow), entry, dropped, hasher))
    ports.connection_closed(dropped.flow.local_port);
}

// The ACK that TIME-WAIT owes for a FIN, or for a segment that lies outside its window.
void Tcp::Impl::acknowledge_from(TimeNs now, const TimeWaitEntry& entry) {
  Reply reply{.flow = entry.flow, .seq = entry.snd_nxt, .ack = entry.rcv_nxt, .flags = kTcpAck};
  reply.window = static_cast<uint16_t>(std::min<uint32_t>(entry.rcv_wnd >> entry.rcv_scale, UINT16_MAX));
  if (entry.timestamps) {
    reply.has_timestamps = true;
    reply.ts_value = timestamp(now, entry.ts_offset);
    reply.ts_echo = entry.ts_recent;
  }
  replies.push(reply);
}

void Tcp::Impl::remove_time_wait(uint32_t hash, TimeWaitEntry* entry) {
  ports.connection_closed(entry->flow.local_port);
  time_wait.remove(hash, entry);
}

void Tcp::Impl::raise(ConnectionId id, uint32_t bits) {
  const uint32_t flags = blocks[id].flags;
  if (flags & kOrphan) return;
  event_bits[id] |= bits;
  // A connection that waits for accept() keeps its bits until the program knows the index.
  if ((flags & kOwned) && !event_links.is_linked(id)) event_links.push_back(events, id);
}

}  // namespace skerry::tcp
