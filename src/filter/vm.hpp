// What each expression does to a packet, its registers and the verdict: the interpreter, included by
// engine.cpp alone.
//
// What rules read of a packet is in vm_loads.hpp, what they write in vm_write.hpp, what has to do with
// connections in vm_ct.hpp, with sockets in vm_socket.hpp, numbers that they make in vm_numbers.hpp.
//
// Read first: the eval functions of nft_*.c, which this follows down to what is left in a register.
#pragma once

#include <algorithm>
#include <cstring>

#include "filter/conntrack.hpp"
#include "filter/engine.hpp"

namespace skerry::filter {

// The most that a limit saves up, in nanoseconds of its period (nft_limit_init()).
inline uint64_t most_tokens(const Stateful& limit) {
  return limit.in_bytes ? limit.period_ns * (limit.rate + limit.burst) / limit.rate
                        : limit.period_ns / limit.rate * limit.burst;
}

// One packet on its way through one base chain after the other.
struct Engine::Run {
  Engine& engine;
  Packet& packet;
  TimeNs now;
  Hook hook;
  Judgement& judgement;

  // Not emptied, which took a third of a packet's time: a rule reads no word that it has not written before,
  // which verify() sees to and registers_test.cpp holds each expression to.
  alignas(8) std::array<uint8_t, kRegisters * 4> registers;
  Verdict verdict{};
  bool before_tracking = false;
  uint32_t writes = 0;      // into the packet, so far
  uint32_t read_again = 0;  // how many of them when its headers were looked for

  Run(Engine& of, Packet& which, TimeNs at, Hook where, Judgement& what)
      : engine(of), packet(which), now(at), hook(where), judgement(what) {}

  uint8_t* at(Register index) { return registers.data() + index * size_t{4}; }
  // Registers are written in whole words: what is left of the last one is zero.
  void store(Register to, const uint8_t* from, size_t length) {
    std::memset(at(to) + (length & ~size_t{3}), 0, length % 4 != 0 ? 4 : 0);
    std::memcpy(at(to), from, length);
  }
  template <class Number>
  void store_number(Register to, Number number) {
    store(to, reinterpret_cast<const uint8_t*>(&number), sizeof number);
  }
  void stop_rule() { verdict.code = Code::stop_rule; }
  // What this rule does or sees may be another for the next packet that looks the same.
  void not_again() { engine.memory_.forget(); }

  void operator()(const LoadImmediate& action) {
    store(action.to, action.value.bytes.data(), action.value.length);
  }
  void operator()(const Decide& action) { verdict = action.verdict; }

  void operator()(const Compare& action) {
    const int order = std::memcmp(at(action.from), action.value.bytes.data(), action.value.length);
    bool holds = false;
    switch (action.comparison) {
      case Comparison::equal:
        holds = order == 0;
        break;
      case Comparison::not_equal:
        holds = order != 0;
        break;
      case Comparison::less:
        holds = order < 0;
        break;
      case Comparison::less_equal:
        holds = order <= 0;
        break;
      case Comparison::greater:
        holds = order > 0;
        break;
      case Comparison::greater_equal:
        holds = order >= 0;
        break;
    }
    if (!holds) stop_rule();
  }

  void operator()(const InRange& action) {
    const bool inside = std::memcmp(at(action.from), action.low.bytes.data(), action.low.length) >= 0 &&
                        std::memcmp(at(action.from), action.high.bytes.data(), action.high.length) <= 0;
    if (inside == action.inverted) stop_rule();
  }

  // vm_loads.hpp
  void operator()(const LoadPayload& action);
  void operator()(const LoadExtension& action);
  void load_tcp_option(const LoadExtension& action);
  void operator()(const LoadMeta& action);
  // vm_write.hpp
  void operator()(const StorePayload& action);
  // vm_numbers.hpp
  void operator()(const NextNumber& action);
  void operator()(const HashRegisters& action);
  void operator()(const HashFlow& action);
  // vm_socket.hpp
  void operator()(const LoadSocket& action);
  std::optional<Tuple> tuple_to_socket() const;
  std::optional<Socket> find_socket() const;

  void operator()(const StoreMark& action) { std::memcpy(&packet.mark, at(action.from), 4); }

  // vm_ct.hpp
  void release_idle(DynamicSet& set, const Set& declared);
  void operator()(const LoadCt& action);
  void operator()(const StoreCt& action);
  void store_zone(const StoreCt& action);
  void operator()(const Untrack&);
  void operator()(const Translate& action);
  uint32_t milliseconds_left(const Flow& flow) const;
  void count_connection(uint32_t list, const Stateful& most);
  void keep_host_part(NatRange& range, bool source) const;

  void operator()(const Mask& action) {
    const size_t length = (action.mask.length + size_t{3}) & ~size_t{3};
    for (size_t i = 0; i < length; ++i)
      at(action.to)[i] =
          static_cast<uint8_t>((at(action.from)[i] & action.mask.bytes[i]) ^ action.flip.bytes[i]);
  }

  // The words of a shift are numbers of the machine; what one loses its neighbour gets.
  void operator()(const Shift& action) {
    uint32_t words[4] = {};
    const size_t count = (action.length + size_t{3}) / 4;
    std::memcpy(words, at(action.from), count * 4);
    uint32_t carry = 0;
    for (size_t i = 0; i < count; ++i) {
      uint32_t& word = words[action.left ? count - 1 - i : i];
      const uint64_t wide =
          action.left ? uint64_t{word} << action.bits : (uint64_t{word} << 32) >> action.bits;
      word = static_cast<uint32_t>(action.left ? wide : wide >> 32) | carry;
      carry = static_cast<uint32_t>(action.left ? wide >> 32 : wide);
    }
    std::memcpy(at(action.to), words, count * 4);
  }

  void operator()(const SwapBytes& action) {
    const uint8_t* from = at(action.from);
    uint8_t* to = at(action.to);
    size_t i = 0;
    for (; i + action.size <= action.length; i += action.size) {
      uint8_t group[8];
      std::memcpy(group, from + i, action.size);
      std::reverse_copy(group, group + action.size, to + i);
    }
    // What is less than a group, and the rest of the last word.
    const size_t written = (action.length + size_t{3}) & ~size_t{3};
    std::memmove(to + i, from + i, written - i);
  }

  void operator()(const Lookup& action) {
    if (engine.dynamic_of_[action.set] != nullptr) not_again();
    const Element* element = engine.find(action.set, at(action.from), now);
    if ((element != nullptr) == action.inverted) return stop_rule();
    if (element == nullptr) return;
    if (action.to_register) store(action.to, element->data.bytes.data(), element->data.length);
    if (action.to_verdict) verdict = element->verdict;
    touch_own(*element);
  }
  // What an element counts and limits by itself; the first that does not hold ends the rule.
  void touch_own(const Element& element) {
    if (!element.counts) return;
    for (const uint32_t own : element.counters) {
      const Code before = verdict.code;
      touch(own);
      if (verdict.code != before) return;
    }
  }

  // nft_dynset_eval().
  void operator()(const UpdateSet& action) {
    not_again();
    DynamicSet& set = *engine.dynamic_of_[action.set];
    const Set& declared = engine.ruleset_.sets[action.set];
    const uint8_t* key = at(action.key);
    if (action.update == SetUpdate::remove) return engine.forget(set.remove(key, now));
    Element* element = set.find(key, now);
    if (element == nullptr) {
      const DurationNs timeout = action.timeout_ns != 0 ? action.timeout_ns : declared.timeout_ns;
      element = set.add(key, now, timeout);
      if (element == nullptr) {
        release_idle(set, declared);
        element = set.add(key, now, timeout);
      }
      if (element == nullptr) return action.inverted ? void() : stop_rule();
      if (action.has_data) {
        element->data.length = declared.data_bytes;
        std::memcpy(element->data.bytes.data(), at(action.data), declared.data_bytes);
      }
      engine.begin(declared, element->counters);
    } else if (action.update == SetUpdate::renew) {
      set.renew(*element, now, action.timeout_ns != 0 ? action.timeout_ns : declared.timeout_ns);
    }
    touch_own(*element);
    if (action.inverted) stop_rule();
  }

  void operator()(const Touch& action) { touch(action.stateful); }
  void operator()(const TouchMapped& action) {
    if (engine.dynamic_of_[action.set] != nullptr) not_again();
    const Element* element = engine.find(action.set, at(action.from), now);
    if (element == nullptr) return stop_rule();
    touch(element->stateful);
  }
  void touch(uint32_t index) {
    const Stateful& stateful = engine.ruleset_.stateful[index];
    Tally& tally = engine.tallies_[index];
    if (stateful.kind == StatefulKind::counter)
      engine.memory_.done().count(index);
    else
      not_again();
    switch (stateful.kind) {
      case StatefulKind::counter:
        ++tally.packets;
        tally.bytes += packet.length;
        break;
      case StatefulKind::quota:
        tally.consumed += packet.length;
        if ((tally.consumed > stateful.bytes) != stateful.inverted) stop_rule();
        break;
      case StatefulKind::limit:
        if (exceeds(stateful, tally) != stateful.inverted) stop_rule();
        break;
      case StatefulKind::connections:
        count_connection(index, stateful);
        break;
      case StatefulKind::helper:
        if (packet.tracked.flow != nullptr && stateful.helps[packet.v6])
          engine.conntrack_->help(*packet.tracked.flow);
        break;
    }
  }
  bool exceeds(const Stateful& limit, Tally& tally) const {
    const auto passed = static_cast<uint64_t>(now - tally.filled);
    const uint64_t most = most_tokens(limit);
    const uint64_t tokens = tally.tokens_ns > most - std::min(most, passed) ? most : tally.tokens_ns + passed;
    const uint64_t cost =
        limit.in_bytes ? limit.period_ns * packet.length / limit.rate : limit.period_ns / limit.rate;
    tally.filled = now;
    tally.tokens_ns = tokens >= cost ? tokens - cost : tokens;
    return tokens < cost;
  }

  void operator()(const Log& action) {
    not_again();
    if (judgement.logs < Judgement::kMostLogs) judgement.logged[judgement.logs++] = action.log;
  }
  void operator()(const Reject& action) {
    judgement.reject = action;
    verdict.code = Code::drop;
  }
};

}  // namespace skerry::filter
