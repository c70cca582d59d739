// Lossy: a bad wire around any Link, in both directions, repeatable from a seed. For tests, simulations and
// compositions that want to see a stack earn its living.
//
// A real wire knows no super-frames and finishes no checksums, so both are done before anything is lost or
// damaged, and each segment meets its own fate. It vouches for nothing: facts().vouches is false and no frame
// comes out with a mark. The chances apply to each direction; see impairment.hpp.
//
// Frames under way lie in memory of its own, so the wrapped link's slots are never held. The owner calls
// again at deadline() (until then arm() refuses sleep, so that a held-back frame is never forgotten).
#pragma once

#include <algorithm>
#include <concepts>
#include <optional>
#include <span>
#include <utility>

#include "link/impairment.hpp"
#include "link/link.hpp"
#include "link/segmentation.hpp"

namespace skerry {

// `Clock` is any callable that returns the current TimeNs.
template <Link Inner, std::invocable Clock>
class Lossy {
 public:
  static constexpr uint32_t kFramesUnderWay = 4096;  // in each direction: a batch of super-frames cut up

  // `inner` must outlive this. Allocates all it will ever need.
  Lossy(Inner& inner, const LossyWeather& weather, uint64_t seed, Clock clock,
        uint32_t frames_under_way = kFramesUnderWay)
      : inner_(inner),
        clock_(std::move(clock)),
        facts_(inner.facts()),
        rx_(weather, seed, frames_under_way, facts_.mtu + 14),
        tx_(weather, seed + 1, frames_under_way, facts_.mtu + 14) {
    facts_.vouches = false;
  }

  std::optional<Frame> allocate(uint32_t bytes) { return inner_.allocate(bytes); }

  size_t send(std::span<const Frame> frames) {
    const TimeNs now = clock_();
    size_t taken = 0;
    while (taken < frames.size() && onto_wire(frames[taken], tx_, now)) inner_.give_back(frames[taken++]);
    transmit(now);
    return taken;
  }

  void receive(FrameBatch& batch) {
    const TimeNs now = clock_();
    transmit(now);
    if (inbox_next_ == inbox_.count) {
      inbox_.clear();
      inbox_next_ = 0;
      inner_.receive(inbox_);
    }
    while (inbox_next_ < inbox_.count && onto_wire(inbox_.frames[inbox_next_], rx_, now))
      inner_.give_back(inbox_.frames[inbox_next_++]);
    while (batch.room() > 0) {
      const std::optional<Impairment::Arrival> arrival = rx_.arrive(now);
      if (!arrival) break;
      Frame frame;
      frame.slot = kOwnBuffer | arrival->buffer;
      frame.length = arrival->bytes;
      batch.push(frame);
    }
  }

  Bytes data(const Frame& frame) {
    if ((frame.slot & kOwnBuffer) == 0) return inner_.data(frame);
    return rx_.buffer(frame.slot & ~kOwnBuffer).subspan(frame.offset, frame.length);
  }

  void give_back(const Frame& frame) {
    if ((frame.slot & kOwnBuffer) == 0) return inner_.give_back(frame);
    rx_.drop(frame.slot & ~kOwnBuffer);
  }

  bool arm() {
    const TimeNs now = clock_();
    transmit(now);
    const bool safe = inner_.arm();
    // What is due and still here found no memory: the wrapped link rings once there is some, and one that has
    // closed never gives any.
    const bool nothing_to_come = tx_.deadline() == kNever || tx_.deadline() <= now;
    return safe && nothing_to_come && rx_.deadline() == kNever && inbox_next_ == inbox_.count;
  }
  void disarm() { inner_.disarm(); }
  Carrier carrier() const { return inner_.carrier(); }
  void tell(Carrier carrier) { inner_.tell(carrier); }

  // The wrapped link is about to be replaced by a fresh one: gives back what lies in its memory. What is on
  // the wire lies in ours and arrives.
  void forget() {
    while (inbox_next_ < inbox_.count) inner_.give_back(inbox_.frames[inbox_next_++]);
  }

  // When receive() or send() should be called next, even if nothing else happens.
  TimeNs deadline() const { return std::min(rx_.deadline(), tx_.deadline()); }

  const LinkFacts& facts() const { return facts_; }
  const LossyCounters& rx_fate() const { return rx_.counters(); }
  const LossyCounters& tx_fate() const { return tx_.counters(); }

  // Those of the wrapped link, where it has them.
  const LinkCounters& counters() const { return inner_.counters(); }
  int wake_fd() const { return inner_.wake_fd(); }
  void drain() { inner_.drain(); }
  bool closed() const { return inner_.closed(); }

 private:
  static constexpr uint32_t kOwnBuffer = 1u << 31;

  // Copies a frame, finished and cut, into `path`. False, and nothing done, if there is no room for it now.
  bool onto_wire(const Frame& frame, Impairment& path, TimeNs now) {
    const Bytes bytes = inner_.data(frame);
    if ((frame.flags & kSegmentTcp4) != 0) {
      const std::optional<TcpSegmenter> cutter = TcpSegmenter::create(frame, bytes);
      if (!cutter || cutter->largest_segment_bytes() > path.frame_bytes()) return path.count_unfit(), true;
      if (cutter->segments() > path.free_buffers()) return false;
      for (uint32_t n = 0; n < cutter->segments(); ++n) {
        // A duplicate may have taken the last buffer: the wire was full, and the rest is lost.
        if (path.free_buffers() == 0) {
          path.count_overrun(cutter->segments() - n);
          break;
        }
        const uint32_t buffer = path.take();
        cutter->write(n, path.buffer(buffer).data());
        path.commit(buffer, cutter->segment_bytes(n), now);
      }
      return true;
    }
    if (bytes.size() > path.frame_bytes()) return path.count_unfit(), true;
    if (path.free_buffers() == 0) return false;
    const uint32_t buffer = path.take();
    const Bytes copy = path.buffer(buffer).first(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.begin());
    Frame finished = frame;
    finish_checksum(finished, copy);
    path.commit(buffer, frame.length, now);
    return true;
  }

  // Hands to the wrapped link what has come through. What it does not take waits.
  void transmit(TimeNs now) {
    FrameBatch out;
    while (true) {
      while (out.room() > 0 && tx_.deadline() <= now) {
        const uint32_t bytes = tx_.next_bytes();
        std::optional<Frame> frame = inner_.allocate(bytes);
        if (!frame) break;
        const Impairment::Arrival arrival = *tx_.arrive(now);
        const Bytes from = tx_.buffer(arrival.buffer).first(bytes);
        std::copy(from.begin(), from.end(), inner_.data(*frame).begin());
        tx_.drop(arrival.buffer);
        out.push(*frame);
      }
      if (out.count == 0) return;
      const size_t sent = inner_.send(out.view());
      // A link that gave memory takes the frame, unless it has closed.
      for (size_t n = sent; n < out.count; ++n) inner_.give_back(out.frames[n]);
      if (sent < out.count) return;
      out.clear();
    }
  }

  Inner& inner_;
  Clock clock_;
  LinkFacts facts_;
  Impairment rx_;
  Impairment tx_;
  FrameBatch inbox_;  // received from the wrapped link, not yet on the wire
  uint32_t inbox_next_ = 0;
};

}  // namespace skerry
