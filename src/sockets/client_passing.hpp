// SCM_RIGHTS: sockets of ours that travel over the kernel's Unix sockets. Below every socket descriptor lies
// the process's anchor, which does not say which socket is meant. So what travels instead is a connection to
// the stack made for this one socket, a carrier: the stack keeps the socket alive as long as a carrier of it
// is open anywhere, and whoever receives the carrier asks on it what it is.
#pragma once

#include <sys/socket.h>

#include "sockets/client_cancel.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Whether the message passes a socket of ours.
bool passes_sockets(const msghdr* message);

// The message as the kernel shall have it, with carriers for our sockets; valid as long as this lives, which
// must be until the kernel has it.
class Passing {
 public:
  explicit Passing(const msghdr& message);
  ~Passing() { end(); }
  Passing(const Passing&) = delete;
  Passing& operator=(const Passing&) = delete;

  int error() const { return error_; }  // 0, or -errno: then nothing may be sent
  const msghdr* message() const { return &message_; }

 private:
  static constexpr size_t kMost = 253;  // SCM_MAX_FD, unix(7)

  void carry(int& number);
  void end();

  msghdr message_;
  int error_ = 0;
  uint32_t count_ = 0;
  int carriers_[kMost];
  alignas(cmsghdr) char control_[2048];  // kMost descriptors and some credentials
  Undo undo_;
};

// What the kernel received: a carrier in it becomes a descriptor of the socket that it carries. `flags` as
// given to recvmsg(2).
void receive_sockets(const msghdr* message, int flags);

}  // namespace skerry::sockets::client
