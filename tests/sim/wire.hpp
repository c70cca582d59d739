// A wire in virtual time that loses, delays, reorders and duplicates, and cuts super-frames as a link would.
// It keeps copies of what it carries, since the sender's payload is valid only for the moment.
#pragma once

#include <algorithm>
#include <queue>
#include <vector>

#include "base/random.hpp"
#include "tcp/tcp.hpp"

namespace skerry::tcp {

struct WireSettings {
  DurationNs delay = 50 * kMicrosecond;
  DurationNs jitter = 0;  // added at random: reorders
  double loss = 0;
  double duplication = 0;
  bool cut = true;            // cut super-frames into segments; else the peer receives them whole
  uint32_t bytes_per_ms = 0;  // a bottleneck; 0: none
  uint32_t queue_bytes = 0;   // what waits at the bottleneck before it drops
};

class Wire {
 public:
  struct Packet {
    TimeNs arrival = 0;
    uint64_t order = 0;
    int to = 0;
    SegmentIn segment;
    std::vector<uint8_t> bytes;
  };

  Wire(const WireSettings& settings, Random& random) : settings_(settings), random_(random) {}

  void send(TimeNs now, int to, const SegmentOut& out) {
    std::vector<uint8_t> payload(out.payload[0].begin(), out.payload[0].end());
    payload.insert(payload.end(), out.payload[1].begin(), out.payload[1].end());
    if (out.gso_size == 0 || !settings_.cut) {
      carry(now, to, out, out.header, std::move(payload));
      return;
    }
    for (size_t at = 0; at < payload.size(); at += out.gso_size) {
      const size_t end = std::min<size_t>(payload.size(), at + out.gso_size);
      TcpHeader header = out.header;
      header.seq += static_cast<uint32_t>(at);
      if (end != payload.size()) header.flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
      carry(now, to, out, header,
            {payload.begin() + static_cast<long>(at), payload.begin() + static_cast<long>(end)});
    }
  }

  TimeNs next_arrival() const { return packets_.empty() ? kNever : packets_.front().arrival; }
  // The next packet that has arrived; its payload lies in `bytes`.
  bool receive(TimeNs now, Packet& packet) {
    if (next_arrival() > now) return false;
    std::pop_heap(packets_.begin(), packets_.end(), later);
    packet = std::move(packets_.back());
    packets_.pop_back();
    packet.segment.payload = packet.bytes;
    return true;
  }

  uint64_t lost = 0;
  uint64_t carried = 0;

 private:
  static bool later(const Packet& a, const Packet& b) {
    return a.arrival != b.arrival ? a.arrival > b.arrival : a.order > b.order;
  }

  void carry(TimeNs now, int to, const SegmentOut& out, const TcpHeader& header,
             std::vector<uint8_t> payload) {
    TimeNs start = now;
    if (settings_.bytes_per_ms != 0) {
      TimeNs& free = bottleneck_free_[to];
      const uint64_t waiting = free > now ? (free - now) * settings_.bytes_per_ms / kMillisecond : 0;
      if (waiting + payload.size() > settings_.queue_bytes) {
        ++lost;
        return;
      }
      free = std::max(free, now) + (payload.size() + 40) * kMillisecond / settings_.bytes_per_ms;
      start = free;
    }
    if (random_.chance(settings_.loss)) {
      ++lost;
      return;
    }
    const int copies = random_.chance(settings_.duplication) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Packet packet;
      packet.arrival = start + settings_.delay;
      if (settings_.jitter != 0) packet.arrival += random_.next() % settings_.jitter;
      packet.order = ++carried;
      packet.to = to;
      packet.segment.source = out.source;
      packet.segment.destination = out.destination;
      packet.segment.header = header;
      packet.bytes = payload;
      packets_.push_back(std::move(packet));
      std::push_heap(packets_.begin(), packets_.end(), later);
    }
  }

  WireSettings settings_;
  Random& random_;
  std::vector<Packet> packets_;
  TimeNs bottleneck_free_[2] = {0, 0};
};

}  // namespace skerry::tcp
