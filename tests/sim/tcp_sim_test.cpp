// Two Tcp objects, a bad wire, programs that write, read and close when a seed says so. Whatever the seed:
// every byte arrives once and in order, both directions end, and nothing is left over: no index, no timer, no
// segment.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/wire.hpp"
#include "tcp/host.hpp"

namespace skerry::tcp {
namespace {

// What is sent: a pattern whose length is prime, so that a byte in the wrong place shows.
class Pattern {
 public:
  Pattern() {
    Random random(99);
    for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random.next());
  }
  uint8_t at(uint32_t key, uint32_t position) const { return bytes_[(key + position) % kPeriod]; }

 private:
  static constexpr uint32_t kPeriod = 8191;
  uint8_t bytes_[kPeriod];
};

struct Scenario {
  const char* name;
  WireSettings wire;
  HostSettings client, server;
  uint32_t connections = 3;
  uint32_t most_bytes = 60000;
  DurationNs think = 2 * kMillisecond;  // between a program's actions
  TimeNs most_time = 3600 * kSecond;
};

void PrintTo(const Scenario& scenario, std::ostream* os) {
  *os << scenario.name;
}

class Simulation {
 public:
  Simulation(const Scenario& scenario, uint64_t seed)
      : scenario_(scenario),
        random_(seed),
        wire_(scenario.wire, random_),
        hosts_{{0x0a000001, with_seed(scenario.client, 2 * seed + 1)},
               {0x0a000002, with_seed(scenario.server, 2 * seed + 2)}} {}

  void run() {
    listener_ = hosts_[1].listen(80);
    for (uint32_t i = 0; i < scenario_.connections; ++i) {
      const ConnectionId id = hosts_[0].open();
      ASSERT_EQ(hosts_[0].tcp.connect(now_, id, {hosts_[1].address, 80}), 0);
      talks_[0][id] = new_talk(hosts_[0].tcp.local(id).port * 2);
    }
    breath();
    for (uint64_t steps = 0; !is_over(); ++steps) {
      ASSERT_LT(steps, 3'000'000u) << "never ends";
      const TimeNs next = next_time();
      ASSERT_NE(next, kNever) << "stuck: nothing will ever happen";
      now_ = std::max(now_, next);
      ASSERT_LT(now_, scenario_.most_time) << "takes too long";
      breath();
      if (::testing::Test::HasFailure()) return;
    }
    hosts_[1].tcp.close(now_, listener_, false);
    breath();
    while (next_time() != kNever) {  // TIME-WAIT ends by itself
      now_ = std::max(now_, next_time());
      ASSERT_LT(now_, scenario_.most_time + 200 * kSecond);
      breath();
    }
    for (Host& host : hosts_) {
      EXPECT_EQ(host.ids.allocated(), 0u) << "indices leaked";
      EXPECT_FALSE(host.tcp.has_output());
      EXPECT_FALSE(host.tcp.has_events());
    }
  }

  uint64_t duplicates() const {
    return hosts_[0].tcp.counters().duplicates_in + hosts_[1].tcp.counters().duplicates_in;
  }
  const Wire& wire() const { return wire_; }

 private:
  // One end of one connection, as its program sees it.
  struct Talk {
    uint32_t key = 0;
    uint32_t to_send = 0;
    uint32_t sent = 0;
    uint32_t received = 0;
    bool shut = false;
    bool closed = false;
    TimeNs next_action = 0;
  };

  static HostSettings with_seed(HostSettings settings, uint64_t seed) {
    settings.seed = seed;
    return settings;
  }

  Talk new_talk(uint32_t key) {
    Talk talk;
    talk.key = key;
    talk.to_send = random_.chance(0.1) ? 0 : random_.below(scenario_.most_bytes + 1);
    return talk;
  }

  TimeNs next_time() {
    if (hosts_[0].tcp.has_events() || hosts_[1].tcp.has_events()) return now_;
    TimeNs next = std::min({wire_.next_arrival(), hosts_[0].tcp.deadline(), hosts_[1].tcp.deadline()});
    for (auto& talks : talks_)
      for (auto& [id, talk] : talks)
        if (!talk.closed) next = std::min(next, talk.next_action);
    return next;
  }

  bool is_over() { return accepted_ == scenario_.connections && talks_[0].empty() && talks_[1].empty(); }

  void breath() {
    Wire::Packet packet;
    while (wire_.receive(now_, packet)) hosts_[packet.to].tcp.receive(now_, packet.segment);
    for (int side = 0; side < 2; ++side) {
      hosts_[side].tcp.expire(now_);
      run_program(side);
      SegmentOut out;
      for (int i = 0; hosts_[side].tcp.next_segment(now_, 65535, out); ++i) {
        ASSERT_LT(i, 10000) << "sends without end";
        ASSERT_LE(out.payload_bytes(), std::max<uint32_t>(hosts_[side].settings.super_frame, 1460));
        wire_.send(now_, 1 - side, out);
      }
    }
  }

  void run_program(int side) {
    Host& host = hosts_[side];
    host.take_events();
    for (auto it = talks_[side].begin(); it != talks_[side].end();)
      it = host.ids.is_allocated(it->first) ? std::next(it) : talks_[side].erase(it);
    if (side == 1 && host.ids.is_allocated(listener_)) {
      while (const std::optional<ConnectionId> id = host.accept(listener_)) {
        talks_[1][*id] = new_talk(host.tcp.remote(*id).port * 2 + 1);
        ++accepted_;
      }
    }
    for (auto& [id, talk] : talks_[side])
      if (!talk.closed && talk.next_action <= now_) act(side, host, id, talk);
  }

  void act(int side, Host& host, ConnectionId id, Talk& talk) {
    talk.next_action = now_ + 1 + random_.next() % scenario_.think;
    ASSERT_EQ(host.tcp.error(id), 0);
    const State state = host.tcp.state(id);
    if (state == State::syn_sent || state == State::syn_received) return;
    const uint32_t peer_key = side == 0 ? talk.key + 1 : talk.key - 1;
    if (random_.chance(0.7)) {
      for (const uint8_t byte : host.read(now_, id, 1 + random_.below(30000))) {
        ASSERT_EQ(byte, pattern_.at(peer_key, talk.received)) << "byte " << talk.received;
        ++talk.received;
      }
    }
    if (talk.sent < talk.to_send && random_.chance(0.7)) {
      uint8_t chunk[20000];
      const uint32_t size = random_.chance(0.3) ? 1 + random_.below(100) : 1 + random_.below(sizeof chunk);
      const uint32_t length = std::min(size, talk.to_send - talk.sent);
      for (uint32_t i = 0; i < length; ++i) chunk[i] = pattern_.at(talk.key, talk.sent + i);
      talk.sent += host.write(now_, id, chunk, length);
    }
    if (talk.sent == talk.to_send && !talk.shut) {
      talk.shut = true;
      host.tcp.shutdown_write(now_, id);
    }
    if (talk.shut && (host.sockets[id].events & kPeerClosed) != 0 && host.readable(id) == 0) {
      // Everything that the peer's program wrote is here.
      const uint32_t expected = find_peer(side, talk.key);
      ASSERT_EQ(talk.received, expected);
      talk.closed = true;
      host.tcp.close(now_, id, false);
    }
  }

  // How much the other side of a talk has sent in all; remembered, since it may be gone already.
  uint32_t find_peer(int side, uint32_t key) {
    for (int s = 0; s < 2; ++s)
      for (auto& [id, talk] : talks_[s]) totals_[talk.key] = talk.to_send;
    return totals_[side == 0 ? key + 1 : key - 1];
  }

  const Scenario& scenario_;
  Random random_;
  Wire wire_;
  Host hosts_[2];
  Pattern pattern_;
  ConnectionId listener_ = kNoConnection;
  uint32_t accepted_ = 0;
  std::map<ConnectionId, Talk> talks_[2];
  std::map<uint32_t, uint32_t> totals_;
  TimeNs now_ = 1 * kSecond;
};

class TcpSim : public ::testing::TestWithParam<Scenario> {};

// SKERRY_SIM_SEEDS asks for more, SKERRY_SIM_SEED for exactly one.
TEST_P(TcpSim, EveryStreamIsIntactAndFinishes) {
  const char* const count_text = std::getenv("SKERRY_SIM_SEEDS");
  const char* const seed_text = std::getenv("SKERRY_SIM_SEED");
  const uint64_t count = count_text ? std::strtoull(count_text, nullptr, 10) : 200;
  const uint64_t first = seed_text ? std::strtoull(seed_text, nullptr, 10) : 1;
  uint64_t duplicates = 0, lost = 0;
  for (uint64_t seed = first; seed < first + (seed_text ? 1 : count); ++seed) {
    Simulation simulation(GetParam(), seed);
    simulation.run();
    duplicates += simulation.duplicates();
    lost += simulation.wire().lost;
    ASSERT_FALSE(HasFailure()) << "scenario " << GetParam().name << ", SKERRY_SIM_SEED=" << seed;
  }
  // Where nothing is overtaken or doubled, only a lost ACK can make a sender repeat what had arrived.
  if (GetParam().wire.jitter == 0) {
    EXPECT_LE(duplicates, lost);
  }
}

HostSettings host(uint32_t stream_bytes, uint32_t super_frame = 0, uint16_t mss = 1460) {
  HostSettings settings;
  settings.connections = 4;
  settings.stream_bytes = stream_bytes;
  settings.super_frame = super_frame;
  settings.mss = mss;
  return settings;
}

// Connections over a path as long as this get the larger rings.
HostSettings with_long_rings(uint32_t long_bytes) {
  HostSettings settings = host(8192, 65000);
  settings.long_rings = 2;
  settings.long_bytes = long_bytes;
  return settings;
}

constexpr DurationNs us = kMicrosecond;
constexpr DurationNs ms = kMillisecond;

INSTANTIATE_TEST_SUITE_P(
    Wires, TcpSim,
    ::testing::Values(
        Scenario{"clean", {.delay = 50 * us}, host(65536), host(65536)},
        Scenario{"clean_super", {.delay = 50 * us, .cut = false}, host(262144, 65000), host(262144, 65000)},
        Scenario{"clean_super_cut", {.delay = 50 * us}, host(262144, 65000), host(65536, 32000)},
        Scenario{"loss", {.delay = 500 * us, .loss = 0.02}, host(65536), host(65536)},
        Scenario{"loss_super", {.delay = 500 * us, .loss = 0.05}, host(131072, 65000), host(131072, 65000)},
        Scenario{"loss_heavy",
                 {.delay = 5 * ms, .jitter = 2 * ms, .loss = 0.12, .duplication = 0.1},
                 host(32768),
                 host(32768),
                 2,
                 20000},
        Scenario{"reordering", {.delay = 1 * ms, .jitter = 3 * ms}, host(65536), host(65536)},
        Scenario{"duplication",
                 {.delay = 1 * ms, .jitter = 200 * us, .duplication = 0.3},
                 host(65536),
                 host(65536)},
        Scenario{"everything",
                 {.delay = 2 * ms, .jitter = 4 * ms, .loss = 0.03, .duplication = 0.05},
                 host(131072, 65000),
                 host(65536)},
        Scenario{"tiny_windows",
                 {.delay = 1 * ms, .jitter = 1 * ms, .loss = 0.02},
                 host(256),
                 host(1024),
                 3,
                 4000},
        Scenario{"tiny_against_large",
                 {.delay = 1 * ms, .loss = 0.02},
                 host(2048),
                 host(1048576, 65000),
                 2,
                 30000},
        Scenario{"tiny_segments",
                 {.delay = 1 * ms, .jitter = 1 * ms, .loss = 0.02},
                 host(65536, 0, 100),
                 host(65536, 2000, 120),
                 2,
                 30000},
        Scenario{"slow_readers",
                 {.delay = 1 * ms, .loss = 0.02},
                 host(16384),
                 host(16384, 16000),
                 2,
                 60000,
                 500 * ms},
        Scenario{"long_path",
                 {.delay = 5 * ms, .jitter = 1 * ms, .loss = 0.02},
                 with_long_rings(262144),
                 with_long_rings(65536),
                 3,
                 600000},
        Scenario{"bottleneck",
                 {.delay = 10 * ms, .bytes_per_ms = 1000, .queue_bytes = 20000},
                 host(262144, 65000),
                 host(262144, 65000),
                 3,
                 400000}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace skerry::tcp
