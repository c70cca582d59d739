// What ICMP has told of paths that carry less than our link (RFC 1191 section 6.1), by destination. Forgotten
// after ten minutes, so that a path that became wider is found out (section 6.3).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/time.hpp"
#include "wire/address.hpp"

namespace skerry::stack {

class PathMtus {
 public:
  static constexpr uint32_t kPaths = 64;                  // the one that would be forgotten first gives way
  static constexpr DurationNs kLifetime = 600 * kSecond;  // Linux net.ipv4.route.mtu_expires
  static constexpr uint16_t kLeast = 552;  // Linux net.ipv4.route.min_pmtu: less is not believed

  // Bytes of the longest packet to `destination`; UINT32_MAX: nothing was told.
  uint32_t find(TimeNs now, Ipv4Address destination) const {
    for (uint32_t i = 0; i < count_; ++i)
      if (paths_[i].destination == destination && now < paths_[i].expires) return paths_[i].mtu;
    return UINT32_MAX;
  }

  // The caller has seen that the message was about a packet of ours.
  void learn(TimeNs now, Ipv4Address destination, uint16_t mtu) {
    if (mtu < kLeast || mtu >= find(now, destination)) return;
    Path* place = &paths_[0];
    for (Path& path : paths_) {
      if (path.destination == destination) {
        place = &path;
        break;
      }
      if (path.expires < place->expires) place = &path;
    }
    count_ = std::max(count_, static_cast<uint32_t>(place - paths_.data()) + 1);
    *place = {destination, mtu, now + kLifetime};
  }

 private:
  struct Path {
    Ipv4Address destination = 0;
    uint16_t mtu = 0;
    TimeNs expires = 0;
  };

  std::array<Path, kPaths> paths_;
  uint32_t count_ = 0;  // places ever used
};

}  // namespace skerry::stack
