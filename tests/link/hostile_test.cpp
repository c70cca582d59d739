// Hostile neighbours by chance: scripted, and in a thread that scribbles while the honest end works. The same
// scripts evolve in fuzz/link.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <thread>

#include "base/random.hpp"
#include "hostile_neighbour.hpp"

namespace skerry {
namespace {

std::vector<uint8_t> random_script(Random& random, size_t bytes) {
  std::vector<uint8_t> script(bytes);
  for (uint8_t& byte : script) byte = static_cast<uint8_t>(random.next() >> 32);
  return script;
}

struct Hostile : testing::TestWithParam<Side> {};

TEST_P(Hostile, ScriptsEndInAFaultOrInPeace) {
  Random random(21);
  int closed = 0, received = 0;
  constexpr int kRounds = 3000;
  for (int round = 0; round < kRounds; ++round) {
    HostileNeighbour world(GetParam());
    const std::vector<uint8_t> bytes = random_script(random, 20 + random.below(600));
    Script script(bytes);
    world.run(script);
    closed += world.link().closed();
    received += world.link().counters().rx_frames > 0;
  }
  // The scripts reach deep enough to mean something: both ends occur often.
  EXPECT_GT(closed, kRounds / 4);
  EXPECT_LT(closed, kRounds * 95 / 100);
  EXPECT_GT(received, kRounds / 50);
}

TEST_P(Hostile, AScribblingThreadIsSurvived) {
  Random random(22);
  for (int round = 0; round < 150; ++round) {
    HostileNeighbour world(GetParam());
#if defined(__SANITIZE_THREAD__)
    world.memory().control_only = true;  // frames' bytes are read as they are: racing there is the design
#endif
    const std::vector<uint8_t> theirs = random_script(random, 20'000);
    const std::vector<uint8_t> ours = random_script(random, 4000);
    std::atomic<bool> stop = false;
    std::thread scribbler([&] {
      Script script(theirs);
      while (!stop.load(std::memory_order_relaxed) && !script.over()) world.memory().move(script);
    });
    Script script(ours);
    while (!script.over()) world.honest_move(script);
    stop = true;
    scribbler.join();
  }
}

INSTANTIATE_TEST_SUITE_P(Victim, Hostile, testing::Values(Side::kA, Side::kB),
                         [](const testing::TestParamInfo<Side>& side) {
                           return side.param == Side::kA ? "A" : "B";
                         });

// Two honest ends in two threads that sleep whenever they may, without time-outs: a lost wake-up hangs. Both
// on one mapping, so that ThreadSanitizer, which tells races by address, sees what they share.
template <class T>
T created(Result<T> result) {
  CHECK(result);
  return std::move(*result);
}

struct Sleeper {
  ShmEnd<> end;
  Ringer ringer;
  Waker waker;

  void sleep() {
    const bool safe = end.arm();
    ring();
    if (safe) {
      pollfd entry{waker.fd(), POLLIN, 0};
      ::poll(&entry, 1, -1);
      waker.drain();
    }
    end.disarm();
  }
  void ring() {
    if (end.take_ring()) ringer.ring();
  }
};

TEST(Honest, TwoThreadsSleepAndWakeEachOther) {
  constexpr uint32_t kFrames = 30'000;
  ::signal(SIGPIPE, SIG_IGN);
  const ShmLayout layout({8, 1});
  const Region region = created(Region::create("link", layout.bytes()));
  DoorbellPipe to_a = created(DoorbellPipe::create());
  DoorbellPipe to_b = created(DoorbellPipe::create());
  Sleeper a{ShmEnd<>(region.data(), layout, Side::kA, {}), created(Ringer::adopt(std::move(to_b.ring))),
            created(Waker::adopt(std::move(to_a.wake)))};
  Sleeper b{ShmEnd<>(region.data(), layout, Side::kB, {}), created(Ringer::adopt(std::move(to_a.ring))),
            created(Waker::adopt(std::move(to_b.wake)))};
  const auto length_of = [](uint32_t number) { return 64 + number % 100; };

  std::thread sender([&] {
    for (uint32_t number = 0; number < kFrames; ++number) {
      std::optional<Frame> frame = a.end.allocate(length_of(number));
      for (; !frame; frame = a.end.allocate(length_of(number))) a.sleep();
      std::memset(a.end.data(*frame).data(), static_cast<int>(number & 0xff), frame->length);
      CHECK(a.end.send({&*frame, 1}) == 1);
      a.ring();
    }
  });
  uint32_t wrong = 0;
  for (uint32_t number = 0; number < kFrames;) {
    FrameBatch batch;
    b.end.receive(batch);
    b.ring();
    for (const Frame& frame : batch.view()) {
      for (const uint8_t byte : b.end.data(frame)) wrong += byte != static_cast<uint8_t>(number);
      wrong += frame.length != length_of(number);
      ++number;
      b.end.give_back(frame);
    }
    if (batch.count == 0) b.sleep();
  }
  b.end.arm();
  b.ring();
  sender.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_FALSE(a.end.closed() || b.end.closed());
  EXPECT_GT(a.end.counters().rings + b.end.counters().rings, 0u);
}

}  // namespace
}  // namespace skerry
