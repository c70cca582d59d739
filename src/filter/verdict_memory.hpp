// Packets that passed before: one that is the same in everything that rules looked at passes again, and
// counts where the other counted, without a rule being run. Only IPv4 with TCP or UDP; only what passed on
// both hooks of its way; and never where something on the way may be another the next time (a limit, a set
// that changes), does more than count (a log), or lies where packets of a flow differ anyway (a sequence
// number).
//
// Read first: docs/filter.md, "What it costs". Invariants: what is compared follows from the rules alone, so
// no packet can make it more; of one place the last two are kept, so no packet can make a search longer. It
// belongs to one ruleset and ends with it.
#pragma once

#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "filter/packet.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class VerdictMemory {
 public:
  // Of an IPv4 header without options, and what follows it.
  static constexpr size_t kSeenBytes = 40;
  // The bytes of those that rules may look at, then from where the packet came and what tracking says.
  using Look = std::array<uint64_t, 5>;
  // What a packet does on its way: a rule or policy that it hits, or with kTally a counter that it touches.
  using Effect = uint32_t;
  static constexpr Effect kTally = 1U << 31;
  static constexpr size_t kMostEffects = 5;
  struct alignas(64) Passed {
    Look look;
    uint32_t effects;
    std::array<Effect, kMostEffects> effect;
  };

  VerdictMemory();

  // Nothing is remembered without.
  void make_room() { passed_.resize(2 * kPairs); }
  void give_room_back() { passed_.clear(); }
  // Some rule loads this: it is compared from now on, if packets of a flow have the same there.
  void watch(const LoadPayload& load);
  static bool is_of_flow(const LoadPayload& load) {
    const size_t begin = load.offset + (load.base == HeaderBase::transport ? kTransport : 0);
    if (load.base == HeaderBase::link || begin + load.length > kSeenBytes) return false;
    const uint64_t bytes = ((uint64_t{1} << load.length) - 1) << begin;
    return (bytes & ~kOfFlow) == 0;
  }

  // `packet`: kSeenBytes of it. None: a packet of this kind is not remembered.
  std::optional<Look> look(const uint8_t* packet, bool leaves, bool loops, const Tracked& tracked) const {
    constexpr uint8_t kTcp = 6, kUdp = 17;
    if (passed_.empty() || packet[0] != 0x45 || (load_be16(packet + 6) & 0x3fff) != 0) return std::nullopt;
    if (packet[9] != kTcp && packet[9] != kUdp) return std::nullopt;
    Look look;
    // Never across what was just written in two pieces: a load waits until both have left for the cache.
    uint32_t destination, ports;
    std::memcpy(&look[0], packet, 8);
    std::memcpy(&look[1], packet + 8, 8);
    std::memcpy(&destination, packet + 16, 4);
    std::memcpy(&ports, packet + 20, 4);
    std::memcpy(&look[3], packet + 32, 8);
    look[2] = destination | uint64_t{ports} << 32;
    for (size_t i = 0; i < mask_.size(); ++i) look[i] &= mask_[i];
    look[4] = 1U | unsigned{leaves} << 1 | unsigned{loops} << 2 | unsigned{tracked.reply} << 3 |
              static_cast<unsigned>(tracked.state) << 4;
    return look;
  }
  const Passed* find(const Look& look) const {
    const Passed* const first = &passed_[place_of(look)];
    if (alike(first[0].look, look)) return first;
    return alike(first[1].look, look) ? first + 1 : nullptr;
  }

  // --- while a packet is judged
  void begin() {
    lasting_ = true;
    effects_ = 0;
  }
  void note(Effect effect) {
    if (effects_ < kMostEffects) effect_[effects_] = effect;
    ++effects_;
  }
  // The next one may fare otherwise.
  void forget() { lasting_ = false; }
  // It has passed.
  void keep(const Look& look);
  // What rules look at besides packets has changed.
  void forget_all() { passed_.assign(passed_.size(), {}); }

 private:
  static constexpr size_t kTransport = 20, kPairBits = 10, kPairs = size_t{1} << kPairBits;
  // Version and header length, type of service, flags, time to live, protocol, addresses, ports, and of TCP
  // header length and flags.
  static constexpr uint64_t kOfFlow = 0x3 | 0x3 << 6 | 0x3 << 8 | 0xfff << 12 | uint64_t{0x3} << 32;

  static bool alike(const Look& a, const Look& b) {
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0;
  }
  static size_t place_of(const Look& look) {
    const uint64_t sum = (look[1] ^ look[4] << 56) * 0x9e3779b97f4a7c15 ^ look[2] * 0xc2b2ae3d27d4eb4f ^
                         look[3] * 0xff51afd7ed558ccd;
    return (sum >> (64 - kPairBits)) * 2;  // the upper bits: those depend on all of the input
  }

  std::array<uint64_t, 4> mask_{};
  std::vector<Passed> passed_;  // in pairs, the newer first
  bool lasting_ = false;
  size_t effects_ = 0;
  std::array<Effect, kMostEffects> effect_{};
};

}  // namespace skerry::filter
