// Segments that belong to no control block: resets (RFC 9293 section 3.5.2) and what TIME-WAIT acknowledges.
// A bounded ring of values; what does not fit is dropped, as a wire might drop it.
#pragma once

#include <array>
#include <cstdint>

#include "tcp/flow.hpp"

namespace skerry::tcp {

struct Reply {
  Flow flow;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint32_t ts_value = 0;
  uint32_t ts_echo = 0;
  uint16_t window = 0;
  uint8_t flags = 0;
  bool has_timestamps = false;
};

class ReplyQueue {
 public:
  bool empty() const { return head_ == tail_; }

  bool push(const Reply& reply) {
    if (tail_ - head_ == ring_.size()) return false;
    ring_[tail_++ % ring_.size()] = reply;
    return true;
  }

  // Only if not empty.
  const Reply& front() const { return ring_[head_ % ring_.size()]; }
  Reply pop() { return ring_[head_++ % ring_.size()]; }

 private:
  std::array<Reply, 256> ring_;
  uint32_t head_ = 0;
  uint32_t tail_ = 0;
};

}  // namespace skerry::tcp
