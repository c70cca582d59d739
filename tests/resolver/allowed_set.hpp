// What an allow-list works on, without a stack: rules with its set, as allow_rules() has them, and packets.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "allow_list.hpp"
#include "filter/batch.hpp"
#include "filter/load.hpp"
#include "stack/world.hpp"

namespace skerry {

using filter::attribute;
using filter::be32;
using filter::join;
using filter::SetWords;

inline constexpr uint32_t kFlagsOfSet = filter::nft::kSetEval | filter::nft::kSetHasTimeout;

// Lets out what the set has, and nothing else. `table` and `words` are as they should be, or not. The set
// stands `behind` another one of its kind, or alone.
inline filter::Ruleset rules_with_set(SetWords words = {}, const std::string& table = "skerry_allow",
                                      uint32_t most = 100, bool behind = false) {
  if (words.flags == 0) words.flags = kFlagsOfSet;
  if (words.key_bytes == 4) words.key_bytes = resolver::kAllowKeyBytes;
  if (words.name == "s") words.name = resolver::kAllowSet;
  words.more = attribute(filter::nft::kSetDescription, attribute(filter::nft::kDescriptionSize, be32(most)));
  SetWords another = words;
  another.name = "another";
  another.id = 2;
  constexpr uint32_t kProtocol = 8, kAddress = 9, kPort = 10;  // registers of four bytes
  using namespace filter::nft;
  const auto l4proto =
      filter::expression("meta", join(attribute(kMetaTo, be32(kProtocol)), attribute(kMetaKey, be32(16))));
  const auto found = filter::expression("lookup", join(attribute(kLookupSet, filter::text(words.name)),
                                                       attribute(kLookupFrom, be32(kProtocol))));
  const auto bytes = filter::batch(
      filter::table(),
      filter::chain("out", join(filter::hook(static_cast<uint32_t>(filter::Hook::output)),
                                attribute(kChainPolicy, be32(static_cast<uint32_t>(filter::Policy::drop))))),
      filter::base_chain("in", filter::Policy::drop), behind ? filter::set(another) : filter::Octets(),
      filter::set(words),
      filter::rule("out", join(l4proto, filter::payload(1, 16, 4, kAddress), filter::payload(2, 2, 2, kPort),
                               found, filter::verdict(1))));
  filter::Ruleset ruleset;
  const auto refused = filter::load(bytes, ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  if (!refused) ruleset.tables[0].name = table;
  return ruleset;
}

class AllowedSet : public testing::Test {
 protected:
  static AllowSettings settings() {
    return {.fixed = {{0x0a4d0003, {5432, false}}},
            .of_names = {{443, false}, {123, true}},
            .own = {{0x2c000000, 8}}};
  }

  // In the pauses, if there are some, the rules before judge.
  void load(filter::Ruleset rules, const Pause& pause = {}) {
    filter::Engine engine(std::move(rules), now, {1, 2}, filter::Engine::Search::indexed, pause);
    hooks.use(std::move(engine), now, {1, 2}, pause);
  }
  void load() {
    load(rules_with_set());
    allowed.begin(now);
  }
  // Whether a packet of the program's would leave.
  bool passes(Ipv4Address address, uint16_t port, bool udp = false) {
    Ipv4Header header;
    header.source = stack::kOurs;
    header.destination = address;
    header.protocol = udp ? IpProtocol::kUdp : IpProtocol::kTcp;
    stack::Packet transport(20);
    store_be16(transport.data(), 40000);
    store_be16(transport.data() + 2, port);
    stack::Packet packet = stack::ipv4_packet(header, transport);
    return hooks.passes_out(packet, {}, now);
  }
  size_t elements_of(const std::string& set) const {
    size_t count = 0;
    for (uint32_t i = 0; i < hooks.engine().ruleset().sets.size(); ++i)
      if (hooks.engine().ruleset().sets[i].name == set)
        hooks.engine().dynamic_set(i)->for_each(now,
                                                [&](const uint8_t*, const filter::Element&) { ++count; });
    return count;
  }
  // None of it found no room, or was too much.
  bool allow(std::initializer_list<Ipv4Address> addresses, resolver::AllowedPort port, uint32_t seconds) {
    std::vector<uint8_t> bytes;
    for (const Ipv4Address address : addresses) {
      bytes.resize(bytes.size() + 4);
      store_be32(&bytes[bytes.size() - 4], address);
    }
    return allowed.allow({port, seconds, bytes}, now) == AllowList::Granted::yes;
  }

  TimeNs now = 1000 * kSecond;
  const stack::InterfaceAddress ours{stack::kOurs, 24};
  stack::Routes routes{{&ours, 1}, stack::kPeer};
  stack::FilterHooks hooks{routes};
  AllowList allowed{hooks, settings()};
};

}  // namespace skerry
