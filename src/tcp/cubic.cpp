#include "tcp/cubic.hpp"

#include <algorithm>
#include <cmath>

namespace skerry::tcp {
namespace {

constexpr double kBeta = 0.7;  // section 4.6
constexpr double kC = 0.4;     // section 5.1
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);

double window_at(double seconds, double k, double w_max) {
  const double distance = seconds - k;
  return kC * distance * distance * distance + w_max;  // figure 1
}

}  // namespace

uint32_t Cubic::on_congestion(uint32_t cwnd_bytes, uint32_t flight_bytes, uint32_t mss) {
  const double cwnd = static_cast<double>(cwnd_bytes) / mss;
  // Fast convergence (section 4.7): give way sooner if the maximum is shrinking.
  w_max_ = cwnd < w_max_ ? cwnd * (1 + kBeta) / 2 : cwnd;
  cwnd_prior_ = cwnd;
  epoch_start_ = 0;
  fraction_ = 0;
  return std::max(static_cast<uint32_t>(flight_bytes * kBeta), 2 * mss);
}

uint32_t Cubic::grow(TimeNs now, uint32_t cwnd_bytes, uint32_t acked_bytes, uint32_t mss, DurationNs srtt) {
  const double cwnd = static_cast<double>(cwnd_bytes) / mss;
  const double acked = static_cast<double>(acked_bytes) / mss;
  if (epoch_start_ == 0) {
    epoch_start_ = now;
    w_est_ = cwnd;
    if (cwnd < w_max_) {
      k_ = std::cbrt((w_max_ - cwnd) / kC);  // figure 2
    } else {
      k_ = 0;
      w_max_ = cwnd;
    }
  }
  const double t = static_cast<double>(now - epoch_start_) / static_cast<double>(kSecond);
  const double rtt = static_cast<double>(srtt) / static_cast<double>(kSecond);

  // Section 4.3: what Reno would have; with alpha 1 once it has regained what was lost.
  w_est_ += (w_est_ >= cwnd_prior_ ? 1 : kAlpha) * acked / cwnd;
  double growth;
  if (window_at(t, k_, w_max_) < w_est_) {
    growth = std::max(0.0, w_est_ - cwnd);
  } else {
    const double target = std::clamp(window_at(t + rtt, k_, w_max_), cwnd, 1.5 * cwnd);  // section 4.2
    growth = (target - cwnd) / cwnd * acked;                                             // sections 4.4, 4.5
  }
  fraction_ += std::min(growth, acked) * mss;  // never faster than slow start
  const double whole = std::floor(fraction_);
  fraction_ -= whole;
  return cwnd_bytes + static_cast<uint32_t>(whole);
}

}  // namespace skerry::tcp
