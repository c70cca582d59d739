#include "run/slices.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace skerry {

namespace {

constexpr uint32_t kPieces = 16;  // of some microseconds, between two looks at the clock

}  // namespace

Result<void> Slices::begin(std::function<void(const Pause&)> work, std::function<void()> done) {
  CHECK(!is_busy());
  pause_ = Pause(
      [this] {
        if (clock_() >= ends_) fiber_->give_way();
      },
      kPieces, [](void* begin, size_t bytes) { ::madvise(begin, bytes, MADV_DONTNEED); });
  Result<Fiber> fiber = Fiber::create([this, work = std::move(work)] { work(pause_); });
  if (!fiber) return fiber.error();
  fiber_.emplace(std::move(*fiber));
  done_ = std::move(done);
  count_ = longest_us_ = 0;
  return {};
}

uint32_t Slices::tx(TimeNs) {
  if (!is_busy()) return 0;
  const TimeNs begin = clock_();
  ends_ = begin + slice_ns_;
  const bool goes_on = fiber_->resume();
  ++count_;
  longest_us_ = std::max<uint64_t>(longest_us_, (clock_() - begin) / kMicrosecond);
  if (goes_on) return 1;
  fiber_.reset();
  std::exchange(done_, nullptr)();
  return 1;
}

}  // namespace skerry
