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
    sending_ = idle ? 0 : now - last;
    if (!idle) return;
    begun_ = now;
    una_ = una;
  }
  // It is acknowledged, and so is all before `una`.
  void end(TimeNs now, uint32_t una) {
    const DurationNs took = std::max({now - begun_, sending_, DurationNs{1}});
    const double rate = (una - una_) / static_cast<double>(static_cast<int64_t>(took));
    // A program that sends little proves only that the path carries as much.
    if (!starved_in_sample_ || rate >= rate_) {
      rate_ = rate;
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

  uint64_t bytes_per_second() const { return static_cast<uint64_t>(rate_ * kSecond + 0.5); }
  bool rate_is_the_programs() const { return starved_ever_; }
  // Until `since`; from then on it is limit().
  DurationNs waited(Limit limit) const { return waited_[place(limit)]; }
  Limit limit() const { return limit_; }
  TimeNs since() const { return since_; }

 private:
  static size_t place(Limit limit) { return static_cast<size_t>(limit) - 1; }

  TimeNs begun_ = 0;  // the sample under way
  DurationNs sending_ = 0;
  double rate_ = 0;  // bytes a nanosecond
  uint32_t una_ = 0;
  bool starved_ = false;
  bool starved_in_sample_ = false;
  bool starved_ever_ = false;
  Limit limit_ = Limit::nothing;
  TimeNs since_ = 0;
  DurationNs waited_[3] = {};
};
static_assert(sizeof(Delivery) == 64);

}  // namespace skerry::tcp
