// A token bucket (RFC 1812 section 4.3.2.8): `per_second` answers on average, `burst` at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.hpp"
#include "base/time.hpp"

namespace skerry::stack {

class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, uint32_t burst)
      : period_ns_(kSecond / per_second), burst_(burst), tokens_(burst) {}

  // True if an answer may be sent now. Each answer costs one to three tokens at random: with a constant
  // price, a stranger could count the tokens to learn which of our ports are open (CVE-2020-25705).
  bool take(TimeNs now, Random& random) {
    const uint64_t earned = (now - filled_at_) / period_ns_;
    tokens_ = static_cast<uint32_t>(std::min<uint64_t>(burst_, tokens_ + earned));
    filled_at_ += earned * period_ns_;
    if (tokens_ == 0) return false;
    tokens_ -= std::min(tokens_, 1 + random.below(3));
    return true;
  }

 private:
  DurationNs period_ns_;
  uint32_t burst_;
  uint32_t tokens_;
  TimeNs filled_at_ = 0;
};

}  // namespace skerry::stack
