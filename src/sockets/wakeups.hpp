// Tells the program, once a breath, what happened to its sockets: sets ready bits at every waiter that
// watches one of them and wakes those that sleep. Each sleeper costs one system call at most a breath,
// however many sockets changed; ringing never blocks.
//
// Order: the stack publishes a socket's words, then ring() fences once for all of them and only then reads
// `watchers`, `want_space` and `armed`. The program writes one of those, fences, and then looks at the words.
// So either we see the watcher, the wish and the sleeper, or they see the words; never neither. A waiter that
// looks at its ready bits instead of the words is safe too: they are set before its `armed` is read, seq_cst.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/fd.hpp"
#include "sockets/session_view.hpp"

namespace skerry::sockets {

// For touch(): an end is for all who wait, exclusive or not.
inline constexpr uint32_t kEverybody = 64;

class Wakeups {
 public:
  explicit Wakeups(SessionView view);

  // Something happened to the socket, and its words say so: ring() tells every waiter that watches it, and as
  // many sleepers among the exclusive ones as things happened.
  void touch(uint32_t socket, uint32_t times = 1);
  // The same where all that happened is that rx_written moved.
  void touch_input(uint32_t socket, uint32_t times = 1);
  // tx_acked moved: ring() tells them if the program wants to know and there is space enough.
  void freed(uint32_t socket) { mark(socket, kFreed); }
  // The peer announced an urgent byte: ring() has the kernel signal the socket's owner (F_SETOWN).
  void urgent(uint32_t socket) { mark(socket, kUrgent); }
  // Nobody holds the socket any more. Who sleeps on it all the same (another thread closed it) is told at the
  // next ring(), and noted now, because until then the index may be another socket's.
  void closed(uint32_t socket);
  // Sets the ready bits and wakes who sleeps. Returns how many were woken.
  uint32_t ring();
  // The process in this slot is over, or its program is (exec). Frees its waiters, of which none is taken for
  // asleep any more, and the epoll sets that no other process, in the slots `live`, has. Who shares one with
  // it looks at all sockets again.
  void program_over(uint32_t slot, std::span<const uint32_t> live);
  // Wakes whoever waits for this call to be done.
  void finish(Call& call);

  // The write end of a waiter's pipe (AnchorOp::doorbell). Replaces an earlier one.
  void set_pipe(uint32_t waiter, Fd write_end);

  const uint64_t& rings() const { return rings_; }

 private:
  enum Mark : uint8_t { kHappened = 1, kFreed = 2, kUrgent = 4 };
  void mark(uint32_t socket, Mark how);
  bool take_wish(uint32_t socket);
  void tell_watchers(uint32_t socket, uint32_t times);
  void tell_exclusive(uint32_t socket, uint32_t times);
  bool tell(uint32_t waiter, uint32_t socket);
  void look_at_all(uint32_t waiter);
  void ring_bell(uint32_t bell);
  uint32_t wake_told();
  bool wake(uint32_t waiter);
  bool ring_bell_of(uint32_t waiter);  // true if it has one

  SessionView view_;
  std::vector<Fd> pipes_;
  std::vector<uint8_t> marks_;     // of each socket since the last ring()
  std::vector<uint32_t> times_;    // touched, since then
  std::vector<uint32_t> sockets_;  // those with a mark, once each
  std::vector<uint32_t> told_;     // waiters, once each
  std::vector<bool> is_told_;
  uint32_t turn_ = 0;  // the place among the watchers where the next exclusive one is looked for
  uint64_t rings_ = 0;
};

}  // namespace skerry::sockets
