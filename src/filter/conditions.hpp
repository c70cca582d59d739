// What must hold of a packet for a rule to hold: the comparisons that it begins with, as bits of the packet
// and of what is known about it. Only necessary conditions: whoever passes over a rule because one of them
// fails passes over a rule that would have ended at a comparison, before it did anything that lasts.
//
// Read first: vm.hpp, which this runs ahead of without a packet.
#pragma once

#include <array>
#include <vector>

#include "base/pause.hpp"
#include "filter/packet.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

// Where bits lie, in words of eight bytes from the beginning of each source.
enum class Source : uint8_t { network, transport, link, facts, in_name, out_name };
inline constexpr unsigned kSources = 6;

struct WordPlace {
  Source source;
  uint16_t word;

  friend auto operator<=>(const WordPlace&, const WordPlace&) = default;
};

// The bits of `mask` are those of `value`.
struct Condition {
  WordPlace place;
  uint64_t mask, value;
};

// By place, one each. Empty: nothing is known of the rule.
struct Conditions {
  std::vector<Condition> all;
  // False: some bit may differ from packet to packet of a flow that is remembered (verdict_memory.hpp), and
  // so of IPv4.
  bool of_flow = true;
};

// What can be known of the rules of one ruleset.
class ConditionReader {
 public:
  explicit ConditionReader(const Ruleset& ruleset, const Pause& pause = {});

  Conditions conditions_of(const Rule& rule) const;
  // A lookup in that set does nothing but answer.
  bool only_answers(uint32_t set) const { return only_answers_[set]; }
  // What tracking says of a packet is the same for all rules of a chain.
  bool state_stays() const { return state_stays_; }

 private:
  std::vector<bool> only_answers_;
  bool state_stays_ = true;
};

// What is known about a packet beside its bytes, as loads (vm_loads.hpp, vm_ct.hpp) leave it in registers.
struct Facts {
  uint8_t nfproto, l4proto, type, unused;
  uint32_t state;
  uint32_t in, out;
  uint16_t in_type, out_type, protocol, unused2;
};
static_assert(sizeof(Facts) % 8 == 0);

// NF_CT_STATE_BIT()
inline uint32_t state_bit(CtState state) {
  switch (state) {
    case CtState::invalid:
      return 1;
    case CtState::established:
      return 2;
    case CtState::related:
      return 4;
    case CtState::fresh:
      return 8;
    case CtState::untracked:
      return 64;
  }
  return 0;
}

// A packet's bytes and facts by source.
class Fields {
 public:
  // `beyond`: also those that lie elsewhere than in the network and transport headers.
  Fields(const Packet& packet, bool beyond) {
    put(Source::network, packet.bytes);
    const bool has = packet.has_transport && packet.fragment == 0 && packet.transport <= packet.bytes.size();
    put(Source::transport, has ? ConstBytes(packet.bytes).subspan(packet.transport) : ConstBytes());
    if (beyond) gather(packet);
  }
  ConstBytes operator[](Source source) const {
    const Piece& piece = sources_[static_cast<size_t>(source)];
    return {piece.data, piece.size};
  }

 private:
  // A span without its constructor, which would empty all six for every packet although most rules need two.
  struct Piece {
    const uint8_t* data;
    size_t size;
  };
  void put(Source source, ConstBytes bytes) {
    sources_[static_cast<size_t>(source)] = {bytes.data(), bytes.size()};
  }
  void gather(const Packet& packet);

  std::array<Piece, kSources> sources_;
  Facts facts_;
};

}  // namespace skerry::filter
