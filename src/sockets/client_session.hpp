// Arriving in a session: the anchor protocol of session.hpp, seen from the program.
#pragma once

#include <span>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

enum class Attach {
  attached,
  no_listener,  // not in a cell: everything passes through
  refused,      // there is a stack, but no session came of it
  no_room,      // RLIMIT_AS, of who asked the kernel past us, leaves none for the session
};

// Connects to the abstract name (without its leading NUL) and maps the session. Called once, before the
// program has threads. After exec it takes up the descriptors that survived.
Attach attach(const char* listener_name);

// Where it lies in the program's address space; nothing before it is mapped.
std::span<uint8_t> session_memory();

// Unmaps and closes everything, so that a test may attach again.
void detach();

// The read end of a waiter's pipe: non-blocking, close-on-exec, out of the program's way. -errno on failure.
int request_doorbell(uint32_t waiter);

// Descriptors of our own: at high numbers, close-on-exec, marked in fds[] so that no call of the program
// touches them. `copy` makes one of the same file, -errno; `adopt` moves `number` there and closes the old
// one.
int copy_internal(int number);
int adopt_internal(int number);
void forget_internal(int number);

// Around fork(), as pthread_atfork() handlers.
void fork_prepare();
void fork_parent();
void fork_child();

}  // namespace skerry::sockets::client
