// Packets with right checksums, and a host whose rules translate them.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/nat_batch.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

inline constexpr uint32_t kHost = 0x0a000001, kAlso = 0x0a000005, kPeer = 0x0a630001, kOther = 0x0a630002;
inline constexpr uint8_t kSyn = 2, kRst = 4, kAck = 16;

struct Ends {
  uint32_t from, to;
  uint16_t from_port, to_port;
  Ends answer() const { return {to, from, to_port, from_port}; }
  friend bool operator==(const Ends&, const Ends&) = default;
};

inline uint16_t sum_of(ConstBytes bytes, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  if (bytes.size() % 2 != 0) sum += uint32_t{bytes.back()} << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
inline size_t checksum_at(uint8_t protocol) {
  return protocol == kProtocolTcp ? 16 : protocol == kProtocolUdp ? 6 : 2;
}
inline uint32_t pseudo_header(const Octets& packet) {
  if (packet[9] == kProtocolIcmp) return 0;
  return sum_of(ConstBytes(packet).subspan(12, 8)) + packet[9] + static_cast<uint32_t>(packet.size() - 20);
}
inline Octets v4(uint8_t protocol, uint32_t from, uint32_t to, const Octets& transport) {
  Octets packet(20);
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<uint16_t>(20 + transport.size()));
  packet[8] = 64;
  packet[9] = protocol;
  store_be32(&packet[12], from);
  store_be32(&packet[16], to);
  store_be16(&packet[10], static_cast<uint16_t>(~sum_of(packet)));
  packet.insert(packet.end(), transport.begin(), transport.end());
  if (protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolIcmp) {
    const uint16_t sum = sum_of(ConstBytes(packet).subspan(20), pseudo_header(packet));
    store_be16(&packet[20 + checksum_at(protocol)], static_cast<uint16_t>(~sum));
  }
  return packet;
}
inline bool intact(const Octets& packet) {
  return sum_of(ConstBytes(packet).first(20)) == 0xffff &&
         sum_of(ConstBytes(packet).subspan(20), pseudo_header(packet)) == 0xffff;
}
inline Octets datagram(const Ends& ends, const Octets& payload = {1, 2, 3}) {
  Octets udp(8);
  store_be16(&udp[0], ends.from_port);
  store_be16(&udp[2], ends.to_port);
  store_be16(&udp[4], static_cast<uint16_t>(8 + payload.size()));
  return v4(kProtocolUdp, ends.from, ends.to, join(udp, payload));
}
inline Octets segment(const Ends& ends, uint8_t flags, uint32_t seq = 100, uint32_t ack = 0,
                      const Octets& payload = {}) {
  Octets tcp(20);
  store_be16(&tcp[0], ends.from_port);
  store_be16(&tcp[2], ends.to_port);
  store_be32(&tcp[4], seq);
  store_be32(&tcp[8], ack);
  tcp[12] = 5 << 4;
  tcp[13] = flags;
  store_be16(&tcp[14], 1000);
  return v4(kProtocolTcp, ends.from, ends.to, join(tcp, payload));
}
inline Octets error_about(const Octets& quoted, uint32_t from, uint32_t to, uint8_t type = 3) {
  return v4(kProtocolIcmp, from, to, join(Octets{type, 1, 0, 0, 0, 0, 0, 0}, quoted));
}
inline Ends ends_of(const Octets& packet, size_t ip = 0) {
  return {load_be32(&packet[ip + 12]), load_be32(&packet[ip + 16]), load_be16(&packet[ip + 20]),
          load_be16(&packet[ip + 22])};
}

class NatTest : public testing::Test {
 protected:
  void use(const Octets& bytes) {
    Ruleset ruleset;
    const auto refused = load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    engine_.emplace(std::move(ruleset));
    engine_->track_with(&conntrack_);
  }
  // None: it was dropped.
  std::optional<Octets> pass(Octets bytes, bool leaves, bool unfinished = false) {
    packet_ = {};
    const size_t size = bytes.size();
    bytes.resize(size + room_);
    EXPECT_TRUE(packet_.read(Bytes(bytes).first(size)));
    packet_.room = room_;
    packet_.unfinished = unfinished;
    store_be32(packet_.address.data(), kHost);
    for (const Hook hook :
         leaves ? std::array{Hook::output, Hook::postrouting} : std::array{Hook::prerouting, Hook::input}) {
      judgement_ = engine_->judge(hook, packet_, now_);
      if (!judgement_.accepted) return std::nullopt;
    }
    bytes.resize(packet_.bytes.size());
    packet_.bytes = {};
    return bytes;
  }
  std::optional<Octets> comes(Octets bytes) { return pass(std::move(bytes), false); }
  std::optional<Octets> leaves(Octets bytes) { return pass(std::move(bytes), true); }
  Ends to(const std::optional<Octets>& packet) {
    EXPECT_TRUE(packet);
    if (!packet) return {};
    EXPECT_TRUE(intact(*packet));
    return ends_of(*packet);
  }

  TimeNs now_ = 1000 * kSecond;
  size_t room_ = 64;  // by which packets may grow
  Conntrack conntrack_{SipKey{1, 2}, 4096};
  std::optional<Engine> engine_;
  Packet packet_;
  Judgement judgement_;
};

inline constexpr Ends kAsked{kPeer, kHost, 40000, 80}, kAsks{kHost, kPeer, 40000, 80};

}  // namespace skerry::filter
