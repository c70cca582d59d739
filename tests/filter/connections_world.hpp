// Rules that count connections, and what they meet.
#pragma once

#include <gtest/gtest.h>

#include "base/check.hpp"
#include "filter/batch.hpp"
#include "filter/connection_counts.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

inline constexpr uint8_t kSyn = 2, kRst = 4, kAck = 16;
inline constexpr uint32_t kOver = 1;

inline Octets ct_count(uint32_t most, uint32_t flags = kOver) {
  return expression("connlimit", join(attribute(nft::kConnlimitCount, be32(most)),
                                      attribute(nft::kConnlimitFlags, be32(flags))));
}
// The same of a set, of an element or of a rule that adds one.
inline Octets own_count(uint16_t type, uint32_t most) {
  return attribute(type,
                   join(attribute(nft::kExpressionName, text("connlimit")),
                        attribute(nft::kExpressionData, join(attribute(nft::kConnlimitCount, be32(most)),
                                                             attribute(nft::kConnlimitFlags, be32(kOver))))));
}
inline Octets counts(uint32_t most) {
  return batch(table(), base_chain(), rule("in", join(ct_count(most), verdict(0))));
}

inline Octets transport(uint8_t protocol, bool reply, uint16_t port, uint16_t from) {
  Octets bytes = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 0, 10, 0, 0, 99};
  store_be16(&bytes[14], from);
  if (reply) std::swap(bytes[15], bytes[19]);
  bytes.resize(protocol == kProtocolUdp ? 28 : 40);
  bytes[3] = static_cast<uint8_t>(bytes.size());
  store_be16(&bytes[20], reply ? 80 : port);
  store_be16(&bytes[22], reply ? port : 80);
  return bytes;
}
inline Octets datagram(int port, int from = 1) {
  Octets bytes = transport(kProtocolUdp, false, static_cast<uint16_t>(port), static_cast<uint16_t>(from));
  store_be16(&bytes[24], 8);
  return bytes;
}
inline Octets segment(bool reply, uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack) {
  Octets bytes = transport(kProtocolTcp, reply, port, 1);
  store_be32(&bytes[24], seq);
  store_be32(&bytes[28], ack);
  bytes[32] = 5 << 4;
  bytes[33] = flags;
  store_be16(&bytes[34], 1000);
  return bytes;
}

// Each address may have one connection, or as many as said; the set has room for so many of them.
inline Octets one_each(uint32_t size, const Octets& first = {}, uint32_t most = 1) {
  const Octets add = expression(
      "dynset", join(attribute(nft::kDynsetName, text("s")), attribute(nft::kDynsetOperation, be32(0)),
                     attribute(nft::kDynsetKey, be32(1)), own_count(nft::kDynsetExpression, most)));
  return batch(table(),
               set({.flags = nft::kSetEval,
                    .more = attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, be32(size)))}),
               base_chain(), first, rule("in", join(payload(1, 12, 4), add, verdict(0))));
}

class ConnectionCountsTest : public testing::Test {
 protected:
  explicit ConnectionCountsTest(uint32_t most_flows = 16'384) : table_(SipKey{1, 2}, most_flows) {}
  Engine engine_of(const Octets& bytes) {
    Ruleset ruleset;
    const auto refused = load(bytes, ruleset);
    EXPECT_FALSE(refused) << refused->sentence;
    Engine engine(std::move(ruleset), now_, {3, 4});
    engine.track_with(&table_);
    return engine;
  }
  bool passes(Engine& engine, Octets bytes) {
    Packet packet;
    CHECK(packet.read(bytes));
    now_ += 2 * kMillisecond;
    return engine.judge(Hook::prerouting, packet, now_).accepted &&
           engine.judge(Hook::input, packet, now_).accepted;
  }

  TimeNs now_ = 1000 * kSecond;
  Conntrack table_;
};

}  // namespace skerry::filter
