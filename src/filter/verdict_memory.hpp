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
  // Of an IPv4 header without options, and what follows it: ports, and of TCP header length and flags.
  static constexpr size_t kHeaderBytes = 20, kSeenBytes = 34;
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
    const size_t begin = load.offset + (load.base == HeaderBase::transport ? kHeaderBytes : 0);
    if (load.base == HeaderBase::link || begin + load.length > kSeenBytes) return false;
    const uint64_t bytes = ((uint64_t{1} << load.length) - 1) << begin;
    return (bytes & ~kOfFlow) == 0;
  }

  // `header`: kHeaderBytes of the packet, of which length and checksum are never looked at; `transport`: as
  // much of what follows as makes kSeenBytes, which is read once. False: a packet of this kind is not
  // remembered.
  //
  // Each load lies within what one store of the packet's writer wrote a moment ago. One that straddles two
  // waits until both have left for the cache, and behind them all that was written before.
  bool look(const uint8_t* header, const uint8_t* transport, bool leaves, bool loops, const Tracked& tracked,
            Look& look) const {
    constexpr uint8_t kTcp = 6, kUdp = 17;
    if (passed_.empty() || header[0] != 0x45 || (load_be16(header + 6) & 0x3fff) != 0) return false;
    if (header[9] != kTcp && header[9] != kUdp) return false;
    uint64_t first, second;
    uint32_t destination;
    std::memcpy(&first, header, 8);
    std::memcpy(&second, header + 8, 8);
    std::memcpy(&destination, header + 16, 4);
    const uint64_t ports = load_once(transport) | uint32_t{load_once(transport + 2)} << 16;
    look[0] = first & mask_[0];
    look[1] = second & mask_[1];
    look[2] = (destination | ports << 32) & mask_[2];
    look[3] = load_once(transport + 12) & mask_[3];
    look[4] = 1U | unsigned{leaves} << 1 | unsigned{loops} << 2 | unsigned{tracked.reply} << 3 |
              static_cast<unsigned>(tracked.state) << 4;
    return true;
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
  static constexpr size_t kPairBits = 10, kPairs = size_t{1} << kPairBits;
  // Version and header length, type of service, flags, time to live, protocol, addresses, ports, and of TCP
  // header length and flags.
  static constexpr uint64_t kOfFlow = 0x3 | 0x3 << 6 | 0x3 << 8 | 0xfff << 12 | uint64_t{0x3} << 32;

  // Two bytes in their order in memory. The compiler does not join it with a neighbouring one.
  static uint16_t load_once(const uint8_t* from) {
    uint16_t value;
    std::memcpy(&value, from, sizeof value);
    asm volatile("" : "+r"(value));
    return value;
  }
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
