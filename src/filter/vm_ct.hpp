// What rules read of connections, and do to them: part of the interpreter, included by engine.cpp alone.
//
// Read first: vm.hpp; nft_ct.c, nft_nat.c, nft_masq.c, nft_redir.c.
#pragma once

#include "filter/conditions.hpp"
#include "filter/vm.hpp"

namespace skerry::filter {

// What packets of our own are redirected to.
inline std::array<uint8_t, 16> loopback_address(bool v6) {
  std::array<uint8_t, 16> address{};
  if (v6)
    address[15] = 1;
  else
    address[0] = 127, address[3] = 1;
  return address;
}

// nft_ct_get_eval().
inline void Engine::Run::operator()(const LoadCt& action) {
  const Tracked& tracked = packet.tracked;
  if (action.key == CtKey::state) return store_number(action.to, state_bit(tracked.state));
  if (action.key == CtKey::zone && tracked.zoned) return store_number(action.to, tracked.zone);
  if (tracked.flow == nullptr) return stop_rule();
  const Flow& flow = *tracked.flow;
  const Tuple& tuple = flow.tuples[action.reply];
  constexpr size_t kV4 = 4, kV6 = 16;
  switch (action.key) {
    case CtKey::state:
      return;
    case CtKey::zone:
      return store_number(action.to, tuple.zone);
    case CtKey::direction:
      return store_number(action.to, static_cast<uint8_t>(tracked.reply));
    case CtKey::status:
      not_again();
      return store_number(action.to, flow.status);
    case CtKey::mark:
      not_again();
      return store_number(action.to, flow.mark);
    case CtKey::helper: {
      not_again();
      constexpr uint8_t kName[16] = "ftp";
      return (flow.status & Flow::kExpected) != 0 ? store(action.to, kName, sizeof kName) : stop_rule();
    }
    case CtKey::expiration:
      not_again();
      return store_number(action.to, milliseconds_left(flow));
    case CtKey::l3protocol:
      return store_number(action.to, static_cast<uint8_t>(tuple.v6 != 0 ? Family::ip6 : Family::ip));
    case CtKey::protocol:
      return store_number(action.to, tuple.protocol);
    case CtKey::packets:
    case CtKey::bytes:
    case CtKey::packet_bytes: {
      not_again();
      uint64_t packets = 0, bytes = 0;
      for (const bool reply : {false, true}) {
        if (!action.both && reply != action.reply) continue;
        packets += flow.passed[reply].packets;
        bytes += flow.passed[reply].bytes;
      }
      if (action.key == CtKey::packet_bytes) bytes = packets == 0 ? 0 : bytes / packets;
      return store_number(action.to, action.key == CtKey::packets ? packets : bytes);
    }
    case CtKey::labels:
      not_again();
      return store(action.to, flow.labels.data(), flow.labels.size());
    case CtKey::source_port:
      return store(action.to, tuple.source_port.data(), 2);
    case CtKey::destination_port:
      return store(action.to, tuple.destination_port.data(), 2);
    case CtKey::source:
      return store(action.to, tuple.source.data(), tuple.v6 != 0 ? kV6 : kV4);
    case CtKey::destination:
      return store(action.to, tuple.destination.data(), tuple.v6 != 0 ? kV6 : kV4);
    case CtKey::source_v4:
      return tuple.v6 == 0 ? store(action.to, tuple.source.data(), kV4) : stop_rule();
    case CtKey::destination_v4:
      return tuple.v6 == 0 ? store(action.to, tuple.destination.data(), kV4) : stop_rule();
    case CtKey::source_v6:
      return tuple.v6 != 0 ? store(action.to, tuple.source.data(), kV6) : stop_rule();
    case CtKey::destination_v6:
      return tuple.v6 != 0 ? store(action.to, tuple.destination.data(), kV6) : stop_rule();
  }
}

// nft_connlimit_do_eval().
inline void Engine::Run::count_connection(uint32_t list, const Stateful& most) {
  const Flow* const flow = packet.tracked.flow;
  if (flow == nullptr) {
    const auto transport = find_transport(packet.bytes, packet.v6);
    if (!transport || !Tuple::read(packet.bytes, packet.v6, transport->protocol, transport->offset)) {
      verdict.code = Code::drop;
      return;
    }
  }
  bool full = false;
  const bool exceeds = engine.connections_.exceeds(list, flow, most.connections, now, full);
  if (full) {
    verdict.code = Code::drop;
    return;
  }
  if (exceeds != most.inverted) stop_rule();
}

// Elements that rules have put in to count connections, and that have none any more (nft_connlimit_gc()).
inline void Engine::Run::release_idle(DynamicSet& set, const Set& declared) {
  const auto& all = declared.element_expressions;
  const auto counts = std::find_if(all.begin(), all.end(), counts_connections);
  if (counts == all.end()) return;
  const auto place = static_cast<size_t>(counts - all.begin());
  set.release_idle([&](const Element& element) {
    return engine.connections_.is_idle(element.counters[place], packet.tracked.flow, now);
  });
}

// A flow that is not known yet has no time.
inline uint32_t Engine::Run::milliseconds_left(const Flow& flow) const {
  if ((flow.status & Flow::kConfirmed) == 0 || flow.expires <= now) return 0;
  return static_cast<uint32_t>((flow.expires - now) / kMillisecond);
}

inline void Engine::Run::operator()(const StoreCt& action) {
  not_again();
  Flow* flow = packet.tracked.flow;
  if (action.key == CtKey::zone) return store_zone(action);
  if (flow == nullptr) return;
  if (action.key == CtKey::mark) {
    std::memcpy(&flow->mark, at(action.from), 4);
  } else {
    for (size_t i = 0; i < flow->labels.size(); ++i) flow->labels[i] |= at(action.from)[i];
  }
}

// nft_ct_set_zone_eval(): once, and before it is looked up, as a new one until then.
inline void Engine::Run::store_zone(const StoreCt& action) {
  if (!before_tracking || packet.tracked.zoned || packet.tracked.flow != nullptr) return;
  packet.tracked = {.state = CtState::fresh, .zoned = true};
  std::memcpy(&packet.tracked.zone, at(action.from), sizeof packet.tracked.zone);
}

// nft_notrack_eval().
inline void Engine::Run::operator()(const Untrack&) {
  not_again();
  if (packet.tracked.flow == nullptr && !packet.tracked.zoned)
    packet.tracked = {.looked_up = true, .state = CtState::untracked};
}

// A rule of a nat chain, which is asked once for each side of a flow (Engine::translate_here()).
inline void Engine::Run::operator()(const Translate& action) {
  not_again();
  Flow* const flow = packet.tracked.flow;
  if (action.family != Family::inet && (action.family == Family::ip6) != packet.v6) return;
  NatRange range{.has_address = true,
                 .has_port = action.has_port,
                 .random = action.random,
                 .persistent = action.persistent};
  if (action.has_port) {
    range.port_low = load_be16(at(action.port_low));
    range.port_high = load_be16(at(action.port_high));
  }
  verdict.code = Code::accept;
  switch (action.kind) {
    case NatKind::masquerade:
      // From nowhere: one who asks for an address of its own (nf_nat_masquerade_ipv4()).
      if (!packet.v6 && flow->tuples[0].source == decltype(Tuple::source){}) return;
      range.address_low = range.address_high = packet.address;
      break;
    case NatKind::redirect:
      range.address_low = range.address_high =
          hook == Hook::output ? loopback_address(packet.v6) : packet.address;
      break;
    default:
      range.has_address = action.has_address;
      if (!action.has_address) break;
      std::memcpy(range.address_low.data(), at(action.address_low), packet.v6 ? 16 : 4);
      std::memcpy(range.address_high.data(), at(action.address_high), packet.v6 ? 16 : 4);
      if (action.prefix) keep_host_part(range, action.kind == NatKind::snat);
  }
  const bool needs_own = action.kind == NatKind::masquerade || action.kind == NatKind::redirect;
  if (needs_own && range.address_low == decltype(range.address_low){}) {
    verdict.code = Code::drop;
    return;
  }
  const bool source = action.kind == NatKind::snat || action.kind == NatKind::masquerade;
  engine.conntrack_->bind(*flow, source ? NatSide::source : NatSide::destination, range, now);
}

// The bits in which both ends of the range differ are the packet's own (nft_nat_setup_netmap()).
inline void Engine::Run::keep_host_part(NatRange& range, bool source) const {
  const size_t size = packet.v6 ? 16 : 4;
  const uint8_t* own = packet.bytes.data() + (packet.v6 ? 8 : 12) + (source ? 0 : size);
  for (size_t i = 0; i < size; ++i) {
    const auto host = static_cast<uint8_t>(range.address_low[i] ^ range.address_high[i]);
    range.address_low[i] = static_cast<uint8_t>((own[i] & host) | (range.address_low[i] & ~host));
  }
  range.address_high = range.address_low;
}

}  // namespace skerry::filter
