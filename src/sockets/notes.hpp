// Notes: a bitmap over sockets with a summary above it, in session memory. "Socket i wants attention" is one
// bit, set by one side and taken by the other. Bits cannot overflow, mean the same when set twice, survive a
// killed writer.
//
// Order: who notes has published before (fetch_or is seq_cst); who takes clears first and then looks. So what
// was published before a note is seen by whoever takes that note.
//
// A summary bit that is set already is left alone, and no note is lost by it. All four accesses are seq_cst,
// so they lie in one order: noter: set bit, see summary bit; taker: clear summary, clear bits. Who still sees
// the summary bit comes before the taker that clears it, hence its bit was set before that taker takes the
// bits. And a sleeper whose last look, behind its fence, missed the summary bit would have armed before we
// looked for that.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace skerry::sockets {

inline constexpr uint32_t kNotesPerSummaryWord = 64 * 64;

// bits[index / 64] bit index % 64; summary bit w says that bits[w] may be non-zero.
inline void note(std::atomic<uint64_t>* bits, std::atomic<uint64_t>* summary, uint32_t index) {
  bits[index / 64].fetch_or(uint64_t{1} << (index % 64));
  std::atomic<uint64_t>& above = summary[index / kNotesPerSummaryWord];
  const uint64_t word = uint64_t{1} << (index / 64 % 64);
  if ((above.load() & word) == 0) above.fetch_or(word);
}

// Takes all notes among the first `count` (a multiple of 64) and visits their indices in ascending order.
// Memory beyond `count` is never touched, whatever the summary says.
template <class Visit>
void take_notes(std::atomic<uint64_t>* bits, std::atomic<uint64_t>* summary, uint32_t count, Visit&& visit) {
  const uint32_t words = count / 64;
  for (uint32_t s = 0; s * 64 < words; ++s) {
    if (summary[s].load(std::memory_order_relaxed) == 0) continue;
    for (uint64_t marked = summary[s].exchange(0); marked != 0; marked &= marked - 1) {
      const uint32_t word = s * 64 + static_cast<uint32_t>(std::countr_zero(marked));
      if (word >= words) break;
      for (uint64_t taken = bits[word].exchange(0); taken != 0; taken &= taken - 1) {
        visit(word * 64 + static_cast<uint32_t>(std::countr_zero(taken)));
      }
    }
  }
}

// True if there may be a note among the first `count`.
inline bool has_notes(const std::atomic<uint64_t>* summary, uint32_t count) {
  for (uint32_t s = 0; s * kNotesPerSummaryWord < count; ++s) {
    if (summary[s].load() != 0) return true;
  }
  return false;
}

}  // namespace skerry::sockets
