#include "socket_table.hpp"

#include <fmt/format.h>

namespace skerry {
namespace {

constexpr size_t kRowsAtOnce = 128;  // some 250 bytes each, in a control message of 64 KiB

// The names that ss(8) prints.
const char* state_name(tcp::State state) {
  switch (state) {
    case tcp::State::closed:
      return "CLOSED";
    case tcp::State::listen:
      return "LISTEN";
    case tcp::State::syn_sent:
      return "SYN-SENT";
    case tcp::State::syn_received:
      return "SYN-RECV";
    case tcp::State::established:
      return "ESTAB";
    case tcp::State::fin_wait_1:
      return "FIN-WAIT-1";
    case tcp::State::fin_wait_2:
      return "FIN-WAIT-2";
    case tcp::State::close_wait:
      return "CLOSE-WAIT";
    case tcp::State::closing:
      return "CLOSING";
    case tcp::State::last_ack:
      return "LAST-ACK";
    case tcp::State::time_wait:
      return "TIME-WAIT";
  }
  return "UNKNOWN";
}

std::string text(const Endpoint& endpoint) {
  if (endpoint.address.is_unspecified()) {
    return endpoint.port == 0 ? "*:*" : fmt::format("0.0.0.0:{}", endpoint.port);
  }
  const Ipv4Address a = endpoint.address.as_v4();
  return fmt::format("{}.{}.{}.{}:{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, endpoint.port);
}

struct Rows {
  nlohmann::json rows = nlohmann::json::array();
  size_t skip;
  bool more = false;

  // False: the row was not wanted.
  bool wants() {
    if (skip > 0) {
      --skip;
      return false;
    }
    if (rows.size() == kRowsAtOnce) more = true;
    return !more;
  }
};

void add_tcp(void* context, tcp::ConnectionId id, const tcp::Info& info) {
  Rows& rows = *static_cast<Rows*>(context);
  if (info.state == tcp::State::closed || !rows.wants()) return;
  nlohmann::json row = {{"proto", "tcp"},
                        {"state", state_name(info.state)},
                        {"local", text(info.local)},
                        {"peer", text(info.remote)},
                        {"rx_queue", info.rx_queue},
                        {"tx_queue", info.tx_queue}};
  if (id != tcp::kNoConnection) row["socket"] = id;
  if (info.state != tcp::State::listen) {
    row["rtt_us"] = info.smoothed_rtt / kMicrosecond;
    row["cwnd"] = info.congestion_window;
    row["mss"] = info.mss;
    row["retransmissions"] = info.retransmissions;
    row["bytes_acked"] = info.bytes_acked;
    row["bytes_received"] = info.bytes_received;
  }
  rows.rows.push_back(std::move(row));
}

}  // namespace

nlohmann::json socket_table(const tcp::Tcp& tcp, const stack::Udp& udp, const sockets::Server& server,
                            uint32_t sockets, size_t first) {
  Rows rows{.skip = first};
  tcp.for_each(&add_tcp, &rows);
  for (uint32_t id = 0; id < sockets && !rows.more; ++id) {
    if (!udp.is_bound(id) || !rows.wants()) continue;
    const auto [rx_queue, tx_queue] = server.datagram_queues(id);
    rows.rows.push_back({{"proto", "udp"},
                         {"state", udp.is_connected(id) ? "ESTAB" : "UNCONN"},
                         {"local", text(udp.local(id))},
                         {"peer", text(udp.remote(id))},
                         {"rx_queue", rx_queue},
                         {"tx_queue", tx_queue},
                         {"socket", id}});
  }
  return {{"rows", std::move(rows.rows)}, {"more", rows.more}};
}

}  // namespace skerry
