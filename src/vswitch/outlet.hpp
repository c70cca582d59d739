// Outlet: what leaves through one port. rx puts judged frames in, each copied into the receiver's memory; tx
// sends them in one go. Where the receiver's link does not take super-frames or unfinished checksums, they
// are cut and finished here (link/segmentation.hpp).
//
// Invariant: what is written is the judged head and, behind it, the sender's bytes, each read once. Work is
// bounded by the receiver's memory: cutting ends where no slot is left.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "link/link.hpp"
#include "link/segmentation.hpp"
#include "vswitch/judge.hpp"
#include "vswitch/port.hpp"

namespace skerry::vswitch {

template <Link L>
class Outlet {
 public:
  explicit Outlet(L& link) : link_(link) {}

  L& link() { return link_; }
  bool empty() const { return pending_count_ == 0; }

  // Why the frame, or the last part of it, did not go in; kNone if all of it did. `scratch`: kMaxFrame
  // private bytes.
  Drop put(const JudgedFrame& frame, uint8_t* scratch) {
    const LinkFacts& facts = link_.facts();
    const uint8_t flags = frame.marks.flags;
    const bool cut = (flags & kSegmentTcp4) != 0 && !facts.segments_tcp4;
    const bool finish = (flags & kChecksumNeeded) != 0 && !facts.takes_unfinished;
    if (cut || finish) [[unlikely]]
      return put_finished(frame, cut, scratch);
    return put_one(frame.bytes(), frame.marks, [&](uint8_t* to) { frame.copy_to(to); });
  }

  // Frames sent.
  uint32_t flush(PortCounters& counters) {
    const std::span<const Frame> frames(pending_.data(), pending_count_);
    const size_t sent = link_.send(frames);
    for (const Frame& frame : frames.first(sent)) counters.tx_bytes += frame.length;
    counters.tx_frames += sent;
    for (const Frame& frame : frames.subspan(sent)) {
      link_.give_back(frame);
      ++counters.drops[static_cast<size_t>(Drop::kNoMemory)];
    }
    pending_count_ = 0;
    return static_cast<uint32_t>(sent);
  }

 private:
  static constexpr uint32_t kPending = 512;  // frames in one breath

  template <class Write>
  Drop put_one(size_t bytes, const Frame& marks, Write write) {
    if (bytes > link_.facts().max_frame) return Drop::kTooLong;
    if (pending_count_ == kPending) return Drop::kNoMemory;
    const std::optional<Frame> slot = link_.allocate(static_cast<uint32_t>(bytes));
    if (!slot) return Drop::kNoMemory;
    write(link_.data(*slot).data());
    Frame& out = pending_[pending_count_++];
    out = *slot;
    out.flags = marks.flags;
    out.gso_size = marks.gso_size;
    out.checksum_start = marks.checksum_start;
    out.checksum_offset = marks.checksum_offset;
    return Drop::kNone;
  }

  [[gnu::noinline]] Drop put_finished(const JudgedFrame& frame, bool cut, uint8_t* scratch) {
    // The sender could change headers and payload between two looks at them; the scratch is ours.
    frame.copy_to(scratch);
    const Bytes whole(scratch, frame.bytes());
    Frame marks = frame.marks;
    if (!cut) {
      finish_checksum(marks, whole);
      return put_one(whole.size(), marks, [&](uint8_t* to) { std::memcpy(to, whole.data(), whole.size()); });
    }
    const std::optional<TcpSegmenter> cutter = TcpSegmenter::create(marks, whole);
    if (!cutter) return Drop::kBadMarks;
    for (uint32_t n = 0; n < cutter->segments(); ++n) {
      const Drop reason =
          put_one(cutter->segment_bytes(n), Frame{}, [&](uint8_t* to) { cutter->write(n, to); });
      if (reason != Drop::kNone) return reason;
    }
    return Drop::kNone;
  }

  L& link_;
  uint32_t pending_count_ = 0;
  std::array<Frame, kPending> pending_;
};

}  // namespace skerry::vswitch
