// passt, Debian's user-mode network for one guest, as the device behind one program's uplink: a child of the
// supervisor that holds one end of a stream socket; the other end is the driver's. Read first: passt(1), and
// docs/decisions/0014-one-passt-for-each-program.md.
//
// Invariants: it ends with this object, with the supervisor, and when nobody holds the driver's end any more;
// whoever made it reaps it.
#pragma once

#include <sys/types.h>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/spawn.hpp"

namespace skerry::supervisor {

class Passt {
 public:
  // `device` is an Object of kind passt. What passt says goes to `log_fd`. Errors: it is not installed, or a
  // port that it shall publish is taken; the latter only if `looks_for_ports`, else passt finds out.
  static Result<Passt> start(const Object& device, int log_fd, bool looks_for_ports);

  Passt() = default;
  Passt(Passt&&) = default;
  Passt& operator=(Passt&& other);
  ~Passt() { end(); }

  // The driver's end; ours.
  Fd take_socket() { return std::move(socket_); }
  pid_t pid() const { return child_.pid; }

 private:
  Passt(Child child, Fd socket) : child_(std::move(child)), socket_(std::move(socket)) {}
  void end();

  Child child_;
  Fd socket_;
};

// What passt is told, without the descriptor of its socket.
std::vector<std::string> passt_arguments(const Object& device);

}  // namespace skerry::supervisor
