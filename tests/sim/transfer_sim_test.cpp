// How fast one stream goes over a bad wire, in virtual time: nothing of the machine enters, so the same code
// gives the same figure. The bounds are four fifths of what was seen when they were written; who makes
// recovery better may raise them.
#include <gtest/gtest.h>

#include <cstdio>

#include "sim/network.hpp"

namespace skerry::sim {
namespace {

struct Transfer {
  const char* name;
  LossyWeather weather;
  DurationNs time;
  double least_bytes_per_second;
  uint32_t burst_bytes = 0;  // 0: as much as fits; else the sender waits until each burst has been read
};

void PrintTo(const Transfer& transfer, std::ostream* out) {
  *out << transfer.name;
}

class TransferSim : public testing::TestWithParam<Transfer> {};

struct Outcome {
  uint64_t bytes = 0;
  tcp::Counters counters;  // of the sender
};

Outcome transfer(const Transfer& plan, uint64_t seed) {
  TimeNs now = kSecond;
  BadWire wire(plan.weather, seed, now);
  tcp::HostSettings settings;
  settings.stream_bytes = 1 << 20;
  settings.connections = 4;
  settings.super_frame = 0;
  settings.seed = seed;
  Network<BadWire> network(wire, now, settings, settings);
  tcp::Host& sender = network.a.program;
  tcp::Host& receiver = network.b.program;
  const tcp::ConnectionId listener = receiver.listen(80);
  const tcp::ConnectionId id = sender.open();
  EXPECT_EQ(sender.tcp.connect(now, id, {receiver.address, 80}), 0);
  std::optional<tcp::ConnectionId> accepted;
  Outcome outcome;
  const std::vector<uint8_t> chunk(1 << 16, 'x');
  uint64_t written = 0;
  const auto send = [&] {
    if (sender.tcp.state(id) != tcp::State::established) return;
    if (plan.burst_bytes == 0) {
      while (sender.tx_room(id) > 0) sender.write(now, id, chunk.data(), 1 << 16);
    } else if (outcome.bytes == written) {
      written += sender.write(now, id, chunk.data(), plan.burst_bytes);
    }
  };
  const auto read = [&] {
    if (!accepted) accepted = receiver.accept(listener);
    if (accepted) outcome.bytes += receiver.read(now, *accepted).size();
  };
  const TimeNs end = now + plan.time;
  while (now < end) network.run(send, read, end);
  outcome.counters = sender.tcp.counters();
  return outcome;
}

TEST_P(TransferSim, IsNotSlowerThanItWas) {
  constexpr uint64_t kSeeds = 4;
  double sum = 0;
  tcp::Counters all;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome outcome = transfer(GetParam(), seed);
    sum += static_cast<double>(outcome.bytes) * kSecond / static_cast<double>(GetParam().time);
    all.retransmissions += outcome.counters.retransmissions;
    all.timeouts += outcome.counters.timeouts;
    all.segments_out += outcome.counters.segments_out;
    all.fast_recoveries += outcome.counters.fast_recoveries;
  }
  std::printf("%s: %.0f bytes a second, %llu retransmissions, %llu recoveries, %llu time-outs\n",
              GetParam().name, sum / kSeeds, static_cast<unsigned long long>(all.retransmissions),
              static_cast<unsigned long long>(all.fast_recoveries),
              static_cast<unsigned long long>(all.timeouts));
  EXPECT_GE(sum / kSeeds, GetParam().least_bytes_per_second);
}

// That of a stack with `lossy_seed`, and what it takes from one process to the other.
constexpr LossyWeather kBadWire{
    .loss = 0.01, .duplicate = 0.005, .flip = 0.005, .reorder = 0.01, .delay_ns = 50 * kMicrosecond};

INSTANTIATE_TEST_SUITE_P(
    Weathers, TransferSim,
    testing::Values(
        Transfer{"one_percent_20_ms", {.loss = 0.01, .delay_ns = 10 * kMillisecond}, 60 * kSecond, 730'000},
        Transfer{"one_percent_20_ms_bursts",
                 {.loss = 0.01, .delay_ns = 10 * kMillisecond},
                 60 * kSecond,
                 540'000,
                 65536},
        Transfer{"reordered_20_ms",
                 {.reorder = 0.02, .reorder_ns = 4 * kMillisecond, .delay_ns = 10 * kMillisecond},
                 5 * kSecond,
                 35'000'000},
        Transfer{"bad_wire", kBadWire, 2 * kSecond, 24'000'000},
        Transfer{"bad_wire_bursts", kBadWire, 5 * kSecond, 10'500'000, 65536}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace skerry::sim
