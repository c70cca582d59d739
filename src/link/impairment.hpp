// What a bad wire does to frames, from a seed: the queue between one end of Lossy and the other. Frames go in
// as plain Ethernet frames with finished checksums and come out late, out of order, twice, damaged or never.
//
// Damage is always of the kind that a 16-bit Internet checksum must catch: all flipped bits lie within 15
// consecutive bits (as the wire orders them) of an IPv4 header or of a TCP, UDP or ICMP message, so the ones'
// complement sum changes by less than 0xffff and not by 0. What no checksum covers is left alone: Ethernet
// headers, ARP, fragments, UDP without a checksum; and so are the fields that say how much is summed: IHL,
// the length of UDP. So data that arrives wrong is always a bug of the receiver.
//
// Read first: RFC 1071 section 1.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/time.hpp"

namespace skerry {

// Chances are per frame, in [0, 1].
struct LossyWeather {
  double loss = 0;
  double duplicate = 0;
  double flip = 0;
  double reorder = 0;                          // held back, so that later frames overtake
  DurationNs reorder_ns = 200 * kMicrosecond;  // by up to so much
  DurationNs delay_ns = 0;                     // every frame
};

struct LossyCounters {
  uint64_t lost = 0, duplicated = 0, flipped = 0, reordered = 0;
  uint64_t unfit = 0;  // longer than the wire's MTU, or marked for a segmentation that its bytes do not allow
  uint64_t overrun = 0;  // segments of a super-frame whose buffers its own duplicates had taken
};

// Flips one to fifteen bits of a frame as described above; false, and nothing done, if no checksum covers it.
bool flip_bits(Bytes frame, Random& random);

class Impairment {
 public:
  // Memory for `frames` frames of up to `frame_bytes` each.
  Impairment(const LossyWeather& weather, uint64_t seed, uint32_t frames, uint32_t frame_bytes);

  uint32_t frame_bytes() const { return frame_bytes_; }
  uint32_t free_buffers() const { return static_cast<uint32_t>(free_.size()); }

  // A buffer of frame_bytes() to fill, then commit() or drop(). There must be a free one.
  uint32_t take();
  Bytes buffer(uint32_t index) { return {memory_.data() + size_t{index} * frame_bytes_, frame_bytes_}; }
  void drop(uint32_t index) { free_.push_back(index); }

  // The frame that fills the first `bytes` of the buffer meets its fate. Uses one more buffer if there is one
  // and fate says so.
  void commit(uint32_t index, uint32_t bytes, TimeNs now);

  struct Arrival {
    uint32_t buffer;  // the caller's until drop()
    uint32_t bytes;
  };
  // The next frame whose time has come.
  std::optional<Arrival> arrive(TimeNs now);
  // The length of the frame that arrive() will bring next; something must be under way.
  uint32_t next_bytes() const { return under_way_.front().frame.bytes; }
  // When arrive() will next bring something; kNever if nothing is under way.
  TimeNs deadline() const { return under_way_.empty() ? kNever : under_way_.front().due; }

  const LossyCounters& counters() const { return counters_; }
  void count_unfit() { ++counters_.unfit; }
  void count_overrun(uint32_t segments) { counters_.overrun += segments; }

 private:
  struct Transit {
    TimeNs due;
    uint64_t order;  // frames due together keep their order
    Arrival frame;
    friend bool operator>(const Transit& a, const Transit& b) {
      return a.due != b.due ? a.due > b.due : a.order > b.order;
    }
  };

  void depart(uint32_t index, uint32_t bytes, TimeNs due);

  LossyWeather weather_;
  Random random_;
  uint32_t frame_bytes_;
  std::vector<uint8_t> memory_;
  std::vector<uint32_t> free_;
  std::vector<Transit> under_way_;  // a heap, earliest first
  uint64_t order_ = 0;
  LossyCounters counters_;
};

}  // namespace skerry
