// What lies between a stack and its link: nothing, or, for tests with a composition that asks for it, bad
// weather.
#pragma once

#include <time.h>

#include "link/lossy.hpp"
#include "link/shm_link.hpp"
#include "settings.hpp"

namespace skerry {

class GoodWire {
 public:
  using Link = ShmLink;
  GoodWire(ShmLink& link, const StackSettings&) : link_(link) {}
  Link& link() { return link_; }

 private:
  ShmLink& link_;
};

class BadWire {
 public:
  struct Clock {
    TimeNs operator()() const {
      timespec now;
      ::clock_gettime(CLOCK_MONOTONIC, &now);
      return static_cast<TimeNs>(now.tv_sec) * kSecond + static_cast<TimeNs>(now.tv_nsec);
    }
  };
  using Link = Lossy<ShmLink, Clock>;
  BadWire(ShmLink& link, const StackSettings& settings)
      : lossy_(link, kWeather, settings.lossy_seed.value_or(0), Clock{}) {}
  Link& link() { return lossy_; }

 private:
  // Worse than any wire that people keep: one frame in a hundred is lost, as many overtake, half as many are
  // doubled or damaged, in each direction.
  static constexpr LossyWeather kWeather{.loss = 0.01, .duplicate = 0.005, .flip = 0.005, .reorder = 0.01};

  Link lossy_;
};

}  // namespace skerry
