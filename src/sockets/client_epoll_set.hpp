// What this process keeps of an epoll set beside the session's words. Guarded by `lock` where not atomic.
#pragma once

#include "sockets/client_level.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {

inline constexpr uint32_t kReadyWords = kMaxSockets / 64;

struct EpollSet {
  std::atomic<uint32_t> lock;
  std::atomic<uint32_t> kernel_members;  // descriptors in the kernel's set, at least as many as are there
  std::atomic<uint32_t> sleepers;        // threads in wait_epoll() that sleep or are about to
  bool doorbell_added;  // the waiter's pipe is in the kernel's set, and that is where threads sleep
  bool nudge_added;
  std::atomic<bool> kernel_first;  // who fills a short events array first, in turns
  std::atomic<uint32_t> calls_since_look;
  std::atomic<TimeNs> last_look_ns;   // when the kernel's set was looked at
  std::atomic<uint32_t> nested;       // sets in this one
  std::atomic<uint32_t> notes_taken;  // how often the stack had noted something
  uint32_t life;                      // which set this is of those that had its place
  uint32_t next;                      // socket after the last one that filled an events array
  uint32_t extras;                    // interests in a socket beyond its first
  // Sockets to look at: the stack's notes once taken, and level-triggered ones again.
  std::atomic<uint64_t> look_summary[kReadyWords / 64];
  uint64_t look[kReadyWords];
  uint64_t members[kReadyWords];
};

extern EpollSet epoll_sets[kMaxWaiters];
// How many descriptors of this process each set has; 0 = not in use. Apart from the sets, because they are
// large and this is searched.
extern std::atomic<uint32_t> epoll_descriptors[kMaxWaiters];

// Not a set that a forked child shares with its maker.
inline bool is_ours(uint32_t waiter) {
  return state.view.waiter_owners()[waiter].load(std::memory_order_relaxed) == state.slot + 1;
}

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

// Nobody holds the socket any more that the set was asked about: the interest means nothing.
inline bool is_over(const Interest& interest, uint32_t socket) {
  return interest.life.load(std::memory_order_relaxed) != life_of(socket);
}
inline constexpr uint32_t kMaxExtraInterests = 256;
extern ExtraInterest extra_interests[kMaxExtraInterests];

// Events that the program never sees: the stack's ring, another thread's nudge, a set in this one.
extern const char doorbell_mark, nudge_mark, nested_mark;
inline uint64_t mark_data(const char& mark) {
  return reinterpret_cast<uint64_t>(&mark);
}

inline void look_again(EpollSet& set, uint32_t socket) {
  const uint32_t word = socket / 64;
  set.look[word] |= uint64_t{1} << (socket % 64);
  std::atomic<uint64_t>& summary = set.look_summary[word / 64];
  summary.store(summary.load(std::memory_order_relaxed) | uint64_t{1} << (word % 64),
                std::memory_order_relaxed);
}

// A set as its calls see it.
struct Wake {
  EpollSet& set;
  uint32_t waiter;
  int epoll_fd;
};

// Whether there is a socket to look at, without looking.
bool has_notes(const Wake& wake);
// Sockets that are ready, from where the last full array ended; at most `max`.
int take_sockets(const Wake& wake, epoll_event* events, int max);
// Whether take_sockets() would find one.
bool is_ready(const Wake& wake);

// client_epoll_nested.cpp: sets in this one. epoll_ctl() with the inner's descriptor; the ready ones; whether
// there is one; with the lock held: whatever makes one ready wakes who sleeps here.
int change_nested(const Wake& outer, int operation, int fd, const epoll_event* event);
int take_nested(const Wake& outer, epoll_event* events, int max);
bool has_ready_nested(const Wake& outer);
void arm_nested(const Wake& outer);
void disarm_nested(const Wake& outer);
void forget_nested(uint32_t waiter);  // this process has no descriptor of the set any more
// As arm_epoll() and disarm_epoll().
void arm_set(const Wake& wake);
void disarm_set(const Wake& wake);
// Whether the set is ready, or one in it, or the kernel's part of it. Those who sleep may lose a ring by it,
// but no news.
bool is_ready_at_all(const Wake& wake);

// Both with the lock held. Threads asleep on the set look again: there is something for them.
void nudge(const Wake& wake);
// From now on threads sleep in the kernel's set, and who sleeps on the futex moves there.
void sleep_in_kernel_from_now(const Wake& wake);

}  // namespace skerry::sockets::client
