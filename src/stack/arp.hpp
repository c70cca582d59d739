// ARP (RFC 826; RFC 1122 section 2.3.2): answers those who ask for us, learns from those who speak to us, and
// asks for neighbours. Packets in, packets out; the frames are Ip's.
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

  struct Outgoing {
    ArpPacket packet;
    MacAddress to;
  };
  // The next packet to send: answers, then questions that are due.
  std::optional<Outgoing> next_packet(TimeNs now);

  Neighbours& neighbours() { return neighbours_; }
  // When next_packet or neighbours().next_failed has something.
  TimeNs deadline() const { return reply_count_ > 0 ? 0 : neighbours_.deadline(); }

 private:
  const Routes& routes_;
  MacAddress mac_;
  Neighbours neighbours_;
  std::array<Outgoing, kReplies> replies_;
  uint32_t reply_count_ = 0;
};

}  // namespace skerry::stack
