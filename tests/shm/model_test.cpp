// Rings, slots and wake-ups in every interleaving: the code of ShmEnd itself on a simulated memory. There are
// no time-outs here, so a lost wake-up is a dead end that the search reports. Each protection is also taken
// away in turn, to show that the search would notice.
#include <gtest/gtest.h>

#include "link/shm_end.hpp"
#include "simulated_memory.hpp"

namespace skerry {
namespace {

constexpr const char* kLostWakeUp = "everybody sleeps and nobody will ring";
constexpr const char* kWrongBytes = "a frame's bytes are not those that were sent";

// How a party behaves before it sleeps; the broken one does not listen to its second look.
enum class Sleep { kIfArmSaysSo, kAlways };

// One party at its end of the link, blocking as programs do that have nothing else to wait for.
template <class Atomics>
class Worker {
 public:
  Worker(Simulation& simulation, std::byte* memory, const ShmLayout& layout, Side side, Sleep sleep)
      : simulation_(simulation),
        end_(memory, layout, side, LinkFacts{}),
        neighbour_(side == Side::kA ? 1 : 0),
        sleep_(sleep) {}

  // Sends `count` frames in one call; their payload says number, number + 1, ...
  void send(uint64_t number, uint32_t count) {
    FrameBatch batch;
    while (batch.count < count) {
      const std::optional<Frame> frame = end_.allocate(64);
      if (!frame) {
        wait();
        continue;
      }
      // One word, stored like any other: it stays in the buffer until the scheduler moves it.
      simulation_.store(end_.data(*frame).data(), 8, number + batch.count, false);
      batch.push(*frame);
    }
    if (end_.send(batch.view()) != count) simulation_.fail("a send was refused");
    finish_call();
  }

  // Takes `count` frames, which must say number, number + 1, ...
  void receive(uint64_t number, uint32_t count) {
    while (count > 0) {
      FrameBatch batch;
      end_.receive(batch);
      finish_call();
      for (const Frame& frame : batch.view()) {
        // Twice: it is ours until we give it back.
        for (int look = 0; look < 2; ++look)
          if (simulation_.load(end_.data(frame).data(), 8) != number) simulation_.fail(kWrongBytes);
        end_.give_back(frame);
        ++number;
        --count;
      }
      if (batch.count == 0) wait();
    }
  }

  void tell(uint32_t changes) {
    end_.tell({changes});
    finish_call();
  }
  void await_carrier(uint32_t changes) {
    for (;;) {
      FrameBatch batch;
      end_.receive(batch);
      finish_call();
      if (end_.carrier().changes == changes) return;
      wait();
    }
  }

  // What was given back goes home, as before any sleep.
  void leave() {
    end_.arm();
    finish_call();
  }

 private:
  void wait() {
    const bool safe = end_.arm();
    finish_call();
    if (safe || sleep_ == Sleep::kAlways) simulation_.sleep();
    end_.disarm();
  }

  void finish_call() {
    if (end_.take_ring()) simulation_.ring(neighbour_);
    if (end_.closed()) simulation_.fail(end_.fault());
  }

  Simulation& simulation_;
  ShmEnd<Atomics> end_;
  size_t neighbour_;
  Sleep sleep_;
};

template <class Atomics>
struct Model {
  using Script = void (*)(Worker<Atomics>&);

  static Simulation::Outcome explore(uint32_t slots, Script a, Script b, Sleep sleep = Sleep::kIfArmSaysSo) {
    const ShmLayout layout({slots, 0});
    std::vector<std::byte> memory(layout.bytes());
    const auto party = [&](Side side, Script script) {
      return [&, side, script](Simulation& simulation) {
        Worker<Atomics> worker(simulation, memory.data(), layout, side, sleep);
        script(worker);
        worker.leave();
      };
    };
    return Simulation::explore(memory, {party(Side::kA, a), party(Side::kB, b)});
  }

  static Simulation::Outcome one_by_one(uint32_t slots, Sleep sleep = Sleep::kIfArmSaysSo) {
    return explore(
        slots,
        [](Worker<Atomics>& a) {
          a.send(1, 1);
          a.send(2, 1);
        },
        [](Worker<Atomics>& b) { b.receive(1, 2); }, sleep);
  }
};

void expect_sound(const Simulation::Outcome& outcome) {
  EXPECT_EQ(outcome.failure, "");
  EXPECT_GT(outcome.states, 1000u);
  testing::Test::RecordProperty("states", std::to_string(outcome.states));
  testing::Test::RecordProperty("runs", std::to_string(outcome.runs));
}

using Sound = Model<SimulatedAtomics>;

TEST(Model, TwoFramesInTwoSlots) {
  expect_sound(Sound::one_by_one(2));
}

// The sender has to sleep for memory, the receiver for frames: each wakes the other.
TEST(Model, TwoFramesInOneSlot) {
  expect_sound(Sound::one_by_one(1));
}

TEST(Model, ABatchAndThenAnother) {
  expect_sound(Sound::explore(
      2,
      [](auto& a) {
        a.send(1, 2);
        a.send(3, 1);
      },
      [](auto& b) { b.receive(1, 3); }));
}

// A program and its server: nothing moves but by the other's wake-up.
TEST(Model, ARequestAndItsReply) {
  expect_sound(Sound::explore(
      1,
      [](auto& a) {
        a.send(1, 1);
        a.receive(11, 1);
      },
      [](auto& b) {
        b.receive(1, 1);
        b.send(11, 1);
      }));
}

TEST(Model, BothSendFirst) {
  expect_sound(Sound::explore(
      1,
      [](auto& a) {
        a.send(1, 1);
        a.receive(11, 1);
      },
      [](auto& b) {
        b.send(11, 1);
        b.receive(1, 1);
      }));
}

// Told while the other is about to sleep.
TEST(Model, ACarrierThatGoesAndComes) {
  expect_sound(Sound::explore(
      1,
      [](auto& a) {
        a.tell(1);
        a.tell(2);
      },
      [](auto& b) { b.await_carrier(2); }));
}

struct WithoutFence : SimulatedAtomics {
  static void fence() {}
};

struct WithoutRelease : SimulatedAtomics {
  template <class Word>
  static void store_release(Word* word, Word value) {
    store_relaxed(word, value);
  }
};

TEST(Model, WithoutTheFenceAWakeUpIsLost) {
  EXPECT_EQ(Model<WithoutFence>::one_by_one(2).failure, kLostWakeUp);
}

TEST(Model, WithoutTheFenceASenderSleepsForEver) {
  EXPECT_EQ(Model<WithoutFence>::one_by_one(1).failure, kLostWakeUp);
}

TEST(Model, WithoutTheFenceNewsOfTheCarrierIsSleptOver) {
  const auto outcome = Model<WithoutFence>::explore(
      1, [](auto& a) { a.tell(1); }, [](auto& b) { b.await_carrier(1); });
  EXPECT_EQ(outcome.failure, kLostWakeUp);
}

TEST(Model, WithoutTheSecondLookAWakeUpIsLost) {
  EXPECT_EQ(Sound::one_by_one(2, Sleep::kAlways).failure, kLostWakeUp);
}

TEST(Model, WithoutTheReleaseAFrameIsReadBeforeItIsThere) {
  const std::string failure = Model<WithoutRelease>::one_by_one(2).failure;
  EXPECT_TRUE(failure == kWrongBytes || failure.starts_with("it sent")) << failure;
}

}  // namespace
}  // namespace skerry
