// What the other processes of the program have.
#pragma once

#include <algorithm>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Slots from here on have never been a process's.
inline uint32_t slot_limit() {
  return std::min(state.control->slot_limit.load(), state.size.processes);
}

// Whether says(slot) of one of them. Their numbers lie together; the words of a process that is not there are
// a page each, which need not be touched.
template <class Says>
bool another_process(Says says) {
  for (uint32_t slot = 0; slot < slot_limit(); ++slot)
    if (slot != state.slot && state.view.process_ids()[slot].load() != 0 && says(slot)) return true;
  return false;
}

// One that is in exec() most likely loses it by close-on-exec.
inline bool is_held_elsewhere(uint32_t socket) {
  return another_process([socket](uint32_t slot) {
    const bool executing = state.view.process(slot).executing.load(std::memory_order_relaxed) != 0;
    const std::atomic<uint64_t>* held = executing ? state.view.kept(slot) : state.view.refs(slot);
    return (held[socket / 64].load() >> (socket % 64) & 1) != 0;
  });
}

}  // namespace skerry::sockets::client
