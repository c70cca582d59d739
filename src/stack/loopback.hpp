// The loopback: frames that we send to ourselves, in memory that nobody else has. They look like the link's
// frames, with an Ethernet header's room in front that is never filled, and come back in the order in which
// they went, with what connection tracking knew of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "base/index_pool.hpp"
#include "filter/packet.hpp"
#include "link/frame.hpp"

namespace skerry::stack {

class Loopback {
 public:
  struct Looped {
    Frame frame;
    filter::Tracked tracked;
  };

  static constexpr uint32_t kMtu = 65535;

  // Memory is touched as frames are used, the last used first.
  explicit Loopback(uint32_t frames)
      : pool_(frames), queue_(frames), memory_(new uint8_t[size_t{frames} * kStride]) {}

  uint32_t free() const { return pool_.capacity() - pool_.allocated(); }

  std::optional<Frame> allocate(uint32_t bytes) {
    if (bytes > kMaxFrame) return std::nullopt;
    const auto slot = pool_.allocate();
    if (!slot) return std::nullopt;
    Frame frame;
    frame.slot = *slot;
    frame.length = bytes;
    frame.flags = kChecksumVouched;
    return frame;
  }
  Bytes data(const Frame& frame) { return {memory_.get() + size_t{frame.slot} * kStride, frame.length}; }
  void give_back(const Frame& frame) { pool_.release(frame.slot); }

  // Every frame has a place in the queue, so there is always room.
  void send(const Frame& frame, const filter::Tracked& tracked = {}) {
    queue_[(head_ + waiting_++) % queue_.size()] = {frame, tracked};
  }
  uint32_t waiting() const { return waiting_; }
  // Only if something is waiting.
  Looped receive() {
    CHECK(waiting_ > 0);
    const Looped looped = queue_[head_];
    head_ = (head_ + 1) % static_cast<uint32_t>(queue_.size());
    --waiting_;
    return looped;
  }

 private:
  // Not a multiple of the page size: else the beginnings of all frames would compete for the same cache
  // lines.
  static constexpr size_t kStride = (kMaxFrame + 63) / 64 * 64 + 192;

  IndexPool pool_;
  std::vector<Looped> queue_;
  uint32_t head_ = 0;
  uint32_t waiting_ = 0;
  std::unique_ptr<uint8_t[]> memory_;
};

}  // namespace skerry::stack
