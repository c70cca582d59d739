// A slot belongs to whoever moved it from kCallFree to kCallClaimed. The slots of posted requests stay ours:
// they are listed here and used again for the next request once the stack has answered.
#include "sockets/client_call.hpp"

#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

constexpr uint32_t kPostedMax = 16;

constinit std::atomic<uint32_t> posted_lock = 0;
constinit uint32_t posted[kPostedMax] = {};
constinit uint32_t posted_count = 0;

bool is_done(uint32_t index) {
  return state.view.call(index).state.load(std::memory_order_acquire) == kCallDone;
}

// One of our posted slots that is answered, or kNoSocket.
uint32_t take_posted() {
  const Lock lock(posted_lock);
  if (!lock) return kNoSocket;
  for (uint32_t i = 0; i < posted_count; ++i) {
    const uint32_t index = posted[i];
    if (!is_done(index)) continue;
    posted[i] = posted[--posted_count];
    return index;
  }
  return kNoSocket;
}

bool remember_posted(uint32_t index) {
  const Lock lock(posted_lock);
  if (!lock || posted_count == kPostedMax) return false;
  posted[posted_count++] = index;
  return true;
}

uint32_t claim() {
  const uint32_t first = thread_id() % state.size.calls;
  for (;;) {
    const uint32_t ours = take_posted();
    if (ours != kNoSocket) {
      state.view.call(ours).state.store(kCallClaimed, std::memory_order_relaxed);
      return ours;
    }
    for (uint32_t i = 0; i < state.size.calls; ++i) {
      const uint32_t index = (first + i) % state.size.calls;
      uint32_t free = kCallFree;
      if (state.view.call(index).state.compare_exchange_strong(free, kCallClaimed, std::memory_order_acquire))
        return index;
    }
    const timespec pause = to_timespec(100 * kMicrosecond);
    system_call(SYS_nanosleep, word(&pause), 0);
  }
}

void request_slot(uint32_t index, const Request& request) {
  Call& slot = state.view.call(index);
  slot.op = static_cast<uint32_t>(request.op);
  slot.process = state.slot;
  slot.socket = request.socket;
  slot.result = 0;
  slot.endpoint = request.endpoint;
  for (uint32_t i = 0; i < kCallValues; ++i) slot.value[i] = request.value[i];
  slot.state.store(kCallRequested, std::memory_order_release);
  state.control->call_bits[index / 64].fetch_or(uint64_t{1} << (index % 64), std::memory_order_seq_cst);
  ring_if_armed();
}

void wait_done(uint32_t index) {
  for (Yields yields; !is_done(index) && yields.again();) {
  }
  while (!is_done(index)) futex_wait(&state.view.call(index).state, kCallRequested, kNever);
}

}  // namespace

int call(Request& request) {
  const NoHandlers none;
  const uint32_t index = claim();
  request_slot(index, request);
  wait_done(index);
  Call& slot = state.view.call(index);
  const int result = slot.result;
  request.endpoint = slot.endpoint;
  for (uint32_t i = 0; i < kCallValues; ++i) request.value[i] = slot.value[i];
  slot.state.store(kCallFree, std::memory_order_release);
  return result;
}

void post(const Request& request) {
  const NoHandlers none;
  const uint32_t index = claim();
  request_slot(index, request);
  if (remember_posted(index)) return;
  wait_done(index);
  state.view.call(index).state.store(kCallFree, std::memory_order_release);
}

void wait_for_posted() {
  const Lock lock(posted_lock);
  for (uint32_t i = 0; lock && i < posted_count; ++i) wait_done(posted[i]);
}

void reclaim_calls() {
  for (uint32_t index = 0; index < state.size.calls; ++index) {
    Call& slot = state.view.call(index);
    const uint32_t now = slot.state.load(std::memory_order_acquire);
    if ((now != kCallRequested && now != kCallDone) || slot.process != state.slot) continue;
    wait_done(index);
    slot.state.store(kCallFree, std::memory_order_release);
  }
}

void forget_posted() {
  posted_count = 0;
  posted_lock.store(0, std::memory_order_relaxed);
}

}  // namespace skerry::sockets::client
