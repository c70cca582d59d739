// What became of a frame that came in.
#pragma once

#include <cstdint>
#include <optional>

#include "stack/drop_reason.hpp"

namespace skerry::stack {

// Done with, taken over by a queue, or dropped for a reason. One number, because what is stored in parts and
// read as a whole right behind that waits for the cache.
class Fate {
 public:
  Fate() = default;
  Fate(DropReason reason) : number_(static_cast<uint8_t>(kFirstReason + static_cast<uint8_t>(reason))) {}
  Fate(std::optional<DropReason> reason) : Fate(reason ? Fate(*reason) : Fate()) {}
  static Fate kept() {
    Fate fate;
    fate.number_ = kKept;
    return fate;
  }

  bool is_kept() const { return number_ == kKept; }
  std::optional<DropReason> drop() const {
    if (number_ < kFirstReason) return std::nullopt;
    return static_cast<DropReason>(number_ - kFirstReason);
  }

 private:
  static constexpr uint8_t kDone = 0, kKept = 1, kFirstReason = 2;
  uint8_t number_ = kDone;
};
static_assert(kDropReasons < 254);

}  // namespace skerry::stack
