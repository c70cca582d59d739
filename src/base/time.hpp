// Time as plain nanoseconds. Pure code takes `now` as an argument; only run/ and programs/ read a clock.
#pragma once

#include <cstdint>

namespace skerry {

using TimeNs = uint64_t;      // a point on the monotonic clock
using DurationNs = uint64_t;  // a distance

inline constexpr TimeNs kNever = UINT64_MAX;
inline constexpr DurationNs kMicrosecond = 1'000;
inline constexpr DurationNs kMillisecond = 1'000'000;
inline constexpr DurationNs kSecond = 1'000'000'000;

}  // namespace skerry
