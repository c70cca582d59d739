#include "sockets/client_tcp_info.hpp"

#include <linux/tcp.h>

#include <algorithm>
#include <cstring>

#include "sockets/client_call.hpp"
#include "sockets/session_info.hpp"
#include "tcp/tcp.hpp"

namespace skerry::sockets::client {
namespace {

// tcp::State to the kernel's TCP_ESTABLISHED, ... (net/tcp_states.h).
constexpr uint8_t kKernelState[] = {7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6};
constexpr uint32_t kNoThreshold = 0x7fff'ffff;  // TCP_INFINITE_SSTHRESH, in segments
constexpr uint32_t kUsualReordering = 3;        // tcp(7) tcp_reordering
constexpr uint32_t kAckDelayUs = 40'000;        // TCP_ATO_MIN

uint32_t high(uint64_t both) {
  return static_cast<uint32_t>(both >> 32);
}
uint32_t low(uint64_t both) {
  return static_cast<uint32_t>(both);
}

// The kernel counts segments where TCP counts bytes.
uint32_t segments(uint32_t bytes, uint32_t mss) {
  return bytes / mss + (bytes % mss != 0);
}

void fill_state(const uint64_t* value, tcp_info& info) {
  const uint64_t state = value[kInfoState];
  info.tcpi_state = kKernelState[std::min<size_t>(state & 0xff, sizeof kKernelState - 1)];
  info.tcpi_ca_state = state >> 8 & 0xff;
  info.tcpi_snd_wscale = state >> 16 & 15;
  info.tcpi_rcv_wscale = state >> 20 & 15;
  info.tcpi_options = static_cast<uint8_t>((state >> 24 & 1 ? TCPI_OPT_TIMESTAMPS : 0) |
                                           (state >> 25 & 1 ? TCPI_OPT_SACK : 0) |
                                           (state >> 16 & 0xff ? TCPI_OPT_WSCALE : 0));
  info.tcpi_retransmits = static_cast<uint8_t>(high(value[kInfoTries]));
  info.tcpi_backoff = static_cast<uint8_t>(value[kInfoTries] >> 16);
  info.tcpi_probes = static_cast<uint8_t>(value[kInfoTries]);
}

void fill_sending(const uint64_t* value, tcp_info& info) {
  const uint32_t mss = std::max(high(value[kInfoMss]), 1u);
  info.tcpi_unacked = segments(high(value[kInfoOutstanding]), mss);
  info.tcpi_sacked = segments(low(value[kInfoOutstanding]), mss);
  info.tcpi_lost = segments(high(value[kInfoLost]), mss);
  info.tcpi_retrans = segments(low(value[kInfoLost]), mss);
  info.tcpi_snd_cwnd = high(value[kInfoWindow]) / mss;
  const uint32_t threshold = low(value[kInfoWindow]);
  info.tcpi_snd_ssthresh = threshold == UINT32_MAX ? kNoThreshold : threshold / mss;
  info.tcpi_snd_wnd = high(value[kInfoPeerWindow]);
  info.tcpi_notsent_bytes = low(value[kInfoPeerWindow]);
  info.tcpi_reordering = kUsualReordering;
  info.tcpi_reord_seen = low(value[kInfoOrder]);
  info.tcpi_total_retrans = high(value[kInfoRetransmits]);
  info.tcpi_dsack_dups = low(value[kInfoRetransmits]);
  info.tcpi_bytes_acked = value[kInfoAcked];
  info.tcpi_bytes_sent = value[kInfoSent];
  info.tcpi_bytes_retrans = value[kInfoResent];
  info.tcpi_segs_out = high(value[kInfoSegments]);
  info.tcpi_data_segs_out = high(value[kInfoDataSegments]);
  const uint32_t undelivered = info.tcpi_unacked - std::min(info.tcpi_sacked, info.tcpi_unacked);
  info.tcpi_delivered = info.tcpi_data_segs_out - info.tcpi_total_retrans - undelivered;
  info.tcpi_delivery_rate = value[kInfoRate];
  info.tcpi_delivery_rate_app_limited = value[kInfoReceiveRtt] & 1;
  info.tcpi_busy_time = value[kInfoBusy];
  info.tcpi_rwnd_limited = value[kInfoWindowStops];
  info.tcpi_sndbuf_limited = value[kInfoBufferStops];
  info.tcpi_max_pacing_rate = info.tcpi_pacing_rate = UINT64_MAX;
}

void fill_receiving(const uint64_t* value, tcp_info& info) {
  info.tcpi_rcv_mss = low(value[kInfoMss]);
  info.tcpi_ato = kAckDelayUs;
  info.tcpi_rcv_ssthresh = info.tcpi_rcv_space = high(value[kInfoBuffers]);
  info.tcpi_rcv_rtt = high(value[kInfoReceiveRtt]);
  info.tcpi_rcv_ooopack = high(value[kInfoOrder]);
  info.tcpi_bytes_received = value[kInfoReceived];
  info.tcpi_segs_in = low(value[kInfoSegments]);
  info.tcpi_data_segs_in = low(value[kInfoDataSegments]);
}

}  // namespace

int give_tcp_info(uint32_t socket, void* value, socklen_t* length) {
  Request request{.op = Op::info, .socket = socket};
  if (const int result = call(request); result < 0) return result;
  const uint64_t* const from = request.value;
  tcp_info info{};
  fill_state(from, info);
  if (from[kInfoState] == static_cast<uint64_t>(tcp::State::listen)) {
    info.tcpi_unacked = high(from[kInfoQueue]);
    info.tcpi_sacked = low(from[kInfoQueue]);
  } else {
    fill_sending(from, info);
    fill_receiving(from, info);
  }
  info.tcpi_snd_mss = high(from[kInfoMss]);
  info.tcpi_advmss = high(from[kInfoPath]);
  info.tcpi_pmtu = low(from[kInfoPath]);
  info.tcpi_rtt = high(from[kInfoRtt]);
  info.tcpi_rttvar = low(from[kInfoRtt]);
  info.tcpi_rto = high(from[kInfoTimeout]);
  info.tcpi_min_rtt = low(from[kInfoTimeout]);
  info.tcpi_last_data_sent = low(from[kInfoLastSent]);
  info.tcpi_last_data_recv = low(from[kInfoLastReceived]);
  info.tcpi_last_ack_recv = low(from[kInfoLastHeard]);
  *length = std::min<socklen_t>(*length, sizeof info);
  std::memcpy(value, &info, *length);
  return 0;
}

}  // namespace skerry::sockets::client
