// The calls that programs have asked for, in an order in which they may be served.
//
// A close is asked for without waiting, so the same thread's next call can be asked for before it is served,
// in a slot that comes first: a bind() of the port that the close gives back would fail. Hence closes are
// served first, all those that were asked for before any of the others: their bits were set before (seq_cst),
// so a second look over all words, behind the one that took the bits, sees them.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "sockets/session_view.hpp"

namespace skerry::sockets {

inline bool has_calls(const SessionView& view) {
  for (uint32_t word = 0; word * 64 < view.size().calls; ++word)
    if (view.control().call_bits[word].load() != 0) return true;
  return false;
}

// Takes the bits of all calls asked for and visits their slots: first those that ask for a close, then the
// others. visit(index) must look whether the slot is kCallRequested (again). Returns how many bits it took.
template <class Visit>
uint32_t take_calls(const SessionView& view, Visit&& visit) {
  std::atomic<uint64_t>* const bits = view.control().call_bits;
  constexpr uint32_t kMaxWords = std::extent_v<decltype(Control::call_bits)>;
  const uint32_t words = std::min(view.size().calls / 64, kMaxWords);
  uint64_t asked[kMaxWords];
  uint32_t taken = 0;
  for (uint32_t word = 0; word < words; ++word) {
    asked[word] = bits[word].load(std::memory_order_relaxed) != 0 ? bits[word].exchange(0) : 0;
    taken += static_cast<uint32_t>(std::popcount(asked[word]));
  }
  if (taken == 0) return 0;

  for (uint32_t word = 0; word < words; ++word)
    for (uint64_t seen = asked[word] | bits[word].load(); seen != 0; seen &= seen - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(seen));
      const Call& call = view.call(word * 64 + bit);
      if (call.state.load(std::memory_order_acquire) != kCallRequested) continue;
      if (call.op != static_cast<uint32_t>(Op::close)) continue;
      asked[word] &= ~(uint64_t{1} << bit);  // what the slot asks for next comes after others' closes, too
      visit(word * 64 + bit);
    }
  for (uint32_t word = 0; word < words; ++word)
    for (; asked[word] != 0; asked[word] &= asked[word] - 1)
      visit(word * 64 + static_cast<uint32_t>(std::countr_zero(asked[word])));
  return taken;
}

}  // namespace skerry::sockets
