// Fault plans, from seeds: whatever a card does, each frame arrives or is in a counter, no slot is lost, and
// two stacks that speak through it get their bytes over.
#include "driver/sim/simulated_nic.hpp"

#include <gtest/gtest.h>

#include <map>

#include "sim/network.hpp"

namespace skerry {
namespace {

using sim::VirtualClock;
using Nic = SimulatedNic<VirtualClock>;

// Two cards and the cable between them.
class Cable {
 public:
  Cable(const FaultPlan& plan, uint64_t seed, const TimeNs& now)
      : a_(plan, seed, {&now}, sim::facts_of_ethernet(1), [this](ConstBytes frame) { b_.arrive(frame); }),
        b_(plan, seed + 10, {&now}, sim::facts_of_ethernet(2),
           [this](ConstBytes frame) { a_.arrive(frame); }) {}

  Nic& a() { return a_; }
  Nic& b() { return b_; }
  TimeNs deadline() const { return std::min(a_.deadline(), b_.deadline()); }
  // Of both cards.
  std::map<std::string, uint64_t> counts() const {
    std::map<std::string, uint64_t> sums;
    for (const Nic* nic : {&a_, &b_})
      nic->each_count([&](std::string_view name, uint64_t value) { sums[std::string(name)] += value; });
    return sums;
  }

 private:
  Nic a_, b_;
};

struct Scenario {
  const char* name;
  FaultPlan plan;
  const char* must_count;  // what shows that the fault happened
};
void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

class SimulatedNicTest : public testing::TestWithParam<Scenario> {
 protected:
  static constexpr uint64_t kSeeds = 10;
};

TEST_P(SimulatedNicTest, AFrameArrivesOrIsCounted) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TimeNs now = kSecond;
    Cable cable(GetParam().plan, seed, now);
    Random random(seed);
    constexpr uint32_t kFrames = 5000;
    uint64_t sent = 0, received = 0;
    const auto take = [&] {
      FrameBatch batch;
      cable.b().receive(batch);
      received += batch.count;
      for (const Frame& frame : batch.view()) cable.b().give_back(frame);
    };
    while (sent < kFrames) {
      for (uint32_t burst = random.below(100); burst > 0 && sent < kFrames; --burst) {
        const std::optional<Frame> frame = cable.a().allocate(60);
        if (!frame) break;
        std::memset(cable.a().data(*frame).data(), 0, 60);
        ASSERT_EQ(cable.a().send({&*frame, 1}), 1u);
        ++sent;
      }
      now += random.below(200'000);
      if (random.chance(0.8)) take();
    }
    for (TimeNs next = cable.deadline(); next != kNever; next = cable.deadline()) {
      ASSERT_LT(now, 100 * kSecond) << "stuck with seed " << seed;
      now = std::max(now, next);
      cable.a().arm();
      take();
    }
    auto counts = cable.counts();
    uint64_t drops = 0;
    for (const auto& [name, value] : counts) drops += name.starts_with("drop.") ? value : 0;
    EXPECT_EQ(sent + counts["duplicated"], received + drops) << "seed " << seed;
    uint32_t slots = 0;
    while (cable.a().allocate(60)) ++slots;
    EXPECT_EQ(slots, Nic::kTxSlots) << "seed " << seed;
  }
}

// A link flap is seen by the stacks as what it is to them: segments that they send again.
TEST_P(SimulatedNicTest, TwoStacksGetTheirBytesOver) {
  uint64_t happened = 0, retransmissions = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TimeNs now = kSecond;
    Cable cable(GetParam().plan, seed, now);
    tcp::HostSettings settings;
    settings.seed = seed;
    sim::Network<Cable> network(cable, now, settings, settings);
    tcp::Host &a = network.a.program, &b = network.b.program;
    const tcp::ConnectionId listener = b.listen(80);
    std::optional<tcp::ConnectionId> from, to;
    constexpr uint32_t kBytes = 1'000'000;
    uint32_t written = 0, read = 0;
    const TimeNs limit = now + 600 * kSecond;
    const auto talk = [&] {
      if (!from) {  // again, if nobody was found: a wire may lose every question by ARP
        from = a.open();
        ASSERT_EQ(a.tcp.connect(now, *from, {b.address, 80}), 0);
      } else if (!to && a.tcp.error(*from) != 0) {
        a.tcp.close(now, *from, false);
        from.reset();
      } else if (to && written < kBytes) {
        std::vector<uint8_t> bytes(std::min(kBytes - written, 30'000u));
        for (uint32_t n = 0; n < bytes.size(); ++n)
          bytes[n] = static_cast<uint8_t>((written + n) * 2654435761u >> 24);
        written += a.write(now, *from, bytes.data(), static_cast<uint32_t>(bytes.size()));
      }
    };
    const auto listen = [&] {
      if (!to) to = b.accept(listener);
      if (!to) return;
      for (const uint8_t byte : b.read(now, *to)) {
        ASSERT_EQ(byte, static_cast<uint8_t>(read * 2654435761u >> 24)) << "byte " << read;
        ++read;
      }
    };
    while (read < kBytes) {
      network.run(talk, listen, now + 10 * kMillisecond);
      ASSERT_LT(now, limit) << "stuck at byte " << read << " with seed " << seed;
      if (HasFailure()) return;
    }
    happened += cable.counts()[GetParam().must_count];
    retransmissions += a.tcp.counters().retransmissions;
  }
  if (GetParam().plan.flap_ns > 0) {
    EXPECT_GT(retransmissions, 0u);
  }
  if (*GetParam().must_count != 0) {
    EXPECT_GT(happened, 0u) << "the plan did nothing";
  }
}

constexpr LossyWeather kFair{.delay_ns = 50 * kMicrosecond};
INSTANTIATE_TEST_SUITE_P(
    Plans, SimulatedNicTest,
    testing::Values(
        Scenario{"fair", {.weather = kFair}, ""},
        Scenario{"loss", {.weather = {.loss = 0.03, .delay_ns = 50 * kMicrosecond}}, "drop.lost"},
        Scenario{"reordering",
                 {.weather = {.reorder = 0.2, .reorder_ns = kMillisecond, .delay_ns = 50 * kMicrosecond}},
                 "reordered"},
        Scenario{"corruption", {.weather = {.flip = 0.03, .delay_ns = 50 * kMicrosecond}}, "damaged"},
        Scenario{"stalls",
                 {.weather = kFair, .stall_every_ns = 5 * kMillisecond, .stall_ns = 2 * kMillisecond},
                 "stalled"},
        Scenario{"flaps",
                 {.weather = kFair, .flap_every_ns = 7 * kMillisecond, .flap_ns = kMillisecond},
                 "drop.down"},
        Scenario{"late_completion", {.weather = kFair, .completion_ns = 3 * kMillisecond}, "held"},
        Scenario{"everything",
                 {.weather = {.loss = 0.01,
                              .duplicate = 0.01,
                              .flip = 0.01,
                              .reorder = 0.05,
                              .delay_ns = 100 * kMicrosecond},
                  .stall_every_ns = 11 * kMillisecond,
                  .stall_ns = 3 * kMillisecond,
                  .flap_every_ns = 37 * kMillisecond,
                  .flap_ns = 2 * kMillisecond,
                  .completion_ns = kMillisecond},
                 "drop.down"}),
    [](const auto& scenario) { return std::string(scenario.param.name); });

TEST(SimulatedNic, SlotsComeBackInAnOrderOfTheirOwn) {
  TimeNs now = kSecond;
  Cable cable({.weather = {}, .completion_ns = kMillisecond}, 1, now);
  std::vector<uint32_t> sent, back;
  for (int n = 0; n < 50; ++n) {
    const std::optional<Frame> frame = cable.a().allocate(60);
    ASSERT_TRUE(frame);
    sent.push_back(frame->slot);
    cable.a().send({&*frame, 1});
  }
  while (cable.a().allocate(60)) continue;  // all others
  while (back.size() < sent.size()) {
    ASSERT_NE(cable.a().deadline(), kNever);
    now = std::max(now + 1, cable.a().deadline());
    while (const std::optional<Frame> frame = cable.a().allocate(60)) back.push_back(frame->slot);
  }
  EXPECT_NE(back, sent);
  EXPECT_TRUE(std::ranges::is_permutation(back, sent));
}

// The cable is out for a minute. Whoever only waited for his time-out would be silent for up to another.
TEST(SimulatedNic, AfterALongOutageTheBytesFlowAtOnce) {
  TimeNs now = kSecond;
  Cable cable({.weather = kFair}, 1, now);
  sim::Network<Cable> network(cable, now, {}, {});
  tcp::Host &a = network.a.program, &b = network.b.program;
  const tcp::ConnectionId listener = b.listen(80), from = a.open();
  ASSERT_EQ(a.tcp.connect(now, from, {b.address, 80}), 0);
  std::optional<tcp::ConnectionId> to;
  std::string got;
  const auto listen = [&] {
    if (!to) to = b.accept(listener);
    if (to) got += b.read_text(now, *to);
  };
  const auto run_for = [&](DurationNs time) {
    const TimeNs until = now + time;
    while (now < until) network.run([] {}, listen, until);
  };
  a.write(now, from, "before");
  run_for(kSecond);
  ASSERT_EQ(got, "before");
  cable.a().set_up(false);
  cable.b().set_up(false);
  a.write(now, from, " after");
  run_for(60 * kSecond);
  EXPECT_EQ(got, "before");
  EXPECT_EQ(network.a.ip.counters().link_down, 1u);
  cable.a().set_up(true);
  cable.b().set_up(true);
  run_for(10 * kMillisecond);
  EXPECT_EQ(got, "before after");
  EXPECT_EQ(network.a.ip.counters().link_flaps, 1u);
  EXPECT_EQ(network.a.ip.counters().link_down, 0u);
}

}  // namespace
}  // namespace skerry
