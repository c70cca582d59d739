// Packets of a few conversations drawn from a seed, with what does not belong into them.
#pragma once

#include <algorithm>
#include <array>

#include "base/random.hpp"
#include "base/time.hpp"
#include "filter/batch.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

// Each is what would come next, or nearly: between ports of a client and 80 of a server, of IPv4, without
// checksums.
class Conversations {
 public:
  Conversations(uint64_t seed, uint32_t client, uint32_t server)
      : random_(seed), client_(client), server_(server) {}

  struct Drawn {
    Octets bytes;
    bool leaves;  // the server, but for a few that nobody there would send
  };
  Drawn packet() {
    Conversation& one = conversations_[random_.below(kConversations)];
    const bool reply = random_.below(2) != 0;
    Octets transport = random_.below(4) == 0 ? datagram() : segment(one, reply);
    // Some have one place in the table, in which the last is found; the last has the first one's ports.
    const auto number = &one - conversations_.data();
    const bool is_other = number == kConversations - 1;
    const auto client = static_cast<uint16_t>(is_other ? 1000 : 1000 + number / 2 + number % 2 * 1024);
    const uint32_t client_address = is_other ? client_ ^ 8 : client_;
    const uint16_t ports[] = {one_in(30) ? uint16_t{9} : client, 80};
    store_be16(&transport[0], ports[reply]);
    store_be16(&transport[2], ports[!reply]);
    const bool udp = transport.size() % 2 != 0;
    Octets bytes(20);
    bytes[0] = 0x45;
    bytes[1] = one_in(20) ? 8 : 0;
    bytes[6] = one_in(40) ? 0x20 : 0x40;
    bytes[8] = 64;
    bytes[9] = udp ? kProtocolUdp : kProtocolTcp;
    if (one_in(60)) bytes[9] = one_in(2) ? kProtocolIcmp : uint8_t{132};
    store_be32(&bytes[12], reply ? server_ : client_address);
    store_be32(&bytes[16], reply ? client_address : server_);
    if (one_in(40)) bytes[15] ^= 1;
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    store_be16(&bytes[2], static_cast<uint16_t>(bytes.size()));
    return {std::move(bytes), reply != one_in(50)};
  }
  DurationNs wait() {
    if (one_in(400)) return 200 * kSecond;
    if (one_in(100)) return 40 * kSecond;
    return one_in(10) ? 3 * kSecond : 20 * kMicrosecond;
  }
  bool one_in(uint32_t many) { return random_.below(many) == 0; }

 private:
  struct Conversation {
    std::array<uint32_t, 2> next{};  // by reply: the next byte
    bool open = false;
  };

  // Of odd length, by which packet() tells it.
  Octets datagram() {
    Octets bytes(9 + 2 * random_.below(20));
    store_be16(&bytes[4], static_cast<uint16_t>(one_in(20) ? random_.below(60) : bytes.size()));
    return bytes;
  }
  Octets segment(Conversation& one, bool reply) {
    uint8_t flags = one_in(2) ? kAck : kAck | kPsh;
    if (!one.open || one_in(60)) {
      if (one_in(3))
        one.next = {static_cast<uint32_t>(random_.next()), static_cast<uint32_t>(random_.next())};
      flags = reply ? kSyn | kAck : kSyn;
      one.open = reply ? !one_in(4) : one.open;
    }
    if (one_in(100)) flags = kFin | kAck;
    if (one_in(150)) flags = kRst | kAck;
    if (one_in(60)) flags = static_cast<uint8_t>(random_.below(64));
    if (one_in(100)) flags |= kUrg;
    const Octets options = this->options((flags & kSyn) != 0, one.next[!reply]);
    const size_t bytes = one_in(2) || (flags & kSyn) != 0 ? 0 : 2 * random_.below(700);
    Octets segment(20 + options.size() + bytes);
    uint32_t seq = one.next[reply], ack = one.next[!reply];
    if (one_in(20)) seq += random_.below(4000) - 2000;
    if (one_in(20)) ack += random_.below(4000) - 2000;
    if (one_in(100)) seq = static_cast<uint32_t>(random_.next());
    if (one_in(100)) ack = static_cast<uint32_t>(random_.next());
    store_be32(&segment[4], seq);
    store_be32(&segment[8], ack);
    segment[12] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
    if (one_in(60)) segment[12] = static_cast<uint8_t>(random_.below(16) << 4);
    segment[13] = flags;
    store_be16(&segment[14], static_cast<uint16_t>(one_in(20) ? random_.below(3) : 8000));
    std::copy(options.begin(), options.end(), segment.begin() + 20);
    // What does not belong into it is not gone on with.
    if (seq == one.next[reply])
      one.next[reply] += static_cast<uint32_t>(bytes) + ((flags & kSyn) != 0 ? 1 : 0);
    if ((flags & (kRst | kFin)) != 0 && one_in(2)) one.open = false;
    return segment;
  }
  Octets options(bool syn, uint32_t acked) {
    if (syn) return {2, 4, 5, 0xb4, 4, 2, 1, 1, 3, 3, 7, 0};
    if (one_in(2)) return {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    if (!one_in(6)) return {};
    Octets sack = {1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    store_be32(&sack[4], acked + random_.below(100));
    store_be32(&sack[8], acked + 100 + random_.below(3000));
    return sack;
  }

  static constexpr uint32_t kConversations = 5;
  static constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

  Random random_;
  uint32_t client_, server_;
  std::array<Conversation, kConversations> conversations_;
};

}  // namespace skerry::filter
