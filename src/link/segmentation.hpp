// What a NIC does for a host that leaves work to it, in software: finishing a transport checksum, and cutting
// a super-frame of TCP over IPv4 into the segments that a wire can carry.
//
// Marks and bytes may come from a stranger who is still writing to them. So a cutter copies the headers
// first, judges the copy, and never reads a length from the frame again; and the checksum is summed over the
// copy that is sent, not over the frame that it came from.
//
// Read first: Virtual I/O Device 1.2, section 5.1.6.2; RFC 9293 section 3.1; RFC 791 section 3.1.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "link/frame.hpp"

namespace skerry {

// Finishes what kChecksumNeeded left open and takes the mark back. The marks must have passed claims_hold();
// `data` is the frame's bytes and must be memory that nobody else writes.
void finish_checksum(Frame& frame, Bytes data);

class TcpSegmenter {
 public:
  // Nothing if the frame, marked kSegmentTcp4, is not one whole TCP segment in one whole IPv4 packet whose
  // checksum marks point at the TCP checksum. `data` is the frame's bytes; they must outlive this.
  static std::optional<TcpSegmenter> create(const Frame& frame, ConstBytes data);

  // At least 1, at most 1024 (kMinGsoSize).
  uint32_t segments() const { return segments_; }
  // Length of the frame that write(n) makes.
  uint32_t segment_bytes(uint32_t n) const { return header_bytes() + payload_bytes(n); }
  uint32_t largest_segment_bytes() const { return segment_bytes(0); }

  // Writes segment `n` at `to`: headers with their own length, identification, sequence number and flags (FIN
  // and PSH on the last, CWR on the first: RFC 3168 section 6.1.2), payload, and both checksums.
  void write(uint32_t n, uint8_t* to) const;

 private:
  static constexpr uint32_t kMaxHeaderBytes = 14 + 60 + 60;

  TcpSegmenter() = default;
  uint32_t header_bytes() const { return tcp_at_ + tcp_header_bytes_; }
  uint32_t payload_bytes(uint32_t n) const { return n + 1 < segments_ ? gso_size_ : last_payload_bytes_; }

  std::array<uint8_t, kMaxHeaderBytes> headers_;
  ConstBytes payload_;
  uint32_t tcp_at_ = 0;  // where the TCP header begins in the frame
  uint32_t tcp_header_bytes_ = 0;
  uint32_t gso_size_ = 0;
  uint32_t segments_ = 0;
  uint32_t last_payload_bytes_ = 0;
};

}  // namespace skerry
