// A connection that sends segments of 1000 bytes to a peer which says what arrived: for tests of what is sent
// again, and when.
#pragma once

#include "tcp/peer.hpp"

namespace skerry::tcp {

inline constexpr uint32_t kMss = 1000;

class Loss : public ::testing::Test {
 protected:
  void start(bool sack, bool timestamps = false, DurationNs round_trip = 0) {
    HostSettings host_settings;
    host_settings.mss = kMss + (timestamps ? 12 : 0);
    PeerSettings settings;
    settings.sack = sack;
    settings.timestamps = timestamps;
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    id_ = peer_->accept(now_, round_trip);
    now_ += round_trip;
    Options options;
    options.no_delay = true;
    host_->tcp.set_options(now_, id_, options);
  }
  void write(uint32_t segments) {
    ASSERT_EQ(host_->write(now_, id_, std::string(segments * kMss, 'x')), segments * kMss);
  }
  // Numbers of segments that are sent now: 0 is the first byte's.
  std::vector<uint32_t> sent() {
    std::vector<uint32_t> numbers;
    for (const Sent& sent : peer_->drain(now_)) numbers.push_back((sent.seq - 1) / kMss);
    return numbers;
  }
  // The peer has everything before segment `to`, and [from, until) of each pair.
  void ack(uint32_t to, std::initializer_list<std::pair<uint32_t, uint32_t>> blocks = {}) {
    std::vector<SackBlock> sacks;
    for (const auto& [from, until] : blocks) sacks.push_back({1 + from * kMss, 1 + until * kMss});
    peer_->send(now_, kTcpAck, 1, 1 + to * kMss, {}, sacks);
  }
  // What is sent until then, with the times since now in milliseconds.
  std::vector<std::pair<uint32_t, uint32_t>> sent_within(DurationNs time) {
    std::vector<std::pair<uint32_t, uint32_t>> numbers;
    const TimeNs begin = now_;
    for (const auto& [at, sent] : peer_->run(now_, now_ + time))
      numbers.emplace_back((at - begin) / kMillisecond, (sent.seq - 1) / kMss);
    return numbers;
  }
  Info info() { return host_->tcp.info(id_); }
  using Numbers = std::vector<uint32_t>;
  using Times = std::vector<std::pair<uint32_t, uint32_t>>;

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

}  // namespace skerry::tcp
