// getsockopt(TCP_INFO): from what the stack says to the kernel's struct.
#include <linux/tcp.h>

#include "client_case.hpp"
#include "sockets/session_info.hpp"
#include "tcp/tcp.hpp"

namespace skerry::sockets {
namespace {

class InfoTest : public OsCase {
 protected:
  tcp_info ask(int fd) {
    tcp_info info{};
    socklen_t length = sizeof info;
    EXPECT_EQ(os->get_option(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    EXPECT_GE(length, offsetof(tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd);
    return info;
  }
  static uint64_t pair(uint32_t high, uint32_t low) { return uint64_t{high} << 32 | low; }
};
ON_KERNEL_AND_CLIENT(InfoTest);

// What the kernel shows of a connection that did little, and what ours makes of what a stack says.
TEST_P(InfoTest, OfAFreshConnection) {
  if (is_client()) {
    uint64_t* const says = stack().info;
    says[kInfoState] = static_cast<uint64_t>(tcp::State::established) | 7 << 16 | 7 << 20 | 1 << 24 | 1 << 25;
    says[kInfoMss] = pair(1448, 536);
    says[kInfoPath] = pair(1460, 1500);
    says[kInfoRtt] = pair(100, 50);
    says[kInfoTimeout] = pair(200'000, 90);
    says[kInfoWindow] = pair(14'480, UINT32_MAX);
    says[kInfoPeerWindow] = pair(65'536, 0);
    says[kInfoAcked] = says[kInfoSent] = 5;
    says[kInfoSegments] = pair(3, 2);
    says[kInfoDataSegments] = pair(1, 0);
    says[kInfoBuffers] = pair(65'536, 87'040);
    says[kInfoRate] = 1000;
    says[kInfoReceiveRtt] = pair(0, 1);
  }
  const auto [a, b] = connection();
  EXPECT_EQ(send(a, "hello"), 5);
  EXPECT_EQ(receive(b), "hello");
  const tcp_info info = ask(a);
  EXPECT_EQ(info.tcpi_state, 1);  // TCP_ESTABLISHED
  EXPECT_EQ(info.tcpi_ca_state, 0);
  EXPECT_EQ(info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
            TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
  EXPECT_GT(info.tcpi_snd_wscale, 0);
  EXPECT_GT(info.tcpi_rcv_wscale, 0);
  EXPECT_GT(info.tcpi_rto, 0u);
  EXPECT_GT(info.tcpi_rtt, 0u);
  EXPECT_GT(info.tcpi_min_rtt, 0u);
  EXPECT_GT(info.tcpi_snd_mss, 0u);
  EXPECT_GE(info.tcpi_pmtu, info.tcpi_snd_mss);
  EXPECT_GE(info.tcpi_snd_cwnd, 10u);
  EXPECT_GE(info.tcpi_reordering, 3u);
  if (is_client()) {
    EXPECT_EQ(info.tcpi_snd_ssthresh, 0x7fff'ffffu) << "the kernel may remember one of an earlier connection";
  }
  EXPECT_EQ(info.tcpi_total_retrans, 0u);
  EXPECT_EQ(info.tcpi_data_segs_out, 1u);
  EXPECT_EQ(info.tcpi_bytes_sent, 5u);
  EXPECT_EQ(info.tcpi_notsent_bytes, 0u);
  EXPECT_GT(info.tcpi_snd_wnd, 0u);
  EXPECT_GT(info.tcpi_delivery_rate, 0u);
  EXPECT_EQ(info.tcpi_delivery_rate_app_limited, 1);
  os->close(a);
  os->close(b);
}

TEST_P(InfoTest, InTroubleCountsSegments) {
  if (!is_client()) return;
  uint64_t* const says = stack().info;
  says[kInfoState] =
      static_cast<uint64_t>(tcp::State::fin_wait_1) | static_cast<uint64_t>(tcp::Info::Congestion::loss) << 8;
  says[kInfoMss] = pair(1000, 536);
  says[kInfoWindow] = pair(7000, 5000);
  says[kInfoOutstanding] = pair(9001, 3000);
  says[kInfoLost] = pair(2000, 1000);
  says[kInfoTries] = pair(3, 2 << 16 | 1);
  says[kInfoRetransmits] = pair(12, 4);
  says[kInfoOrder] = pair(6, 1);
  says[kInfoDataSegments] = pair(100, 0);
  says[kInfoLastSent] = 250;
  says[kInfoRate] = 5'000'000'000;
  says[kInfoReceiveRtt] = pair(20'000, 1);
  says[kInfoBusy] = 9000;
  says[kInfoWindowStops] = 2000;
  says[kInfoBufferStops] = 1000;
  const auto [a, b] = connection();
  const tcp_info info = ask(a);
  EXPECT_EQ(info.tcpi_state, 4);     // TCP_FIN_WAIT1
  EXPECT_EQ(info.tcpi_ca_state, 4);  // TCP_CA_Loss
  EXPECT_EQ(info.tcpi_unacked, 10u);
  EXPECT_EQ(info.tcpi_sacked, 3u);
  EXPECT_EQ(info.tcpi_lost, 2u);
  EXPECT_EQ(info.tcpi_retrans, 1u);
  EXPECT_EQ(info.tcpi_snd_cwnd, 7u);
  EXPECT_EQ(info.tcpi_snd_ssthresh, 5u);
  EXPECT_EQ(info.tcpi_retransmits, 3);
  EXPECT_EQ(info.tcpi_backoff, 2);
  EXPECT_EQ(info.tcpi_probes, 1);
  EXPECT_EQ(info.tcpi_total_retrans, 12u);
  EXPECT_EQ(info.tcpi_dsack_dups, 4u);
  EXPECT_EQ(info.tcpi_rcv_ooopack, 6u);
  EXPECT_EQ(info.tcpi_reord_seen, 1u);
  EXPECT_EQ(info.tcpi_delivered, 100u - 12 - 7);
  EXPECT_EQ(info.tcpi_last_data_sent, 250u);
  EXPECT_EQ(info.tcpi_delivery_rate, 5'000'000'000u);
  EXPECT_EQ(info.tcpi_delivery_rate_app_limited, 1);
  EXPECT_EQ(info.tcpi_busy_time, 9000u);
  EXPECT_EQ(info.tcpi_rwnd_limited, 2000u);
  EXPECT_EQ(info.tcpi_sndbuf_limited, 1000u);
  EXPECT_EQ(info.tcpi_rcv_rtt, 20'000u);
  os->close(a);
  os->close(b);
}

TEST_P(InfoTest, AsMuchAsIsAskedFor) {
  const auto [a, b] = connection();
  char bytes[16] = {};
  socklen_t length = 8;
  EXPECT_EQ(os->get_option(a, IPPROTO_TCP, TCP_INFO, bytes, &length), 0);
  EXPECT_EQ(length, 8u);
  for (int i = 8; i < 16; ++i) EXPECT_EQ(bytes[i], 0);
  os->close(a);
  os->close(b);
}

}  // namespace
}  // namespace skerry::sockets
