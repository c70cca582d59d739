// TapLink: a TAP device as a Link. The kernel's network is the wire; frames of up to 64 KiB pass both ways
// with their segmentation and checksums left open, because the device was opened with IFF_VNET_HDR and
// TUNSETOFFLOAD (tap_device.hpp). One system call a frame: a TAP takes and gives them singly.
//
// Invariant: a slot is either free, or somebody's until send or give_back. Sending never waits: what the
// kernel refuses (the interface is down, say) is lost and counted, as on any wire.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "driver/driver.hpp"
#include "driver/interface_watch.hpp"

namespace skerry {

class TapLink {
 public:
  // Takes an opened device. It becomes non-blocking. The frame header must be the 10 bytes of a
  // VirtioNetHeader.
  static Result<TapLink> create(Fd device, InterfaceWatch watch, uint32_t mtu);

  std::optional<Frame> allocate(uint32_t bytes);
  size_t send(std::span<const Frame> frames);
  void receive(FrameBatch& batch);
  Bytes data(const Frame& frame) { return {address(frame.slot) + frame.offset, frame.length}; }
  void give_back(const Frame& frame) { free_.push_back(frame.slot); }
  // Looks once more: an edge-triggered wait does not end for what was there before.
  bool arm();
  void disarm() {}
  const LinkFacts& facts() const { return facts_; }
  Carrier carrier() const { return watch_.carrier(); }
  InterfaceWatch& watch() { return watch_; }

  std::vector<int> wake_fds() const { return {device_.get()}; }
  const LinkCounters& counters() const { return counters_; }
  bool gone() const { return gone_ || watch_.deleted(); }
  const char* why_gone() const {
    return "the TAP interface was deleted; end this network and start it again";
  }
  void each_count(auto count) const {
    count("drop.refused",
          refused_);  // the kernel would not take it, or sent it with marks that we cannot carry
  }

 private:
  static constexpr uint32_t kSlots = 2 * kBatch;
  static constexpr size_t kSlotBytes = (kMaxFrame + 63) & ~size_t{63};

  TapLink(Fd device, InterfaceWatch watch, uint32_t mtu);
  uint8_t* address(uint32_t slot) { return memory_.get() + slot * kSlotBytes; }

  Fd device_;
  InterfaceWatch watch_;
  LinkFacts facts_;
  std::unique_ptr<uint8_t[]> memory_;
  std::vector<uint32_t> free_;  // the last one given back is taken first: it is in the cache
  LinkCounters counters_;
  uint64_t refused_ = 0;
  bool gone_ = false;
};

static_assert(Driver<TapLink>);

}  // namespace skerry
