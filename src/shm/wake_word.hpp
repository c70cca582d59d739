// The half of a wake-up that lies in shared memory: one word per sleeper, on lines of its own.
//
//   sleeper: arm(wishes)                     ringer: publish what is new
//            fence                                   fence
//            look again at every source              called_for(news)? then ring the doorbell
//            sleep only if nothing is there
//
// Either the sleeper's second look sees what was published, or the ringer's look sees the wish: the two
// fences forbid that both miss. The ringer takes the wish back as it rings (exchange), so it rings once. A
// neighbour that writes here at will makes us ring in vain, or sleeps too long itself; no more.
// tests/shm/model_test.cpp runs this through every interleaving of a store-buffered memory, and shows that it
// fails without either half.
#pragma once

#include <cstdint>

#include "shm/atomics.hpp"

namespace skerry {

enum Wish : uint32_t {
  kWishFrames = 1,  // something to receive
  kWishSlots = 2,   // memory to send in: only wished for by a sender that found none
};

template <class Atomics = HardwareAtomics>
class WakeWord {
 public:
  explicit WakeWord(uint32_t* word) : word_(word) {}

  // Sleeper. A fence and a second look at every source must follow.
  void arm(uint32_t wishes) { Atomics::store_relaxed(word_, wishes); }
  void disarm() { Atomics::store_relaxed(word_, 0u); }

  // Ringer, after publishing and a fence: true if the sleeper is to be rung for this news.
  bool called_for(uint32_t news) {
    if ((Atomics::load_relaxed(word_) & news) == 0) [[likely]]
      return false;
    return (Atomics::exchange(word_, 0u) & news) != 0;
  }

 private:
  uint32_t* word_;
};

}  // namespace skerry
