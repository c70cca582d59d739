// Tells the program what happened to its sockets: sets ready bits at every waiter that watches a socket and,
// once a breath, wakes those that sleep. Each sleeper costs one system call at most a breath, however many
// sockets changed.
//
// Invariant: ready bits are set before the waiter's `armed` is looked at (seq_cst), the mirror of what a
// waiter does before it sleeps; ringing never blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.hpp"
#include "sockets/session_view.hpp"

namespace skerry::sockets {

class Wakeups {
 public:
  explicit Wakeups(SessionView view);

  // Something happened to the socket: every waiter that watches it gets its ready bit.
  void touch(uint32_t socket);
  // Wakes the touched waiters that sleep. Returns how many were woken.
  uint32_t ring();
  // Wakes whoever waits for this call to be done.
  void finish(Call& call);

  // The write end of a waiter's pipe (AnchorOp::doorbell). Replaces an earlier one.
  void set_pipe(uint32_t waiter, Fd write_end);

  const uint64_t& rings() const { return rings_; }

 private:
  void tell(uint32_t waiter, uint32_t socket);

  SessionView view_;
  std::vector<Fd> pipes_;
  std::vector<uint32_t> touched_;
  std::vector<bool> is_touched_;
  uint64_t rings_ = 0;
};

}  // namespace skerry::sockets
