// CUBIC congestion control (RFC 9438). The window itself is the caller's; this is what CUBIC remembers of it.
// Slow start and the loss window are those of RFC 5681. Another algorithm would have these three functions.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace skerry::tcp {

class Cubic {
 public:
  // A congestion event with `flight_bytes` outstanding: returns the new slow-start threshold (section 4.6).
  uint32_t on_congestion(uint32_t cwnd_bytes, uint32_t flight_bytes, uint32_t mss);

  // In congestion avoidance, `acked_bytes` were acknowledged while the window was what limited sending:
  // returns the new window (sections 4.2 to 4.5).
  uint32_t grow(TimeNs now, uint32_t cwnd_bytes, uint32_t acked_bytes, uint32_t mss, DurationNs srtt);

  // The connection was idle: the time must not count as growth (section 4.2, last paragraph).
  void on_idle() { epoch_start_ = 0; }

 private:
  TimeNs epoch_start_ = 0;  // 0: the next ACK in congestion avoidance begins an epoch
  double w_max_ = 0;        // segments
  double k_ = 0;            // seconds
  double w_est_ = 0;        // segments
  double cwnd_prior_ = 0;   // segments
  double fraction_ = 0;     // bytes of growth not yet given
};

}  // namespace skerry::tcp
