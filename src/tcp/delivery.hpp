// What TCP_INFO says of sending over time: how fast data reached the peer, and what kept more from being sent
// (Linux tcp_chrono). Written once a round trip and where one begins or ends, so it lies in a cache line of
// its own.
//
// The rate is that of draft-cheng-iccrg-delivery-rate-estimation, section 3, where a sample goes from the
// last delivery before a segment was sent to its acknowledgment. Here only the segment that is timed for the
// round trip gives one, so a sample begins where the one before ended; and no sample is shorter than its
// sending took.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace skerry::tcp {

class Delivery {
 public:
  // What there is to send waits for: the network, the peer's window, or a larger send buffer.
  enum class Limit : uint8_t { nothing, network, window, buffer };

  // A segment that will be timed goes out; `una`: what is acknowledged; idle: nothing else is outstanding;
  // last: when the segment before was sent that was timed.
  void begin(TimeNs now, uint32_t una, bool idle, TimeNs last) {
    starved_in_sample_ = starved_in_sample_ || starved_ || limit_ == Limit::nothing;
    starved_ = false;
    sending_us_ = idle ? 0 : microseconds(now - last);
    if (!idle) return;
    begun_ = now;
    una_ = una;
  }
  // It is acknowledged, and so is all before `una`.
  void end(TimeNs now, uint32_t una) {
    const uint32_t bytes = una - una_;
    const uint32_t took_us = std::max({microseconds(now - begun_), sending_us_, 1u});
    // A program that sends little proves only that the path carries as much.
    if (!starved_in_sample_ || uint64_t{bytes} * interval_us_ >= uint64_t{bytes_} * took_us) {
      bytes_ = bytes;
      interval_us_ = took_us;
      starved_ever_ = starved_in_sample_;
    }
    starved_in_sample_ = false;
    begun_ = now;
    una_ = una;
  }
  // The program has nothing more to send, though the windows would let it.
  void starved() { starved_ = true; }

  void wait_for(TimeNs now, Limit limit) {
    if (limit == limit_) return;
    if (limit_ != Limit::nothing) waited_[place(limit_)] += now - since_;
    limit_ = limit;
    since_ = now;
  }

  uint64_t bytes_per_second() const {
    return interval_us_ == 0 ? 0 : uint64_t{bytes_} * (kSecond / kMicrosecond) / interval_us_;
  }
  bool rate_is_the_programs() const { return starved_ever_; }
  // Until `since`; from then on it is limit().
  DurationNs waited(Limit limit) const { return waited_[place(limit)]; }
  Limit limit() const { return limit_; }
  TimeNs since() const { return since_; }

 private:
  static size_t place(Limit limit) { return static_cast<size_t>(limit) - 1; }
  static uint32_t microseconds(DurationNs time) {
    return static_cast<uint32_t>(std::min<DurationNs>(time / kMicrosecond, UINT32_MAX));
  }

  TimeNs begun_ = 0;  // the sample under way
  uint32_t una_ = 0;
  uint32_t sending_us_ = 0;
  uint32_t bytes_ = 0;  // the rate: so many in so much time
  uint32_t interval_us_ = 0;
  bool starved_ = false;
  bool starved_in_sample_ = false;
  bool starved_ever_ = false;
  Limit limit_ = Limit::nothing;
  TimeNs since_ = 0;
  DurationNs waited_[3] = {};
};
static_assert(sizeof(Delivery) == 64);

}  // namespace skerry::tcp
