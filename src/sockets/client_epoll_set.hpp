// An epoll set as its calls see it. What it is made of lies in the session (session_epoll.hpp), because a
// forked child has it too; this process has its descriptors, its end of the waiter's pipe, and sets in sets.
#pragma once

#include <span>

#include "sockets/client_level.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {

// How many descriptors of each set this process has; 0: none.
extern std::atomic<uint32_t> epoll_descriptors[kMaxWaiters];

inline EpollSet& set_of(uint32_t waiter) {
  return state.view.epoll_set(waiter);
}

// Another process has it too.
bool is_shared(uint32_t waiter);

// Nobody holds the socket any more that the set was asked about: the interest means nothing.
inline bool is_over(const Interest& interest, uint32_t socket) {
  return interest.life.load(std::memory_order_relaxed) != life_of(socket);
}

inline std::span<ExtraInterest> extra_table() {
  return {state.view.extra_interests(), kMaxExtraInterests};
}
inline uint64_t& member_word(EpollSet& set, uint32_t socket) {
  return set.members[socket / 64];
}
inline uint64_t member_bit(uint32_t socket) {
  return uint64_t{1} << (socket % 64);
}

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

struct Wake {
  EpollSet& set;
  uint32_t waiter;
  int epoll_fd;
};

// With the lock held: the set is asked nothing about the socket any more.
void remove_all(EpollSet& set, uint32_t waiter, uint32_t socket);
// The kernel epoll descriptor becomes a set of ours, which has so many of the kernel's descriptors. Without a
// free waiter it stays the kernel's alone.
void adopt(int fd, uint32_t kernel_members);

// With the lock held: sleepers of processes that have died are none.
void forget_dead_sleepers(const Wake& wake);

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
uint32_t nested_in(uint32_t waiter);  // how many
// As arm_epoll() and disarm_epoll().
void arm_set(const Wake& wake);
void disarm_set(const Wake& wake);
// Whether the set is ready, or one in it, or the kernel's part of it. Those who sleep may lose a ring by it,
// but no news.
bool is_ready_at_all(const Wake& wake);

// client_epoll_rings.cpp. What the kernel gave, without our own rings; of these the ones that who sleeps is
// to hear stay.
enum class From { look, sleep };
int only_theirs(const Wake& wake, epoll_event* events, int count, From from);
// Whether one of them ends the next sleep too, because this process cannot take it: of a pipe whose end it
// does not have, because there was no descriptor left for it at the fork, or of a set that another process
// has put into this one since.
bool rang_in_vain(const Wake& wake, const epoll_event* events, int count);
// With the lock held: takes what rang before. Who takes it from others that sleep looks at the set
// afterwards.
void take_rings(const Wake& wake);

// Both with the lock held. Threads asleep on the set look again: there is something for them.
void nudge(const Wake& wake);
// What threads in several processes need that sleep on the set: made before the first fork(), because a child
// cannot come by it afterwards.
void make_fit_to_share(const Wake& wake);
// From now on threads sleep in the kernel's set, and who sleeps on the futex moves there.
void sleep_in_kernel_from_now(const Wake& wake);

}  // namespace skerry::sockets::client
