// What src/driver/driver.hpp promises, as tests that run over every device. A new one adds a world to the
// list in conformance_test.cpp: the device, and the wire behind it.
//
// A world has device(), wire_sends(frame), wire_receives() (which waits for a frame, bounded), and what the
// device can suffer: set_up(bool) where the interface can go down, unplug() where it can be deleted.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "driver/driver.hpp"
#include "link/segmentation.hpp"
#include "wire/ethernet.hpp"

namespace skerry {

using Octets = std::vector<uint8_t>;

// An Ethernet frame of a type that no kernel sends by itself, with its number behind the header and in every
// byte.
inline Octets numbered_octets(uint32_t number, size_t bytes) {
  Octets frame(bytes, static_cast<uint8_t>(number * 31));
  const uint8_t header[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5};
  std::memcpy(frame.data(), header, sizeof header);
  std::memcpy(frame.data() + sizeof header, &number, sizeof number);
  return frame;
}
inline constexpr uint16_t kTestEtherType = 0x88b5;

inline bool is_ours(ConstBytes frame) {
  return frame.size() > 18 && frame[12] == kTestEtherType >> 8 && frame[13] == (kTestEtherType & 0xff);
}

template <class World>
class DriverConformance : public testing::Test {
 protected:
  static constexpr int kPatience = 10'000;  // looks of a millisecond: a softirq may come late

  void SetUp() override {
    if (const char* reason = World::skip_reason()) GTEST_SKIP() << reason;
    world_ = std::make_unique<World>();
  }

  auto& device() { return world_->device(); }
  World& world() { return *world_; }

  // Receives until `wanted` frames of ours are there; what the kernel sends by itself is given back.
  std::vector<Frame> receive(size_t wanted, int patience = kPatience) {
    std::vector<Frame> ours;
    for (int looks = 0; ours.size() < wanted && looks < patience; ++looks) {
      FrameBatch batch;
      device().receive(batch);
      for (const Frame& frame : batch.view()) {
        if (is_ours(device().data(frame))) {
          ours.push_back(frame);
          continue;
        }
        ++foreign_frames_;
        foreign_bytes_ += frame.length;
        device().give_back(frame);
      }
      if (batch.count == 0) ::usleep(1000);
    }
    return ours;
  }
  Octets octets(const Frame& frame) {
    const Bytes bytes = device().data(frame);
    return Octets(bytes.begin(), bytes.end());
  }
  // A frame up the way of every frame: one is sent by the wire and arrives whole.
  void expect_up(uint32_t number, size_t bytes) {
    const Octets sent = numbered_octets(number, bytes);
    world().wire_sends(sent);
    for (bool came = false; !came;) {  // after a flood its last frames may still come
      const std::vector<Frame> got = receive(1);
      ASSERT_FALSE(got.empty()) << "frame " << number << " of " << bytes << " bytes did not come";
      for (const Frame& frame : got) {
        came = came || octets(frame) == sent;
        device().give_back(frame);
      }
    }
  }
  bool send(const Octets& bytes) {
    const std::optional<Frame> frame = device().allocate(static_cast<uint32_t>(bytes.size()));
    if (!frame) return false;
    std::memcpy(device().data(*frame).data(), bytes.data(), bytes.size());
    if (device().send({&*frame, 1}) == 1) return true;
    device().give_back(*frame);
    return false;
  }
  void expect_down(uint32_t number, size_t bytes) {
    const Octets sent = numbered_octets(number, bytes);
    ASSERT_TRUE(send(sent)) << "frame " << number;
    EXPECT_EQ(world().wire_receives(), sent);
  }
  uint64_t drops() {
    uint64_t sum = 0;
    device().each_count([&](std::string_view name, uint64_t value) {
      if (name.starts_with("drop.")) sum += value;
    });
    return sum;
  }
  bool woken() {
    std::vector<int> wakes = device().wake_fds();
    if constexpr (requires { this->device().watch(); }) wakes.push_back(device().watch().fd());
    std::vector<pollfd> fds;
    for (const int fd : wakes) fds.push_back({fd, POLLIN, 0});
    return ::poll(fds.data(), fds.size(), kPatience) > 0;
  }
  // What a driver process does when the kernel has something to say of the interface.
  void look() {
    if constexpr (requires { this->device().watch(); }) device().watch().look();
  }
  // Whether the carrier is, or becomes, so.
  bool carrier_is(bool up) {
    for (int looks = 0; looks < kPatience; ++looks) {
      look();
      FrameBatch batch;
      device().receive(batch);
      for (const Frame& frame : batch.view()) device().give_back(frame);
      if (device().carrier().up() == up) return true;
      ::usleep(1000);
    }
    return false;
  }
  // Until nothing has come for a while.
  void settle() {
    for (int quiet = 0; quiet < 20; ++quiet) {
      FrameBatch batch;
      do {
        batch.clear();
        device().receive(batch);
        for (const Frame& frame : batch.view()) device().give_back(frame);
        if (batch.count > 0) quiet = 0;
      } while (batch.count > 0);
      ::usleep(1000);
    }
  }
  // With nothing left to receive, whoever would sleep may. A kernel behind the wire sends frames of its own
  // (router solicitations, multicast reports) at any moment, also between the last look and arm().
  bool may_sleep() {
    for (int attempts = 0; attempts < 20; ++attempts) {
      settle();
      const bool armed = device().arm();
      device().disarm();
      if (armed) return true;
    }
    return false;
  }

  uint64_t foreign_frames_ = 0, foreign_bytes_ = 0;  // what the kernel sent by itself and receive() gave back

 private:
  std::unique_ptr<World> world_;
};

TYPED_TEST_SUITE_P(DriverConformance);

TYPED_TEST_P(DriverConformance, FramesComeUpWhole) {
  uint32_t number = 0;
  for (const size_t bytes : {60, 61, 64, 590, 1513, 1514}) this->expect_up(++number, bytes);
}

TYPED_TEST_P(DriverConformance, FramesGoDownWhole) {
  uint32_t number = 0;
  for (const size_t bytes : {60, 61, 64, 590, 1513, 1514}) this->expect_down(++number, bytes);
}

TYPED_TEST_P(DriverConformance, OrderIsKept) {
  constexpr uint32_t kFrames = 32;
  for (uint32_t n = 0; n < kFrames; ++n) this->world().wire_sends(numbered_octets(n, 100));
  const std::vector<Frame> got = this->receive(kFrames);
  ASSERT_EQ(got.size(), kFrames);
  for (uint32_t n = 0; n < kFrames; ++n) {
    EXPECT_EQ(this->octets(got[n]), numbered_octets(n, 100));
    this->device().give_back(got[n]);
  }
}

TYPED_TEST_P(DriverConformance, NothingLongerThanTheWireIsTaken) {
  auto& device = this->device();
  EXPECT_GE(device.facts().max_frame, device.facts().mtu + 14);
  EXPECT_FALSE(device.allocate(device.facts().max_frame + 1));
  const std::optional<Frame> longest = device.allocate(device.facts().max_frame);
  ASSERT_TRUE(longest);
  EXPECT_EQ(device.data(*longest).size(), device.facts().max_frame);
  device.give_back(*longest);
}

// Ten times as many frames as there are slots, whatever became of each.
TYPED_TEST_P(DriverConformance, SlotsComeBackHoweverAFrameEnds) {
  auto& device = this->device();
  Random random(11);
  std::vector<Frame> unsent;
  while (const std::optional<Frame> frame = device.allocate(60)) unsent.push_back(*frame);
  const size_t slots = unsent.size();
  ASSERT_GE(slots, kBatch);
  EXPECT_GE(device.counters().tx_no_memory, 1u);
  for (const Frame& frame : unsent) device.give_back(frame);
  for (uint32_t n = 0; n < 10 * slots; ++n) {
    const size_t bytes = 60 + random.below(1400);
    if (random.chance(0.2)) {
      const std::optional<Frame> frame = device.allocate(60);
      ASSERT_TRUE(frame) << n;
      device.give_back(*frame);
    } else if (random.chance(0.5)) {
      this->expect_down(n, bytes);
    } else {
      this->expect_up(n, bytes);
    }
    if (this->HasFatalFailure()) return;
  }
}

// Whoever holds all memory loses frames for himself, and once he gives it back the link goes on.
TYPED_TEST_P(DriverConformance, WhileMemoryIsHeldItWaitsAndThenGoesOn) {
  auto& device = this->device();
  std::vector<Frame> held;
  for (uint32_t n = 0; n < 20'000; ++n) {
    this->world().wire_sends(numbered_octets(n, 60));
    const std::vector<Frame> more = this->receive(1, held.empty() ? this->kPatience : 50);
    held.insert(held.end(), more.begin(), more.end());
    if (more.empty()) break;
  }
  ASSERT_GT(held.size(), 0u);
  for (const Frame& frame : held) device.give_back(frame);
  this->settle();
  this->expect_up(1, 500);
  this->expect_down(2, 500);
}

// Nobody receives: the device, or its kernel, drops. Nothing is stuck afterwards.
TYPED_TEST_P(DriverConformance, AFloodEndsInLossesNotInAStuckLink) {
  for (uint32_t n = 0; n < 20'000; ++n) this->world().wire_sends(numbered_octets(n, 60));
  this->settle();
  this->expect_up(1, 1514);
  this->expect_down(2, 1514);
}

TYPED_TEST_P(DriverConformance, SleepingIsSafeOnlyWithNothingThere) {
  auto& device = this->device();
  EXPECT_TRUE(this->may_sleep());
  this->world().wire_sends(numbered_octets(1, 60));
  if (!device.wake_fds().empty()) {  // a simulated one is called by its owner
    EXPECT_TRUE(this->woken());
  }
  EXPECT_FALSE(device.arm());
  device.disarm();
  EXPECT_TRUE(this->may_sleep());
}

TYPED_TEST_P(DriverConformance, ItCountsWhatItCarries) {
  this->settle();
  const LinkCounters before = this->device().counters();
  this->expect_up(1, 100);
  this->expect_down(2, 200);
  const LinkCounters& after = this->device().counters();
  EXPECT_EQ(after.rx_frames, before.rx_frames + 1 + this->foreign_frames_);
  EXPECT_EQ(after.rx_bytes, before.rx_bytes + 100 + this->foreign_bytes_);
  EXPECT_EQ(after.tx_frames, before.tx_frames + 1);
  EXPECT_EQ(after.tx_bytes, before.tx_bytes + 200);
  EXPECT_FALSE(this->device().gone());
}

TYPED_TEST_P(DriverConformance, WhatAnInterfaceThatIsDownLosesIsCounted) {
  if constexpr (requires { this->world().set_up(false); }) {
    auto& device = this->device();
    for (int round = 0; round < 3; ++round) {
      this->world().set_up(false);
      const uint64_t before = this->drops();
      // More than there are slots: none may stay with a device that sends nothing.
      for (uint32_t n = 0; n < 5000; ++n) ASSERT_TRUE(this->send(numbered_octets(n, 60))) << n;
      EXPECT_GE(this->drops() - before, 3000u);
      EXPECT_FALSE(device.gone());
      this->world().set_up(true);
      // The wire has its carrier a moment later, and loses what comes before that.
      bool up = false, down = false;
      for (int tries = 0; tries < 100 && !up; ++tries) {
        this->world().wire_sends(numbered_octets(1, 1000));
        for (const Frame& frame : this->receive(1, 50)) up = true, device.give_back(frame);
      }
      EXPECT_TRUE(up) << "nothing comes up after round " << round;
      for (int tries = 0; tries < 100 && !down; ++tries) {
        ASSERT_TRUE(this->send(numbered_octets(77'777, 1000)));
        while (const std::optional<Octets> got = this->world().wire_receives(50))
          if ((down = *got == numbered_octets(77'777, 1000))) break;  // a few from before may have waited
      }
      EXPECT_TRUE(down) << "nothing goes down after round " << round;
      this->settle();
    }
  }
}

TYPED_TEST_P(DriverConformance, ALinkFlapIsSeen) {
  if constexpr (requires { this->world().set_up(false); }) {
    ASSERT_TRUE(this->carrier_is(true));
    const uint32_t before = this->device().carrier().changes;
    for (uint32_t flap = 1; flap <= 3; ++flap) {
      this->world().set_up(false);
      EXPECT_TRUE(this->carrier_is(false)) << flap;
      this->world().set_up(true);
      EXPECT_TRUE(this->carrier_is(true)) << flap;
      EXPECT_EQ(this->device().carrier().changes, before + 2 * flap);
    }
    EXPECT_FALSE(this->device().gone());
  }
}

TYPED_TEST_P(DriverConformance, AnUnpluggedCableIsSeen) {
  if constexpr (requires { this->world().plug(false); }) {
    ASSERT_TRUE(this->carrier_is(true));
    this->world().plug(false);
    EXPECT_TRUE(this->carrier_is(false));
    EXPECT_TRUE(this->send(numbered_octets(1, 60)));
    EXPECT_EQ(this->drops(), 1u);
    this->world().plug(true);
    EXPECT_TRUE(this->carrier_is(true));
    this->expect_up(2, 600);
    this->expect_down(3, 600);
  }
}

TYPED_TEST_P(DriverConformance, ADeletedDeviceIsGoneAndKeepsNobodyAwake) {
  if constexpr (requires { this->world().unplug(); }) {
    auto& device = this->device();
    this->expect_up(1, 60);
    this->world().unplug();
    EXPECT_TRUE(this->woken());
    this->look();
    FrameBatch batch;
    device.receive(batch);
    for (const Frame& frame : batch.view()) device.give_back(frame);
    device.arm();
    EXPECT_TRUE(device.gone());
    EXPECT_TRUE(device.arm());
    this->send(numbered_octets(1, 60));
  }
}

REGISTER_TYPED_TEST_SUITE_P(DriverConformance, FramesComeUpWhole, FramesGoDownWhole, OrderIsKept,
                            NothingLongerThanTheWireIsTaken, SlotsComeBackHoweverAFrameEnds,
                            WhileMemoryIsHeldItWaitsAndThenGoesOn, AFloodEndsInLossesNotInAStuckLink,
                            SleepingIsSafeOnlyWithNothingThere, ItCountsWhatItCarries,
                            WhatAnInterfaceThatIsDownLosesIsCounted, ALinkFlapIsSeen, AnUnpluggedCableIsSeen,
                            ADeletedDeviceIsGoneAndKeepsNobodyAwake);

}  // namespace skerry
