// LocalLink: a Link between two components of one process and one thread, which trust each other: no shared
// words, no fences, no doorbell. A frame given back is free at once. What is left to check is our own
// promises, and those are CHECKs. Also the link of every test and simulation, where a LocalWire stands for
// the world.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/check.hpp"
#include "base/result.hpp"
#include "link/claims.hpp"
#include "link/link.hpp"
#include "link/slots.hpp"
#include "shm/slot_pool.hpp"

namespace skerry {

class LocalLink {
 public:
  LocalLink(const LocalLink&) = delete;
  LocalLink& operator=(const LocalLink&) = delete;

  std::optional<Frame> allocate(uint32_t bytes) {
    if (bytes > facts_.max_frame) return std::nullopt;
    const SlotSize size = facts_.headroom + bytes <= kSmallSlotBytes ? SlotSize::kSmall : SlotSize::kLarge;
    const std::optional<uint32_t> index = pool_.take(size);
    if (!index) {
      ++counters_.tx_no_memory;
      return std::nullopt;
    }
    return plain_frame(first_slot_ + *index, bytes, static_cast<uint16_t>(facts_.headroom));
  }

  size_t send(std::span<const Frame> frames) {
    for (const Frame& frame : frames) {
      const uint32_t index = frame.slot - first_slot_;
      pool_.lend(index);
      CHECK(claims_hold(frame, area_.slot_bytes(index)));
      peer_->incoming_.push(frame);
      counters_.tx_bytes += frame.length;
    }
    counters_.tx_frames += frames.size();
    return frames.size();
  }

  void receive(FrameBatch& batch) {
    carrier_ = peer_->told_;
    while (batch.room() > 0 && !incoming_.empty()) {
      const Frame frame = incoming_.pop();
      batch.push(frame);
      ++counters_.rx_frames;
      counters_.rx_bytes += frame.length;
    }
  }

  Bytes data(const Frame& frame) const { return {area_.address(frame.slot) + frame.offset, frame.length}; }

  void give_back(const Frame& frame) {
    const uint32_t index = frame.slot - first_slot_;
    if (index < area_.slots()) return pool_.put_back(index);
    CHECK(peer_->pool_.reclaim(frame.slot - peer_->first_slot_));
  }

  bool arm() { return incoming_.empty() && carrier_ == peer_->told_; }
  void disarm() {}
  Carrier carrier() const { return carrier_; }
  void tell(Carrier carrier) { told_ = carrier; }
  const LinkFacts& facts() const { return facts_; }
  const LinkCounters& counters() const { return counters_; }

 private:
  friend class LocalWire;

  // As long as the sender has slots, so it is never full.
  class Queue {
   public:
    explicit Queue(uint32_t capacity) : frames_(capacity) {}
    bool empty() const { return head_ == tail_; }
    void push(const Frame& frame) { frames_[tail_++ & (frames_.size() - 1)] = frame; }
    Frame pop() { return frames_[head_++ & (frames_.size() - 1)]; }

   private:
    std::vector<Frame> frames_;
    uint32_t head_ = 0, tail_ = 0;
  };

  LocalLink(const SlotArea& area, Side side, const LinkFacts& facts, const SlotGeometry& geometry);

  LinkFacts facts_;
  SlotArea area_;
  uint32_t first_slot_;
  SlotPool pool_;
  Queue incoming_;
  LocalLink* peer_ = nullptr;
  Carrier carrier_;  // what the peer said
  Carrier told_;     // what we said
  LinkCounters counters_;
};

static_assert(Link<LocalLink>);

// The two ends and the memory between them.
class LocalWire {
 public:
  // facts.headroom is at most kMaxHeadroom; facts.max_frame is cut to what the slots can hold.
  LocalWire(const LinkFacts& facts_a, const LinkFacts& facts_b, const SlotGeometry& geometry = {});

  LocalLink& a() { return a_; }
  LocalLink& b() { return b_; }

 private:
  struct AlignedDelete {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], AlignedDelete> memory_;
  LocalLink a_;
  LocalLink b_;
};

}  // namespace skerry
