// The half of a wake-up that the kernel does: a pipe whose write end only the ringer holds and whose read end
// only the sleeper holds. Each end is an open file description of its own, so neither side's flags are the
// other's to change; a full pipe is one that has been rung. (An eventfd is one description with one counter:
// its other holder can make a write block.) Ringing and draining make one system call and never block.
//
// A write to a pipe whose reader is gone raises SIGPIPE, and pipes know no MSG_NOSIGNAL. So every process
// that rings ignores SIGPIPE; Ringer::adopt refuses to exist in one that would die of it.
//
// Read first: pipe(7).
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

// A new doorbell: what the creator hands to the two neighbours. Both ends non-blocking and close-on-exec.
struct DoorbellPipe {
  Fd ring;  // write end, for the ringer
  Fd wake;  // read end, for the sleeper

  static Result<DoorbellPipe> create();
};

class Ringer {
 public:
  static Result<Ringer> adopt(Fd ring);

  // False if nobody is there to hear it any more.
  bool ring();

 private:
  explicit Ringer(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

class Waker {
 public:
  static Result<Waker> adopt(Fd wake);

  // Takes back what was rung. One read: what a hostile ringer adds meanwhile makes the next sleep short, not
  // this call long. False if the ringer closed its end; then the descriptor is closed too, because a
  // hung-up pipe would keep every poll from sleeping.
  bool drain();

  // To poll for reading; -1 once hung up.
  int fd() const { return fd_.get(); }

 private:
  explicit Waker(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace skerry
