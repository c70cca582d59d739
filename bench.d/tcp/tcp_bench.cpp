// What TCP itself costs, without links, checksums or a program: a request arrives that acknowledges the last
// reply, and the reply leaves (the budget of the design: 100 ns for both). Run it as `bench-tcp`.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tcp/host.hpp"

namespace skerry::tcp {
namespace {

// A server with `count` established connections whose peers exist only as numbers.
class Server {
 public:
  explicit Server(uint32_t count) : host_(0x0a000001, settings(count)) {
    const ConnectionId listener = host_.listen(6379, 1024);
    const SegmentIn blank;
    peers_.resize(count, Peer{blank, 0});
    SegmentOut out;
    for (uint32_t i = 0; i < count; ++i) {
      SegmentIn& in = peers_[i].segment;
      in.source = IpAddress::v4(0x0a000002);
      in.destination = host_.address;
      in.header.source_port = static_cast<uint16_t>(40000 + i % 20000);
      in.header.destination_port = 6379;
      in.header.seq = i;
      in.header.flags = kTcpSyn;
      in.header.window = 65535;
      in.header.options.has_timestamps = true;
      in.header.options.sack_permitted = true;
      in.header.options.has_window_scale = true;
      in.header.options.window_scale = 7;
      host_.tcp.receive(now_, in);
      host_.tcp.next_segment(now_, 65535, out);
      in.header.options.sack_permitted = in.header.options.has_window_scale = false;
      in.header.flags = kTcpAck;
      in.header.seq = i + 1;
      in.header.ack = out.header.seq + 1;
      host_.tcp.receive(now_, in);
      peers_[i].id = *host_.tcp.accept(listener);
    }
    drain();
  }

  // The request of peer `i`; the caller keeps its positions.
  void request(uint32_t i, ConstBytes payload) {
    SegmentIn& in = peers_[i].segment;
    in.header.flags = kTcpAck | kTcpPsh;
    in.header.options.ts_value = static_cast<uint32_t>(now_ / kMillisecond);
    in.payload = payload;
    host_.tcp.receive(now_, in);
    in.header.seq += static_cast<uint32_t>(payload.size());
  }

  void reply(uint32_t bytes, SegmentOut& out) {
    Event event;
    while (host_.tcp.next_event(event)) {
      if ((event.bits & kReadable) == 0) continue;
      benchmark::DoNotOptimize(host_.tcp.read(now_, event.id, host_.tcp.rx_written(event.id)));
      const uint32_t acked = host_.tcp.tx_acked(event.id);
      benchmark::DoNotOptimize(host_.tcp.wrote(now_, event.id, acked + bytes, acked));
    }
    while (host_.tcp.next_segment(now_, 65535, out)) benchmark::DoNotOptimize(out);
  }

  void acknowledge(uint32_t i, const SegmentOut& out) {
    peers_[i].segment.header.ack = out.header.seq + out.payload_bytes();
  }

  void pass(DurationNs time) {
    now_ += time;
    if (host_.tcp.deadline() <= now_) host_.tcp.expire(now_);
  }

 private:
  struct Peer {
    SegmentIn segment;
    ConnectionId id;
  };

  static HostSettings settings(uint32_t count) {
    HostSettings result;
    result.connections = count + 1;
    result.half_open = count + 1;
    result.super_frame = 65000;
    return result;
  }

  void drain() {
    SegmentOut out;
    Event event;
    while (host_.tcp.next_event(event)) {
    }
    while (host_.tcp.next_segment(now_, 65535, out)) {
    }
  }

  TimeNs now_ = kSecond;
  Host host_;
  std::vector<Peer> peers_;
};

void request_and_reply(benchmark::State& state) {
  const uint32_t count = static_cast<uint32_t>(state.range(0));
  const uint32_t bytes = static_cast<uint32_t>(state.range(1));
  Server server(count);
  const std::vector<uint8_t> payload(bytes, 'x');
  SegmentOut out;
  uint32_t i = 0;
  for (auto _ : state) {
    server.pass(500);
    server.request(i, payload);
    server.reply(5, out);
    server.acknowledge(i, out);
    if (++i == count) i = 0;
  }
}
BENCHMARK(request_and_reply)
    ->Args({1, 36})
    ->Args({50, 36})
    ->Args({1000, 36})
    ->Args({10000, 36})
    ->Args({50, 60000});

}  // namespace
}  // namespace skerry::tcp

BENCHMARK_MAIN();
