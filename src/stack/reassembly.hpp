// Packets of which only fragments have arrived (RFC 791 section 3.2, RFC 1122 section 3.3.2): which bytes of
// each are there, and until when the rest is waited for. The bytes themselves lie in a frame that the caller
// has for each packet.
//
// What a stranger can make us keep is bounded: so many packets, each of at most so many pieces, each for
// thirty seconds. When the table is full the oldest gives way. A packet of which two fragments overlap is
// given up as a whole: only an attack or a bug makes such (RFC 5722 for IPv6; Linux does it for both).
#pragma once

#include <array>
#include <cstdint>

#include "base/check.hpp"
#include "base/time.hpp"
#include "link/frame.hpp"
#include "tcp/interval_set.hpp"
#include "wire/ipv4.hpp"

namespace skerry::stack {

class Reassembly {
 public:
  static constexpr uint32_t kPackets = 16;
  static constexpr uint32_t kPieces = 32;                // islands of one packet, not fragments
  static constexpr DurationNs kPatience = 30 * kSecond;  // Linux net.ipv4.ipfrag_time
  static constexpr uint32_t kMaxBytes = 65535 - Ipv4Header::kMinBytes;  // payload of the whole packet

  struct Packet {
    Ipv4Header header;  // of the first fragment that came; when whole, of the packet
    Frame frame;        // the caller's, for the bytes
    tcp::IntervalSet<kPieces> pieces;
    uint32_t end = 0;     // bytes of the whole payload; 0: the last fragment is not here
    bool vouched = true;  // every fragment was
    bool in_use = false;
    TimeNs deadline = 0;

    bool has_beginning() const { return !pieces.empty() && pieces[0].left == 0; }
    bool is_whole() const {
      return end != 0 && pieces.size() == 1 && pieces[0].left == 0 && pieces[0].right == end;
    }
  };

  // The packet that `fragment` is of, or null.
  Packet* find(const Ipv4Header& fragment) {
    for (Packet& packet : packets_)
      if (packet.in_use && packet.header.identification == fragment.identification &&
          packet.header.source == fragment.source && packet.header.destination == fragment.destination &&
          packet.header.protocol == fragment.protocol)
        return &packet;
    return nullptr;
  }

  // A place for a new packet; null if all are taken.
  Packet* begin(TimeNs now, const Ipv4Header& fragment, const Frame& frame) {
    for (Packet& packet : packets_) {
      if (packet.in_use) continue;
      packet = Packet{};
      packet.header = fragment;
      packet.frame = frame;
      packet.in_use = true;
      packet.deadline = now + kPatience;
      ++count_;
      return &packet;
    }
    return nullptr;
  }

  enum class Verdict : uint8_t {
    taken,  // its bytes are news
    known,  // all of them are there already: the network doubled it
    wrong,  // it overlaps, contradicts what is there, is no possible fragment, or finds no room
  };

  // Takes note of `fragment`, whose header parsed. After `wrong` the packet is lost.
  static Verdict add(Packet& packet, const Ipv4Header& fragment) {
    const uint32_t left = fragment.fragment_offset;
    const uint32_t right = left + fragment.payload_bytes();
    if (right == left || right > kMaxBytes) return Verdict::wrong;
    if (fragment.more_fragments) {
      if (right % 8 != 0 || (packet.end != 0 && right > packet.end)) return Verdict::wrong;
    } else {
      const uint32_t highest = packet.pieces.empty() ? 0 : packet.pieces[packet.pieces.size() - 1].right;
      if (highest > right || (packet.end != 0 && packet.end != right)) return Verdict::wrong;
      packet.end = right;
    }
    const tcp::Interval* const there = packet.pieces.find(left);
    if (there != nullptr && right <= there->right) return Verdict::known;
    return packet.pieces.insert(left, right) == right - left ? Verdict::taken : Verdict::wrong;
  }

  void remove(Packet& packet) {
    packet.in_use = false;
    --count_;
  }

  bool is_full() const { return count_ == kPackets; }

  // The packet that has been waited for longest. Only if there is one.
  Packet& oldest() { return packets_[oldest_index()]; }
  TimeNs deadline() const { return count_ == 0 ? kNever : packets_[oldest_index()].deadline; }

 private:
  uint32_t oldest_index() const {
    uint32_t oldest = kPackets;
    for (uint32_t i = 0; i < kPackets; ++i)
      if (packets_[i].in_use && (oldest == kPackets || packets_[i].deadline < packets_[oldest].deadline))
        oldest = i;
    CHECK(oldest < kPackets);
    return oldest;
  }

  std::array<Packet, kPackets> packets_;
  uint32_t count_ = 0;
};

}  // namespace skerry::stack
