// Cuts a byte stream that is a pcapng file in the making into whole blocks, so that a capture that ends
// anywhere leaves a file that ends with one. Read first: draft-ietf-opsawg-pcapng, section 3.1 (general block
// structure).
//
// Invariant: what comes from the pipe is checked; a length that no block of ours has ends the stream.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace skerry::ctl {

class PcapngBlocks {
 public:
  // Takes bytes as they come. False if they are no blocks, or after that.
  bool append(ConstBytes bytes);
  // The whole blocks that came since the last call.
  std::vector<uint8_t> take() { return std::exchange(whole_, {}); }
  uint64_t frames() const { return frames_; }  // in all blocks so far

 private:
  std::vector<uint8_t> pending_;
  std::vector<uint8_t> whole_;
  uint64_t frames_ = 0;
};

}  // namespace skerry::ctl
