// TCP behind announcements that have become longer or shorter: what follows them has other sequence numbers
// on one side than on the other.
//
// Read first: nf_conntrack_seqadj.c, which this follows: each direction remembers the last change alone.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "filter/conntrack_tcp.hpp"

namespace skerry::filter {

// Of one direction. Begins as SequenceShift{}.
struct SequenceShift {
  uint32_t position;       // of the last segment that was changed, as its sender counts
  uint32_t before, after;  // what is added up to there, and behind it

  // To a number of the sender's.
  uint32_t at(uint32_t seq) const { return is_behind(seq, position) ? after : before; }
  // That was added to a number which the receiver has seen.
  uint32_t in(uint32_t seen) const { return is_behind(seen - before, position) ? after : before; }
  // A segment at `seq` has become so much longer. Nothing if it is older than the last that did.
  void add(uint32_t seq, uint32_t bytes);
};

// A segment of the direction `own`, which acknowledges what the other one sends. `summed`: its checksum is
// that of all of it. False: its options are damaged.
bool shift_segment(Bytes tcp, const SequenceShift& own, const SequenceShift& other, bool summed);

}  // namespace skerry::filter
