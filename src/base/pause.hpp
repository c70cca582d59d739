// What long work calls between two pieces of it, so that whoever does it beside something more urgent can
// give way there. A piece takes some microseconds at most.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace skerry {

class Pause {
 public:
  // Nothing is more urgent.
  Pause() = default;
  // Calls `give_way` at each `pieces`-th call; a power of two.
  explicit Pause(std::function<void()> give_way, uint32_t pieces = 16)
      : give_way_(std::move(give_way)), mask_(pieces - 1) {}

  void operator()() const {
    if (give_way_ && (++count_ & mask_) == 0) give_way_();
  }

  // As container.clear(), one after the other: to free many takes time too.
  template <class Container>
  void clear(Container& container) const {
    while (!container.empty()) {
      if constexpr (requires { container.pop_back(); })
        container.pop_back();
      else
        container.erase(container.begin());
      (*this)();
    }
  }
  // As container.resize(size, value).
  template <class Container>
  void resize(Container& container, size_t size, const typename Container::value_type& value = {}) const {
    constexpr size_t kAtOnce = 32;
    container.reserve(size);
    while (container.size() < size) {
      container.resize(container.size() + std::min(kAtOnce, size - container.size()), value);
      (*this)();
    }
  }
  // As container.push_back(value).
  template <class Container>
  void push_back(Container& container, typename Container::value_type value) const {
    if (container.size() == container.capacity()) {
      Container larger;
      larger.reserve(std::max<size_t>(16, 2 * container.size()));
      for (auto& each : container) {
        larger.push_back(std::move(each));
        (*this)();
      }
      container.swap(larger);
      clear(larger);
    }
    container.push_back(std::move(value));
  }

 private:
  std::function<void()> give_way_;
  uint32_t mask_ = 0;
  mutable uint32_t count_ = 0;
};

}  // namespace skerry
