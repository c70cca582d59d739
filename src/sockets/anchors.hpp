// The processes of the program, as the stack knows them: who connected to @skerry, which slot each holds, and
// that it died. Speaks anchor_protocol.hpp. Read first: unix(7), pidfd_open(2).
//
// A process is over when its pidfd says so, or, without one, when its anchor connection has no holder left.
// The program's side is not believed: requests of a wrong size, magic or slot end their connection and are
// counted.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "sockets/anchor_protocol.hpp"
#include "sockets/session_view.hpp"

namespace skerry::sockets {

class Anchors {
 public:
  struct Descriptors {
    Fd listener;      // bound to @skerry in the program's network namespace, listening
    Fd region;        // the session memfd, handed to each process
    Fd session_ring;  // write end of the pipe that rings the stack, handed to each process
  };
  struct Handlers {
    std::function<void(uint32_t slot)> arrived;                   // a process has this slot now
    std::function<void(uint32_t slot)> died;                      // the process in this slot is over
    std::function<void(uint32_t parent, uint32_t child)> forked;  // give the child the parent's references
    std::function<void(uint32_t slot)> executed;  // a new program, which holds what SessionView::kept() says
    std::function<void(uint32_t waiter, Fd write_end)> doorbell_made;  // a waiter's pipe
    std::function<bool(uint32_t socket)> carry;                 // one carrier more, if there is such a socket
    std::function<void(uint32_t socket, uint32_t slot)> claim;  // this process has a reference now
    std::function<void(uint32_t socket)> put_down;              // one carrier less
  };

  static Result<Anchors> create(SessionView view, Descriptors descriptors, Handlers handlers);

  // Readable when serve() has something to do.
  int descriptor() const { return epoll_.get(); }
  // Handles what is ready; never blocks.
  void serve();

  bool is_live(uint32_t slot) const { return slot < slots_.size() && slots_[slot].live; }
  const uint64_t& faults() const { return faults_; }

 private:
  struct Slot {
    bool live = false;
    uint32_t pid = 0;           // in the program's namespace; 0: made by a fork, the child has not spoken yet
    uint32_t awaited_from = 0;  // pid of the process that spawns who shall have it
    Fd pidfd;
    uint32_t connection = UINT32_MAX;  // index of its anchor
  };
  struct Connection {
    Fd socket;
    // At most one of these.
    uint32_t slot = UINT32_MAX;      // the process whose anchor it is
    uint32_t carried = kNoSocket;    // the socket that it carries
    uint32_t executes = UINT32_MAX;  // the process that is in exec()
    uint32_t attempt = 0;            // and which of its attempts this is
  };

  Anchors(SessionView view, Descriptors descriptors, Handlers handlers, Fd epoll);
  void accept_all();
  void read_request(uint32_t connection);
  int attach(uint32_t connection, const AnchorRequest& request, Fd pidfd, AnchorReply& reply);
  int fork(uint32_t connection, const AnchorRequest& request, AnchorReply& reply);
  int spawned(uint32_t connection, const AnchorRequest& request, Fd pidfd);
  int carry(uint32_t connection, const AnchorRequest& request);
  int claim(uint32_t connection, const AnchorRequest& request, AnchorReply& reply);
  int execute(uint32_t connection, const AnchorRequest& request);
  bool has_a_use(uint32_t connection) const;
  void end_image(Connection& connection);
  void reply_to(uint32_t connection, const AnchorReply& reply, const int* descriptors, uint32_t count);
  void close_connection(uint32_t connection);
  bool watch_process(uint32_t slot, Fd pidfd);
  void forget_pidfd(uint32_t slot);
  void end_process(uint32_t slot);
  uint32_t slot_of(uint32_t pid) const;
  uint32_t slot_awaited_from(uint32_t parent) const;
  uint32_t claim_slot();

  SessionView view_;
  Descriptors descriptors_;
  Handlers handlers_;
  Fd epoll_;
  std::vector<Connection> connections_;
  std::vector<Slot> slots_;
  uint32_t slot_limit_ = 0;  // slots from here on have never been used
  uint64_t faults_ = 0;
};

}  // namespace skerry::sockets
