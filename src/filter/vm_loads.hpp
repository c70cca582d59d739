// What rules read of a packet: its bytes, its extension headers and options, and what is known of it beside.
// Part of the interpreter, included by engine.cpp alone.
//
// Read first: vm.hpp; nft_payload.c, nft_exthdr.c, nft_meta.c.
#pragma once

#include <cstring>
#include <optional>

#include "filter/protocols.hpp"
#include "filter/vm.hpp"

namespace skerry::filter {

inline void Engine::Run::operator()(const LoadPayload& action) {
  if (!VerdictMemory::is_of_flow(action)) not_again();
  uint8_t loaded[kRegisters * 4];
  size_t begin = action.offset;
  bool there = true;
  switch (action.base) {
    case HeaderBase::link: {  // what follows the link header is the packet
      there = !packet.link.empty();
      size_t copied = 0;
      while (copied < action.length && begin + copied < packet.link.size()) {
        loaded[copied] = packet.link[begin + copied];
        ++copied;
      }
      for (; there && copied < action.length; ++copied) {
        const size_t behind = begin + copied - packet.link.size();
        there = behind < packet.bytes.size();
        if (there) loaded[copied] = packet.bytes[behind];
      }
      break;
    }
    case HeaderBase::transport:
      there = packet.has_transport && packet.fragment == 0;
      begin += packet.transport;
      [[fallthrough]];
    default:
      there = there && begin + action.length <= packet.bytes.size();
      if (there) std::memcpy(loaded, packet.bytes.data() + begin, action.length);
  }
  if (!there) return stop_rule();
  store(action.to, loaded, action.length);
}

inline void Engine::Run::operator()(const LoadExtension& action) {
  not_again();
  if (action.kind == ExtensionKind::tcp) return load_tcp_option(action);
  std::optional<ExtensionHeader> found;
  if (packet.v6) found = find_extension(packet.bytes, action.type);
  if (action.only_present) {
    if (packet.v6) return store_number(action.to, static_cast<uint8_t>(found.has_value()));
    return stop_rule();
  }
  if (!found || found->offset + action.offset + action.length > packet.bytes.size()) return stop_rule();
  store(action.to, packet.bytes.data() + found->offset + action.offset, action.length);
}

// nft_exthdr_tcp_eval(): an option with an impossible length is one byte long.
inline void Engine::Run::load_tcp_option(const LoadExtension& action) {
  constexpr size_t kTcpBytes = 20;
  const auto absent = [&] {
    if (action.only_present) return store_number(action.to, uint8_t{0});
    stop_rule();
  };
  if (!packet.has_transport || packet.protocol != kProtocolTcp || packet.fragment != 0) return absent();
  if (packet.transport + kTcpBytes > packet.bytes.size()) return absent();
  const uint8_t* tcp = packet.bytes.data() + packet.transport;
  const size_t header = (tcp[12] >> 4) * size_t{4};
  if (header < kTcpBytes || packet.transport + header > packet.bytes.size()) return absent();
  for (size_t i = kTcpBytes, length = 0; i + 1 < header; i += length) {
    length = tcp[i] <= 1 || tcp[i + 1] == 0 ? 1 : tcp[i + 1];
    if (tcp[i] != action.type) continue;
    if (i + length > header || size_t{action.length} + action.offset > length) return absent();
    if (action.only_present) return store_number(action.to, uint8_t{1});
    return store(action.to, tcp + i + action.offset, action.length);
  }
  absent();
}

inline void Engine::Run::operator()(const LoadMeta& action) {
  const Interface* interface =
      action.key == MetaKey::oif || action.key == MetaKey::oifname || action.key == MetaKey::oiftype
          ? packet.out
      : action.key == MetaKey::iiftype ? packet.came_by()
                                       : packet.in;
  switch (action.key) {
    case MetaKey::length:
      not_again();
      return store_number(action.to, packet.length);
    case MetaKey::protocol:
      return store_number(action.to, __builtin_bswap16(packet.ether_type));
    case MetaKey::mark:
      return store_number(action.to, packet.mark);
    case MetaKey::iif:
    case MetaKey::oif:
      return store_number(action.to, interface != nullptr ? interface->index : 0U);
    case MetaKey::iifname:
    case MetaKey::oifname: {
      static constexpr Interface kNoInterface{};
      return store(action.to, (interface != nullptr ? interface : &kNoInterface)->name.data(), 16);
    }
    case MetaKey::iiftype:
    case MetaKey::oiftype:
      return interface != nullptr ? store_number(action.to, interface->type) : stop_rule();
    case MetaKey::nfproto:
      return store_number(action.to, packet.nfproto());
    case MetaKey::l4proto:
      return packet.has_transport ? store_number(action.to, packet.protocol) : stop_rule();
    case MetaKey::ibrname:
    case MetaKey::obrname: {
      const Interface* const port = action.key == MetaKey::ibrname ? packet.in : packet.out;
      const bool known = port != nullptr && packet.bridge != nullptr;
      static constexpr Interface kNoInterface{};
      return store(action.to, (known ? packet.bridge : &kNoInterface)->name.data(), 16);
    }
    case MetaKey::pkttype:
      return store_number(action.to, packet.type);
  }
}

}  // namespace skerry::filter
