// What the client knows of its session: addresses in the mapped region, and the private tables of this
// process. One session a process, so plain globals; all of it is zero until attach() and costs nothing then.
// The inline functions are the hot path: is this number ours, publish, ring.
#pragma once

#include <errno.h>

#include "sockets/client_handlers.hpp"
#include "sockets/client_system.hpp"
#include "sockets/notes.hpp"
#include "sockets/session_view.hpp"

namespace skerry::sockets::client {

struct State {
  std::atomic<uint32_t>* fds;  // of our process slot; before attach() a table of zeros
  SocketOut* out;
  SocketIn* in;
  SocketNames* names;
  std::atomic<uint64_t>* dirty;
  std::atomic<uint64_t>* refs;
  Control* control;
  uint8_t* streams;
  uint64_t stream_bytes;
  uint8_t* long_streams;
  SessionView view;
  SessionSize size;
  uint32_t slot;
  int anchor;  // what socket descriptors are dup()s of
  int ring;    // pipe end that wakes the stack
  bool attached;
  char listener[108];  // abstract name of the stack's listener, without the leading NUL
  uint32_t listener_length;
};

extern constinit State state;

// What descriptor number `fd` is: 0 if it is not ours.
inline uint32_t entry_of(int fd) {
  if (static_cast<uint32_t>(fd) >= kMaxDescriptors) [[unlikely]]
    return 0;
  return state.fds[fd].load(std::memory_order_relaxed);
}

// The socket behind `fd`, or kNoSocket.
inline uint32_t socket_of(int fd) {
  const uint32_t entry = entry_of(fd);
  return fd_kind(entry) == FdKind::socket ? fd_index(entry) : kNoSocket;
}

inline uint8_t* rx_ring(uint32_t socket) {
  const uint32_t pair = state.out[socket].long_rings.load(std::memory_order_relaxed);
  if (pair != 0) [[unlikely]]
    return state.long_streams + uint64_t{pair - 1} * 2 * state.size.long_bytes;
  return state.streams + uint64_t{socket} * 2 * state.stream_bytes;
}
inline uint32_t ring_bytes(uint32_t socket) {
  const bool is_long = state.out[socket].long_rings.load(std::memory_order_relaxed) != 0;
  return is_long ? state.size.long_bytes : static_cast<uint32_t>(state.stream_bytes);
}
inline uint8_t* tx_ring(uint32_t socket) {
  return rx_ring(socket) + ring_bytes(socket);
}

void ring_stack();

// Whoever published something calls this after a seq_cst read-modify-write of the word that announces it.
inline void ring_if_armed() {
  if (state.control->stack_armed.load(std::memory_order_seq_cst) != 0) [[unlikely]]
    ring_stack();
}

// Tells the stack that socket words changed.
inline void publish(uint32_t socket) {
  note(state.dirty, state.control->dirty_summary, socket);
  ring_if_armed();
}

// Back to what it was before attach().
void forget_session();

// This thread's id, cached; forget_thread() after fork.
inline constinit thread_local uint32_t cached_thread_id = 0;
uint32_t ask_thread_id();
inline uint32_t thread_id() {
  return cached_thread_id != 0 ? cached_thread_id : ask_thread_id();
}
void forget_thread();

// Set: locks make no other system call than nanosleep. See get_by_with_few_calls().
inline constinit std::atomic<bool> few_calls = false;

// A lock whose word may lie in shared memory. The word holds the owner's thread id, so that a lock whose
// owner was killed is taken over. Held for the length of a copy, never while sleeping, and never while a
// handler runs.
class Lock {
 public:
  explicit Lock(std::atomic<uint32_t>& word) : word_(word), held_(acquire(word)) {}
  ~Lock() { release(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // False only in a handler that could not be put off and has interrupted the owner.
  explicit operator bool() const { return held_; }
  void release() {
    if (held_) word_.store(0, std::memory_order_release);
    held_ = false;
  }

  static bool acquire(std::atomic<uint32_t>& word) {
    const uint32_t self = thread_id();
    uint32_t owner = 0;
    return word.compare_exchange_strong(owner, self, std::memory_order_acquire) || wait(word, owner, self);
  }

 private:
  static bool wait(std::atomic<uint32_t>& word, uint32_t owner, uint32_t self);

  NoHandlers none_;
  std::atomic<uint32_t>& word_;
  bool held_;
};

}  // namespace skerry::sockets::client
