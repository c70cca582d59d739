// What the processes of a program share of their epoll sets. An epoll set is a file, and after fork() parent
// and child have the same one; so what it was asked, what it has told and who sleeps on it is not a process's
// own. The program's alone: the stack never looks. Read first: session.hpp; client_epoll_set.hpp says how it
// is used.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.hpp"
#include "sockets/session.hpp"

namespace skerry::sockets {

// What a set was asked of a socket through the descriptor it was first asked with: one a socket and set.
struct Interest {
  std::atomic<uint32_t> events;  // EPOLLIN..., 0 = no interest
  std::atomic<uint32_t> fd;
  std::atomic<uint64_t> data;
  // Edge-triggered: what the socket's words were when it was last looked at.
  std::atomic<uint32_t> seen_input, seen_output, seen_news;
  std::atomic<uint32_t> life;  // of the socket's index: in another one it is somebody else's
};

// What a socket's words were: an edge is a difference of these that matters to who asked.
struct Seen {
  uint32_t input, output, news;
};

// A further interest of one set in one socket, made through a dup() of its descriptor. All sets share the
// table: a place is claimed by its first word, and the rest is its set's, under that set's lock.
struct ExtraInterest {
  std::atomic<uint32_t> waiter;  // + 1, 0 = free
  uint32_t socket;
  uint32_t fd;
  uint32_t events;
  uint64_t data;
  Seen seen;
};
inline constexpr uint32_t kMaxExtraInterests = 512;

inline constexpr uint32_t kReadyWords = kMaxSockets / 64;

// Guarded by `lock` where not atomic. Whoever takes a socket out of `look` may be killed before it has told
// what it found; then the stack notes all sockets again.
struct alignas(64) EpollSet {
  std::atomic<uint32_t> lock;
  std::atomic<uint32_t> kernel_members;  // descriptors in the kernel's set, at least as many as are there
  std::atomic<uint32_t> sleepers;        // threads in wait_epoll() that sleep or are about to
  bool doorbell_added;  // the waiter's pipe is in the kernel's set, and that is where threads sleep
  bool nudge_added;
  std::atomic<bool> kernel_first;  // who fills a short events array first, in turns
  std::atomic<uint32_t> calls_since_look;
  std::atomic<TimeNs> last_look_ns;   // when the kernel's set was looked at
  std::atomic<uint32_t> notes_taken;  // how often the stack had noted something
  uint32_t life;                      // which set this is of those that had its place
  uint32_t next;                      // socket after the last one that filled an events array
  uint32_t extras;                    // interests in a socket beyond its first
  // Sockets to look at: the stack's notes once taken, and level-triggered ones again.
  std::atomic<uint64_t> look_summary[kReadyWords / 64];
  uint32_t deaths_seen;                 // of Waiter::deaths
  uint16_t sleepers_of[kMaxProcesses];  // the same by process slot
  uint64_t look[kReadyWords];
  uint64_t members[kReadyWords];
};

}  // namespace skerry::sockets
