#include "filter/verdict_memory.hpp"

#include <algorithm>

namespace skerry::filter {

VerdictMemory::VerdictMemory() {
  constexpr uint64_t kFragment = 0xff3f'0000'0000'0000;  // more of them follow, and its place
  mask_[0] = kFragment;
  // What makes a flow is compared even if no rule looks at it, so that what the stack says of it holds too.
  watch({.to = 0, .base = HeaderBase::network, .length = 1, .offset = 0});
  watch({.to = 0, .base = HeaderBase::network, .length = 1, .offset = 9});
  watch({.to = 0, .base = HeaderBase::network, .length = 12, .offset = 12});
}

void VerdictMemory::watch(const LoadPayload& load) {
  if (!is_of_flow(load)) return;
  constexpr size_t kDestinationAddress = 16, kPorts = 20, kFlags = 32;
  const size_t begin = load.offset + (load.base == HeaderBase::transport ? kHeaderBytes : 0);
  for (size_t byte = begin; byte < begin + load.length; ++byte) {
    // Where look() puts it.
    const size_t at = byte >= kFlags ? 10 + byte - kFlags : byte >= kPorts ? 2 + byte - kPorts : byte;
    const bool always = byte >= kDestinationAddress && byte < kPorts;
    if (!always) mask_[at / 8] |= uint64_t{0xff} << at % 8 * 8;
  }
}

void VerdictMemory::keep(const Look& look) {
  if (!lasting_ || !done_.fit()) return;
  Passed now{look};
  if (done_.hits == 1 && done_.counters == 0) {
    now.hit = done_.of[0];
  } else if (const std::optional<uint32_t> list = list_of_what_was_done()) {
    now.effects = *list;
  } else {
    forget_all();
    effects_.assign(effects_.size(), {});
    return;
  }
  auto& passed = places_[place_of(look)].passed;
  passed[1] = passed[0];
  passed[0] = now;
}

// There may be thousands of changes a second: nothing is touched but once in millions of them.
void VerdictMemory::forget_all() {
  if (++forgotten_ <= kMostForgotten) return;
  forgotten_ = 0;
  places_.assign(places_.size(), {});
  by_ports_.assign(by_ports_.size(), {});
}

// None: there is no room for another.
std::optional<uint32_t> VerdictMemory::list_of_what_was_done() {
  uint64_t sum = done_.hits;
  for (const uint32_t one : done_.of) sum = (sum + one) * 0x9e3779b97f4a7c15;
  for (uint32_t probe = 0; probe < kMostProbes; ++probe) {
    const uint32_t at = (static_cast<uint32_t>(sum >> 32) + probe) % kLists;
    if (!effects_[at]) effects_[at] = done_;
    if (*effects_[at] == done_) return at;
  }
  return std::nullopt;
}

}  // namespace skerry::filter
