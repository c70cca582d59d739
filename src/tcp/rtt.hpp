// Round-trip time and retransmission timeout (RFC 6298 section 2), in fixed point so that 12 bytes hold it.
// Karn's rule (section 3) is the caller's: no sample is taken of what was sent twice.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tcp/constants.hpp"

namespace skerry::tcp {

struct RttEstimator {
  uint32_t srtt = 0;      // in 1/8 microseconds; 0 = no sample yet
  uint32_t variance = 0;  // in 1/8 microseconds
  uint32_t rto_us = static_cast<uint32_t>(kInitialRto / kMicrosecond);

  void sample(DurationNs rtt_ns) {
    constexpr DurationNs kUnit = kMicrosecond / 8;
    const uint32_t rtt =
        static_cast<uint32_t>(std::clamp<DurationNs>(rtt_ns / kUnit, 1, kGreatestRto / kUnit));
    if (srtt == 0) {
      srtt = rtt;
      variance = rtt / 2;
    } else {
      const uint32_t error = rtt > srtt ? rtt - srtt : srtt - rtt;
      variance = variance - variance / 4 + error / 4;
      srtt = std::max(1u, srtt - srtt / 8 + rtt / 8);
    }
    constexpr uint32_t kLeast = static_cast<uint32_t>(kLeastRto / kMicrosecond);
    constexpr uint32_t kGreatest = static_cast<uint32_t>(kGreatestRto / kMicrosecond);
    rto_us = std::clamp((srtt + 4 * std::min(variance, UINT32_MAX / 8)) / 8, kLeast, kGreatest);
  }

  DurationNs srtt_ns() const { return srtt * kMicrosecond / 8; }
  DurationNs variance_ns() const { return variance * kMicrosecond / 8; }
  DurationNs rto_ns() const { return rto_us * kMicrosecond; }
  // Section 5.5: the timer is doubled with each time-out, up to the greatest.
  DurationNs rto_ns(uint32_t doublings) const {
    return std::min(rto_ns() << std::min(doublings, 10u), kGreatestRto);
  }
};

}  // namespace skerry::tcp
