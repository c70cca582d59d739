// A Component that does what takes long in slices, one at the end of each breath, so that no breath waits for
// all of it. Read first: run/fiber.hpp, base/pause.hpp.
//
// Invariant: a slice ends with the first pause after its time is over. The process does not sleep before the
// work is done.
#pragma once

#include <functional>
#include <optional>

#include "base/pause.hpp"
#include "base/time.hpp"
#include "run/fiber.hpp"

namespace skerry {

class Slices {
 public:
  // What the work adds to a breath, whose own work takes as long under load.
  static constexpr DurationNs kUsualSlice = 100 * kMicrosecond;

  explicit Slices(std::function<TimeNs()> clock, DurationNs slice_ns = kUsualSlice)
      : clock_(std::move(clock)), slice_ns_(slice_ns) {}
  // For a process that ends, whose work may take seconds more: as Fiber::abandon().
  void abandon() {
    if (fiber_) fiber_->abandon();
  }
  // What was begun and is not abandoned is done to its end; nobody is told.
  ~Slices() { ends_ = kNever; }
  Slices(const Slices&) = delete;
  Slices& operator=(const Slices&) = delete;

  // `work` is to call its pause often; then `done` is called, in the same breath. One work at a time.
  Result<void> begin(std::function<void(const Pause&)> work, std::function<void()> done);
  bool is_busy() const { return fiber_.has_value(); }

  // Of the work that was begun last.
  const uint64_t& slices() const { return count_; }
  const uint64_t& longest_us() const { return longest_us_; }

  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs);
  TimeNs deadline() const { return kNever; }
  bool arm() const { return !is_busy(); }
  void disarm() {}

 private:
  std::function<TimeNs()> clock_;
  const DurationNs slice_ns_;
  TimeNs ends_ = 0;  // of this slice
  uint64_t count_ = 0, longest_us_ = 0;
  Pause pause_;
  std::function<void()> done_;
  std::optional<Fiber> fiber_;
};

}  // namespace skerry
