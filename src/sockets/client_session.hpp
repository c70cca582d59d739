// Arriving in a session: the anchor protocol of session.hpp, seen from the program.
#pragma once

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

enum class Attach {
  attached,
  no_listener,  // not in a cell: everything passes through
  refused,      // there is a stack, but no session came of it
};

// Connects to the abstract name (without its leading NUL) and maps the session. Called once, before the
// program has threads. After exec it takes up the descriptors that survived.
Attach attach(const char* listener_name);

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

// Around exec(), which comes back only if it failed: what is close-on-exec keeps no socket in another
// process's epoll sets any more.
class Executing {
 public:
  Executing();
  ~Executing();
  Executing(const Executing&) = delete;
  Executing& operator=(const Executing&) = delete;
};

// Around posix_spawn(): the child finds what it inherits, whatever the parent closes meanwhile. The functions
// in between say what the file actions do to the child's descriptors.
class Spawning {
 public:
  Spawning();  // other threads' descriptors stand still until it is destroyed
  ~Spawning();
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;

  void duplicates(int from, int to);
  void loses(int fd);  // closes it, or opens another file there
  void loses_from(int fd);
  void executes();  // after those: what is close-on-exec is not the child's
  void born(uint32_t pid);

 private:
  Lock table_;
  int connection_ = -1;
  uint32_t slot_ = 0;
};

}  // namespace skerry::sockets::client
