// SimulatedNic: a network card that is only memory, with the faults of real ones by plan and by seed. For
// tests of what stands on a device: whatever the plan, a frame arrives, or it is in a counter; and what the
// plan allows to go on goes on.
//
// Like a card it has a ring of slots to send from and buffers to receive into, sends what the wire takes, and
// says later which slots it has read, not always in the order in which it got them. It moves only when it is
// called; deadline() says when that should be.
//
// Read first: link/impairment.hpp, which is the wire's own part of the plan.
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/index_pool.hpp"
#include "driver/driver.hpp"
#include "link/impairment.hpp"

namespace skerry {

struct FaultPlan {
  LossyWeather weather;  // loss, reordering, duplicates, damage and delay, in each direction
  // Every so often the card does nothing for a while. What waits is not lost.
  DurationNs stall_every_ns = 0, stall_ns = 0;
  // Every so often the link is down for a while. What is sent or arrives then is lost.
  DurationNs flap_every_ns = 0, flap_ns = 0;
  // A slot is given back up to so much after it was sent, each in its own time: out of order.
  DurationNs completion_ns = 0;
};

// `Clock` is any callable that returns the current TimeNs.
template <std::invocable Clock>
class SimulatedNic {
 public:
  static constexpr uint32_t kTxSlots = 256, kRxSlots = 256;

  // `wire` gets each frame that leaves. Allocates all it will ever need.
  SimulatedNic(const FaultPlan& plan, uint64_t seed, Clock clock, const LinkFacts& facts,
               std::function<void(ConstBytes)> wire)
      : plan_(plan),
        clock_(std::move(clock)),
        facts_(facts),
        wire_(std::move(wire)),
        random_(seed),
        rx_(plan.weather, seed + 1, kRxSlots, facts.max_frame),
        tx_(plan.weather, seed + 2, kTxSlots, facts.max_frame),
        memory_(size_t{kTxSlots} * facts.max_frame) {
    for (auto* list : {&sent_, &reading_}) list->reserve(kTxSlots);
  }

  // --- the wire's side ---

  // A frame arrives. Lost, and counted, if the link is down or no buffer is free.
  void arrive(ConstBytes frame) {
    const TimeNs now = clock_();
    if (down(now)) return count(down_);
    if (frame.size() > facts_.max_frame) return count(too_long_);
    if (rx_.free_buffers() == 0) return count(no_slot_);
    const uint32_t buffer = rx_.take();
    std::copy(frame.begin(), frame.end(), rx_.buffer(buffer).begin());
    rx_.commit(buffer, static_cast<uint32_t>(frame.size()), now);
  }
  // Pulls the cable, or puts it in again.
  void set_up(bool up) { unplugged_ = !up; }

  // --- Driver ---

  std::optional<Frame> allocate(uint32_t bytes) {
    if (bytes > facts_.max_frame) return std::nullopt;
    move();
    const std::optional<uint32_t> slot = slots_.allocate();
    if (!slot) {
      ++counters_.tx_no_memory;
      return std::nullopt;
    }
    return plain_frame(*slot, bytes, 0);
  }

  size_t send(std::span<const Frame> frames) {
    for (const Frame& frame : frames) {
      if ((frame.flags & (kChecksumNeeded | kSegmentTcp4)) != 0) {
        count(refused_);
        give_back(frame);
        continue;
      }
      sent_.push_back({frame.slot, frame.length, 0});
      ++counters_.tx_frames;
      counters_.tx_bytes += frame.length;
    }
    move();
    return frames.size();
  }

  void receive(FrameBatch& batch) {
    move();
    const TimeNs now = clock_();
    while (batch.room() > 0 && !stalled(now)) {
      const std::optional<Impairment::Arrival> arrival = rx_.arrive(now);
      if (!arrival) return;
      batch.push(plain_frame(kReceived | arrival->buffer, arrival->bytes, 0));
      ++counters_.rx_frames;
      counters_.rx_bytes += arrival->bytes;
    }
  }

  Bytes data(const Frame& frame) {
    const uint32_t index = frame.slot & ~kReceived;
    if ((frame.slot & kReceived) != 0) return rx_.buffer(index).first(frame.length);
    return {memory_.data() + size_t{index} * facts_.max_frame, frame.length};
  }
  void give_back(const Frame& frame) {
    (frame.slot & kReceived) != 0 ? rx_.drop(frame.slot & ~kReceived) : slots_.release(frame.slot);
  }

  bool arm() {
    move();
    const TimeNs now = clock_();
    return stalled(now) || rx_.deadline() > now;
  }
  void disarm() {}
  const LinkFacts& facts() const { return facts_; }
  Carrier carrier() const { return carrier_; }

  // When something happens next, whoever sleeps.
  TimeNs deadline() const {
    const TimeNs now = clock_();
    TimeNs next = std::min(rx_.deadline(), tx_.deadline());
    for (const Slot& slot : reading_) next = std::min(next, slot.due);
    if (!sent_.empty()) next = std::min(next, now);
    return next == kNever || !stalled(now) ? next : std::max(next, stall_ends(now));
  }

  std::vector<int> wake_fds() const { return {}; }
  const LinkCounters& counters() const { return counters_; }
  bool gone() const { return false; }
  const char* why_gone() const { return "a simulated card never goes"; }
  void each_count(auto count_one) const {
    count_one("drop.down", down_);
    count_one("drop.no_slot", no_slot_);
    count_one("drop.refused", refused_);
    count_one("drop.too_long", too_long_);
    count_one("drop.lost", rx_.counters().lost + tx_.counters().lost);
    count_one("duplicated", rx_.counters().duplicated + tx_.counters().duplicated);
    count_one("damaged", rx_.counters().flipped + tx_.counters().flipped);
    count_one("reordered", rx_.counters().reordered + tx_.counters().reordered);
    count_one("stalled", stalled_);
    count_one("held", held_);
  }

 private:
  static constexpr uint32_t kReceived = 1u << 31;  // in Frame::slot: a buffer of rx_

  struct Slot {
    uint32_t index;
    uint32_t bytes;
    TimeNs due;  // when the card is done with it
  };

  static void count(uint64_t& counter) { ++counter; }
  static bool within(TimeNs now, DurationNs every, DurationNs length) {
    return every > 0 && now % every >= every - length;
  }
  bool stalled(TimeNs now) const { return within(now, plan_.stall_every_ns, plan_.stall_ns); }
  TimeNs stall_ends(TimeNs now) const { return now - now % plan_.stall_every_ns + plan_.stall_every_ns; }
  bool down(TimeNs now) const { return unplugged_ || within(now, plan_.flap_every_ns, plan_.flap_ns); }

  // Everything that the card does by itself.
  void move() {
    const TimeNs now = clock_();
    carrier_.set(!down(now));
    if (stalled(now)) return count(stalled_);
    for (const Slot& slot : sent_) {
      put_on_wire(slot, now);
      const DurationNs reads_for = plan_.completion_ns == 0 ? 0 : random_.next() % plan_.completion_ns;
      reading_.push_back({slot.index, slot.bytes, now + reads_for});
    }
    sent_.clear();
    std::erase_if(reading_, [&](const Slot& slot) {
      if (slot.due > now) return ++held_, false;
      slots_.release(slot.index);
      return true;
    });
    while (const std::optional<Impairment::Arrival> leaving = tx_.arrive(now)) {
      wire_(tx_.buffer(leaving->buffer).first(leaving->bytes));
      tx_.drop(leaving->buffer);
    }
  }

  void put_on_wire(const Slot& slot, TimeNs now) {
    if (down(now)) return count(down_);
    if (tx_.free_buffers() == 0) return count(no_slot_);
    const uint32_t buffer = tx_.take();
    std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(size_t{slot.index} * facts_.max_frame),
                slot.bytes, tx_.buffer(buffer).begin());
    tx_.commit(buffer, slot.bytes, now);
  }

  const FaultPlan plan_;
  Clock clock_;
  LinkFacts facts_;
  std::function<void(ConstBytes)> wire_;
  Random random_;
  Impairment rx_, tx_;
  std::vector<uint8_t> memory_;  // to send from
  IndexPool slots_{kTxSlots};
  std::vector<Slot> sent_;     // the card has not looked at them yet
  std::vector<Slot> reading_;  // on the wire, and not given back yet
  bool unplugged_ = false;
  Carrier carrier_;  // when it moved last
  LinkCounters counters_;
  uint64_t down_ = 0, no_slot_ = 0, refused_ = 0, too_long_ = 0;
  uint64_t stalled_ = 0;  // calls that found the card stalled
  uint64_t held_ = 0;     // slots that a call found not given back yet
};

}  // namespace skerry
