// The descriptor table: which number is which socket. Every socket descriptor is a dup() of the anchor, so
// the kernel picks numbers, keeps close-on-exec flags and copies them at fork; fds[] of our process slot says
// what each one is. All functions return a result or -errno and take any number, ours or not.
#pragma once

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// A new descriptor of the socket; the first one sets this process's reference.
int install(uint32_t socket, bool close_on_exec);
// The same in two steps: a number that is nobody's yet, and what it is for. Closed if nothing comes of it. No
// fork() may see what lies between: hold lock_table() over both.
int reserve(bool close_on_exec);
void install_at(int fd, uint32_t socket);
Lock lock_table();
// Makes the kernel's `fd`, whatever it was, a descriptor of the socket, of which the stack has given this
// process a reference. If that cannot be, the reference is given back.
void install_over(int fd, uint32_t socket, bool close_on_exec);
// Makes `fd`, a kernel epoll descriptor, an epoll set of ours.
void install_epoll(int fd, uint32_t waiter);

// Called by a process that shares our memory and not our descriptors (clone(2) with CLONE_VM alone): what it
// closes and duplicates are not the numbers of our table, so that is the kernel's business, and it can open
// no socket.
void begin_guest();

int close(int fd);
int close_range(uint32_t first, uint32_t last, uint32_t flags);
// F_DUPFD and F_DUPFD_CLOEXEC: the lowest free number from `least` on.
int duplicate(int fd, int command, long least);
int dup(int fd);
int dup3(int from, int to, int flags);
int dup2(int from, int to);
// F_DUPFD and F_DUPFD_CLOEXEC; of sockets F_GETFL, F_SETFL and what client_signals.hpp names. F_GETOWN is not
// answered, as its answer may be negative: ask F_GETOWN_EX. Other commands go to the kernel.
int fcntl(int fd, int command, long argument);

// A connection that carries a socket to another process (client_passing.hpp): internal, and not a forked
// child's.
inline constexpr uint32_t kCarrierEntry = fd_entry(FdKind::internal, 1);
// In the table from its first moment on, or -errno; hold lock_table().
int connect_carrier();
// Closes it, if it is one: a child that a handler forked meanwhile has closed it, and the number may be
// another file's. A child without a session has closed none.
void forget_carrier(int number);

// ---- for the session
void set_entry(int fd, uint32_t entry);
// After exec: drops what close-on-exec closed, and what an older image knew of epoll sets.
void forget_lost_descriptors();
// A child of posix_spawn() or system(): no fork handler ran, so it takes over what its parent's table says of
// numbers that are open here.
void inherit_from_parent();
void copy_entries_to(uint32_t slot);
// In the child of a fork, on its own slot: other threads of the parent may have been in the middle of opening
// or closing, so what it holds is what its copied table says, and nothing else.
void count_again_after_fork();
// Held across fork(), so that no other thread changes the table between its copy and the kernel's. The child
// owns the lock as the parent does and unlocks it too.
void lock_descriptors();
void unlock_descriptors();
// In the child: also if a handler forked whose own thread held it.
void free_descriptors_after_fork();
// Closes all.
void reset_descriptors();

}  // namespace skerry::sockets::client
