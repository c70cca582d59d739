// What Ip hands to a transport: segments that arrived, with what IP knows of them, still in the link's
// memory. The beginning of each was copied where no neighbour can write: decisions are taken from that copy
// alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "link/frame.hpp"
#include "stack/private_copy.hpp"
#include "wire/address.hpp"

namespace skerry::stack {

struct alignas(64) Segment {
  // The longest transport header; also an ICMP header and the packet it is about, unless that has many
  // options.
  static constexpr size_t kCopyBytes = 60;

  Frame frame;
  ConstBytes bytes;  // transport header and payload; a neighbour may be writing to them
  Ipv4Address source;
  Ipv4Address destination;
  bool looped;     // from the loopback: the frame is not the link's
  bool intact;     // somebody vouches for it: no checksum to verify
  bool broadcast;  // not to us alone
  uint8_t ttl;
  uint8_t type_of_service;  // two bits of it are ECN (RFC 3168)
  uint8_t copied;           // bytes of `copy` that are set
  std::array<uint8_t, kCopyBytes> copy;

  // The private copy of what `bytes` begins with.
  ConstBytes header() const { return {copy.data(), copied}; }
  // `from` begins with the same as `bytes`.
  void copy_header(ConstBytes from) {
    if (from.size() >= kCopyBytes) [[likely]] {
      copied = kCopyBytes;
      copy_once(copy.data(), from.data(), kCopyBytes);
    } else {
      copied = static_cast<uint8_t>(from.size());
      copy_once(copy.data(), from.data(), copied);
    }
  }
};

// Filled by Ip in rx, emptied by the transport in the same breath.
class SegmentQueue {
 public:
  static constexpr uint32_t kCapacity = 2 * kBatch;  // a batch from the link and one from the loopback

  bool full() const { return count_ == kCapacity; }
  bool empty() const { return count_ == 0; }
  // A place to fill; it joins the queue with push(). Only if not full.
  Segment& back() { return segments_[count_]; }
  void push() { ++count_; }
  std::span<const Segment> view() const { return {segments_.data(), count_}; }
  void clear() { count_ = 0; }

 private:
  std::array<Segment, kCapacity> segments_;
  uint32_t count_ = 0;
};

// An ICMP error about a segment that we sent, or word from ourselves that it could not leave.
struct TransportError {
  static constexpr size_t kQuoteBytes = 96;

  Endpoint local;
  Endpoint remote;
  uint32_t tcp_seq = 0;
  int error = 0;     // errno value
  bool hard = true;  // a connected datagram socket is told though it did not ask (Linux icmp_err_convert)
  uint8_t type = 0, code = 0;              // ICMP's
  uint16_t next_hop_mtu = 0;               // not 0: the segment was too big, this is what fits (RFC 1191)
  bool own = false;                        // word from ourselves: it says nothing of the path
  Ipv4Address offender = 0;                // who sent the error
  uint8_t ttl = 0, type_of_service = 0;    // that it came with
  uint8_t quoted = 0;                      // bytes of `quote`
  std::array<uint8_t, kQuoteBytes> quote;  // what followed the header of UDP

  void take_quote(ConstBytes payload) {
    quoted = static_cast<uint8_t>(std::min(payload.size(), quote.size()));
    copy_once(quote.data(), payload.data(), quoted);
  }
};

// As with segments. Errors are advice: what finds no room is forgotten.
class ErrorQueue {
 public:
  static constexpr uint32_t kCapacity = 128;  // all that waited for one neighbour (Neighbours)

  void push(const TransportError& error) {
    if (count_ < kCapacity) errors_[count_++] = error;
  }
  std::span<const TransportError> view() const { return {errors_.data(), count_}; }
  void clear() { count_ = 0; }

 private:
  std::array<TransportError, kCapacity> errors_;
  uint32_t count_ = 0;
};

}  // namespace skerry::stack
