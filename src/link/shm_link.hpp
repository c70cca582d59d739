// ShmLink: a Link between two processes that do not trust each other. Region and doorbells come from whoever
// created them for exactly these two neighbours; everything the neighbour can write is judged in ShmEnd.
//
// A region serves one pair of ends once: both begin at zero, so a neighbour that comes back needs a fresh
// one. A link that has faulted is closed: receive brings nothing, send and allocate take nothing, arm lets
// one sleep, frames already received stay readable. closed() and fault() tell its owner.
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"
#include "link/shm_end.hpp"
#include "shm/doorbell.hpp"
#include "shm/region.hpp"

namespace skerry {

class ShmLink {
 public:
  // What a region for such a link must measure.
  static size_t region_bytes(const SlotGeometry& geometry = {}) { return ShmLayout(geometry).bytes(); }

  // `ring` wakes the neighbour (write end), `wake` is how it wakes us (read end). The process must ignore
  // SIGPIPE. facts.headroom is at most kMaxHeadroom; facts.max_frame is cut to what the slots can hold.
  static Result<ShmLink> create(Region&& region, Side side, const LinkFacts& facts, Fd ring, Fd wake,
                                const SlotGeometry& geometry = {});

  std::optional<Frame> allocate(uint32_t bytes) { return end_.allocate(bytes); }
  size_t send(std::span<const Frame> frames) {
    const size_t sent = end_.send(frames);
    ring_if_wanted();
    return sent;
  }
  void receive(FrameBatch& batch) {
    end_.receive(batch);
    ring_if_wanted();
  }
  Bytes data(const Frame& frame) const { return end_.data(frame); }
  void give_back(const Frame& frame) {
    end_.give_back(frame);
    ring_if_wanted();
  }
  bool arm() {
    const bool safe = end_.arm();
    ring_if_wanted();
    return safe;
  }
  void disarm() { end_.disarm(); }
  Carrier carrier() const { return end_.carrier(); }
  void tell(Carrier carrier) {
    end_.tell(carrier);
    ring_if_wanted();
  }
  const LinkFacts& facts() const { return end_.facts(); }

  // The descriptor to poll for reading before sleeping; -1 once the neighbour has hung up.
  int wake_fd() const { return waker_.fd(); }
  // After a wake-up: takes the rings back. Never blocks.
  void drain() {
    if (!waker_.drain()) end_.fail("it closed its end of the doorbell that wakes us");
  }

  bool closed() const { return end_.closed(); }
  // What the neighbour did, as a clause that begins with "it"; nullptr while the link is open.
  const char* fault() const { return end_.fault(); }
  const LinkCounters& counters() const { return end_.counters(); }

 private:
  ShmLink(Region&& region, const ShmLayout& layout, Side side, const LinkFacts& facts, Ringer&& ringer,
          Waker&& waker);

  void ring_if_wanted() {
    if (end_.take_ring()) ring();
  }
  [[gnu::noinline]] void ring();

  Region region_;
  ShmEnd<> end_;
  Ringer ringer_;
  Waker waker_;
};

static_assert(Link<ShmLink>);

}  // namespace skerry
