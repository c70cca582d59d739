// Answers by ICMP that rx promised and tx sends: echo replies and "unreachable". A note keeps the frame that
// it answers until then, so nothing is copied twice. What we owe nobody is bounded: by the queue within a
// breath, by token buckets over time (RFC 1812 section 4.3.2.8).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/random.hpp"
#include "base/time.hpp"
#include "link/frame.hpp"
#include "stack/token_bucket.hpp"
#include "wire/icmp.hpp"

namespace skerry::stack {

struct IcmpNote {
  Frame frame;           // what is answered; given back once the answer is made
  bool looped = false;   // it is the loopback's
  Ipv4Address from = 0;  // our address
  Ipv4Address to = 0;
  IcmpHeader header;  // of the answer, checksum not yet computed
  ConstBytes body;    // what follows it, in the memory of `frame`
};

class IcmpReplies {
 public:
  static constexpr uint32_t kCapacity = 32;
  // An error quotes as much as fits in 576 bytes (RFC 1812 section 4.3.2.3).
  static constexpr size_t kMaxQuoteBytes = 576 - Ipv4Header::kMinBytes - IcmpHeader::kBytes;

  explicit IcmpReplies(Random& random) : random_(random) {}

  // False: not now, the frame stays the caller's.
  bool promise(TimeNs now, const IcmpNote& note) {
    TokenBucket& bucket = note.header.type == IcmpType::kEchoReply ? echoes_ : errors_;
    // To ourselves time limits nothing, as on Linux (icmpv4_xrlim_allow()).
    if (count_ == kCapacity || !(note.looped || bucket.take(now, random_))) return false;
    notes_[count_++] = note;
    return true;
  }
  std::span<const IcmpNote> view() const { return {notes_.data(), count_}; }
  void clear() { count_ = 0; }

 private:
  std::array<IcmpNote, kCapacity> notes_;
  uint32_t count_ = 0;
  TokenBucket echoes_{20'000, 2'000};
  TokenBucket errors_{1'000, 50};
  Random& random_;
};

}  // namespace skerry::stack
