// What others see of a connection: getsockopt(TCP_INFO) and `skerry ss`.
#include <algorithm>

#include "tcp/constants.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {
namespace {

Info::Congestion congestion(const ControlBlock& b, const ColdBlock& c) {
  if (!b.has(kScoreboard)) return Info::Congestion::open;
  switch (c.recovery.phase()) {
    case Recovery::Phase::open:
      return Info::Congestion::disorder;
    case Recovery::Phase::fast:
      return Info::Congestion::recovery;
    case Recovery::Phase::loss:
      break;
  }
  return Info::Congestion::loss;
}

}  // namespace

Info Tcp::info(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  const ColdBlock& c = impl_->cold[id];
  Info info;
  info.state = b.state;
  if (!b.has(kInUse)) return info;
  info.local = local(id);
  info.remote = remote(id);
  info.rx_queue = b.rx_written() - (b.rx_read - b.irs - 1);
  info.tx_queue = b.tx_written() - b.tx_acked();
  info.mss = b.mss;
  info.congestion_window = b.cwnd;
  info.slow_start_threshold = b.ssthresh;
  info.peer_window = b.snd_wnd;
  info.receive_window = b.rcv_adv - b.rcv_nxt;
  info.smoothed_rtt = b.rtt.srtt_ns();
  info.rtt_variance = b.rtt.variance_ns();
  info.retransmission_timeout = b.rtt.rto_ns(c.doublings);
  info.bytes_acked = uint64_t{b.acked_wraps} << 32 | b.tx_acked();
  info.bytes_received = uint64_t{b.received_wraps} << 32 | b.rx_written();
  info.segments_out = b.segments_out;
  info.segments_in = b.segments_in;
  info.retransmissions = c.retransmissions;
  info.send_scale = b.snd_scale();
  info.receive_scale = b.rcv_scale();
  info.timestamps = b.has(kTimestamps);
  info.sack = b.has(kSack);

  const bool connected = b.state >= State::established;
  info.outstanding = connected ? b.snd_nxt - b.snd_una : 0;
  info.unsent = connected && before(b.snd_nxt, b.snd_end) ? b.snd_end - b.snd_nxt : 0;
  if (b.has(kScoreboard)) {
    info.sacked = c.recovery.sacked_bytes();
    info.lost = c.recovery.lost_bytes();
    info.resent = c.recovery.resent_bytes();
  }
  info.receive_mss = b.rcv_mss;
  info.advertised_mss = impl_->announced_mss(id);
  info.path_mtu = c.path_mss == 0 ? 0 : c.path_mss + (b.flow.remote.is_v4() ? 40u : 60u);
  info.receive_buffer = b.rx_limit;
  info.send_buffer = b.tx_limit;
  info.least_rtt_us = b.least_rtt_us;
  info.timeouts = c.retries;
  info.doublings = c.doublings;
  info.probes = b.has(kPersist) ? c.retries : c.keep_probes;
  info.congestion = congestion(b, c);
  info.reordering_seen = c.recovery.reordering_seen();
  info.last_sent = b.last_sent;
  info.last_received = b.last_data_heard;
  info.last_heard = b.last_heard;
  info.bytes_resent = c.resent_bytes;
  info.bytes_sent = info.bytes_acked + info.outstanding + c.resent_bytes;
  info.data_segments_out = b.data_segments_out + c.retransmissions;
  info.data_segments_in = b.data_segments_in;
  info.duplicate_sacks = c.duplicate_sacks;
  info.out_of_order_in = c.out_of_order_in;
  info.backlog = c.backlog;
  info.receive_rtt_us = c.rcv_rtt / 8;
  info.delivery = c.delivery;
  return info;
}

void Tcp::for_each(Visitor visit, void* context) const {
  for (ConnectionId id = 0; id < impl_->limits.connections; ++id)
    if (impl_->blocks[id].has(kInUse)) visit(context, id, info(id));
  impl_->time_wait.for_each([&](const TimeWaitEntry& entry) {
    Info info;
    info.state = State::time_wait;
    info.local = {entry.flow.local, entry.flow.local_port};
    info.remote = {entry.flow.remote, entry.flow.remote_port};
    info.timestamps = entry.timestamps;
    visit(context, kNoConnection, info);
  });
}

}  // namespace skerry::tcp
