// The atomic operations that code on shared memory is made of, as a policy: HardwareAtomics in every program,
// a simulated memory with store buffers in tests/shm/simulated_memory.hpp, which runs the very same code
// through every interleaving. A word in shared memory is touched through these and nothing else, so it is
// loaded once.
#pragma once

#include <atomic>
#include <cstdint>

namespace skerry {

struct HardwareAtomics {
  template <class Word>
  static Word load_relaxed(Word* word) {
    return std::atomic_ref<Word>(*word).load(std::memory_order_relaxed);
  }
  template <class Word>
  static Word load_acquire(Word* word) {
    return std::atomic_ref<Word>(*word).load(std::memory_order_acquire);
  }
  template <class Word>
  static void store_relaxed(Word* word, Word value) {
    std::atomic_ref<Word>(*word).store(value, std::memory_order_relaxed);
  }
  template <class Word>
  static void store_release(Word* word, Word value) {
    std::atomic_ref<Word>(*word).store(value, std::memory_order_release);
  }
  template <class Word>
  static Word exchange(Word* word, Word value) {
    return std::atomic_ref<Word>(*word).exchange(value, std::memory_order_seq_cst);
  }
  // Orders this side's earlier stores before its later loads, which nothing weaker does.
  static void fence() {
#if defined(__SANITIZE_THREAD__)
// ThreadSanitizer does not follow fences. Nothing here needs it to: data travels by acquire and release.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif
  }
};

// What two cores write must be this far apart: one cache line of 64 bytes, and the one that the adjacent-line
// prefetcher pulls with it.
inline constexpr uint32_t kSharingBytes = 128;

}  // namespace skerry
