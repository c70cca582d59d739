// A fixed set of indices handed out and taken back in last-in first-out order, so that recently used state is
// reused while it is still in cache. Allocates once, in its constructor.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.hpp"

namespace skerry {

class IndexPool {
 public:
  explicit IndexPool(uint32_t count) : in_use_(count, false) {
    free_.reserve(count);
    for (uint32_t i = count; i > 0; --i) free_.push_back(i - 1);
  }

  std::optional<uint32_t> allocate() {
    if (free_.empty()) return std::nullopt;
    const uint32_t index = free_.back();
    free_.pop_back();
    in_use_[index] = true;
    return index;
  }

  void release(uint32_t index) {
    CHECK(index < in_use_.size() && in_use_[index]);
    in_use_[index] = false;
    free_.push_back(index);
  }

  bool is_allocated(uint32_t index) const { return index < in_use_.size() && in_use_[index]; }
  uint32_t capacity() const { return static_cast<uint32_t>(in_use_.size()); }
  uint32_t allocated() const { return capacity() - static_cast<uint32_t>(free_.size()); }

 private:
  std::vector<uint32_t> free_;
  std::vector<bool> in_use_;
};

}  // namespace skerry
