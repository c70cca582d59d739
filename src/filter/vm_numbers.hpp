// Numbers that rules make: part of the interpreter, included by engine.cpp alone.
//
// Read first: vm.hpp; nft_numgen.c, nft_hash.c.
#pragma once

#include "filter/jenkins_hash.hpp"
#include "filter/protocols.hpp"
#include "filter/vm.hpp"

namespace skerry::filter {

// One of them from 32 bits, without a division (reciprocal_scale()).
inline uint32_t number_from(const NumberRange& range, uint32_t bits) {
  return static_cast<uint32_t>(uint64_t{bits} * range.modulus >> 32) + range.offset;
}

inline void Engine::Run::operator()(const NextNumber& action) {
  not_again();
  if (action.random) return store_number(action.to, number_from(action.range, engine.draw()));
  uint32_t& last = engine.number_states_[action.state];
  last = last + 1 < action.range.modulus ? last + 1 : 0;
  store_number(action.to, last + action.range.offset);
}

inline void Engine::Run::operator()(const HashRegisters& action) {
  const uint32_t seed = action.state == kNone ? action.seed : engine.number_states_[action.state];
  const uint32_t hash = jenkins_hash({at(action.from), action.length}, seed);
  store_number(action.to, number_from(action.range, hash));
}

// What a flow is to Linux's flow dissector (flow_keys_dissector_symmetric), which walks over other headers of
// IPv6 than rules do, and sees no ports in pieces. What a tunnel carries is not looked at.
struct FlowEnds {
  static constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kEsp = 50, kAuthentication = 51,
                           kDestination = 60;
  std::array<uint8_t, 16> low{}, high{};
  std::array<uint8_t, 2> low_port{}, high_port{};
  uint8_t protocol = 0, v6 = 0;
  uint16_t unused = 0;

  explicit FlowEnds(const Packet& packet) : v6(packet.v6) {
    const ConstBytes bytes = packet.bytes;
    const size_t size = packet.v6 ? 16 : 4, first = packet.v6 ? 8 : 12;
    std::memcpy(low.data(), bytes.data() + first, size);
    std::memcpy(high.data(), bytes.data() + first + size, size);
    if (high < low) std::swap(low, high);
    size_t ports = (bytes[0] & 15) * size_t{4};
    bool whole = (load_be16(bytes.data() + 6) & 0x3fff) == 0;
    protocol = bytes[9];
    if (packet.v6) whole = walk(bytes, ports);
    if (protocol == kAuthentication) ports += 4;
    const bool has = has_ports(protocol) || protocol == kEsp || protocol == kAuthentication;
    if (!whole || !has || ports + 4 > bytes.size()) return;
    std::memcpy(low_port.data(), bytes.data() + ports, 2);
    std::memcpy(high_port.data(), bytes.data() + ports + 2, 2);
    if (high_port < low_port) std::swap(low_port, high_port);
  }

 private:
  // False: no transport header is there to be looked at.
  bool walk(ConstBytes bytes, size_t& at) {
    at = 40;
    protocol = bytes[6];
    while (protocol == kHopByHop || protocol == kRouting || protocol == kDestination) {
      if (at + 2 > bytes.size()) return false;
      protocol = bytes[at];
      at += (bytes[at + 1] + size_t{1}) * 8;
    }
    if (protocol != kFragment) return true;
    if (at + 8 <= bytes.size()) protocol = bytes[at];
    return false;
  }
};

inline void Engine::Run::operator()(const HashFlow& action) {
  const FlowEnds ends(packet);
  const uint64_t hash = siphash24(engine.secret_, {reinterpret_cast<const uint8_t*>(&ends), sizeof ends});
  store_number(action.to, number_from(action.range, static_cast<uint32_t>(hash)));
}

}  // namespace skerry::filter
