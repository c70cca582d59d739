// epoll(7): each set is a real kernel epoll descriptor, which holds the program's other descriptors, beside a
// waiter of the session, where the stack notes which sockets to look at. Interest in sockets never enters the
// kernel; whether a socket is ready is computed from its words when it is reported, so a stale note costs one
// look and a missed level is not possible.
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Makes the kernel epoll descriptor `fd` a set of ours. Without a free waiter it stays the kernel's alone.
void adopt_epoll(int fd);

// As epoll_ctl(2) for any descriptors, ours or not; -errno.
int change_epoll(int epoll_fd, int operation, int fd, const epoll_event* event);

// As epoll_pwait2(2) on a set of ours; `timeout_ns` kNever waits for ever, 0 does not wait. `mask` may be
// null.
int wait_epoll(int epoll_fd, epoll_event* events, int max, DurationNs timeout_ns, const sigset_t* mask);

// Whether wait_epoll() would report something now.
bool is_epoll_ready(int epoll_fd);
// The same of its kernel's part too, whose word is not enough: our own rings make it readable.
bool is_epoll_readable(int epoll_fd);
// Between these, whatever makes the set ready also makes its descriptor readable for the kernel's poll().
void arm_epoll(int epoll_fd);
void disarm_epoll(int epoll_fd);

// ---- for the descriptor table: a descriptor of the set more or less; a socket that this process closed.
void hold_epoll(uint32_t waiter);
void drop_epoll(uint32_t waiter);
void forget_in_epoll(uint32_t socket);
// ---- for fork() and exec(): before, what a child will need; after, hold_epoll() for each descriptor that is
// there tells which sets this process has, and it lets go of the others. Before any thread of it sleeps in
// one.
void prepare_to_share_sets();
void count_sets_from_nothing();
void let_go_of_lost_sets();

}  // namespace skerry::sockets::client
