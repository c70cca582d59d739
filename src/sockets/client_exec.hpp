// What the next program of a process holds: exec() and posix_spawn().
#pragma once

#include "sockets/client_cancel.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Not a child that shares our memory until it executes something (clone(2) with CLONE_VM), nor one without a
// session.
bool is_this_process();

// Around exec(), which comes back only if it failed. A program without our library never says what it holds,
// so the stack is told before, and told by the kernel that it has come to be: a connection of this process's
// own ends with close-on-exec.
class Executing {
 public:
  Executing();
  ~Executing() { end(); }
  Executing(const Executing&) = delete;
  Executing& operator=(const Executing&) = delete;

 private:
  void end();

  const bool is_ours_;
  bool begun_ = false;
  int connection_ = -1;
  Undo undo_;
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
  void end();

  Lock table_;
  int connection_ = -1;
  uint32_t slot_ = 0;
  Undo undo_;
};

}  // namespace skerry::sockets::client
