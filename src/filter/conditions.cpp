#include "filter/conditions.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "filter/verdict_memory.hpp"

namespace skerry::filter {

namespace {

// Whether it is what says of a packet, before it is tracked, what it is to be.
bool says_state(const Action& action) {
  const auto* const store = std::get_if<StoreCt>(&action);
  return std::holds_alternative<Untrack>(action) || (store != nullptr && store->key == CtKey::zone);
}

constexpr size_t kLinkBytes = 14;  // Ethernet; behind it a load goes on in the packet
constexpr size_t kWordBytes = 8;

// Registers while a rule is run without a packet: each byte is (one of the packet's & mask) ^ flip.
class Ahead {
 public:
  explicit Ahead(const ConditionReader& reader) : reader_(reader) {}

  Conditions result;
  bool never_v4 = false;

  // Each returns false where the rule begins to do what lasts.
  bool take(const LoadPayload& load) {
    unknown(load.to, load.length);
    if (load.base == HeaderBase::inner) return true;
    const Source source = load.base == HeaderBase::link      ? Source::link
                          : load.base == HeaderBase::network ? Source::network
                                                             : Source::transport;
    size_t there = load.length;
    if (source == Source::link)
      there = std::min<size_t>(there, kLinkBytes - std::min<size_t>(kLinkBytes, load.offset));
    known(load.to, source, load.offset, there, VerdictMemory::is_of_flow(load));
    if (there == load.length) pad(load.to, load.length);
    return true;
  }
  bool take(const LoadMeta& load) {
    switch (load.key) {
      case MetaKey::ibrname:
      case MetaKey::obrname:
        unknown(load.to, 16);
        return true;
      case MetaKey::length:
      case MetaKey::mark:  // a rule may change it between two others
        unknown(load.to, 4);
        return true;
      case MetaKey::protocol:
        return fact(load.to, offsetof(Facts, protocol), 2);
      case MetaKey::iif:
        return fact(load.to, offsetof(Facts, in), 4);
      case MetaKey::oif:
        return fact(load.to, offsetof(Facts, out), 4);
      case MetaKey::iifname:
      case MetaKey::oifname:
        known(load.to, load.key == MetaKey::iifname ? Source::in_name : Source::out_name, 0, 16, true);
        return true;
      case MetaKey::iiftype:
        return fact(load.to, offsetof(Facts, in_type), 2);
      case MetaKey::oiftype:
        return fact(load.to, offsetof(Facts, out_type), 2);
      case MetaKey::nfproto:
        return fact(load.to, offsetof(Facts, nfproto), 1);
      case MetaKey::l4proto:
        return fact(load.to, offsetof(Facts, l4proto), 1);
      case MetaKey::pkttype:
        return fact(load.to, offsetof(Facts, type), 1);
    }
    return false;
  }
  bool take(const LoadCt& load) {
    if (load.key == CtKey::state && reader_.state_stays()) return fact(load.to, offsetof(Facts, state), 4);
    unknown(load.to, 16);
    return true;
  }
  bool take(const LoadSocket& load) {
    unknown(load.to, 4);
    return true;
  }
  bool take(const HashRegisters& hash) {
    unknown(hash.to, 4);
    return true;
  }
  bool take(const HashFlow& hash) {
    unknown(hash.to, 4);
    return true;
  }
  bool take(const LoadExtension& load) {
    unknown(load.to, std::max<size_t>(load.length, 4));
    return true;
  }
  bool take(const LoadImmediate& load) {
    pad(load.to, load.value.length);
    for (size_t i = 0; i < load.value.length; ++i)
      at(load.to, i) = {.known = true, .flip = load.value.bytes[i]};
    return true;
  }
  bool take(const Mask& mask) {
    for (size_t i = 0; i < ((mask.mask.length + size_t{3}) & ~size_t{3}); ++i) {
      Byte byte = at(mask.from, i);
      const uint8_t kept = mask.mask.bytes[i];
      if (kept == 0) byte = {.known = true};
      byte.mask &= kept;
      byte.flip = static_cast<uint8_t>((byte.flip & kept) ^ mask.flip.bytes[i]);
      at(mask.to, i) = byte;
    }
    return true;
  }
  bool take(const Shift& shift) {
    unknown(shift.to, shift.length);
    return true;
  }
  bool take(const SwapBytes& swap) {
    unknown(swap.to, swap.length);
    return true;
  }
  bool take(const Compare& compare) {
    if (compare.comparison == Comparison::equal) {
      for (size_t i = 0; i < compare.value.length; ++i) equal(at(compare.from, i), compare.value.bytes[i]);
    } else if (compare.comparison == Comparison::not_equal) {
      differs(compare);
    }
    return true;
  }
  bool take(const InRange&) { return true; }
  bool take(const Lookup& lookup) {
    if (!reader_.only_answers(lookup.set) || lookup.to_verdict) return false;
    if (lookup.to_register) unknown(lookup.to, 16);
    return true;
  }
  template <class Other>
  bool take(const Other&) {
    return false;
  }

 private:
  struct Byte {
    bool known = false, of_flow = true;
    Source source{};
    uint16_t offset = 0;
    uint8_t mask = 0, flip = 0;
  };

  Byte& at(Register index, size_t byte) {
    return bytes_[std::min(index * size_t{4} + byte, bytes_.size() - 1)];
  }
  void unknown(Register to, size_t length) {
    for (size_t i = 0; i < ((length + 3) & ~size_t{3}); ++i) at(to, i) = {};
  }
  void known(Register to, Source source, size_t offset, size_t length, bool of_flow) {
    for (size_t i = 0; i < length; ++i)
      at(to, i) = {.known = true,
                   .of_flow = of_flow,
                   .source = source,
                   .offset = static_cast<uint16_t>(offset + i),
                   .mask = 0xff};
  }
  // What is left of the last word is zero.
  void pad(Register to, size_t length) {
    for (size_t i = length; i % 4 != 0; ++i) at(to, i) = {.known = true};
  }
  bool fact(Register to, size_t offset, size_t length) {
    known(to, Source::facts, offset, length, true);
    pad(to, length);
    return true;
  }

  void equal(const Byte& byte, uint8_t value) {
    if (!byte.known || byte.mask == 0) return;
    const WordPlace place{byte.source, static_cast<uint16_t>(byte.offset / kWordBytes)};
    auto here = std::find_if(result.all.begin(), result.all.end(),
                             [&](const Condition& other) { return other.place == place; });
    if (here == result.all.end()) here = result.all.insert(here, {place, 0, 0});
    // As memory has it, so that a word is loaded in one piece.
    uint8_t mask[kWordBytes], values[kWordBytes];
    std::memcpy(mask, &here->mask, kWordBytes);
    std::memcpy(values, &here->value, kWordBytes);
    const size_t in_word = byte.offset % kWordBytes;
    const auto fresh = static_cast<uint8_t>(byte.mask & ~mask[in_word]);
    mask[in_word] |= fresh;
    values[in_word] |= static_cast<uint8_t>((value ^ byte.flip) & fresh);
    std::memcpy(&here->mask, mask, kWordBytes);
    std::memcpy(&here->value, values, kWordBytes);
    if (!byte.of_flow) result.of_flow = false;
    if (byte.source != Source::facts) return;
    // Family and type: those of every IPv4 packet are 2 and 0x0800.
    const auto wanted = static_cast<uint8_t>((value ^ byte.flip) & byte.mask);
    if (byte.offset == offsetof(Facts, nfproto) && wanted != (static_cast<uint8_t>(Family::ip) & byte.mask))
      never_v4 = true;
    if (byte.offset == offsetof(Facts, protocol) && wanted != (0x08 & byte.mask)) never_v4 = true;
  }
  // Of a single bit what it is not says what it is: flags, and states of connections.
  void differs(const Compare& compare) {
    const Byte* only = nullptr;
    uint8_t not_this = 0;
    for (size_t i = 0; i < compare.value.length; ++i) {
      const Byte& byte = at(compare.from, i);
      if (!byte.known) return;
      if (byte.mask == 0 && byte.flip == compare.value.bytes[i]) continue;
      if (only != nullptr || byte.mask == 0 || (byte.mask & (byte.mask - 1)) != 0) return;
      only = &byte;
      not_this = compare.value.bytes[i];
    }
    if (only == nullptr || ((not_this ^ only->flip) & ~only->mask) != 0) return;
    equal(*only, static_cast<uint8_t>(not_this ^ only->mask));
  }

  const ConditionReader& reader_;
  std::array<Byte, kRegisters * 4> bytes_{};
};

}  // namespace

ConditionReader::ConditionReader(const Ruleset& ruleset, const Pause& pause) {
  for (const Set& set : ruleset.sets) {
    bool only_answers = !set.dynamic && !set.takes_expressions && set.element_expressions.empty();
    for (size_t i = 0; only_answers && i < set.elements.size(); ++i, pause())
      only_answers = set.elements[i].counters.empty();
    only_answers_.push_back(only_answers);
  }
  for (const Chain& chain : ruleset.chains) {
    for (const Rule& rule : chain.rules) {
      for (const Expression& expression : rule.expressions)
        if (says_state(expression.action)) state_stays_ = false;
      pause();
    }
  }
}

Conditions ConditionReader::conditions_of(const Rule& rule) const {
  Ahead ahead(*this);
  for (const Expression& expression : rule.expressions)
    if (!std::visit([&](const auto& action) { return ahead.take(action); }, expression.action)) break;
  std::sort(ahead.result.all.begin(), ahead.result.all.end(),
            [](const Condition& one, const Condition& other) { return one.place < other.place; });
  // Only IPv4 is remembered, and this holds for none, whatever it finds in the bytes.
  if (ahead.never_v4) ahead.result.of_flow = true;
  return ahead.result;
}

void Fields::gather(const Packet& packet) {
  static constexpr Interface kNoInterface{};
  const Interface& in = packet.in != nullptr ? *packet.in : kNoInterface;
  const Interface* const came_by = packet.came_by();
  const Interface& out = packet.out != nullptr ? *packet.out : kNoInterface;
  facts_ = {.nfproto = packet.nfproto(),
            .l4proto = packet.has_transport ? packet.protocol : uint8_t{0},
            .type = packet.type,
            .unused = 0,
            .state = state_bit(packet.tracked.state),
            .in = in.index,
            .out = out.index,
            .in_type = came_by != nullptr ? came_by->type : uint16_t{0},
            .out_type = out.type,
            .protocol = __builtin_bswap16(packet.ether_type),
            .unused2 = 0};
  put(Source::link, packet.link);
  put(Source::facts, {reinterpret_cast<const uint8_t*>(&facts_), sizeof facts_});
  put(Source::in_name, in.name);
  put(Source::out_name, out.name);
}

}  // namespace skerry::filter
