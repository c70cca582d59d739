// What long work calls between two pieces of it, so that whoever does it beside something more urgent can
// give way there. A piece takes some microseconds at most.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <type_traits>
#include <utility>

namespace skerry {

class Pause {
 public:
  // Takes pages back of memory that nobody reads again, which is freed afterwards: that takes long if there
  // are many.
  using TakeBack = void (*)(void* begin, size_t bytes);
  static constexpr size_t kPage = 4096, kTakenBack = 8 * kPage;  // at once

  // Nothing is more urgent.
  Pause() = default;
  // Calls `give_way` at each `pieces`-th call; a power of two.
  explicit Pause(std::function<void()> give_way, uint32_t pieces = 16, TakeBack take_back = nullptr)
      : give_way_(std::move(give_way)), mask_(pieces - 1), take_back_(take_back) {}

  void operator()() const {
    if (give_way_ && (++count_ & mask_) == 0) give_way_();
  }

  // Empties a container and frees its memory: to free much takes time too.
  template <class Container>
  void clear(Container& container) const {
    using Value = typename Container::value_type;
    if constexpr (requires { container.data(); }) {
      if constexpr (std::is_trivially_destructible_v<Value>) container.clear();
    }
    while (!container.empty()) {
      if constexpr (requires { container.pop_back(); })
        container.pop_back();
      else
        container.erase(container.begin());
      (*this)();
    }
    if constexpr (requires { container.data(); })
      give_pages_back(container.data(), container.capacity() * sizeof(Value));
    Container().swap(container);
  }
  // As container.reserve(size).
  template <class Container>
  void reserve(Container& container, size_t size) const {
    if (size <= container.capacity()) return;
    Container larger;
    larger.reserve(size);
    using Value = typename Container::value_type;
    constexpr ptrdiff_t kAtOnce = std::is_integral_v<Value> ? kPage / sizeof(Value) : 1;
    for (auto at = container.begin(); at != container.end(); (*this)()) {
      const auto end = at + std::min(kAtOnce, container.end() - at);
      larger.insert(larger.end(), std::move_iterator(at), std::move_iterator(end));
      at = end;
    }
    container.swap(larger);
    clear(larger);
  }
  // As container.resize(size, value).
  template <class Container>
  void resize(Container& container, size_t size, const typename Container::value_type& value = {}) const {
    constexpr size_t kAtOnce = 32;
    reserve(container, size);
    while (container.size() < size) {
      container.resize(container.size() + std::min(kAtOnce, size - container.size()), value);
      (*this)();
    }
  }
  // As container.push_back(value).
  template <class Container>
  void push_back(Container& container, typename Container::value_type value) const {
    grow(container, 1);
    container.push_back(std::move(value));
  }
  // Values of few bytes behind the last one.
  template <class Container, class Values>
  void append(Container& container, const Values& values) const {
    grow(container, values.size());
    container.insert(container.end(), values.begin(), values.end());
  }

 private:
  template <class Container>
  void grow(Container& container, size_t more) const {
    const size_t size = container.size() + more;
    if (size > container.capacity()) reserve(container, std::max({size_t{16}, size, 2 * container.size()}));
  }
  void give_pages_back(void* at, size_t bytes) const {
    if (take_back_ == nullptr) return;
    auto* begin = static_cast<uint8_t*>(at);
    uint8_t* const end = begin + bytes - (reinterpret_cast<uintptr_t>(begin) + bytes) % kPage;
    begin += -reinterpret_cast<uintptr_t>(begin) % kPage;
    for (; begin < end; begin += std::min<ptrdiff_t>(kTakenBack, end - begin)) {
      take_back_(begin, static_cast<size_t>(std::min<ptrdiff_t>(kTakenBack, end - begin)));
      (*this)();
    }
  }

  std::function<void()> give_way_;
  uint32_t mask_ = 0;
  TakeBack take_back_ = nullptr;
  mutable uint32_t count_ = 0;
};

}  // namespace skerry
