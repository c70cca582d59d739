// The answer to Op::info.
#include <algorithm>

#include "sockets/server.hpp"
#include "sockets/session_info.hpp"

namespace skerry::sockets {
namespace {

uint64_t pair(uint64_t high, uint64_t low) {
  return std::min<uint64_t>(high, UINT32_MAX) << 32 | std::min<uint64_t>(low, UINT32_MAX);
}

uint64_t milliseconds_since(TimeNs now, TimeNs then) {
  return now > then ? (now - then) / kMillisecond : 0;
}

}  // namespace

void Server::info(TimeNs now, Call& request) const {
  const uint32_t id = request.socket;
  const tcp::Info info = tcp_.info(id);
  uint64_t* const value = request.value;
  value[kInfoState] = static_cast<uint64_t>(info.state) | static_cast<uint64_t>(info.congestion) << 8 |
                      uint64_t{info.send_scale} << 16 | uint64_t{info.receive_scale} << 20 |
                      uint64_t{info.timestamps} << 24 | uint64_t{info.sack} << 25;
  value[kInfoMss] = pair(info.mss, info.receive_mss);
  value[kInfoPath] = pair(info.advertised_mss, info.path_mtu);
  value[kInfoRtt] = pair(info.smoothed_rtt / kMicrosecond, info.rtt_variance / kMicrosecond);
  value[kInfoTimeout] = pair(info.retransmission_timeout / kMicrosecond, info.least_rtt_us);
  value[kInfoWindow] = pair(info.congestion_window, info.slow_start_threshold);
  value[kInfoPeerWindow] = pair(info.peer_window, info.unsent);
  value[kInfoOutstanding] = pair(info.outstanding, info.sacked);
  value[kInfoLost] = pair(info.lost, info.resent);
  value[kInfoTries] = pair(info.timeouts, uint64_t{info.doublings & 0xff} << 16 | (info.probes & 0xff));
  value[kInfoRetransmits] = pair(info.retransmissions, info.duplicate_sacks);
  value[kInfoOrder] = pair(info.out_of_order_in, info.reordering_seen);
  value[kInfoBuffers] = pair(info.receive_buffer, info.send_buffer);
  value[kInfoSegments] = pair(info.segments_out, info.segments_in);
  value[kInfoDataSegments] = pair(info.data_segments_out, info.data_segments_in);
  value[kInfoAcked] = info.bytes_acked;
  value[kInfoReceived] = info.bytes_received;
  value[kInfoSent] = info.bytes_sent;
  value[kInfoResent] = info.bytes_resent;
  const Socket& socket = sockets_[id];
  const uint32_t read = view_.in(id).rx_read.load(std::memory_order_relaxed);
  value[kInfoQueue] = socket.listening ? pair((socket.rx_written - read) / 4, info.backlog) : 0;
  value[kInfoLastSent] = milliseconds_since(now, info.last_sent);
  value[kInfoLastReceived] = milliseconds_since(now, info.last_received);
  value[kInfoLastHeard] = milliseconds_since(now, info.last_heard);
  using Limit = tcp::Delivery::Limit;
  const auto waited_us = [&](Limit limit) {
    const bool still = info.delivery.limit() == limit && info.state >= tcp::State::established;
    return (info.delivery.waited(limit) + (still ? now - info.delivery.since() : 0)) / kMicrosecond;
  };
  value[kInfoRate] = info.delivery.bytes_per_second();
  value[kInfoReceiveRtt] = pair(info.receive_rtt_us, info.delivery.rate_is_the_programs());
  value[kInfoWindowStops] = waited_us(Limit::window);
  value[kInfoBufferStops] = waited_us(Limit::buffer);
  value[kInfoBusy] = waited_us(Limit::network) + value[kInfoWindowStops] + value[kInfoBufferStops];
}

}  // namespace skerry::sockets
