// What a program may have in its rings, as Linux has it: SO_RCVBUF and SO_SNDBUF where they were set, else
// buffers that begin small and grow with what the connection shows it can use, up to the rings.
#include <algorithm>
#include <bit>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

void Tcp::Impl::apply_options(ConnectionId id) {
  ControlBlock& b = blocks[id];
  const Options& options = cold[id].options;
  b.flags &= ~(kNoDelay | kCork | kQuickAck | kKeepAlive);
  b.flags |= (options.no_delay ? kNoDelay : 0u) | (options.cork ? kCork : 0u) |
             (options.quick_ack ? kQuickAck : 0u) | (options.keep_alive ? kKeepAlive : 0u);
  const uint32_t least = std::max(kFirstReceiveBuffer, 2 * std::min(options.receive_low, ring_bytes(b)));
  const uint32_t receive = options.receive_buffer != 0 ? options.receive_buffer : std::max(b.rx_limit, least);
  const uint32_t send =
      options.send_buffer != 0 ? options.send_buffer : std::max(b.tx_limit, kFirstSendBuffer);
  b.rx_limit = std::min(receive, ring_bytes(b));
  b.tx_limit = std::min(send, ring_bytes(b));
  b.ttl = options.ttl;
  b.type_of_service = options.type_of_service;
}

// Only while nothing was written or received: what is in a ring cannot move.
void Tcp::Impl::take_long_rings(ConnectionId id) {
  ControlBlock& b = blocks[id];
  if (b.rtt.srtt_ns() < kLongPath || free_long_rings.empty() || b.tx_written() != 0 || b.rx_written() != 0)
    return;
  cold[id].long_rings = free_long_rings.back() + 1;
  free_long_rings.pop_back();
  b.flags |= kLongRings;
  apply_options(id);
}

void Tcp::Impl::give_back_long_rings(ConnectionId id) {
  if (blocks[id].has(kLongRings)) free_long_rings.push_back(cold[id].long_rings - 1);
  blocks[id].flags &= ~kLongRings;
  cold[id].long_rings = 0;
}

// A way that waits for nobody and loses what it has no room for (Path::holds): whoever sends to us over it
// may have so much on the way to all our connections together. A window that was offered stays, so a new
// connection begins with a little.
void Tcp::Impl::share_way(ConnectionId id, uint32_t holds) {
  cold[id].shares_way = holds != 0;
  if (holds == 0) return;
  way_holds = holds;
  ++sharing;
}

uint32_t Tcp::Impl::most_on_its_way(ConnectionId id) const {
  if (!cold[id].shares_way) return UINT32_MAX;
  return std::max(way_holds / sharing, kLeastShareSegments * blocks[id].mss);
}

// Dynamic right-sizing (Linux tcp_rcv_space_adjust): the window is twice what the program reads in a round
// trip. Asked when half a window was read.
void Tcp::Impl::tune_receive_buffer(TimeNs now, ConnectionId id, ControlBlock& b) {
  const uint32_t now_us = static_cast<uint32_t>(now / kMicrosecond);
  const uint32_t took_us = now_us - b.tuned_us;
  b.tuned_at = b.rx_read;
  b.tuned_us = now_us;
  if (took_us > std::max<DurationNs>(b.rtt.srtt / 8, kPromptRead / kMicrosecond)) return;
  if (cold[id].options.receive_buffer != 0) return;
  b.rx_limit = std::min(2 * b.rx_limit, ring_bytes(b));
}

// Asked when the congestion window grew. What the program set stays.
void Tcp::Impl::tune_send_buffer(ConnectionId id, ControlBlock& b) {
  if (b.tx_limit >= ring_bytes(b) || cold[id].options.send_buffer != 0) return;
  const uint64_t segments = std::max(b.cwnd / b.mss, kInitialWindowSegments);
  const uint64_t each = std::bit_ceil(b.mss + kSegmentHeadroom) + kSegmentOverhead;
  const uint64_t wanted = std::min<uint64_t>(kSendBufferWindows * segments * each, ring_bytes(b));
  b.tx_limit = std::max(b.tx_limit, static_cast<uint32_t>(wanted));
}

}  // namespace skerry::tcp
