// Packets that passed before: one that is the same in everything that rules looked at passes again, and
// counts where the other counted, without a rule being run. Only IPv4 with TCP or UDP; only what passed on
// both hooks of its way; and never where something on the way may be another the next time (a limit, a set
// that changes), does more than count (a log), or lies where packets of a flow differ anyway (a sequence
// number).
//
// Read first: docs/filter.md, "What it costs". Invariants: what is compared follows from the rules alone, so
// no packet can make it more; of one place the last two are kept, and of two ports the last that was found,
// so no packet can make a search longer. It belongs to one ruleset and ends with it.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "filter/packet.hpp"
#include "filter/ruleset.hpp"
#include "filter/transport_seen.hpp"

namespace skerry::filter {

class VerdictMemory {
  static_assert(std::endian::native == std::endian::little, "look() puts bytes in their places by shifts");

 public:
  // Of an IPv4 header without options, and what follows it: ports, and of TCP header length and flags.
  static constexpr size_t kHeaderBytes = 20, kSeenBytes = kHeaderBytes + TransportSeen::kBytes;
  // The bytes of those that rules may look at: 16 of the header, where the ports stand in the place of length
  // and identification and TCP's flags in that of the checksum; then the destination, from where the packet
  // came, what tracking says, and how often all was forgotten, so that it is like none from before.
  using Look = std::array<uint64_t, 3>;
  static constexpr uint32_t kNothing = ~0U;
  // What a packet does on its way: rules and policies that it hits, from the front on, and counters that it
  // touches, from the back.
  struct Effects {
    static constexpr uint32_t kMost = 5;
    uint32_t hits = 0, counters = 0;
    std::array<uint32_t, kMost> of{};

    // Once they do not fit nothing goes on, however many follow: not all who judge begin anew.
    void hit(uint32_t place) {
      if (fit() && ++hits + counters <= kMost) of[hits - 1] = place;
    }
    void count(uint32_t counter) {
      if (fit() && hits + ++counters <= kMost) of[kMost - counters] = counter;
    }
    bool fit() const { return hits + counters <= kMost; }
    bool operator==(const Effects&) const = default;
  };
  struct Passed {
    Look look{};
    uint32_t hit = kNothing;      // its one effect, which is the most common case, or kNothing;
    uint32_t effects = kNothing;  // then which list, or kNothing
  };

  VerdictMemory();

  // Nothing is remembered without.
  void make_room() {
    places_.resize(kPlaces);
    by_ports_.resize(kPairs);
    effects_.resize(kLists);
  }
  void give_room_back() {
    places_.clear();
    by_ports_.clear();
    effects_.clear();
  }
  // Some rule loads this: it is compared from now on, if packets of a flow have the same there.
  void watch(const LoadPayload& load);
  static bool is_of_flow(const LoadPayload& load) {
    const size_t begin = load.offset + (load.base == HeaderBase::transport ? kHeaderBytes : 0);
    if (load.base == HeaderBase::link || begin + load.length > kSeenBytes) return false;
    const uint64_t bytes = ((uint64_t{1} << load.length) - 1) << begin;
    return (bytes & ~kOfFlow) == 0;
  }

  // `header`: kHeaderBytes of the packet, of which length, identification and checksum are never looked at.
  [[gnu::always_inline]] Look look(const uint8_t* header, TransportSeen transport, bool leaves, bool loops,
                                   const Tracked& tracked) const {
    constexpr uint64_t kLengthAndId = uint64_t{0xffff'ffff} << 16, kChecksum = uint64_t{0xffff} << 16;
    uint64_t first, second;
    uint32_t destination;
    std::memcpy(&first, header, sizeof first);
    std::memcpy(&second, header + 8, sizeof second);
    std::memcpy(&destination, header + 16, sizeof destination);
    const uint32_t way = 1U | unsigned{leaves} << 1 | unsigned{loops} << 2 | unsigned{tracked.reply} << 3 |
                         static_cast<unsigned>(tracked.state) << 4 | forgotten_ << kForgottenBit;
    return {((first & ~kLengthAndId) | uint64_t{transport.ports} << 16) & mask_[0],
            ((second & ~kChecksum) | uint64_t{transport.flags} << 16) & mask_[1],
            destination | uint64_t{way} << 32};
  }
  // Only packets of this kind are remembered: of TCP or UDP, whole and without options.
  static bool is_plain(const Look& look) {
    constexpr uint64_t kKind = 0xff3f'0000'0000'00ff, kPlain = 0x45;
    constexpr uint8_t kTcp = 6, kUdp = 17;
    const auto protocol = static_cast<uint8_t>(look[1] >> 8);
    return (look[0] & kKind) == kPlain && (protocol == kTcp || protocol == kUdp);
  }
  bool has_room() const { return !places_.empty(); }
  // With room only: one that is alike. Null: there was none.
  const Passed* find(const Look& look) const {
    for (const Passed& passed : places_[place_of(look)].passed)
      if (alike(passed.look, look)) return &passed;
    return nullptr;
  }
  // The same, looked for first where its ports say: both ways of a flow have a cache line there, also of one
  // that loops, and their place needs no long sum.
  const Passed* find(const Look& look, TransportSeen transport) {
    Passed& last = by_ports_[pair_of(transport)].passed[is_upwards(transport)];
    if (!alike(last.look, look)) [[unlikely]] {
      const Passed* const passed = find(look);
      if (passed == nullptr) return nullptr;
      last = *passed;
    }
    return &last;
  }
  const Effects& effects_of(const Passed& passed) const { return *effects_[passed.effects]; }
  static uint32_t pair_of(TransportSeen transport) { return transport.both_ports() % kPairs; }
  // Of the two ways of a flow one is, unless both ports are the same.
  static bool is_upwards(TransportSeen transport) {
    return static_cast<uint16_t>(transport.ports) < transport.ports >> 16;
  }

  // --- while a packet is judged
  void begin() {
    lasting_ = true;
    done_ = {};
  }
  Effects& done() { return done_; }
  // The next one may fare otherwise.
  void forget() { lasting_ = false; }
  // It is plain, and has passed.
  void keep(const Look& look);
  // What rules look at besides packets has changed.
  void forget_all();

 private:
  struct alignas(64) Place {
    std::array<Passed, 2> passed;  // the newer first
  };
  struct alignas(64) Pair {
    std::array<Passed, 2> passed;  // by is_upwards()
  };
  static constexpr size_t kPlaceBits = 11, kPlaces = size_t{1} << kPlaceBits;
  static constexpr uint32_t kForgottenBit = 8, kMostForgotten = (1U << (32 - kForgottenBit)) - 1;
  static constexpr uint32_t kPairs = 1024, kLists = 1024, kMostProbes = 8;
  // Version and header length, type of service, flags, time to live, protocol, addresses, ports, and of TCP
  // header length and flags.
  static constexpr uint64_t kOfFlow = 0x3 | 0x3 << 6 | 0x3 << 8 | 0xfff << 12 | uint64_t{0x3} << 32;

  static bool alike(const Look& a, const Look& b) {
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2])) == 0;
  }
  static size_t place_of(const Look& look) {
    const uint64_t sum =
        look[0] * 0x9e3779b97f4a7c15 ^ look[1] * 0xc2b2ae3d27d4eb4f ^ look[2] * 0xff51afd7ed558ccd;
    return sum >> (64 - kPlaceBits);  // the upper bits: those depend on all of the input
  }
  std::optional<uint32_t> list_of_what_was_done();

  std::array<uint64_t, 2> mask_{};
  uint32_t forgotten_ = 0;
  std::vector<Place> places_;
  std::vector<Pair> by_ports_;
  // Different ones, which many packets share; when there is no room for another all is forgotten.
  std::vector<std::optional<Effects>> effects_;
  bool lasting_ = false;
  Effects done_;
};

}  // namespace skerry::filter
