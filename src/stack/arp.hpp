// ARP (RFC 826; RFC 1122 section 2.3.2): answers those who ask for us, learns from those who speak to us,
// asks for neighbours, and announces our addresses (RFC 5227 section 2.3). Packets in, packets out; the
// frames are Ip's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "stack/drop_reason.hpp"
#include "stack/neighbours.hpp"
#include "stack/routes.hpp"
#include "wire/arp.hpp"

namespace skerry::stack {

class Arp {
 public:
  static constexpr uint32_t kReplies = 16;  // requests answered in a breath

  Arp(const Routes& routes, const MacAddress& mac, uint32_t capacity, uint64_t seed)
      : routes_(routes), mac_(mac), neighbours_(capacity, seed) {}

  // `packet` is a private copy of what follows the Ethernet header. Nothing: it was of use.
  std::optional<DropReason> receive(TimeNs now, ConstBytes packet);

  // The link is there again: whoever knows our addresses is to learn where we are now, and we where they are.
  void announce(TimeNs now) {
    announcements_ = static_cast<uint32_t>(routes_.addresses().size());
    neighbours_.doubt(now);
  }

  struct Outgoing {
    ArpPacket packet;
    MacAddress to;
  };
  // The next packet to send: answers, announcements, then questions that are due.
  std::optional<Outgoing> next_packet(TimeNs now);

  Neighbours& neighbours() { return neighbours_; }
  // When next_packet or neighbours().next_failed has something.
  TimeNs deadline() const { return reply_count_ + announcements_ > 0 ? 0 : neighbours_.deadline(); }

 private:
  const Routes& routes_;
  MacAddress mac_;
  Neighbours neighbours_;
  std::array<Outgoing, kReplies> replies_;
  uint32_t reply_count_ = 0;
  uint32_t announcements_ = 0;  // still to be sent
};

}  // namespace skerry::stack
