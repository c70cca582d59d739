// The buffers of one call: an iovec array and how far it is used.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>

#include "base/ring_math.hpp"

namespace skerry::sockets::client {

class Pieces {
 public:
  Pieces(const iovec* pieces, size_t count) : piece_(pieces), end_(pieces + count) {
    for (size_t i = 0; i < count; ++i) left_ += pieces[i].iov_len;
  }

  size_t left() const { return left_; }

  // Moves `bytes` (at most left()) out of the ring from place `at` into the buffers, or the other way.
  void from_ring(const uint8_t* ring, uint32_t capacity, uint32_t at, size_t bytes) {
    move(capacity, at, bytes, [&](uint8_t* buffer, uint32_t place, uint32_t length) {
      ring_load(buffer, ring, capacity, place, length);
    });
  }
  void to_ring(uint8_t* ring, uint32_t capacity, uint32_t at, size_t bytes) {
    move(capacity, at, bytes, [&](const uint8_t* buffer, uint32_t place, uint32_t length) {
      ring_store(ring, capacity, place, buffer, length);
    });
  }
  void skip(size_t bytes) {
    move(1, 0, bytes, [](const uint8_t*, uint32_t, uint32_t) {});
  }

 private:
  template <class Copy>
  void move(uint32_t capacity, uint32_t at, size_t bytes, Copy copy) {
    left_ -= bytes;
    while (bytes > 0 && piece_ != end_) {
      const size_t length = std::min(bytes, piece_->iov_len - used_);
      copy(static_cast<uint8_t*>(piece_->iov_base) + used_, at, static_cast<uint32_t>(length));
      at = (at + static_cast<uint32_t>(length)) & (capacity - 1);
      bytes -= length;
      used_ += length;
      if (used_ < piece_->iov_len) return;
      ++piece_;
      used_ = 0;
    }
  }

  const iovec* piece_;
  const iovec* end_;
  size_t used_ = 0;
  size_t left_ = 0;
};

}  // namespace skerry::sockets::client
