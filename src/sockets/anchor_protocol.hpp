// What is said on the listener's socket: how a process of the program arrives at its stack, forks, and gets a
// pipe of its own. One SOCK_SEQPACKET message each way on a connection to kListenerName. Read first:
// session.hpp.
#pragma once

#include <cstdint>

#include "sockets/session.hpp"

namespace skerry::sockets {

inline constexpr char kListenerName[] =
    "@skerry";  // abstract AF_UNIX SOCK_SEQPACKET name; '@' stands for NUL

enum class AnchorOp : uint32_t {
  // A process arrives. slot: UINT32_MAX, or after `fork` the slot that was promised. The stack knows a
  // process that called exec by its pid: it gets its old slot, with fds and refs as they were, and reconciles
  // them. A new slot has fds and refs zeroed. With its pidfd by SCM_RIGHTS. Reply: slot, size and two
  // descriptors: the session memfd and the pipe end that rings the stack. The connection is the process's
  // anchor: it and the pidfd tell its death; socket descriptors are dup()s of it.
  attach = 1,
  // The parent asks before fork(). slot: the parent's. Reply: the child's slot, which holds references to all
  // that the
  // parent's does. The child keeps this connection as its anchor and the parent closes it; the child then
  // sends
  // `attach` with its slot on it. If fork fails, closing it undoes all.
  fork = 2,
  // slot: the waiter's index. Reply: one descriptor, the read end of the waiter's pipe. The connection is
  // then closed.
  doorbell = 3,
  // SCM_RIGHTS. From now on the connection carries a socket: it holds a reference as long as it is open
  // anywhere.
  // socket: which. What is passed to another process is the connection itself.
  carry = 4,
  // On a connection that carries: slot: who received it; session: Control::mac of the asker, because a
  // carrier may
  // end up at the program of another stack. Reply: socket, of which the process in this slot has a reference
  // now.
  claim = 5,
  // Like `fork`, before posix_spawn(), where no code of ours runs between the two programs: the slot is for
  // the next process that arrives
  // with `pid` as its parent.
  spawn = 6,
  // On that connection, when the child's pid is known, with its pidfd: the slot is for that process, and the
  // connection may be closed.
  spawned = 7,
  // Before exec(). slot: the process's. No reply. The connection is close-on-exec, so it ends when the new
  // program begins; if Process::executing is still set then, the process holds what SessionView::kept() says,
  // and
  // no epoll set. A new connection each time.
  execute = 8,
};

struct AnchorRequest {
  uint32_t magic = kSessionMagic;
  AnchorOp op = AnchorOp::attach;
  uint32_t slot = UINT32_MAX;
  uint32_t pid = 0;
  uint32_t parent = 0;  // attach: the pid of the process's parent
  uint32_t socket = kNoSocket;
  uint32_t attempt = 0;  // execute: what Process::executing is meanwhile
  MacAddress session;
};

struct AnchorReply {
  int32_t error = 0;  // errno value
  uint32_t slot = 0;
  uint32_t socket = kNoSocket;
  SessionSize size;
};

}  // namespace skerry::sockets
