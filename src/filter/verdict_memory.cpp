#include "filter/verdict_memory.hpp"

#include <algorithm>

namespace skerry::filter {

VerdictMemory::VerdictMemory() {
  // What makes a flow is compared even if no rule looks at it, so that what the stack says of it holds too.
  watch({.to = 0, .base = HeaderBase::network, .length = 1, .offset = 0});
  watch({.to = 0, .base = HeaderBase::network, .length = 1, .offset = 9});
  watch({.to = 0, .base = HeaderBase::network, .length = 12, .offset = 12});
}

void VerdictMemory::watch(const LoadPayload& load) {
  if (!is_of_flow(load)) return;
  const size_t begin = load.offset + (load.base == HeaderBase::transport ? kHeaderBytes : 0);
  static constexpr size_t kPlaces[] = {0, 8, 16, 32};  // of the words of a Look
  std::array<uint8_t, 40> bytes{};
  std::fill_n(bytes.begin() + begin, load.length, uint8_t{0xff});
  for (size_t i = 0; i < std::size(kPlaces); ++i) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + kPlaces[i], 8);
    mask_[i] |= word;
  }
}

void VerdictMemory::keep(const Look& look) {
  if (!lasting_ || effects_ > kMostEffects) return;
  Passed* const pair = &passed_[place_of(look)];
  pair[1] = pair[0];
  pair[0] = {look, static_cast<uint32_t>(effects_), effect_};
}

}  // namespace skerry::filter
