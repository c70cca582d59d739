#include "filter/sequence_shift.hpp"

#include "filter/checksum_change.hpp"

namespace skerry::filter {

namespace {

constexpr size_t kHeaderBytes = 20, kSeq = 4, kAcknowledged = 8, kFlags = 13, kChecksum = 16;

// What changes lies anywhere in the options, where a number may begin at an odd byte.
class Segment {
 public:
  Segment(Bytes tcp, bool summed) : tcp_(tcp), summed_(summed) {}

  uint32_t number(size_t at) const { return load_be32(tcp_.data() + at); }
  void put(size_t at, uint32_t number) {
    const size_t even = at & ~size_t{1}, bytes = (at & 1) != 0 ? 6 : 4;
    const ConstBytes around = ConstBytes(tcp_).subspan(even, bytes);
    const uint32_t before = sum_of(around);
    store_be32(tcp_.data() + at, number);
    if (summed_) adjust(tcp_.data() + kChecksum, before, sum_of(around));
  }

 private:
  Bytes tcp_;
  bool summed_;
};

bool shift_sack(Bytes tcp, Segment& segment, const SequenceShift& other) {
  constexpr uint8_t kEnd = 0, kNothing = 1, kSack = 5;
  constexpr size_t kBlock = 8, kHead = 2;
  const size_t end = (tcp[12] >> 4) * size_t{4};
  if (end > tcp.size()) return false;
  for (size_t at = kHeaderBytes; at < end && tcp[at] != kEnd;) {
    if (tcp[at] == kNothing) {
      ++at;
      continue;
    }
    if (at + 1 == end) return false;
    const size_t length = tcp[at + 1];
    if (length < kHead || at + length > end) return false;
    if (tcp[at] == kSack && length > kHead && (length - kHead) % kBlock == 0) {
      for (size_t edge = at + kHead; edge < at + length; edge += 4)
        segment.put(edge, segment.number(edge) - other.in(segment.number(edge)));
    }
    at += length;
  }
  return true;
}

}  // namespace

void SequenceShift::add(uint32_t seq, uint32_t bytes) {
  if (before != after && !is_before(position, seq)) return;
  position = seq;
  before = after;
  after += bytes;
}

bool shift_segment(Bytes tcp, const SequenceShift& own, const SequenceShift& other, bool summed) {
  constexpr uint8_t kAck = 16;
  if (tcp.size() < kHeaderBytes) return false;
  Segment segment(tcp, summed);
  const uint32_t seq = segment.number(kSeq), ack = segment.number(kAcknowledged);
  segment.put(kSeq, seq + own.at(seq));
  if ((tcp[kFlags] & kAck) == 0) return true;
  segment.put(kAcknowledged, ack - other.in(ack));
  return shift_sack(tcp, segment, other);
}

}  // namespace skerry::filter
