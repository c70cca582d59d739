// The capture of one port goes into a pipe whose read end the supervisor gave to whoever asked. The switch
// never waits for the reader: while the pipe is full, frames are left out of the capture and counted.
//
// Invariant: the reader sees whole blocks in order; a block that was begun is finished before another.
#pragma once

#include <vector>

#include "base/fd.hpp"
#include "link/pcapng.hpp"

namespace skerry {

class PipeSink final : public CaptureSink {
 public:
  // `pipe` is the write end, non-blocking. The process must ignore SIGPIPE.
  explicit PipeSink(Fd pipe) : pipe_(std::move(pipe)) {}

  bool write(ConstBytes blocks) override;
  // Writes what is left of a begun block, if the pipe has room by now. False if the reader has gone.
  bool flush();
  // True while the reader has not yet had the whole of a block.
  bool unfinished() const { return !begun_.empty(); }
  bool reader_gone() const;
  uint64_t lost_batches() const { return lost_batches_; }

 private:
  Fd pipe_;
  std::vector<uint8_t> begun_;
  uint64_t lost_batches_ = 0;
};

}  // namespace skerry
