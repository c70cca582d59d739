// A ring from one producer to one consumer in memory that both can write. Each side keeps its own index in
// private memory and only publishes it; what the other side published is a hint, loaded once and held against
// the capacity that the creator named. A hint that cannot be true breaks the ring: from then on it gives and
// takes nothing, and its owner counts a fault. No hint, true or false, leads outside the entries.
//
// Indices are free-running, 32 bits wide; (index & (capacity - 1)) is the place. Each lies on lines of its
// own and the other's is cached privately: a producer looks at the consumer's index only when the ring seems
// full, a consumer at the producer's only when what it knows of does not fill the caller's wish. A batch
// costs one release store on either side.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/check.hpp"
#include "shm/atomics.hpp"
#include "shm/prefetch.hpp"

namespace skerry {

// The bytes of one ring in a region: two indices, then the entries. All zero is an empty ring.
struct RingIndices {
  alignas(kSharingBytes) uint32_t produced;
  alignas(kSharingBytes) uint32_t consumed;
};

template <class T>
struct RingEntry {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
  using Word = std::conditional_t<sizeof(T) % 8 == 0, uint64_t, uint32_t>;
  static constexpr uint32_t kWords = sizeof(T) / sizeof(Word);

  // `capacity` is a power of two.
  static constexpr size_t ring_bytes(uint32_t capacity) {
    const size_t entries = capacity * sizeof(T);
    return sizeof(RingIndices) + (entries + kSharingBytes - 1) / kSharingBytes * kSharingBytes;
  }
};

template <class T, class Atomics = HardwareAtomics>
class RingProducer {
 public:
  // `memory`: ring_bytes(capacity) bytes, aligned to kSharingBytes, fresh (zero).
  RingProducer(std::byte* memory, uint32_t capacity)
      : indices_(reinterpret_cast<RingIndices*>(memory)),
        words_(reinterpret_cast<Word*>(memory + sizeof(RingIndices))),
        capacity_(capacity) {
    CHECK(std::has_single_bit(capacity));
  }

  // How many entries may be staged, at least up to `wanted` if there is room for so many.
  uint32_t room(uint32_t wanted) {
    if (capacity_ - (produced_ - consumed_hint_) < wanted) look();
    return broken_ ? 0 : capacity_ - (produced_ - consumed_hint_);
  }

  // Writes entries that the consumer does not see before publish(). No more than room().
  void stage(const T* from, uint32_t count) {
    uint32_t at = produced_;
    for (uint32_t n = 0; n < count; ++n, ++at) {
      Word copy[Entry::kWords];
      std::memcpy(copy, from + n, sizeof(T));
      Word* const place = words_ + static_cast<size_t>(at & (capacity_ - 1)) * Entry::kWords;
      // The consumer's core has read all lines of the ring: claim each again long before the stores get
      // there.
      if (at % kEntriesPerLine == 0)
        prefetch_to_write(words_ +
                          static_cast<size_t>((at + kPrefetchAhead) & (capacity_ - 1)) * Entry::kWords);
      for (uint32_t i = 0; i < Entry::kWords; ++i) Atomics::store_relaxed(place + i, copy[i]);
    }
    produced_ = at;
  }

  uint32_t staged() const { return produced_ - published_; }

  void publish() {
    Atomics::store_release(&indices_->produced, produced_);
    published_ = produced_;
  }

  bool broken() const { return broken_; }

 private:
  using Entry = RingEntry<T>;
  using Word = typename Entry::Word;
  static_assert(sizeof(T) <= 64);
  static constexpr uint32_t kEntriesPerLine = 64 / sizeof(T);
  static constexpr uint32_t kPrefetchAhead = 16 * kEntriesPerLine;

  void look() {
    const uint32_t consumed = Atomics::load_acquire(&indices_->consumed);
    if (produced_ - consumed > capacity_) [[unlikely]]
      broken_ = true;
    else
      consumed_hint_ = consumed;
  }

  RingIndices* indices_;
  Word* words_;
  uint32_t capacity_;
  uint32_t produced_ = 0;
  uint32_t published_ = 0;
  uint32_t consumed_hint_ = 0;
  bool broken_ = false;
};

template <class T, class Atomics = HardwareAtomics>
class RingConsumer {
 public:
  RingConsumer(std::byte* memory, uint32_t capacity)
      : indices_(reinterpret_cast<RingIndices*>(memory)),
        words_(reinterpret_cast<Word*>(memory + sizeof(RingIndices))),
        capacity_(capacity) {
    CHECK(std::has_single_bit(capacity));
  }

  // Copies up to `most` entries to private memory and hands their places back. 0 if there are none or the
  // ring is broken.
  uint32_t pop(T* to, uint32_t most) {
    if (produced_hint_ - consumed_ < most) look();
    if (broken_) [[unlikely]]
      return 0;
    const uint32_t count = std::min(produced_hint_ - consumed_, most);
    if (count == 0) return 0;
    for (uint32_t n = 0; n < count; ++n) {
      Word copy[Entry::kWords];
      Word* const place = words_ + static_cast<size_t>((consumed_ + n) & (capacity_ - 1)) * Entry::kWords;
      for (uint32_t i = 0; i < Entry::kWords; ++i) copy[i] = Atomics::load_relaxed(place + i);
      std::memcpy(static_cast<void*>(to + n), copy, sizeof(T));
    }
    consumed_ += count;
    Atomics::store_release(&indices_->consumed, consumed_);
    return count;
  }

  // True if pop() would bring something, or would find the ring broken. Looks at shared memory.
  bool has_news() { return Atomics::load_acquire(&indices_->produced) != consumed_; }

  bool broken() const { return broken_; }

 private:
  using Entry = RingEntry<T>;
  using Word = typename Entry::Word;

  void look() {
    const uint32_t produced = Atomics::load_acquire(&indices_->produced);
    // Forwards only, and never further than the ring is long.
    if (produced - consumed_ > capacity_ || produced - consumed_ < produced_hint_ - consumed_) [[unlikely]]
      broken_ = true;
    else
      produced_hint_ = produced;
  }

  RingIndices* indices_;
  Word* words_;
  uint32_t capacity_;
  uint32_t consumed_ = 0;
  uint32_t produced_hint_ = 0;
  bool broken_ = false;
};

}  // namespace skerry
