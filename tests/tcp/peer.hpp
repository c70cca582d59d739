// The other end of one connection, driven by hand: a test says which segment the peer sends, and reads what
// our TCP sends as values. Numbers are relative: 0 is the SYN of whoever sends, 1 its first byte.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tcp/host.hpp"

namespace skerry::tcp {

inline constexpr Ipv4Address kOurAddress = 0xc0a80001;   // 192.168.0.1
inline constexpr Ipv4Address kPeerAddress = 0xc0000201;  // 192.0.2.1

// What our TCP sent.
struct Sent {
  uint8_t flags = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint32_t window = 0;  // as on the wire
  std::string payload;
  uint16_t gso_size = 0;
  uint16_t urgent = 0;
  TcpOptions options;

  bool is_bare_ack() const { return flags == kTcpAck && payload.empty(); }
};

// What the peer's SYN offers.
struct PeerSettings {
  uint16_t port = 8080;
  uint32_t isn = 1000;
  uint16_t mss = 1460;
  uint16_t window = 65535;
  bool timestamps = false;
  bool sack = true;
  std::optional<uint8_t> window_scale = 0;
};

class Peer {
 public:
  Peer(Host& host, const PeerSettings& offers = {}) : settings(offers), host_(host) {}

  // ---- opening
  // The peer connects to our listener; returns the accepted connection, or nothing.
  std::optional<ConnectionId> connect(TimeNs now, ConnectionId listener) {
    our_port = host_.tcp.local(listener).port;
    syn(now, kTcpSyn);
    const std::vector<Sent> answer = drain(now);
    if (answer.size() != 1 || answer[0].flags != (kTcpSyn | kTcpAck)) return std::nullopt;
    send(now, kTcpAck, 1, 1);
    return host_.accept(listener);
  }
  // Our program connects to the peer, which accepts so much later.
  ConnectionId accept(TimeNs now, DurationNs round_trip = 0) {
    const ConnectionId id = host_.open();
    EXPECT_EQ(host_.tcp.connect(now, id, {IpAddress::v4(kPeerAddress), settings.port}), 0);
    our_port = host_.tcp.local(id).port;
    EXPECT_EQ(drain(now).size(), 1u);
    syn(now + round_trip, kTcpSyn | kTcpAck, 1);
    EXPECT_EQ(drain(now + round_trip).size(), 1u);
    return id;
  }

  // ---- to our TCP
  void syn(TimeNs now, uint8_t flags, uint32_t ack = 0) {
    SegmentIn segment = blank(now, flags, 0, ack);
    TcpOptions& options = segment.header.options;
    options.has_mss = settings.mss != 0;
    options.mss = settings.mss;
    options.sack_permitted = settings.sack;
    options.has_window_scale = settings.window_scale.has_value();
    options.window_scale = settings.window_scale.value_or(0);
    host_.tcp.receive(now, segment);
  }
  void send(TimeNs now, uint8_t flags, uint32_t seq, uint32_t ack, const std::string& payload = {},
            const std::vector<SackBlock>& sacks = {}) {
    SegmentIn segment = blank(now, flags, seq, ack);
    segment.payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    for (const SackBlock& block : sacks)
      segment.header.options.sack[segment.header.options.sack_count++] = {block.left + our_isn,
                                                                          block.right + our_isn};
    host_.tcp.receive(now, segment);
  }
  // As `send`, with a timestamp of its own.
  void send_at(TimeNs now, uint32_t ts_value, uint8_t flags, uint32_t seq, uint32_t ack,
               const std::string& payload = {}) {
    SegmentIn segment = blank(now, flags, seq, ack);
    segment.header.options.has_timestamps = true;
    segment.header.options.ts_value = ts_value;
    segment.payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    host_.tcp.receive(now, segment);
  }

  void send_urgent(TimeNs now, uint32_t seq, uint32_t ack, uint16_t urgent, const std::string& payload = {}) {
    SegmentIn segment = blank(now, kTcpAck | kTcpUrg, seq, ack);
    segment.header.urgent = urgent;
    segment.payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    host_.tcp.receive(now, segment);
  }

  // ---- from our TCP
  std::vector<Sent> drain(TimeNs now, uint32_t max_payload = 65535) {
    std::vector<Sent> all;
    SegmentOut out;
    while (host_.tcp.next_segment(now, max_payload, out)) {
      const TcpHeader& header = out.header;
      EXPECT_EQ(header.destination_port, settings.port);
      Sent sent;
      sent.flags = header.flags;
      if (header.has(kTcpSyn)) our_isn = header.seq;
      sent.seq = header.seq - our_isn;
      sent.ack = header.has(kTcpAck) ? header.ack - settings.isn : 0;
      sent.window = header.window;
      for (const ConstBytes piece : out.payload) sent.payload.append(piece.begin(), piece.end());
      sent.gso_size = out.gso_size;
      sent.urgent = header.urgent;
      sent.options = header.options;
      for (SackBlock& block : sent.options.sack)
        block = {block.left - settings.isn, block.right - settings.isn};
      last_ts = header.options.ts_value;
      all.push_back(sent);
      EXPECT_LT(all.size(), 10000u);
      if (all.size() >= 10000) break;
    }
    return all;
  }
  // Lets virtual time run, timers included, and gives what was sent until then with its times.
  std::vector<std::pair<TimeNs, Sent>> run(TimeNs& now, TimeNs until) {
    std::vector<std::pair<TimeNs, Sent>> all;
    for (;;) {
      for (const Sent& sent : drain(now)) all.emplace_back(now, sent);
      const TimeNs next = host_.tcp.deadline();
      if (next > until) break;
      now = std::max(now, next);
      host_.tcp.expire(now);
    }
    now = until;
    return all;
  }

  PeerSettings settings;
  uint16_t our_port = 0;
  uint32_t our_isn = 0;
  uint32_t last_ts = 0;  // TSval of the last segment that we sent
  uint16_t window = 65535;

 private:
  SegmentIn blank(TimeNs now, uint8_t flags, uint32_t seq, uint32_t ack) {
    SegmentIn segment;
    segment.source = IpAddress::v4(kPeerAddress);
    segment.destination = host_.address;
    segment.header.source_port = settings.port;
    segment.header.destination_port = our_port;
    segment.header.flags = flags;
    segment.header.seq = settings.isn + seq;
    segment.header.ack = (flags & kTcpAck) != 0 ? our_isn + ack : 0;
    segment.header.window = (flags & kTcpSyn) != 0 ? settings.window : window;
    if (settings.timestamps) {
      segment.header.options.has_timestamps = true;
      segment.header.options.ts_value = static_cast<uint32_t>(now / kMillisecond);
      segment.header.options.ts_echo = last_ts;
    }
    return segment;
  }

  Host& host_;
};

}  // namespace skerry::tcp
