// Generic receive offload in software: a run of segments of one connection that follow each other within a
// batch reaches TCP as one, so that a bulk stream from a plain wire costs TCP a look per batch and not per
// 1448 bytes.
//
// Merged is only what TCP could not tell from a sender's single longer segment: data, the same
// acknowledgment, window and options (timestamps included), no flag but ACK, and PSH on the last. The bytes
// are gathered in private memory; a run of one is not copied.
#pragma once

#include <cstring>
#include <memory>

#include "stack/segment_queue.hpp"
#include "tcp/segment.hpp"

namespace skerry::stack {

class Coalescer {
 public:
  static constexpr size_t kMaxBytes = 65495;  // the payload of the longest packet

  Coalescer() : buffer_(new uint8_t[kMaxBytes]) {}

  bool empty() const { return first_ == nullptr; }
  // The run so far, as one segment.
  const tcp::SegmentIn& merged() const { return merged_; }
  // The segment that it began with, whose frame must stay until clear().
  const Segment& first() const { return *first_; }
  void clear() { first_ = nullptr; }

  static bool may_begin(const tcp::SegmentIn& in) {
    return !in.payload.empty() && in.header.flags == kTcpAck && in.header.options.sack_count == 0;
  }
  // Only if empty. `segment` stays where it is until clear().
  void begin(const tcp::SegmentIn& in, const Segment& segment) {
    merged_ = in;
    first_ = &segment;
  }

  // True: `next` continues the run and its bytes were taken over.
  bool join(const tcp::SegmentIn& next) {
    if (empty() || !continues(next)) return false;
    const size_t length = merged_.payload.size();
    if (merged_.payload.data() != buffer_.get()) std::memcpy(buffer_.get(), merged_.payload.data(), length);
    std::memcpy(buffer_.get() + length, next.payload.data(), next.payload.size());
    merged_.payload = {buffer_.get(), length + next.payload.size()};
    merged_.header.flags |= next.header.flags;
    return true;
  }

 private:
  bool continues(const tcp::SegmentIn& next) const {
    const TcpHeader& ours = merged_.header;
    const TcpHeader& its = next.header;
    return its.seq == ours.seq + static_cast<uint32_t>(merged_.payload.size()) &&
           its.source_port == ours.source_port && its.destination_port == ours.destination_port &&
           ours.flags == kTcpAck && (its.flags & ~kTcpPsh) == kTcpAck && its.ack == ours.ack &&
           its.window == ours.window && its.options == ours.options && !next.payload.empty() &&
           merged_.payload.size() + next.payload.size() <= kMaxBytes && next.source == merged_.source &&
           next.destination == merged_.destination &&
           next.congestion_experienced == merged_.congestion_experienced;
  }

  std::unique_ptr<uint8_t[]> buffer_;
  tcp::SegmentIn merged_;
  const Segment* first_ = nullptr;
};

}  // namespace skerry::stack
